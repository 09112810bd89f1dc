"""`sandbox simulate`: the sandbox stands in for a brand's program, and signs in its name.

Effects: makes a key and its event in the deployment's data directory, none replaced, registers it,
and sets the program's route. After a crash the same command goes on where it stopped.
"""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer
import uuid_utils

from exchange.cli.calling import ByOperator
from exchange.cli.connection import connect
from exchange.cli.deployment.initialise import check_sandbox_audience
from exchange.cli.files import make_directory
from exchange.cli.keys.key_event_commands import own_signer
from exchange.cli.options import (
    partner_profile,
)
from exchange.cli.output import answer, pairs
from exchange.cli.partners.onboarding import new_key, register_key
from exchange.cli.profile import Profile, ensure_passphrase
from exchange.simulated_keys import simulated_folder, simulated_key_path
from partners.errors import Reason, Refused
from partners.keys import Purpose
from partners.points import check_id
from partners.routes.route import Route, RouteKind
from partners.routes.wire import route_to_proto
from pointclear.partners.v1.partners_service_pb2 import ListPartnersRequest
from pointclear.partners.v1.route_pb2 import SetRouteRequest

REASON = "the sandbox simulates it"
ANSWER_WITHIN = timedelta(seconds=10)
"""From when on the program is asked: nobody should wait a quarter of an hour to see it."""
TIMEOUT = timedelta(seconds=2)


def simulate(
    by: ByOperator,
    program: Annotated[str, typer.Argument(metavar="ID", help="The program.")],
    brand: Annotated[
        Path, typer.Option(metavar="DIR", help="The profile of its brand, which vouches for a key.")
    ],
    answer_within_s: Annotated[
        int,
        typer.Option(min=1, max=604_800, help="Told for so long, then asked."),
    ] = ANSWER_WITHIN // timedelta(seconds=1),
) -> None:
    """Have the sandbox stand in for a program: its members and amounts say what happens.

    It gets a key for orders of its own, for which the brand vouches, so that its answers count
    where the target has to confirm. Run it on the sandbox's host. Repeating it is harmless.
    """
    profile = by.profile()
    check_sandbox_audience(profile.audience)
    lender = partner_profile(brand, by.server)
    check_sandbox_audience(lender.audience)
    check_brand(lender, check_id(program, "program"))
    folder = simulated_folder(by.data_dir, program)
    make_directory(folder.parent)
    make_directory(folder)
    ensure_passphrase(folder)
    key = new_key(
        simulated_key_path(folder),
        Purpose.ORDERS,
        lender.caller.name,
        lender.audience,
        lambda: own_signer(lender),
        datetime.now(UTC),
    )
    with connect(lender) as connection:
        register_key(connection, key)
    # A crash before this leaves a key that signs nothing, since the program has another route.
    route = Route(
        program,
        RouteKind.SIMULATED,
        timeout=TIMEOUT,
        answer_within=timedelta(seconds=answer_within_s),
    )
    with connect(profile, REASON) as connection:
        connection.call(
            connection.partners.SetRoute,
            SetRouteRequest(change_id=uuid_utils.uuid7().bytes, route=route_to_proto(route)),
        )
    answer(
        by.as_json,
        {
            "program": program,
            "partner_id": lender.caller.name,
            "key_id": key.signer.key_id,
            "answer_within_s": answer_within_s,
        },
        f"The sandbox simulates {program} now",
        pairs([("brand", lender.caller.name), ("signs with", key.signer.key_id)]),
    )


def check_brand(lender: Profile, program: str) -> None:
    """Raise Refused(FIELD_INVALID) unless the program is of this brand, whose key signs for it."""
    with connect(lender) as connection:
        pages = connection.pages(connection.partners.ListPartners, ListPartnersRequest())
        own = {
            name
            for page in pages
            for each in page.partners
            if each.partner_id == lender.caller.name
            for name in each.programs
        }
    if program not in own:
        raise Refused(
            Reason.FIELD_INVALID,
            "brand",
            f"{lender.caller.name} has no program {program}, but {', '.join(sorted(own))}",
        )
