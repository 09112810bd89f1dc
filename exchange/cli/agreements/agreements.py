"""Agreement versions as a partner makes and finds them."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from exchange.cli.connection import Connection
from partners.agreement import Terms
from partners.conversion import target_points
from partners.errors import Reason, Refused
from partners.wire import envelope_from_proto, terms_from_payload
from pointclear.partners.v1.partners_service_pb2 import (
    AGREEMENT_STATE_IN_FORCE,
    Agreement,
    ListAgreementsRequest,
)


@dataclass(frozen=True, slots=True)
class ListedAgreement:
    """An agreement version with its terms read."""

    message: Agreement
    terms: Terms


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


def target_points_of(terms: Terms, source_points: int, segment_id: str, time: datetime) -> int:
    """What whole increments of `source_points` give at `time`, with all promotions that run.

    The exchange judges whether the points are whole increments, and knows what is left of budgets.
    Raises Refused(SEGMENT_UNKNOWN).
    """
    whole = source_points - source_points % terms.increment_source_points
    return target_points(terms, whole, segment_id, terms.promotions_at(time))
