"""Adjustments and write-offs as entries to book. Pure.

Rules kept here:

- A journal has two sides of one amount in one currency. One side at least is a partner's position;
  the other is another's, or `hub.fees`, `hub.rounding` or `hub.losses`. A write-off is between a
  partner and `hub.losses`.
- It is booked in the window that is open, whatever it puts right: what was stated stays stated.
- It is forced: what two people of finance have decided no cap refuses. Floors give way, and there
  is an alert where that takes a position past its cap.
- It says why, what it relates to, who made it and who checked it, for ever: in its entry.
- Its name is that of the action by which it was ordered, so the same action again changes nothing.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from enum import StrEnum

from exchange.commands import Book, Fact
from exchange.json_body import JSON_BODY, json_body
from exchange.ledger.accounts import HubAccount, hub_account, position_account
from exchange.ledger.postings import Code, Posting
from partners.errors import Reason, Refused
from partners.points import POINTS_MAX, check_id

KIND = "adjustment"
"""Of the facts about partners: whose positions a journal moves."""
RELATED = "adjustment-relates-to"
"""Of the fact that names what it puts right, for a journal that does."""

HUB_ACCOUNTS: Mapping[str, HubAccount] = {
    "hub.fees": HubAccount.FEES,
    "hub.rounding": HubAccount.ROUNDING,
    "hub.losses": HubAccount.LOSSES,
}
_RELATES_TO = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/-]{0,99}")


class JournalKind(StrEnum):
    """What a journal is."""

    ADJUSTMENT = "ADJUSTMENT"
    WRITE_OFF = "WRITE_OFF"

    @property
    def code(self) -> Code:
        """Under which it is posted."""
        return Code.ADJUSTMENT if self is JournalKind.ADJUSTMENT else Code.WRITE_OFF


@dataclass(frozen=True, slots=True)
class Journal:
    """What is booked."""

    kind: JournalKind
    currency: str
    payer: str
    """Partner, or one of the operator's accounts."""
    payee: str
    amount: int
    """Units of the currency's scale."""
    relates_to: str
    """Id of a transfer, a window, a break or a dispute."""
    reason: str
    maker: str
    checker: str
    """Empty where one person may do it alone."""
    action_id: str
    adjustment_period: str = ""
    """Of the locked and reopened month to which it relates, such as `2017-01/1`; empty for none."""


@dataclass(frozen=True, slots=True)
class BookedJournal:
    """A journal and where it was booked."""

    journal: Journal
    window_id: str
    log_index: int
    booked_at: datetime


def check_journal(journal: Journal) -> Journal:
    """The journal, if its parts fit each other; raises Refused(FIELD_INVALID) naming the field."""
    if not 0 < journal.amount <= POINTS_MAX:
        raise _invalid("amount", f"an amount is 1 to {POINTS_MAX:,} units")
    sides = {"payer": journal.payer, "payee": journal.payee}
    for field, name in sides.items():
        if name not in HUB_ACCOUNTS:
            if name.startswith("hub"):
                raise _invalid(field, f"name a partner, or one of {', '.join(HUB_ACCOUNTS)}")
            check_id(name, field)
    if journal.payer == journal.payee:
        raise _invalid("payee", "a journal has two sides")
    of_hub = [name for name in sides.values() if name in HUB_ACCOUNTS]
    if len(of_hub) == len(sides):
        raise _invalid("payee", "one side of a journal is a partner's position")
    if journal.kind is JournalKind.WRITE_OFF and of_hub != ["hub.losses"]:
        raise _invalid("kind", "a write-off is between a partner and hub.losses")
    check_relates_to(journal.relates_to)
    return journal


def check_relates_to(text: str) -> None:
    """Raise Refused(FIELD_INVALID) unless this can name what a journal puts right."""
    if not _RELATES_TO.fullmatch(text):
        raise _invalid(
            "relates_to", "name the transfer, window, break or dispute that it puts right by its id"
        )


def journal_entry(journal: Journal, unit: int, partners: Mapping[str, int]) -> Book:
    """Books a journal; `partners` maps partners of its currency, whose number is `unit`, to theirs.

    Raises Refused(PARTNER_UNKNOWN) for one that does not settle in it.
    """
    numbers = {}
    for field, name in (("payer", journal.payer), ("payee", journal.payee)):
        if name in HUB_ACCOUNTS:
            continue
        if name not in partners:
            text = f"there is no partner {name} that settles in {journal.currency}"
            raise Refused(Reason.PARTNER_UNKNOWN, field, text)
        numbers[name] = partners[name]

    def account(name: str) -> int:
        if name in numbers:
            return position_account(unit, numbers[name])
        return hub_account(unit, HUB_ACCOUNTS[name])

    payer, payee = account(journal.payer), account(journal.payee)
    posting = Posting(journal.kind.code, payer, payee, journal.amount)
    whose = (
        Fact(KIND, journal.currency, number, None, journal.action_id) for number in numbers.values()
    )
    return Book(
        journal_key(journal.action_id),
        JSON_BODY,
        json_body(asdict(journal)),
        (posting,),
        journal.currency,
        facts=(*whose, Fact(RELATED, journal.currency, None, None, journal.relates_to)),
        forced=True,
    )


def journal_key(action_id: str) -> str:
    """Entry key of the journal that an action orders."""
    return f"adjustment/{action_id}"


def journal_from(body: bytes) -> Journal:
    """What `journal_entry` wrote."""
    fields = json.loads(body)
    return Journal(**{**fields, "kind": JournalKind(fields["kind"])})


def _invalid(field: str, text: str) -> Refused:
    return Refused(Reason.FIELD_INVALID, field, text)
