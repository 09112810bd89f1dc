"""The brands' client processes, seen from the demo that starts them."""

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path

from exchange.cli.demo.brand_client import Outcome, Wish
from exchange.cli.failure import unavailable

STOP_TIMEOUT_S = 30


class ClientProcess:
    """One process that speaks for some of the brands."""

    def __init__(self, directories: Sequence[Path]) -> None:
        """Start it with these profiles."""
        self.brands = frozenset(directory.name for directory in directories)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "exchange.cli.demo.brand_client", *map(str, directories)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def send(self, wishes: Sequence[Wish]) -> None:
        """Hand over a day's wishes; it starts on them at once."""
        assert self._process.stdin is not None
        lines = [json.dumps(asdict(wish)) + "\n" for wish in wishes]
        self._process.stdin.write("".join(lines) + "\n")
        self._process.stdin.flush()

    def outcomes(self, count: int) -> list[Outcome]:
        """Wait for the outcomes of the wishes sent last."""
        assert self._process.stdout is not None
        lines = [self._process.stdout.readline() for _ in range(count)]
        if not all(lines):
            raise unavailable("a brands' client process ended early", "Its error is above.")
        return [Outcome(**json.loads(line)) for line in lines]

    def stop(self) -> None:
        """End it; it has nothing under way between days."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        try:
            self._process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()


@contextmanager
def client_processes(directories: Sequence[Path], count: int) -> Iterator[list[ClientProcess]]:
    """`count` processes that share the brands; all are ended on leaving."""
    with ExitStack() as stack:
        clients = []
        for first in range(count):
            clients.append(ClientProcess(directories[first::count]))
            stack.callback(clients[-1].stop)
        yield clients


def order_all(clients: Sequence[ClientProcess], wishes: Sequence[Wish]) -> list[Outcome]:
    """Have the brands order what is wished, all at once; outcomes in the order of the wishes."""
    shares = {
        client: [place for place, wish in enumerate(wishes) if wish.source in client.brands]
        for client in clients
    }
    for client, places in shares.items():
        client.send([wishes[place] for place in places])
    found: dict[int, Outcome] = {}
    for client, places in shares.items():
        found |= zip(places, client.outcomes(len(places)), strict=True)
    return [found[place] for place in range(len(wishes))]
