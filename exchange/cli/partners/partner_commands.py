"""`partner add` and `partner list`."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from exchange.cli.calling import App, ByActingOperator, ByAnybody
from exchange.cli.connection import connect
from exchange.cli.deployment.initialise import load_authority
from exchange.cli.documents import key_document, partner_document
from exchange.cli.output import answer, pairs, table
from exchange.cli.partners.life_commands import add_life_commands
from exchange.cli.partners.onboarding import (
    make_partner_profile,
    new_key,
    register_key,
)
from exchange.cli.profile import key_path
from partners.key_events import PARTNER_PURPOSES
from partners.keys import Purpose
from partners.points import currency_scale, parse_amount
from pointclear.partners.v1.partners_service_pb2 import (
    ListPartnersRequest,
    Partner,
    RegisterPartnerRequest,
    RegisterPartnerResponse,
    SettlementAccount,
)


def partner_app() -> App:
    """The commands about partners."""
    app = App(no_args_is_help=True, help="The coalition's partners.")
    app.command("add")(add)
    app.command("list")(list_partners)
    add_life_commands(app)
    return app


def add(
    by: ByActingOperator,
    partner_id: Annotated[str, typer.Argument(metavar="ID", help="The partner's id.")],
    name: Annotated[str, typer.Option(help="The legal entity's name.")],
    program: Annotated[
        list[str], typer.Option(metavar="ID", help="A points program of its; may be repeated.")
    ],
    currency: Annotated[str, typer.Option(help="ISO 4217 code of the currency it settles in.")],
    cap: Annotated[str, typer.Option(metavar="AMOUNT", help="Net debit cap, such as 5000.00.")],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where to make the partner's profile.")],
) -> None:
    """Add a partner, and make its profile.

    The profile gets a certificate from the development CA and three registered keys. After an
    interruption run the same command again: it goes on where it stopped.
    """
    profile = by.profile()
    authority = load_authority(by.data_dir)
    cap_units = parse_amount(cap, currency_scale(currency).scale, "net_debit_cap")
    now = datetime.now(UTC)
    with connect(profile, by.reason) as connection:
        # The exchange judges the partner before anything is made for it.
        registered: RegisterPartnerResponse = connection.call(
            connection.partners.RegisterPartner,
            RegisterPartnerRequest(
                partner=Partner(
                    partner_id=partner_id,
                    legal_name=name,
                    programs=program,
                    settlement_account=SettlementAccount(
                        currency=currency, net_debit_cap=cap_units
                    ),
                )
            ),
        )
        make_partner_profile(out, authority, partner_id, profile.server, profile.audience, now)
        registrar = profile.signer(Purpose.OPERATOR)
        keys = [
            register_key(
                connection,
                new_key(
                    key_path(out, purpose),
                    purpose,
                    partner_id,
                    profile.audience,
                    lambda: registrar,
                    now,
                ),
            )
            for purpose in PARTNER_PURPOSES
        ]
    answer(
        by.as_json,
        {
            "partner": partner_document(registered.partner),
            "profile": str(out),
            "keys": [key_document(key) for key in keys],
        },
        f"Added {partner_id}",
        pairs(
            [
                ("programs", ", ".join(registered.partner.programs)),
                ("net debit cap", f"{cap} {currency}"),
                ("profile", out),
                *(
                    (f"{purpose.lower()} key", key.key_id)
                    for purpose, key in zip(PARTNER_PURPOSES, keys, strict=True)
                ),
            ]
        ),
    )


def list_partners(
    by: ByAnybody,
) -> None:
    """List the partners.

    A partner sees itself and those it has an agreement with.
    """
    with by.connect() as connection:
        pages = connection.pages(connection.partners.ListPartners, ListPartnersRequest())
        documents = [partner_document(each) for page in pages for each in page.partners]
    answer(
        by.as_json,
        {"partners": documents},
        table(
            ("partner", "name", "programs", "net debit cap", "currency", "state"),
            [
                (
                    each["partner_id"],
                    each["legal_name"],
                    ", ".join(each["programs"]),
                    each["net_debit_cap"],
                    each["currency"],
                    each["state"] or "-",
                )
                for each in documents
            ],
            right=("net debit cap",),
        ),
    )
