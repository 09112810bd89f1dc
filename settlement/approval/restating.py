"""The next version of a window's statements: what disputes, an unwind and an abort have in common.

Pure. The course of a restating, each step repeated harmlessly:

    restating/<window>/<n> booked (the decision) → unconfirmed legs of the partners concerned
    cancelled → their statements' next versions booked → legs for what these add to what was paid

What is cancelled before the new versions are made cannot be confirmed any more, so that "what was
paid so far" stands still while they are made, and the same versions come of a repeat.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from exchange.commands import Book, Fact
from exchange.json_body import JSON_BODY, json_body
from settlement.netting import Payment, pay
from settlement.references import leg_reference
from settlement.statement import Statement, restated_as
from settlement.windows import Leg, SettlementWindow

KIND = "restating"


@dataclass(frozen=True, slots=True)
class Change:
    """What a restating makes of one partner's statement."""

    version: int
    withheld: int


@dataclass(frozen=True, slots=True)
class Restating:
    """The decision to state a window again for some of its partners."""

    window_id: str
    number: int
    """1 for the first of the window."""
    reason: str
    minimum_payout: int
    partners: Mapping[str, Change]
    """By partner id."""
    aborted: bool = False

    @property
    def entry_key(self) -> str:
        """Its entry's."""
        return f"{KIND}/{self.window_id}/{self.number}"


def restating_entry(window: SettlementWindow, restating: Restating) -> Book:
    """Books the decision."""
    body = {
        "aborted": restating.aborted,
        "minimum_payout": restating.minimum_payout,
        "number": restating.number,
        "partners": {name: asdict(each) for name, each in restating.partners.items()},
        "reason": restating.reason,
        "window_id": restating.window_id,
    }
    fact = Fact(
        KIND, window.currency.code, window_number=window.number, subject=str(restating.number)
    )
    return Book(restating.entry_key, JSON_BODY, json_body(body), facts=(fact,))


def restating_from(body: bytes) -> Restating:
    """A restating from its entry."""
    document: dict[str, Any] = json.loads(body)
    return Restating(
        document["window_id"],
        document["number"],
        document["reason"],
        document["minimum_payout"],
        {name: Change(**each) for name, each in document["partners"].items()},
        document["aborted"],
    )


def changed(stated: Mapping[str, Statement], withheld: Mapping[str, int]) -> dict[str, Change]:
    """The partners whose statements withhold another amount than is withheld now."""
    return {
        name: Change(each.version + 1, withheld.get(name, 0))
        for name, each in stated.items()
        if each.withheld != withheld.get(name, 0)
    }


def next_version(
    window: SettlementWindow,
    restating: Restating,
    partner_number: int,
    stated: Statement,
    stated_sha256: bytes,
    paid: int,
) -> tuple[Statement, Leg | None]:
    """A partner's next statement, and the leg for what it adds to what was `paid` of the window so
    far (positive: to the partner), if it adds anything.
    """
    change = restating.partners[stated.partner_id]
    if restating.aborted:
        due = stated.standing - change.withheld
        payment = Payment(due, paid, stated.standing - paid)
    else:
        minor_unit = window.currency.minor_unit
        payment = pay(stated.standing, change.withheld, minor_unit, restating.minimum_payout)
    added = payment.payment - paid
    own = leg_reference(window.number, partner_number, change.version)
    reference = (own if added else stated.payment_reference) if payment.payment else ""
    statement = restated_as(
        stated,
        stated_sha256,
        restating.reason,
        payment,
        change.withheld,
        reference,
        aborted=restating.aborted,
    )
    leg = Leg(
        window.window_id, partner_number, stated.partner_id, own, added, version=change.version
    )
    return statement, leg if added else None
