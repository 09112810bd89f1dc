"""Brings the demo's brands into the coalition, by the calls that an operator and the brands would
make.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from exchange.cli.connection import Connection
from exchange.cli.demo.coalition import (
    BRANDS,
    CURRENCY,
    SCALE,
    Brand,
)
from exchange.cli.demo.negotiation import agree
from exchange.cli.deployment.initialise import load_authority
from exchange.cli.partners.onboarding import (
    make_partner_profile,
    new_key,
    register_key,
)
from exchange.cli.profile import key_path
from partners.key_events import PARTNER_PURPOSES
from partners.keys import Purpose
from pointclear.partners.v1 import partners_service_pb2 as pb


def onboard(
    operator: Connection, data_dir: Path, folder: Path, step: Callable[[str], None]
) -> None:
    """Register every brand with its keys, and put an agreement in force on every corridor.

    Profiles are made in `folder`. `step` is told what was done.
    """
    profile = operator.profile
    authority = load_authority(data_dir)
    for brand in BRANDS:
        directory = folder / brand.partner_id
        now = datetime.now(UTC)
        operator.call(operator.partners.RegisterPartner, register_request(brand))
        make_partner_profile(
            directory, authority, brand.partner_id, profile.server, profile.audience, now
        )
        for purpose in PARTNER_PURPOSES:
            key = new_key(
                key_path(directory, purpose),
                purpose,
                brand.partner_id,
                profile.audience,
                lambda: profile.signer(Purpose.OPERATOR),
                now,
            )
            register_key(operator, key)
        step(brand.legal_name)
    agree(operator, folder, step)


def register_request(brand: Brand) -> pb.RegisterPartnerRequest:
    """The operator's call that adds a brand."""
    return pb.RegisterPartnerRequest(
        partner=pb.Partner(
            partner_id=brand.partner_id,
            legal_name=brand.legal_name,
            programs=[brand.partner_id],
            settlement_account=pb.SettlementAccount(
                currency=CURRENCY, scale=SCALE, net_debit_cap=brand.net_debit_cap
            ),
        )
    )
