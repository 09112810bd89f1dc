"""Fills a deployment with millions of transfers: `python -m tests.bench.bulk --transfers 1000000`.

Every transfer goes through the real fold, seal and writer, so that books, streams, records and log
are what a server would have left; a server can be started on the directory afterwards. Left out are
gRPC and the signatures: orders carry 64 zero bytes (whoever verifies orders finds that), and what
the exchange signs is signed when somebody asks for it, as always. One in `REVERSED_EVERY` transfers
is taken back in part.
"""

import secrets
import shutil
import signal
import sys
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from itertools import cycle, islice
from pathlib import Path
from typing import Annotated

import typer
import uuid_utils
from rich import progress as bars
from sqlalchemy import Engine

from exchange import database
from exchange.batch import Ledger
from exchange.cli.connection import connect
from exchange.cli.demo.coalition import CURRENCY
from exchange.cli.demo.host import serve_command
from exchange.cli.deployment.initialise import initialise
from exchange.cli.failure import unavailable
from exchange.cli.files import make_directory
from exchange.cli.output import Command as CliCommand
from exchange.cli.output import console_of
from exchange.cli.profile import DEFAULT_SERVER, PROFILE_FILE, load_profile
from exchange.commands import CloseWindow, Command, Order, Reverse
from exchange.fold import window_id
from exchange.host_keys import load_host_keys
from exchange.outcomes import Recorded, Reversed
from exchange.seal import Letterhead
from exchange.server import load_deployment
from exchange.wire.orders import order_from_proto, parse_order
from exchange.wire.reversals import parse_reversal, reversal_from_proto
from partners.keys import Purpose, Signer
from partners.wire import envelope_from_proto
from pointclear.client.orders import build_reversal, sign_reversal
from pointclear.client.profile import Profile
from tests.bench.coalition import EXPIRES_AFTER, PARTNERS, found, orders_of
from tests.bench.processes import child

AUDIENCE = "pointclear.local/bulk"
BATCH = 1000
"""Commands in one transaction, as many as the sequencer takes."""
REVERSED_EVERY = 50
BLOCKS = 991
"""Amounts go round with this many on each corridor: about 12,000 figures of money in a day."""
BYTES_PER_TRANSFER = 4_000
"""What one takes on disk at most, bloat and the write-ahead log's share among it; 2,600 stay."""
SPARE_BYTES = 3_000_000_000
"""For the write-ahead log at its largest, the cluster itself, and the machine."""
SALT_BYTES = 32


@dataclass(frozen=True, slots=True)
class Unsigned:
    """A signer that costs nothing: it names a key and signs nothing."""

    key_id: str

    def sign(self, message: bytes) -> bytes:
        """Zeros."""
        return bytes(64)


@dataclass(slots=True)
class Bulk:
    """A deployment's database, filled through a ledger of its own while no server runs."""

    data_dir: Path
    engine: Engine
    ledger: Ledger
    orders: Iterator[Order]
    brands: dict[str, Signer]
    day: date
    """Business date of the open window."""

    def fill(self, transfers: int, told: Callable[[int], None] = lambda _: None) -> None:
        """Commit this many transfers, and reversals beside them; `told` hears how many it were with
        each batch. Raises RuntimeError for a refusal.

        What was committed stays when it is interrupted, with books as sound as before.
        """
        reversals: deque[Reverse] = deque()
        left = transfers
        while left:
            orders = list(islice(self.orders, min(left, BATCH - len(reversals))))
            commands: list[Command] = [*orders, *reversals]
            reversals = deque(map(self.reversal, orders[::REVERSED_EVERY]))
            self.run(commands)
            left -= len(orders)
            told(len(orders))

    def close(self) -> str:
        """Close the open window; returns its id."""
        name = window_id(CURRENCY, self.day)
        (closed,) = self.ledger.run([CloseWindow(name, None)])
        if closed.refusal:
            raise RuntimeError(f"{name} was not closed: {closed.refusal}")
        self.day = date.fromordinal(self.day.toordinal() + 1)
        return name

    def run(self, commands: list[Command]) -> None:
        """Have commands carried out as one batch."""
        for each in self.ledger.run(commands):
            if each.refusal or not isinstance(each.result, Recorded | Reversed):
                raise RuntimeError(f"an order was not carried out: {each.refusal or each.result}")

    def reversal(self, order: Order) -> Reverse:
        """The target takes back some of what an order credits."""
        now = datetime.now(UTC)
        payload = build_reversal(
            audience=AUDIENCE,
            partner_id=order.target_program,
            reversal_id=uuid_utils.uuid7().bytes,
            transfer_id=order.transfer_id.bytes,
            target_points=1 + order.target_points // 3,
            issued_at=now,
            expires_at=now + EXPIRES_AFTER,
            partner_reference=f"back {order.partner_reference}",
        )
        signed = sign_reversal(self.brands[order.target_program], payload)
        envelope = envelope_from_proto(signed)
        return reversal_from_proto(parse_reversal(envelope), envelope)


@contextmanager
def bulk(folder: Path) -> Iterator[Bulk]:
    """The deployment in `folder`, made and founded where it is not yet; its database runs for the
    length of the block.
    """
    data_dir, brands = folder / "exchange", folder / "brands"
    make_directory(folder, 0o711)
    if not (brands / PARTNERS[-1].partner_id / PROFILE_FILE).exists():
        # What a run left that was ended while it founded is no coalition, and can be made again.
        shutil.rmtree(data_dir, ignore_errors=True)
        shutil.rmtree(brands, ignore_errors=True)
        make(data_dir, brands, folder / "processes.log")
    profiles = [load_profile(brands / each.partner_id) for each in PARTNERS]
    with database.service_database(data_dir, None, database.POOL_SIZE, lambda _: None) as opened:
        keys = load_host_keys(data_dir).signers.key_ids(Purpose.RECEIPTS)
        database.claim(opened.engine, *load_deployment(data_dir))
        ledger = Ledger(
            opened.engine,
            Letterhead(AUDIENCE, keys),
            lambda: datetime.now(UTC),
            lambda: secrets.token_bytes(SALT_BYTES),
        )
        signers: dict[str, Signer] = {
            each.caller.name: Unsigned(each.signer(Purpose.ORDERS).key_id) for each in profiles
        }
        with opened.engine.connect() as connection:
            day = connection.exec_driver_sql(
                "SELECT business_date FROM settlement_window WHERE state = 'OPEN'"
            ).scalar_one()
        yield Bulk(data_dir, opened.engine, ledger, orders(profiles, signers), signers, day)
        ledger.close()


def make(data_dir: Path, brands: Path, log: Path) -> None:
    """Initialise an exchange, and have a coalition founded there through its front door."""
    initialise(data_dir, AUDIENCE, DEFAULT_SERVER, datetime.now(UTC))
    with child(serve_command(data_dir), log) as server:
        address = server.answer()["address"]
        with connect(load_profile(data_dir / "operator", address)) as operator:
            found(operator, data_dir, brands)


def orders(profiles: list[Profile], signers: dict[str, Signer]) -> Iterator[Order]:
    """Orders without end, the brands by turns, as admission lets them through."""
    for source in cycle([orders_of(each, signers[each.caller.name], BLOCKS) for each in profiles]):
        envelope = envelope_from_proto(next(source))
        yield order_from_proto(parse_order(envelope), envelope)


def check_disk(folder: Path, transfers: int) -> None:
    """Raise Failed unless the disk has room for so many transfers."""
    there = next(each for each in (folder, *folder.absolute().parents) if each.exists())
    needed, free = SPARE_BYTES + transfers * BYTES_PER_TRANSFER, shutil.disk_usage(there).free
    if free < needed:
        raise unavailable(
            f"{transfers:,} transfers need {needed / 1e9:.1f} GB and {there} has {free / 1e9:.1f}",
            "Choose fewer transfers, or a --folder on a larger disk.",
        )


@contextmanager
def shown(what: str, total: int) -> Iterator[Callable[[int], None]]:
    """Progress on standard error: a bar on a terminal, ten lines elsewhere."""
    console = console_of(sys.stderr)
    columns = (
        bars.TextColumn("{task.description}"),
        bars.BarColumn(),
        bars.MofNCompleteColumn(),
        bars.TimeElapsedColumn(),
        bars.TimeRemainingColumn(),
    )
    with bars.Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task(what, total=total)
        done = 0

        def told(more: int) -> None:
            nonlocal done
            before, done = done, done + more
            progress.update(task, completed=done)
            if not console.is_terminal and before * 10 // total < done * 10 // total:
                typer.echo(f"{what}: {done:,} of {total:,}", err=True)

        yield told


def fill(
    transfers: Annotated[int, typer.Option(min=1, help="How many to commit.")],
    folder: Annotated[
        Path, typer.Option(metavar="DIR", help="Where the deployment is made, or is already.")
    ] = Path("bench-out/bulk"),
    close: Annotated[bool, typer.Option("--close", help="Close the window afterwards.")] = False,
) -> None:
    """Fill a deployment with consistent transfers, quickly.

    A directory that was filled before gets more. Nothing is deleted: remove it when you are done.
    """
    # Otherwise a SIGTERM would leave the database running.
    signal.signal(signal.SIGTERM, lambda _number, _frame: sys.exit(128 + signal.SIGTERM))
    check_disk(folder, transfers)
    with bulk(folder) as filled:
        began = datetime.now(UTC)
        with shown("transfers", transfers) as told:
            filled.fill(transfers, told)
        took_s = (datetime.now(UTC) - began).total_seconds()
        window = filled.close() if close else ""
    typer.echo(f"{transfers:,} transfers in {took_s:.1f} s, {transfers / took_s:,.0f}/s: {folder}")
    if window:
        typer.echo(f"Closed {window}")


def main() -> None:
    """Run the command line. Exit codes as of `pointclear`: 2 usage, 3 unavailable."""
    app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
    app.command("bulk", cls=CliCommand)(fill)
    app(prog_name="python -m tests.bench.bulk")


if __name__ == "__main__":
    main()
