"""When a statement counts as accepted: its partner has acknowledged it, or has said nothing until
the clock ran out. Pure.

The clock is the currency's scheme's and runs from the entry that ended the stating, by the log's
time; the default outcome is the scheme's too. Until it has accepted, a partner may dispute lines of
the window. An acceptance confirms the points of the window: RETIRE and ISSUE.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from exchange.commands import Book, Fact
from exchange.json_body import JSON_BODY, json_body
from exchange.ledger.postings import Posting
from partners.envelope import ENVELOPE_BODY
from settlement.schemes.scheme import Scheme
from settlement.windows import SettlementWindow

ACKNOWLEDGED = "acknowledged"
ACCEPTED = "accepted"
PAYABLE = "payable"


class How(StrEnum):
    """By what a statement was accepted."""

    ACKNOWLEDGED = "ACKNOWLEDGED"
    """The partner counter-signed it."""
    SILENCE = "SILENCE"
    """The clock ran out."""


@dataclass(frozen=True, slots=True)
class Clock:
    """How long a window's statements may be disputed."""

    stated_at: datetime
    minutes: int

    @property
    def ends_at(self) -> datetime:
        """When silence accepts."""
        return self.stated_at + timedelta(minutes=self.minutes)

    def has_run_out(self, now: datetime) -> bool:
        """Whether silence has accepted; without minutes it does at once."""
        return self.minutes == 0 or now >= self.ends_at


def clock_of(scheme: Scheme, stated_at: datetime) -> Clock:
    """The clock of a window that was stated then."""
    return Clock(stated_at, scheme.acknowledge_minutes)


def acknowledgement_key(window_id: str, partner_id: str) -> str:
    """Entry key of a counter-signature."""
    return f"{ACKNOWLEDGED}/{window_id}/{partner_id}"


def acknowledgement_entry(
    window: SettlementWindow, partner_number: int, partner_id: str, envelope_json: str
) -> Book:
    """Books a counter-signature as it came."""
    fact = Fact(ACKNOWLEDGED, window.currency.code, partner_number, window.number)
    key = acknowledgement_key(window.window_id, partner_id)
    return Book(key, ENVELOPE_BODY, envelope_json.encode(), facts=(fact,))


def acceptance_entry(
    window: SettlementWindow,
    partner_number: int,
    partner_id: str,
    how: How,
    postings: tuple[Posting, ...],
) -> Book:
    """Books that a partner has accepted its statement, and confirms the points of its window."""
    body = {"how": how, "partner_id": partner_id, "window_id": window.window_id}
    fact = Fact(ACCEPTED, window.currency.code, partner_number, window.number)
    return Book(
        f"{ACCEPTED}/{window.window_id}/{partner_id}",
        JSON_BODY,
        json_body(body),
        postings,
        window.currency.code,
        facts=(fact,),
    )


def payable_entry(window: SettlementWindow) -> Book:
    """Says that everybody has accepted, so that the window's legs may be recorded."""
    fact = Fact(PAYABLE, window.currency.code, window_number=window.number)
    body = json_body({"window_id": window.window_id})
    return Book(f"{PAYABLE}/{window.window_id}", JSON_BODY, body, facts=(fact,))
