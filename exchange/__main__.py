"""The composition root: it wires the parts, and nothing imports it. `pointclear` and `python -m
exchange` start here. What makes a server process is in its room, `exchange.serving`.

Server libraries are imported when a server starts, so that a partner's installation without them
has all other commands.
"""

import asyncio
import sys
from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from exchange.cli.app import MigrateOptions, ServeOptions, Wiring, build_app
from exchange.cli.wiring import Fault, FsckOptions, Told

if TYPE_CHECKING:
    from exchange.cli.calling import App
    from exchange.cli.demo.settlement_day import Payment
    from exchange.cli.deployment.conformance_command import Checked, ConformanceOrder
    from exchange.cli.deployment.sample_commands import SampleOrder, SamplePapers
    from exchange.cli.deployment.sandbox_commands import BankOrder

CENT = Decimal("0.01")
"""The least that the demo's bank pays."""


def main() -> None:
    """Run the command line."""
    wiring = Wiring(serve=serve, migrate=migrate, config=config, fsck=fsck)
    more = {"demo": add_demo, "sandbox": add_sandbox, "conformance": add_conformance}
    build_app(wiring, more)()


def add_demo(app: "App") -> None:
    """Add the demo, which settles through a simulated bank."""
    from exchange.cli.demo.command import add_demo_command

    add_demo_command(app, simulated_bank)


def add_sandbox(app: "App") -> None:
    """Add the sandbox's commands, with its bank and its sample papers."""
    from exchange.cli.deployment.sandbox_commands import add_sandbox_commands

    add_sandbox_commands(app, sandbox_bank, sandbox_papers)


def add_conformance(app: "App") -> None:
    """Add the check of a brand's own system."""
    from exchange.cli.deployment.conformance_command import add_conformance_command

    add_conformance_command(app, conform)


def conform(order: "ConformanceOrder") -> "list[Checked]":
    """Check a brand's own system as the exchange would call it; raises PointclearError when that
    cannot begin.
    """
    from adapters.trial import Trial, keys_for_orders, tried
    from exchange import host_keys, server
    from exchange.cli.deployment.conformance_command import Checked
    from exchange.errors import CannotStart
    from partners.keys import Purpose

    audience, _ = server.load_deployment(order.data_dir)
    folder = order.data_dir / "keys"
    if host_keys.load_calling_tls(order.data_dir) is None:
        raise CannotStart(
            f"{folder / 'calling-tls.pem'} is missing",
            "put a certificate with the URI pointclear://exchange/<audience> there, and its key",
        )
    trial = Trial(
        order.address,
        order.partner_id,
        order.program,
        audience,
        keys_for_orders(order.partner_id, order.orders_keys),
        order.authority or folder / "ca.pem",
        folder / "calling-tls.pem",
        folder / "calling-tls-key.pem",
        host_keys.load_signers(folder)[Purpose.RECEIPTS][0],
        order.member,
        order.unknown_member,
        order.points,
        order.codes,
        order.reversals,
        order.timeout_s,
        order.attempts,
    )
    return [Checked(each.name, each.fault) for each in asyncio.run(tried(trial))]


def simulated_bank(
    statement_id: str, booking_date: date, opening: Decimal, payments: "Sequence[Payment]"
) -> tuple[bytes, Decimal, str]:
    """The bank that the demo settles through: it books whatever it is asked to, and tells of what
    came in camt.053, of what went in MT940.
    """
    from exchange.cli.demo.coalition import CURRENCY
    from settlement.bank_simulator import Paper, PaymentRequest, bank_day

    requests = [
        PaymentRequest(each.direction, each.amount.quantize(CENT), each.reference, each.partner)
        for each in payments
    ]
    came = any(each.direction == "PAY_IN" for each in payments)
    paper = Paper.CAMT_053 if came else Paper.MT940
    day = bank_day(statement_id, CURRENCY, booking_date, opening, requests, paper=paper)
    return day.content, day.closing, paper.suffix


def sandbox_bank(order: "BankOrder") -> tuple[bytes, Decimal]:
    """The bank of a sandbox: its file, and the balance with which that closes; raises ValueError
    for an earlier file that is none of the bank's.
    """
    from settlement.bank_simulator import (
        Paper,
        Payer,
        PaymentRequest,
        bank_day,
        booked_on,
        closing_of,
        paid_by,
    )

    seen = []
    for each in order.payments:
        request = PaymentRequest(each.direction, each.amount, each.reference, each.partner)
        punctual = order.partner not in ("", each.partner)
        seen.append(paid_by(request, Payer.ON_TIME if punctual else Payer(order.mode)))
    opening = closing_of(order.after) if order.after else Decimal("0.00")
    day = bank_day(
        order.statement_id,
        order.currency,
        booked_on(order.booking_date, Payer(order.mode)),
        opening,
        [each for each in seen if each is not None],
        paper=Paper(order.paper),
    )
    return day.content, day.closing


def sandbox_papers(order: "SampleOrder") -> "SamplePapers":
    """Sample papers for a partner of a sandbox; raises Failed where the server's libraries, by
    which they are stated, are not installed.
    """
    from exchange.cli.demo.archive import PublicKey
    from exchange.cli.deployment.sample_commands import SamplePapers
    from exchange.cli.failure import unavailable
    from partners.key_events import EXCHANGE

    try:
        from settlement.sample.folder import sample
        from settlement.sample.wire import Brand
    except ImportError as error:
        raise unavailable(
            f"stating needs {error.name}", "Install it: pip install 'pointclear[server]'."
        ) from None

    own = Brand(order.partner_id, order.legal_name, order.program)
    made = sample(order.audience, own, order.currency, order.seed)
    return SamplePapers(
        made.files,
        tuple(PublicKey(key, EXCHANGE, purpose) for purpose, key in made.keys.items()),
        tuple((each.kind, str(each.transfer_id), each.what) for each in made.planted),
    )


def serve(options: ServeOptions) -> None:
    """Run a server until it is told to stop; raises PointclearError, with one line, when it cannot
    start.
    """
    from exchange import database, host_keys, logs, server, settings
    from exchange.serving.deployment import Deployment
    from exchange.serving.process import serve_until_told

    server.leave_when_told()
    loaded = settings.load(dict(options.settings), options.data_dir, options.config).settings
    log = logs.start_logging(loaded.log_format, loaded.log_level, sys.stderr)
    # First what only `init` makes: a directory that it never made has no keys either.
    audience, environment = server.load_deployment(options.data_dir)
    server.check_four_eyes(loaded.four_eyes == "on", environment)
    keys = host_keys.load_host_keys(options.data_dir, loaded.token_uris())
    with database.service_database(
        options.data_dir, loaded.database_url, loaded.pool_size, log.info
    ) as opened:
        stored_from = database.claim(opened.engine, audience, environment)
        deployment = Deployment(
            loaded,
            options.data_dir,
            keys,
            audience,
            environment,
            stored_from,
            opened,
            log,
            options.json,
        )
        with asyncio.Runner(loop_factory=server.loop_factory()) as runner:
            runner.run(serve_until_told(deployment))
    log.info("stopped")


def config(options: ServeOptions) -> "list[tuple[str, Any, str]]":
    """Every setting with its value and where that came from; raises PointclearError when one is not
    valid.
    """
    from exchange import settings

    return settings.load(dict(options.settings), options.data_dir, options.config).shown()


def migrate(options: MigrateOptions) -> None:
    """Bring the database to this program's revision; raises PointclearError when it cannot."""
    from exchange import database, embedded_postgres

    if options.database_url is not None:
        database.migrate_at(options.database_url, say)
        return
    with embedded_postgres.start(Path(options.data_dir), say=say) as running:
        database.migrate_at(running.url(embedded_postgres.OWNER_ROLE), say)


def fsck(options: FsckOptions, told: Told) -> list[Fault]:
    """Everything in the database that breaks a rule of the books, or is not what was signed and
    logged; raises PointclearError when it cannot look.

    It may run beside a server: it reads one snapshot, and changes nothing.
    """
    from exchange import database, embedded_postgres
    from settlement.checks.evidence import check_evidence, rows_to_check
    from settlement.checks.invariants import check_books

    def look(connection: Any) -> list[Fault]:
        findings = list(check_books(connection))
        done, total = 0, rows_to_check(connection)

        def progress(rows: int) -> None:
            nonlocal done
            done += rows
            told(done, total)

        findings += check_evidence(connection, progress)
        return [Fault(each.rule, each.subject, each.found) for each in findings]

    if options.database_url is not None:
        return database.read_at(options.database_url, look)
    with embedded_postgres.start(Path(options.data_dir), say=say) as running:
        return database.read_at(running.url(embedded_postgres.SERVICE_ROLE), look)


def say(text: str) -> None:
    """Tell the operator what is going on."""
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
