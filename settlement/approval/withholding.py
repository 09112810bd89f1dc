"""What is neither paid nor asked for until it is decided: disputed lines, and a partner that was
taken out. Pure.

A withholding is between partners and sums to 0, so that what one does not get another is not asked
for. The operator's fees and taxes, and bonuses that it pays, are paid all the same. It changes no
position: it ends when whoever disputes withdraws it, or two operators decide, and what was wrong is
booked then, as a reversal or an adjustment.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from exchange.commands import Book, Fact
from exchange.json_body import JSON_BODY, json_body
from partners.envelope import ENVELOPE_BODY

KIND = "withholding"
END_KIND = "withholding-end"
LINE_KIND = "disputed-line"

UNWIND = "UNWIND"
"""The reason of what takes a partner out of a window."""


@dataclass(frozen=True, slots=True)
class DisputedLine:
    """A transfer or a reversal in dispute, and what it moved between partners."""

    line_id: str
    log_index: int
    window_id: str
    window_number: int
    amounts: Mapping[str, int]
    """By partner id, in units of the currency's scale; positive is owed to it. Their sum is 0."""


@dataclass(frozen=True, slots=True)
class Withholding:
    """What is withheld for one reason."""

    subject: str
    """The key of its entry: `dispute/<id>` or `unwind/<window>/<partner>`."""
    currency: str
    partner_id: str
    """Who disputes, or who was taken out."""
    reason: str
    comment: str
    lines: tuple[DisputedLine, ...]
    log_index: int = 0

    def amounts(self, end_index: int) -> dict[str, int]:
        """What is withheld of windows that ended before a log index, by partner id."""
        sums: dict[str, int] = {}
        for line in self.lines:
            if line.log_index < end_index:
                for partner, amount in line.amounts.items():
                    sums[partner] = sums.get(partner, 0) + amount
        return sums

    def withholds(self, line: DisputedLine) -> bool:
        """Whether a line is in dispute by this, or has to do with who was taken out."""
        if self.reason == UNWIND:
            return self.partner_id in line.amounts and any(
                each.window_id == line.window_id for each in self.lines
            )
        return any(each.line_id == line.line_id for each in self.lines)

    @property
    def parties(self) -> frozenset[str]:
        """Whom it concerns."""
        return frozenset({self.partner_id}.union(*(line.amounts for line in self.lines)))


def withheld(open_ones: Iterable[Withholding], end_index: int) -> dict[str, int]:
    """What all open withholdings come to for each partner."""
    sums: dict[str, int] = {}
    for each in open_ones:
        for partner, amount in each.amounts(end_index).items():
            sums[partner] = sums.get(partner, 0) + amount
    assert sum(sums.values()) == 0, "what is withheld from one is withheld from another"
    return sums


def withholding_entry(
    withholding: Withholding, partner_number: int, envelope_json: str = ""
) -> Book:
    """Books a withholding, with what the partner signed where it disputes."""
    body = {
        "comment": withholding.comment,
        "currency": withholding.currency,
        "envelope": json.loads(envelope_json) if envelope_json else None,
        "lines": [
            {
                "amounts": dict(each.amounts),
                "line_id": each.line_id,
                "log_index": each.log_index,
                "window_id": each.window_id,
                "window_number": each.window_number,
            }
            for each in withholding.lines
        ],
        "partner_id": withholding.partner_id,
        "reason": withholding.reason,
    }
    currency = withholding.currency
    facts = [Fact(KIND, currency, partner_number, subject=withholding.subject)]
    facts += [
        Fact(LINE_KIND, currency, partner_number, each.window_number, each.line_id)
        for each in withholding.lines
    ]
    return Book(withholding.subject, JSON_BODY, json_body(body), facts=tuple(facts))


def withholding_from(subject: str, body: bytes, log_index: int) -> Withholding:
    """A withholding from its entry."""
    document: dict[str, Any] = json.loads(body)
    return Withholding(
        subject,
        document["currency"],
        document["partner_id"],
        document["reason"],
        document["comment"],
        tuple(DisputedLine(**each) for each in document["lines"]),
        log_index,
    )


def end_entry(withholding: Withholding, outcome: str, text: str, envelope_json: str = "") -> Book:
    """Ends a withholding: from the next statement on nothing is withheld for it. `outcome` says how
    it was decided; a withdrawal carries what the partner signed.
    """
    fact = Fact(END_KIND, withholding.currency, subject=withholding.subject)
    key = f"end-of-{withholding.subject}"
    if envelope_json:
        return Book(key, ENVELOPE_BODY, envelope_json.encode(), facts=(fact,))
    body = {"outcome": outcome, "subject": withholding.subject, "text": text}
    return Book(key, JSON_BODY, json_body(body), facts=(fact,))
