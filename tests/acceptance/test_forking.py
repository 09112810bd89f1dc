"""Starting programs from a process in which gRPC is at work, as `serve` does for its database."""

import os
import subprocess
import sys

import pytest

FORKS = 100

PROGRAM = f"""
import subprocess, threading
from exchange.cli.app import build_app
from exchange.cli.wiring import Wiring

build_app(Wiring(**dict.fromkeys(Wiring.__dataclass_fields__, print)))

from concurrent import futures
import grpc

server = grpc.server(futures.ThreadPoolExecutor(4))
address = "127.0.0.1:%d" % server.add_insecure_port("127.0.0.1:0")
server.start()
channel, ended = grpc.insecure_channel(address), threading.Event()

def call():
    method = channel.unary_unary("/nobody/Nothing")
    while not ended.is_set():
        try:
            method(b"", timeout=5)
        except grpc.RpcError:
            pass

callers = [threading.Thread(target=call) for _ in range(4)]
for each in callers:
    each.start()
# What Python does where another user is named, as root's database is another user's.
subprocess._USE_VFORK = False
codes = [subprocess.run(["true"], capture_output=True).returncode for _ in range({FORKS})]
ended.set()
for each in callers:
    each.join()
server.stop(None)
print(sum(code != 0 for code in codes))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="forks by another way")
def test_a_program_started_while_grpc_is_at_work_always_starts() -> None:
    kept = {name: each for name, each in os.environ.items() if not name.startswith("GRPC_")}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=120, env=kept
    )
    assert (done.returncode, done.stdout) == (0, "0\n"), done.stderr
