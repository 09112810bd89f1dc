"""Brings the demo's brands into the coalition, by the calls that an operator and the brands would
make.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from exchange.cli.connection import Connection, connect
from exchange.cli.demo.coalition import (
    BRANDS,
    CURRENCY,
    FEE_BASIS_POINTS,
    MAXIMUM_POINTS,
    SCALE,
    TAX_CODE,
    Brand,
    Corridor,
    corridors,
)
from exchange.cli.demo.households import BLOCK_POINTS
from exchange.cli.initialise import load_authority
from exchange.cli.onboarding import (
    make_partner_profile,
    new_key,
    register_key,
)
from exchange.cli.profile import key_path, load_profile
from partners.envelope import RATE_AGREEMENT, Envelope, sign
from partners.key_events import PARTNER_PURPOSES
from partners.keys import Purpose, Signer
from partners.wire import envelope_to_proto, time_to_proto
from pointclear.partners.v1 import agreement_pb2
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


def agree(operator: Connection, folder: Path, step: Callable[[str], None]) -> None:
    """Each source proposes, each target counter-signs the same bytes, the operator activates."""
    all_corridors = corridors().values()
    signers: dict[str, Signer] = {}
    proposals: dict[str, Envelope] = {}
    for brand in BRANDS:
        with connect(load_profile(folder / brand.partner_id)) as own:
            signer = signers[brand.partner_id] = own.profile.signer(Purpose.AGREEMENTS)
            for corridor in all_corridors:
                if corridor.source is brand:
                    payload = terms_payload(corridor, own.profile.audience, datetime.now(UTC))
                    envelope = sign(signer, RATE_AGREEMENT, payload)
                    request = pb.ProposeAgreementRequest(agreement=envelope_to_proto(envelope))
                    own.call(own.partners.ProposeAgreement, request)
                    proposals[corridor.agreement_id] = envelope
    for brand in BRANDS:
        with connect(load_profile(folder / brand.partner_id)) as own:
            for corridor in all_corridors:
                if corridor.target is brand:
                    payload = proposals[corridor.agreement_id].payload
                    signed = sign(signers[brand.partner_id], RATE_AGREEMENT, payload)
                    own.call(
                        own.partners.SignAgreement,
                        pb.SignAgreementRequest(agreement=envelope_to_proto(signed)),
                    )
        step(f"{brand.legal_name}'s agreements")
    for corridor in all_corridors:
        operator.call(
            operator.partners.ActivateAgreement,
            pb.ActivateAgreementRequest(agreement_id=corridor.agreement_id, version=1),
        )


def terms_payload(corridor: Corridor, audience: str, now: datetime) -> bytes:
    """The terms of a corridor, as both brands sign them."""
    source, target = corridor.source.partner_id, corridor.target.partner_id
    return agreement_pb2.RateAgreement(
        audience=audience,
        agreement_id=corridor.agreement_id,
        version=1,
        source_partner=source,
        target_partner=target,
        source_program=source,
        target_program=target,
        block_rate=agreement_pb2.BlockRate(
            source_units=BLOCK_POINTS, target_units=corridor.target_units
        ),
        minimum_source_points=BLOCK_POINTS,
        maximum_source_points=MAXIMUM_POINTS,
        increment_source_points=BLOCK_POINTS,
        settlement_currency=CURRENCY,
        price_per_target_point=corridor.target.price,
        fee_basis_points=FEE_BASIS_POINTS,
        fee_bearer=agreement_pb2.BEARER_SOURCE,
        tax_code=TAX_CODE,
        credit_mode=agreement_pb2.CREDIT_MODE_GUARANTEED,
        issued_at=time_to_proto(now),
    ).SerializeToString(deterministic=True)
