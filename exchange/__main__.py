"""The composition root: it wires the parts, and nothing imports it. `pointclear` and `python -m
exchange` start here.

Server libraries are imported when a server starts, so that a partner's installation without them
has all other commands.
"""

import asyncio
import json
import logging
import sys
from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

from exchange.cli.app import MigrateOptions, ServeOptions, Wiring, build_app
from exchange.cli.demo.coalition import CURRENCY
from exchange.cli.demo.command import add_demo_command

if TYPE_CHECKING:
    import grpc

    from exchange.cli.demo.settlement_day import Payment
    from exchange.server import Exchange


def main() -> None:
    """Run the command line."""
    app = build_app(Wiring(serve=serve, migrate=migrate))
    add_demo_command(app, simulated_bank)
    app()


def simulated_bank(
    statement_id: str, booking_date: date, opening: Decimal, payments: "Sequence[Payment]"
) -> tuple[bytes, Decimal]:
    """The bank that the demo settles through: it books whatever it is asked to."""
    from settlement.bank_simulator import PaymentRequest, bank_day

    requests = [
        PaymentRequest(each.direction, each.amount, each.reference, each.partner)
        for each in payments
    ]
    day = bank_day(statement_id, CURRENCY, booking_date, opening, requests)
    return day.content, day.closing


def serve(options: ServeOptions) -> None:
    """Run a server until it is told to stop; raises PointclearError, with one line, when it cannot
    start.
    """
    from exchange import database, server

    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(levelname)s %(message)s")
    keys = server.load_host_keys(options.data_dir)
    audience = server.load_audience(options.data_dir)
    with database.service_engine(options.data_dir, options.database_url, say) as engine:
        stored_from = database.claim(engine, audience)

        async def serve_until_told() -> None:
            async with server.exchange(engine, keys, audience, stored_from) as exchange:
                services = handlers(exchange)
                async with server.listening(services, keys, options.listen) as address:
                    announce(address, audience, as_json=options.json)
                    await server.told_to_stop()

        with asyncio.Runner(loop_factory=server.loop_factory()) as runner:
            runner.run(serve_until_told())


def handlers(exchange: "Exchange") -> tuple["grpc.GenericRpcHandler", ...]:
    """Every service, given what it needs and no more."""
    from exchange.edge import service_handler
    from exchange.server import now
    from exchange.service import ExchangeService
    from partners.keys import Purpose
    from partners.service import PartnersService
    from pointclear.exchange.v1 import exchange_service_pb2
    from pointclear.partners.v1 import partners_service_pb2
    from pointclear.settlement.v1 import settlement_service_pb2
    from settlement.service import SettlementService

    engine, audience, signers = exchange.engine, exchange.audience, exchange.keys.signers
    transfers = ExchangeService(
        engine,
        exchange.sequencer.submit,
        exchange.registry,
        audience,
        signers[Purpose.RECEIPTS],
        exchange.stored_from,
        now,
    )
    partners = PartnersService(engine, exchange.carry_out, exchange.registry, audience)
    settlement = SettlementService(engine, exchange.submit, audience, signers)
    return tuple(
        service_handler(descriptor.services_by_name[name], implementation)
        for descriptor, name, implementation in (
            (exchange_service_pb2.DESCRIPTOR, "ExchangeService", transfers),
            (partners_service_pb2.DESCRIPTOR, "PartnersService", partners),
            (settlement_service_pb2.DESCRIPTOR, "SettlementService", settlement),
        )
    )


def migrate(options: MigrateOptions) -> None:
    """Bring the database to this program's revision; raises PointclearError when it cannot."""
    from exchange import database, embedded_postgres

    if options.database_url is not None:
        database.migrate_at(options.database_url, say)
        return
    with embedded_postgres.start(Path(options.data_dir), say=say) as running:
        database.migrate_at(running.url(embedded_postgres.OWNER_ROLE), say)


def announce(address: str, audience: str, *, as_json: bool) -> None:
    """Say on standard output that calls are taken, in one line that a program can wait for."""
    if as_json:
        print(json.dumps({"event": "ready", "address": address, "audience": audience}), flush=True)
    else:
        print(f"pointclear {audience} is ready on {address} (stop with Ctrl-C)", flush=True)


def say(text: str) -> None:
    """Tell the operator what is going on."""
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
