"""How the demo's brands come to terms: proposals, counter-proposals, counter-signatures, and the
operator's activation, by the calls that they would make.

Every source proposes a flat rate. A target with an offer counters: a lower rate, and with it tiers
and a bonus. Whoever pays for the bonus signs too. So does a target that wants to confirm each
credit before it counts.
"""

from collections.abc import Callable
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

from exchange.cli.connection import Connection, connect
from exchange.cli.demo.coalition import (
    BRANDS,
    CURRENCY,
    FEE_BASIS_POINTS,
    MAXIMUM_POINTS,
    TAX_CODE,
    Corridor,
    agreed_corridors,
    corridors,
)
from exchange.cli.demo.households import BLOCK_POINTS
from exchange.cli.demo.offers import TIERS
from exchange.cli.profile import load_profile
from partners.agreement import Promotion, Segment
from partners.envelope import RATE_AGREEMENT, sign
from partners.keys import Purpose, Signer
from partners.wire import envelope_to_proto, time_to_proto
from pointclear.common.v1.envelope_pb2 import SignedEnvelope
from pointclear.partners.v1 import agreement_pb2
from pointclear.partners.v1 import partners_service_pb2 as pb


class Party:
    """A brand at the table."""

    def __init__(self, connection: Connection) -> None:
        """With its own channel and its own key for agreements."""
        self._connection = connection
        self._signer: Signer = connection.profile.signer(Purpose.AGREEMENTS)

    def propose(self, corridor: Corridor) -> bytes:
        """Propose terms; gives what was signed."""
        payload, envelope = self._new(corridor)
        partners = self._connection.partners
        request = pb.ProposeAgreementRequest(agreement=envelope)
        self._connection.call(partners.ProposeAgreement, request)
        return payload

    def counter(self, corridor: Corridor) -> bytes:
        """Answer a proposal by other terms; gives what was signed."""
        payload, envelope = self._new(corridor)
        partners = self._connection.partners
        request = pb.CounterAgreementRequest(agreement=envelope)
        self._connection.call(partners.CounterAgreement, request)
        return payload

    def sign(self, payload: bytes) -> None:
        """Agree to the very bytes that another brand has signed."""
        request = pb.SignAgreementRequest(agreement=self._signed(payload))
        self._connection.call(self._connection.partners.SignAgreement, request)

    def _new(self, corridor: Corridor) -> tuple[bytes, SignedEnvelope]:
        payload = terms_payload(corridor, self._connection.profile.audience, datetime.now(UTC))
        return payload, self._signed(payload)

    def _signed(self, payload: bytes) -> SignedEnvelope:
        return envelope_to_proto(sign(self._signer, RATE_AGREEMENT, payload))


def agree(operator: Connection, folder: Path, step: Callable[[str], None]) -> None:
    """Bring every corridor's agreement from a proposal into force. `step` is told what was done."""
    with ExitStack() as stack:
        parties = {
            brand.partner_id: Party(
                stack.enter_context(connect(load_profile(folder / brand.partner_id)))
            )
            for brand in BRANDS
        }
        proposals = {
            key: parties[corridor.source.partner_id].propose(corridor)
            for key, corridor in corridors().items()
        }
        for brand in BRANDS:
            for (source, target), corridor in agreed_corridors().items():
                if target == brand.partner_id:
                    answer_proposal(parties, corridor, proposals[source, target])
            step(f"{brand.legal_name}'s agreements")
    for corridor in agreed_corridors().values():
        operator.call(
            operator.partners.ActivateAgreement,
            pb.ActivateAgreementRequest(agreement_id=corridor.agreement_id, version=1),
        )


def answer_proposal(parties: dict[str, Party], corridor: Corridor, proposal: bytes) -> None:
    """The target signs what was proposed, or counters, and then all others sign that."""
    target = parties[corridor.target.partner_id]
    if corridor.offer is None and not corridor.is_confirmed:
        target.sign(proposal)
        return
    countered = target.counter(corridor)
    parties[corridor.source.partner_id].sign(countered)
    if corridor.offer and corridor.offer.other_funder:
        parties[corridor.offer.other_funder].sign(countered)


def terms_payload(corridor: Corridor, audience: str, now: datetime) -> bytes:
    """The terms of a corridor, as both brands sign them."""
    offer = corridor.offer
    source, target = corridor.source.partner_id, corridor.target.partner_id
    return agreement_pb2.RateAgreement(
        audience=audience,
        agreement_id=corridor.agreement_id,
        version=corridor.version,
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
        credit_mode=(
            agreement_pb2.CREDIT_MODE_CONFIRMED
            if corridor.is_confirmed
            else agreement_pb2.CREDIT_MODE_GUARANTEED
        ),
        issued_at=time_to_proto(now),
        segments=[segment_message(each) for each in TIERS] if offer else [],
        promotions=[promotion_message(offer.promotion(now))] if offer else [],
    ).SerializeToString(deterministic=True)


def segment_message(segment: Segment) -> agreement_pb2.Segment:
    """A tier as terms state it."""
    return agreement_pb2.Segment(
        segment_id=segment.segment_id,
        multiplier_numerator=segment.numerator,
        multiplier_denominator=segment.denominator,
    )


def promotion_message(promotion: Promotion) -> agreement_pb2.Promotion:
    """A bonus as terms state it."""
    return agreement_pb2.Promotion(
        promotion_id=promotion.promotion_id,
        bonus_basis_points=promotion.bonus_basis_points,
        effective_from=time_to_proto(promotion.effective_from),
        effective_until=time_to_proto(promotion.effective_until),
        budget_points=promotion.budget_points,
        funders=[
            agreement_pb2.Funder(funder=each.name, share_basis_points=each.share_basis_points)
            for each in promotion.funders
        ],
    )
