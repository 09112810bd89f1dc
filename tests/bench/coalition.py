"""The coalition that transfers while the clock runs: four brands, twelve corridors, varied amounts.

Caps are beyond anything that a run can reach, so that no order is refused for its position.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path

import uuid_utils

from exchange.cli.connection import Connection, connect
from exchange.cli.demo.coalition import BRANDS, CURRENCY, Corridor, corridors
from exchange.cli.demo.households import BLOCK_POINTS
from exchange.cli.demo.negotiation import terms_payload
from exchange.cli.demo.onboarding import register_request
from exchange.cli.deployment.initialise import load_authority
from exchange.cli.partners.onboarding import (
    make_partner_profile,
    new_key,
    register_key,
)
from exchange.cli.profile import Profile, key_path, load_profile
from partners.envelope import RATE_AGREEMENT, sign
from partners.key_events import PARTNER_PURPOSES
from partners.keys import Purpose, Signer
from partners.wire import envelope_to_proto
from pointclear.client.orders import build_order, sign_order
from pointclear.common.v1.envelope_pb2 import SignedEnvelope
from pointclear.partners.v1 import partners_service_pb2 as pb
from pointclear.settlement.v1.settlement_service_pb2 import OpenWindowRequest

NET_DEBIT_CAP = 10**15
"""A thousand million dollars in millionths."""
PARTNERS = tuple(replace(each, net_debit_cap=NET_DEBIT_CAP) for each in BRANDS[:4])
EXPIRES_AFTER = timedelta(hours=6)
"""Orders are signed long before they are sent."""
MEMBERS, BLOCKS = 997, 19
"""Members and amounts go round with lengths that have no common factor."""

_NAMES = {each.partner_id for each in PARTNERS}
CORRIDORS = tuple(each for pair, each in corridors().items() if _NAMES.issuperset(pair))


def found(operator: Connection, data_dir: Path, folder: Path) -> list[Path]:
    """Register the brands, put their agreements in force, open a window; returns their profiles'
    directories, which are made in `folder`.
    """
    authority = load_authority(data_dir)
    directories = [folder / brand.partner_id for brand in PARTNERS]
    own = operator.profile
    for brand, directory in zip(PARTNERS, directories, strict=True):
        operator.call(operator.partners.RegisterPartner, register_request(brand))
        now = datetime.now(UTC)
        make_partner_profile(directory, authority, brand.partner_id, own.server, own.audience, now)
        for purpose in PARTNER_PURPOSES:
            path = key_path(directory, purpose)
            register_key(
                operator,
                new_key(path, purpose, brand.partner_id, own.audience, _registrar(own), now),
            )
    agree(operator, directories)
    today = datetime.now(UTC).date().isoformat()
    window = OpenWindowRequest(currency=CURRENCY, business_date=today)
    operator.call(operator.settlement.OpenWindow, window)
    return directories


def _registrar(profile: Profile) -> Callable[[], Signer]:
    return lambda: profile.signer(Purpose.OPERATOR)


def agree(operator: Connection, directories: list[Path]) -> None:
    """Put an agreement in force on every corridor."""
    with ExitStack() as stack:
        brands = {
            directory.name: stack.enter_context(connect(load_profile(directory)))
            for directory in directories
        }
        signers = {name: each.profile.signer(Purpose.AGREEMENTS) for name, each in brands.items()}
        for corridor in CORRIDORS:
            source, target = corridor.source.partner_id, corridor.target.partner_id
            payload = terms_payload(corridor, operator.profile.audience, datetime.now(UTC))
            proposal = sign(signers[source], RATE_AGREEMENT, payload)
            counter_signed = sign(signers[target], RATE_AGREEMENT, payload)
            brands[source].call(
                brands[source].partners.ProposeAgreement,
                pb.ProposeAgreementRequest(agreement=envelope_to_proto(proposal)),
            )
            brands[target].call(
                brands[target].partners.SignAgreement,
                pb.SignAgreementRequest(agreement=envelope_to_proto(counter_signed)),
            )
            operator.call(
                operator.partners.ActivateAgreement,
                pb.ActivateAgreementRequest(agreement_id=corridor.agreement_id, version=1),
            )


def orders_of(
    profile: Profile, signer: Signer | None = None, blocks: int = BLOCKS
) -> Iterator[SignedEnvelope]:
    """Signed orders of a brand without end, going round its corridors and so many amounts; its own
    key signs them unless told.
    """
    signer = signer or profile.signer(Purpose.ORDERS)
    brand = profile.caller.name
    own = [each for each in CORRIDORS if each.source.partner_id == brand]
    now = datetime.now(UTC)
    for number in count():
        payload = _payload(own[number % len(own)], profile.audience, number, blocks, now)
        yield sign_order(signer, payload)


def _payload(corridor: Corridor, audience: str, number: int, blocks: int, now: datetime) -> bytes:
    points = BLOCK_POINTS * (1 + number % blocks)
    member = f"household-{number % MEMBERS:04d}"
    return build_order(
        audience=audience,
        partner_id=corridor.source.partner_id,
        transfer_id=uuid_utils.uuid7().bytes,
        source_program=corridor.source.partner_id,
        target_program=corridor.target.partner_id,
        source_member=member,
        target_member=member,
        source_points=points,
        target_points=corridor.target_points(points),
        agreement_id=corridor.agreement_id,
        agreement_version=1,
        issued_at=now,
        expires_at=now + EXPIRES_AFTER,
        partner_reference=f"basket {30_000_000_000 + number}",
    )
