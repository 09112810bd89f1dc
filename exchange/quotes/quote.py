"""A quote: an offer to convert one amount, at figures that stay until it expires or is used. Pure.

Rules kept here:

- A quote freezes what its figures come from: terms, segment, tax rates, promotions. So whoever
  reads it back works out the same figures, whatever has changed since.
- A fixed target is met exactly or not at all: the points that a member gets are never rounded for
  the sake of a quote.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from partners.agreement import Promotion, Terms
from partners.conversion import Conversion, convert, target_points
from partners.errors import Reason, Refused

VALID_FOR = timedelta(seconds=60)
"""How long a quote is good unless its request says otherwise."""
VALID_FOR_MAX = timedelta(seconds=900)


@dataclass(frozen=True, slots=True)
class Quote:
    """An offer as it is stored."""

    quote_id: UUID
    partner_id: str
    request_sha256: bytes
    """Digest of what was asked: what makes two requests with one id the same request."""
    terms: Terms
    source_points: int
    conversion: Conversion
    issued_at: datetime
    expires_at: datetime
    """Exclusive; by the log's time."""
    used_by: UUID | None = None
    """The transfer that was committed at it."""
    reserves: bool = False
    """Whether its bonus points are held in the promotions' budgets."""
    payload: bytes = b""
    """The bytes that are signed; empty until they are written."""

    @property
    def segment_id(self) -> str:
        """The segment that it is for; empty for none."""
        return self.conversion.segment.segment_id if self.conversion.segment else ""

    def is_live(self, now: datetime) -> bool:
        """Whether a transfer may still be committed at it."""
        return self.used_by is None and now < self.expires_at


def require_usable(
    quote: Quote | None, partner_id: str, corridor: tuple[str, str], now: datetime
) -> Quote:
    """The quote that an order names, if it may be used by this partner now, for these programs.

    Raises Refused: QUOTE_UNKNOWN, also for another partner's; QUOTE_USED; QUOTE_EXPIRED.
    """
    if quote is None or quote.partner_id != partner_id:
        raise Refused(Reason.QUOTE_UNKNOWN, "quote_id", "there is no such quote")
    if (quote.terms.source_program, quote.terms.target_program) != corridor:
        raise Refused(Reason.QUOTE_UNKNOWN, "quote_id", "there is no such quote of these programs")
    if quote.used_by is not None:
        raise Refused(Reason.QUOTE_USED, "quote_id", "a transfer was committed at this quote")
    if quote.expires_at <= now:
        raise Refused(Reason.QUOTE_EXPIRED, "quote_id", "the quote's expiry has passed")
    return quote


def check_quoted(quote: Quote, source_points: int, target_points: int, segment_id: str) -> None:
    """Raise Refused(AMOUNT_MISMATCH) unless an order says what its quote says."""
    for field, ordered, quoted in (
        ("segment", segment_id, quote.segment_id),
        ("source_points", source_points, quote.source_points),
        ("target_points", target_points, quote.conversion.target_points),
    ):
        if ordered != quoted:
            raise Refused(
                Reason.AMOUNT_MISMATCH, field, f"the quote is for {quoted or 'no segment'}"
            )


def converted(
    terms: Terms,
    source_points: int,
    segment_id: str,
    tax_basis_points: int,
    value_tax_basis_points: int,
    promotions: Iterable[str],
) -> Conversion:
    """The figures of a stored quote, worked out again from what it froze; `promotions` are ids."""
    applied = set(promotions)
    return convert(
        terms,
        source_points,
        tax_basis_points,
        value_tax_basis_points,
        segment_id=segment_id,
        promotions=[each for each in terms.promotions if each.promotion_id in applied],
    )


def source_points_giving(
    terms: Terms, wanted: int, segment_id: str, promotions: Iterable[Promotion]
) -> int:
    """The one legal amount of source points that gives exactly `wanted` target points.

    Raises Refused(AMOUNT_MISMATCH), with the nearest amounts that can be had, when there is none.
    """
    running = tuple(promotions)
    step = terms.increment_source_points

    def gives(steps: int) -> int:
        return target_points(terms, steps * step, segment_id, running)

    legal = range(-(-terms.minimum_source_points // step), terms.maximum_source_points // step + 1)
    # More blocks always give more points, so at most one amount fits.
    at = bisect_left(legal, wanted, key=gives)
    if at < len(legal) and gives(legal[at]) == wanted:
        return legal[at] * step
    raise Refused(
        Reason.AMOUNT_MISMATCH,
        "target_points",
        f"no amount gives exactly {wanted} points",
        _neighbours(legal, at, step, gives),
    )


def _neighbours(legal: range, at: int, step: int, gives: Callable[[int], int]) -> dict[str, str]:
    """What can be had just below and above, for machines."""
    facts: dict[str, str] = {}
    for name, place in (("Below", at - 1), ("Above", at)):
        if 0 <= place < len(legal):
            facts[f"targetPoints{name}"] = str(gives(legal[place]))
            facts[f"sourcePoints{name}"] = str(legal[place] * step)
    return facts
