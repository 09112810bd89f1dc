"""A sample's values as the wire's messages: partners, terms and orders."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from exchange.commands import Order
from exchange.wire.orders import order_from_proto, parse_order
from partners.agreement import BASIS_POINTS
from partners.commands import AddPartner
from partners.envelope import TRANSFER_ORDER, sign
from partners.keys import Signer
from partners.points import CurrencyScale
from partners.wire import time_to_proto
from pointclear.exchange.v1.transfer_pb2 import TransferOrder
from pointclear.partners.v1 import agreement_pb2, partners_service_pb2

BLOCK_POINTS = 100
BLOCK_GIVES = 95
"""The rate of every corridor: there and back loses, bonus included."""
PRICE_TEN_THOUSANDTHS = 12_345
"""Of one target point, of a minor unit: prices that leave fractions of a cent to carry."""
CAP_MINOR_UNITS = 10_000_000
MAXIMUM_POINTS = 100_000
BONUS_POINTS_MAX = 100_000
FEE_BASIS_POINTS = 100
TAX_CODE = "vat6"
EXPIRES_AFTER = timedelta(minutes=5)
PROMOTION_ID = "welcome"


@dataclass(frozen=True, slots=True)
class Brand:
    """A brand of the sample, with one program."""

    partner_id: str
    legal_name: str
    program: str

    @property
    def holder(self) -> str:
        """Of its keys."""
        return f"partner/{self.partner_id}"


@dataclass(frozen=True, slots=True)
class Corridor:
    """The terms from one brand to another."""

    source: Brand
    target: Brand
    bonus_basis_points: int = 0
    payers: tuple[str, ...] = ()
    """Who pays for the bonus, in equal shares."""

    @property
    def agreement_id(self) -> str:
        """Names the agreement."""
        # Ids have at most 64 characters, and two of them must fit.
        return f"{self.source.partner_id[:31]}-{self.target.partner_id[:31]}"

    def target_points(self, source_points: int) -> int:
        """What whole blocks become, bonus included."""
        base = source_points // BLOCK_POINTS * BLOCK_GIVES
        return base + base * self.bonus_basis_points // BASIS_POINTS


@dataclass(frozen=True, slots=True)
class Wish:
    """An order to be made."""

    transfer_id: UUID
    corridor: Corridor
    issued_at: datetime
    source_points: int
    source_member: str
    target_member: str
    reference: str
    target_points_off: int = 0
    """What the source expects too much."""


def add_partner(brand: Brand, currency: CurrencyScale) -> AddPartner:
    """The command that brings a brand in."""
    cap = CAP_MINOR_UNITS * currency.minor_unit
    account = partners_service_pb2.SettlementAccount(
        currency=currency.code, scale=currency.scale, net_debit_cap=cap
    )
    partner = partners_service_pb2.Partner(
        partner_id=brand.partner_id,
        legal_name=brand.legal_name,
        programs=[brand.program],
        settlement_account=account,
    )
    body = partner.SerializeToString(deterministic=True)
    programs = (brand.program,)
    return AddPartner(brand.partner_id, brand.legal_name, programs, currency.code, cap, body)


def agreement_payload(
    corridor: Corridor, audience: str, currency: CurrencyScale, now: datetime
) -> bytes:
    """The terms of a corridor, as the brands sign them."""
    promotion = agreement_pb2.Promotion(
        promotion_id=PROMOTION_ID,
        bonus_basis_points=corridor.bonus_basis_points,
        effective_from=time_to_proto(now),
        effective_until=time_to_proto(now + timedelta(days=30)),
        budget_points=BONUS_POINTS_MAX,
        funders=[
            agreement_pb2.Funder(
                funder=name, share_basis_points=BASIS_POINTS // len(corridor.payers)
            )
            for name in corridor.payers
        ],
    )
    return agreement_pb2.RateAgreement(
        audience=audience,
        agreement_id=corridor.agreement_id,
        version=1,
        source_partner=corridor.source.partner_id,
        target_partner=corridor.target.partner_id,
        source_program=corridor.source.program,
        target_program=corridor.target.program,
        block_rate=agreement_pb2.BlockRate(source_units=BLOCK_POINTS, target_units=BLOCK_GIVES),
        minimum_source_points=BLOCK_POINTS,
        maximum_source_points=MAXIMUM_POINTS,
        increment_source_points=BLOCK_POINTS,
        settlement_currency=currency.code,
        price_per_target_point=currency.minor_unit * PRICE_TEN_THOUSANDTHS // 10_000,
        fee_basis_points=FEE_BASIS_POINTS,
        fee_bearer=agreement_pb2.BEARER_SOURCE,
        tax_code=TAX_CODE,
        credit_mode=agreement_pb2.CREDIT_MODE_GUARANTEED,
        issued_at=time_to_proto(now),
        promotions=[promotion] if corridor.payers else [],
    ).SerializeToString(deterministic=True)


def order_of(wish: Wish, audience: str, signer: Signer) -> Order:
    """The order, really signed, as admission lets it through."""
    corridor = wish.corridor
    payload = TransferOrder(
        audience=audience,
        partner_id=corridor.source.partner_id,
        transfer_id=wish.transfer_id.bytes,
        source_program=corridor.source.program,
        target_program=corridor.target.program,
        source_member=wish.source_member,
        target_member=wish.target_member,
        source_points=wish.source_points,
        target_points=corridor.target_points(wish.source_points) + wish.target_points_off,
        agreement_id=corridor.agreement_id,
        agreement_version=1,
        issued_at=time_to_proto(wish.issued_at),
        expires_at=time_to_proto(wish.issued_at + EXPIRES_AFTER),
        partner_reference=wish.reference,
    ).SerializeToString(deterministic=True)
    envelope = sign(signer, TRANSFER_ORDER, payload)
    return order_from_proto(parse_order(envelope), envelope)
