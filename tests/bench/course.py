"""The course of a run: what is started, what is measured, and in which order."""

import json
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from exchange import embedded_postgres
from exchange.cli.connection import connect
from exchange.cli.demo.host import serve_command
from exchange.cli.deployment.initialise import initialise
from exchange.cli.profile import DEFAULT_SERVER, load_profile
from exchange.embedded_postgres import OWNER_ROLE, RunningPostgres
from partners.keys import Purpose
from tests.bench import day, pgbench, reconcile, slow_partner, storage
from tests.bench.closing import CLOSE_EVERY_S, Closings
from tests.bench.coalition import found
from tests.bench.limits import set_every_limit
from tests.bench.load import ORDERS_PER_BATCH, Load, Rate
from tests.bench.measures import Pair, Result, latencies, result_of
from tests.bench.processes import Child, child

AUDIENCE = "pointclear.local/bench"
BATCHES_IN_FLIGHT = 4
"""One for each brand."""
OTHER_IN_FLIGHT = (1, 256)
"""Also measured, as entries of their own."""
SETTINGS = {"ORDERS_PER_SECOND": "1000000", "ORDERS_BURST": "1000000"}
"""A partner's rate is the operator's choice; what is measured is what the server can do."""
PACED_S = 8.0
"""Of a measurement of credits: two brands get a third of its orders each."""
TRANSFERS_MIN = 20_000
"""Fewer would make storage look larger or smaller than it is."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to measure."""

    rounds: int
    seconds: float
    """Of each measurement."""
    in_flight: int
    """Calls under way at once."""
    bulk: int = 0
    """Transfers of a large window that is closed and stated as well; 0 for none."""

    @property
    def unary(self) -> tuple[int, ...]:
        """Calls in flight, each measured."""
        return (self.in_flight, *(each for each in OTHER_IN_FLIGHT if each != self.in_flight))

    @property
    def steps(self) -> int:
        """What `Bench.run` reports in all."""
        return 5 + self.rounds * (len(self.unary) + 4) + bool(self.bulk)


@dataclass(slots=True)
class Bench:
    """Everything that runs while it is measured."""

    wanted: Wanted
    data_dir: Path
    server: Child
    address: str
    """Where it listens."""
    load: Load
    echo: str
    """Address of the echo server."""
    floor: str
    """Address of the floor server."""
    postgres: RunningPostgres
    """pgbench's own."""
    pgbench_clients: int
    memory_at_rest: float
    """Of the server before any load, in MB."""
    client: Child
    brands: slow_partner.Brands
    step: Callable[[str], None]
    unary: dict[int, list[Pair]] = field(default_factory=dict)
    """By calls in flight: transfers, and echoes."""
    floors: dict[int, list[Pair]] = field(default_factory=dict)
    """Likewise: transfers, and what the floor answers."""
    unary_rates: dict[int, list[Rate]] = field(default_factory=dict)
    """Likewise: the transfers alone, with their latencies."""
    batched: list[Pair] = field(default_factory=list)
    batch_rates: list[Rate] = field(default_factory=list)
    limited: list[Pair] = field(default_factory=list)
    """Batches with limits on all that they touch, and without."""
    delivered: list[Pair] = field(default_factory=list)
    """Milliseconds to a fast brand, beside a slow one and beside a fast one."""
    closed: list[Pair] = field(default_factory=list)
    """Milliseconds of orders, 99 in a hundred, while windows close and while none does."""
    stated: list[Pair] = field(default_factory=list)
    """Likewise while those windows are stated."""
    reconciled: list[Pair] = field(default_factory=list)
    """Seconds of reconciling a partner's file, and of the bare join."""

    def run(self) -> list[Result]:
        """Measure in turn, A B A B."""
        stored = storage.measure(self.data_dir)
        for number in range(1, self.wanted.rounds + 1):
            for in_flight in self.wanted.unary:
                self.step(f"round {number}: {in_flight} in flight")
                rate = self.load.transfers(1, in_flight)
                baseline = self.load.echoes(self.echo, in_flight).per_s
                least = self.load.floors(self.floor, in_flight).per_s
                self.unary.setdefault(in_flight, []).append(Pair(rate.per_s, baseline))
                self.floors.setdefault(in_flight, []).append(Pair(rate.per_s, least))
                self.unary_rates.setdefault(in_flight, []).append(rate)
            self.step(f"round {number}: batches and pgbench")
            self.batched.append(self.batch_pair())
            self.step(f"round {number}: batches with limits and without")
            self.limited.append(self.limited_pair())
            self.step(f"round {number}: credits beside a slow brand and beside a fast one")
            self.delivered.append(
                slow_partner.pair(self.client, self.address, self.brands, PACED_S)
            )
            self.step(f"round {number}: orders while windows close and are stated")
            closings = Closings(self.data_dir, self.address, self.load)
            self.closed.append(closings.p99_pair(self.wanted.in_flight))
            self.stated.append(closings.stating_pair(self.wanted.in_flight))
        self.step("reconciling a partner's file, and the bare join")
        self.reconciled = reconcile.pairs(reconcile.ROWS, self.wanted.rounds)
        self.step("storage and memory")
        return [*self.rates(), *self.sizes(stored), *self.large_window()]

    def large_window(self) -> list[Result]:
        """The results of a window that is filled past the front door, where one is wanted."""
        if not self.wanted.bulk:
            return []
        self.step(f"a window of {self.wanted.bulk:,} transfers")
        return day.results(self.data_dir.parent / "day", self.wanted.bulk, lambda _: None)

    def batch_pair(self) -> Pair:
        """Batches, and pgbench right after them."""
        rate = self.load.transfers(ORDERS_PER_BATCH, BATCHES_IN_FLIGHT)
        self.batch_rates.append(rate)
        baseline = pgbench.transactions_per_s(
            self.postgres, self.pgbench_clients, self.wanted.seconds
        )
        return Pair(rate.per_s, baseline)

    def limited_pair(self) -> Pair:
        """Batches with every limit set, and right after them without any."""
        found = []
        for on in (True, False):
            set_every_limit(self.data_dir, self.address, on=on)
            found.append(self.load.transfers(ORDERS_PER_BATCH, BATCHES_IN_FLIGHT).per_s)
        return Pair(*found)

    def rates(self) -> Iterator[Result]:
        """The results of what was timed, the two of the headline first."""
        yield self.unary_result("unary_vs_echo", self.wanted.in_flight)
        how = {
            "orders_per_call": ORDERS_PER_BATCH,
            "in_flight": BATCHES_IN_FLIGHT,
            "pgbench_clients": self.pgbench_clients,
            "seconds": self.wanted.seconds,
            **latencies(self.batch_rates),
        }
        yield result_of("batched_vs_pgbench", "transfers/s", self.batched, how)
        how = {
            "orders_per_call": ORDERS_PER_BATCH,
            "in_flight": BATCHES_IN_FLIGHT,
            "seconds": self.wanted.seconds,
        }
        yield result_of("limits_on_vs_off", "transfers/s", self.limited, how)
        how = {
            "orders_per_s": slow_partner.ORDERS_PER_S,
            "slow_s": slow_partner.SLOW_S,
            "seconds": PACED_S,
        }
        yield result_of("slow_partner_p99_ratio", "ms", self.delivered, how)
        yield reconcile.result(self.reconciled, reconcile.ROWS)
        how = {"in_flight": self.wanted.in_flight, "seconds": self.wanted.seconds}
        every = {**how, "close_every_s": CLOSE_EVERY_S}
        yield result_of("close_p99_ratio", "ms", self.closed, every)
        yield result_of("stating_p99_ratio", "ms", self.stated, how)
        for in_flight in self.wanted.unary[1:]:
            yield self.unary_result(f"unary_vs_echo_{in_flight}_in_flight", in_flight)
        for in_flight in self.wanted.unary:
            yield from self.floor_results(in_flight)

    def unary_result(self, name: str, in_flight: int) -> Result:
        how = {
            "in_flight": in_flight,
            "seconds": self.wanted.seconds,
            **latencies(self.unary_rates[in_flight]),
        }
        return result_of(name, "transfers/s", self.unary[in_flight], how)

    def floor_results(self, in_flight: int) -> Iterator[Result]:
        """How near transfers come to the floor, and the floor to the echo."""
        how = {"in_flight": in_flight, "seconds": self.wanted.seconds}
        pairs = self.floors[in_flight]
        yield result_of(f"unary_vs_floor_{in_flight}_in_flight", "transfers/s", pairs, how)
        above = [
            Pair(least.baseline, echoes.baseline)
            for least, echoes in zip(pairs, self.unary[in_flight], strict=True)
        ]
        yield result_of(f"floor_vs_echo_{in_flight}_in_flight", "answers/s", above, how)

    def sizes(self, before: storage.Stored) -> Iterator[Result]:
        """The results of what was weighed. Memory is read first: the rest would add to it."""
        loaded = storage.memory_mb(self.server.pid)
        after = storage.measure(self.data_dir)
        missing = TRANSFERS_MIN - (after.transfers - before.transfers)
        if missing > 0:
            self.load.commit(missing)
            after = storage.measure(self.data_dir)
        transfers = after.transfers - before.transfers
        pair = Pair(
            (after.total - before.total) / transfers,
            (after.signed_bytes - before.signed_bytes) / transfers,
        )
        parts = {
            "baseline": "bytes of the order, receipt and notice themselves",
            "transfers": transfers,
            "by_table": storage.per_transfer(before, after),
        }
        yield result_of("bytes_per_transfer", "bytes", [pair], parts)
        most = {"baseline": "before the load", "most": round(loaded["VmHWM"], 1)}
        pair = Pair(loaded["VmRSS"], self.memory_at_rest)
        yield result_of("server_rss_mb", "MB", [pair], most)


@contextmanager
def started(wanted: Wanted, step: Callable[[str], None]) -> Iterator[Bench]:
    """Everything started, warmed up and ready to be measured; all of it is stopped on leaving."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="pointclear-bench-")))
        # The system user of the embedded PostgreSQL must be able to pass through it.
        folder.chmod(0o711)
        step("starting the exchange")
        data_dir = folder / "exchange"
        initialise(data_dir, AUDIENCE, DEFAULT_SERVER, datetime.now(UTC))
        log_path = folder / "processes.log"
        server = stack.enter_context(child(serve_command(data_dir), log_path, SETTINGS))
        address = server.answer()["address"]
        with connect(load_profile(data_dir / "operator", address)) as operator:
            profiles = found(operator, data_dir, folder / "brands")
        at_rest = storage.memory_mb(server.pid)["VmRSS"]
        client = stack.enter_context(
            child(python("tests.bench.client", *map(str, profiles)), log_path)
        )
        step("warming up")
        load = Load(client, address, wanted.seconds)
        answer_bytes = load.transfers(1, wanted.in_flight).answer_bytes
        load.transfers(ORDERS_PER_BATCH, BATCHES_IN_FLIGHT)
        echo_server = stack.enter_context(
            child(python("tests.bench.echo", str(data_dir), str(answer_bytes)), log_path)
        )
        echo = echo_server.answer()["address"]
        load.echoes(echo, wanted.in_flight)
        step("finding pgbench's best number of clients")
        postgres = stack.enter_context(embedded_postgres.start(folder / "pgbench"))
        pgbench.prepare(postgres)
        clients = pgbench.best_clients(postgres, wanted.seconds)
        floor = stack.enter_context(
            child(floor_command(data_dir, postgres, profiles, answer_bytes), log_path)
        ).answer()["address"]
        load.floors(floor, wanted.in_flight)
        brands = stack.enter_context(slow_partner.called(data_dir, address, profiles, log_path))
        yield Bench(
            wanted,
            data_dir,
            server,
            address,
            load,
            echo,
            floor,
            postgres,
            clients,
            at_rest,
            client,
            brands,
            step,
        )


def floor_command(
    data_dir: Path, postgres: RunningPostgres, profiles: list[Path], answer_bytes: int
) -> list[str]:
    """The command line of the floor server, with the public keys of who orders."""
    signers = [load_profile(each).signer(Purpose.ORDERS) for each in profiles]
    keys = {each.key_id: each.public_key.hex() for each in signers}
    url = postgres.url(OWNER_ROLE).replace("+psycopg2", "")
    return python("tests.bench.floor", str(data_dir), url, json.dumps(keys), str(answer_bytes))


def python(module: str, *arguments: str) -> list[str]:
    """The command line that runs a module."""
    return [sys.executable, "-m", module, *arguments]
