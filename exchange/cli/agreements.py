"""Agreement versions as a partner makes and finds them."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from exchange.cli.connection import Connection
from partners.agreement import Terms
from partners.errors import Reason, Refused
from partners.wire import envelope_from_proto, terms_from_payload, time_to_proto
from pointclear.partners.v1.agreement_pb2 import (
    BEARER_SOURCE,
    CREDIT_MODE_GUARANTEED,
    BlockRate,
    RateAgreement,
)
from pointclear.partners.v1.partners_service_pb2 import (
    AGREEMENT_STATE_IN_FORCE,
    Agreement,
    ListAgreementsRequest,
)


@dataclass(frozen=True, slots=True)
class ProposedTerms:
    """What goes into a proposal."""

    audience: str
    agreement_id: str
    version: int
    source_partner: str
    target_partner: str
    source_program: str
    target_program: str
    rate: tuple[int, int]
    """Source and target points of one block."""
    minimum: int
    maximum: int
    increment: int
    """Source points, as are minimum and maximum."""
    currency: str
    price: int
    """Of one target point, in units of the currency's scale."""
    fee_basis_points: int
    tax_code: str
    issued_at: datetime


@dataclass(frozen=True, slots=True)
class ListedAgreement:
    """An agreement version with its terms read."""

    message: Agreement
    terms: Terms


def agreement_payload(terms: ProposedTerms) -> bytes:
    """The payload that both brands sign.

    Raises Refused(FIELD_INVALID) for a figure that its field does not hold.
    """
    try:
        return RateAgreement(
            audience=terms.audience,
            agreement_id=terms.agreement_id,
            version=terms.version,
            source_partner=terms.source_partner,
            target_partner=terms.target_partner,
            source_program=terms.source_program,
            target_program=terms.target_program,
            block_rate=BlockRate(source_units=terms.rate[0], target_units=terms.rate[1]),
            minimum_source_points=terms.minimum,
            maximum_source_points=terms.maximum,
            increment_source_points=terms.increment,
            settlement_currency=terms.currency,
            price_per_target_point=terms.price,
            fee_basis_points=terms.fee_basis_points,
            fee_bearer=BEARER_SOURCE,
            tax_code=terms.tax_code,
            credit_mode=CREDIT_MODE_GUARANTEED,
            issued_at=time_to_proto(terms.issued_at),
        ).SerializeToString(deterministic=True)
    except ValueError as error:
        raise Refused(Reason.FIELD_INVALID, "", str(error)) from None


def list_versions(connection: Connection) -> tuple[ListedAgreement, ...]:
    """The agreement versions that the caller may see.

    Raises Failed, or Refused for one that is malformed.
    """
    audience = connection.profile.audience
    return tuple(
        ListedAgreement(each, terms_from_payload(envelope_from_proto(each.envelope), audience))
        for page in connection.pages(connection.partners.ListAgreements, ListAgreementsRequest())
        for each in page.agreements
    )


def find_version(
    versions: Iterable[ListedAgreement], agreement_id: str, version: int | None
) -> ListedAgreement:
    """The version named; without a number, the one in force. Raises Refused(AGREEMENT_UNKNOWN)."""
    for each in versions:
        if each.terms.agreement_id == agreement_id and (
            each.terms.version == version
            if version is not None
            else each.message.state == AGREEMENT_STATE_IN_FORCE
        ):
            return each
    raise Refused(
        Reason.AGREEMENT_UNKNOWN,
        "agreement_id",
        f"{agreement_id} has no version in force"
        if version is None
        else f"{agreement_id} has no version {version}",
    )


def target_points_of(terms: Terms, source_points: int) -> int:
    """What whole blocks of `source_points` give.

    The exchange judges whether the points are whole blocks.
    """
    return source_points // terms.rate.source_units * terms.rate.target_units
