"""Two servers and their PostgreSQL, killed at random under load: at the end everything that was
acknowledged is there, nothing is there twice, and the streams, the log and the books agree.

`POINTCLEAR_SOAK_SECONDS` says for how long the load lasts, `POINTCLEAR_SOAK_SEED` repeats a run's
choice of victims and pauses.
"""

import base64
import json
import os
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from uuid import UUID

import pytest

from exchange.cli.connection import connect
from exchange.cli.transfers.receipt_commands import read_stream
from pointclear.common.v1.envelope_pb2 import SignedEnvelope
from pointclear.exchange.v1.transfer_pb2 import TRANSFER_STATE_COMMITTED
from tests.acceptance.coalition import (
    BLOCK,
    BLOCK_GIVES,
    MINIMUM,
    Coalition,
    check_log_and_books,
    coalition,
    make_data_dir,
)
from tests.processes import ROOT, Server, environment, folder, kill_postmaster
from tests.retrying_client import Answer, Task

SECONDS = float(os.environ.get("POINTCLEAR_SOAK_SECONDS", "10"))
SEED = int(os.environ.get("POINTCLEAR_SOAK_SEED", "24"))
PAUSES_S = (0.3, 2.0)
ANSWERS_WITHIN_S = 120
"""How long the clients may take for the orders that are under way when the load ends."""
VICTIMS = (
    ("first",),
    ("second",),
    ("postgres",),
    ("first", "second"),
    ("first", "postgres"),
    ("second", "postgres"),
    ("first", "second", "postgres"),
)


@dataclass
class Pair:
    """Two servers on one embedded database; each is started again where it was."""

    servers: dict[str, Server]
    members: Coalition
    kills: Counter[str] = field(default_factory=Counter)

    @property
    def data_dir(self) -> Path:
        """The deployment's."""
        return self.members.data_dir

    def kill(self, victims: tuple[str, ...], pause_s: float) -> None:
        """`kill -9` of all of these at once; the servers among them are started after a pause."""
        for each in victims:
            if each == "postgres":
                # It may be dead already, or on its way up.
                with suppress(FileNotFoundError, ProcessLookupError, IndexError, ValueError):
                    kill_postmaster(self.data_dir)
                    self.kills[each] += 1
            else:
                self.servers[each].kill()
                self.kills[each] += 1
        time.sleep(pause_s)
        ended = [each for each in victims if each in self.servers]
        with ThreadPoolExecutor(2) as pool:
            started = pool.map(self.start, ended)
            self.servers |= dict(zip(ended, started, strict=True))

    def start(self, name: str) -> Server:
        """A server in the place of one that was killed."""
        ended = self.servers[name]
        return Server(ended.data_dir, listen=ended.listen)


@pytest.fixture
def pair() -> Iterator[Pair]:
    with folder() as home:
        first = Server(make_data_dir(home))
        running = {"first": first}
        try:
            running["second"] = Server(first.data_dir)
            with coalition(first, home, ("aurora", "borealis")) as members:
                made = Pair(running, members)
                running = made.servers
                yield made
                running = made.servers
        finally:
            for server in running.values():
                server.stop()


def start_client(pair: Pair, seed: int, began: float) -> "subprocess.Popen[str]":
    """A client process that orders until the load ends."""
    task = Task(
        [str(each) for each in pair.members.profiles],
        [each.address for each in pair.servers.values()],
        int(began * 1000),
        began + SECONDS,
        seed,
        MINIMUM,
        MINIMUM // BLOCK * BLOCK_GIVES,
    )
    client = subprocess.Popen(
        [sys.executable, "-m", "tests.retrying_client"],
        cwd=ROOT,
        env=environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert client.stdin is not None
    client.stdin.write(json.dumps(asdict(task)))
    client.stdin.close()
    client.stdin = None
    return client


def answers_of(client: "subprocess.Popen[str]") -> list[Answer]:
    """What a client was answered, once it has ended by itself."""
    try:
        said, _ = client.communicate(timeout=SECONDS + ANSWERS_WITHIN_S)
    finally:
        client.kill()
    assert client.returncode == 0
    return [Answer(**json.loads(line)) for line in said.splitlines()]


def test_t24_whatever_is_killed_nothing_acknowledged_is_lost_and_nothing_happens_twice(
    pair: Pair,
) -> None:
    chosen, began = random.Random(SEED), time.time()
    clients = [start_client(pair, seed, began) for seed in (1, 2)]
    with ThreadPoolExecutor(2) as pool:
        heard = [pool.submit(answers_of, client) for client in clients]
        while time.time() < began + SECONDS:
            time.sleep(chosen.uniform(*PAUSES_S))
            pair.kill(chosen.choice(VICTIMS), chosen.uniform(0, 1))
        answers = [answer for each in heard for answer in each.result()]

    assert {each.reason for each in answers} == {""}, "every order was good"
    acknowledged: dict[UUID, SignedEnvelope] = {}
    for each in answers:
        receipt = SignedEnvelope.FromString(base64.b64decode(each.receipt))
        assert acknowledged.setdefault(UUID(each.transfer_id), receipt) == receipt
    receipts, notices = Counter[UUID](), Counter[UUID]()
    for place, brand in enumerate(pair.members.brands.values()):
        server = list(pair.servers.values())[place]
        with connect(replace(brand.connection.profile, server=server.address)) as own:
            stream = read_stream(own, 0)
        for proof in stream:
            assert proof.record.state == TRANSFER_STATE_COMMITTED
            transfer_id = UUID(bytes=proof.record.transfer_id)
            if proof.record.source_partner == brand.name:
                receipts[transfer_id] += 1
                assert proof.envelope.payload == acknowledged[transfer_id].payload
            else:
                notices[transfer_id] += 1
    # Every order was acknowledged in the end, so what is there is just that, and once.
    assert receipts == notices == dict.fromkeys(acknowledged, 1)
    check_log_and_books(pair.data_dir)
    assert pair.kills.total() > 0
    print(
        f"{dict(pair.kills)} killed in {SECONDS:g} s; {len(acknowledged)} orders,"
        f" {len(answers)} acknowledgements, {sum(each.attempts for each in answers)} calls"
    )
