"""A payment that one partner owes another, and its entries. Pure.

    pair-legs/<window>           what the partners of a window pay each other
    pair/<reference>/paid        the payer signed that it has paid
    pair/<reference>/received    the payee signed that it has received it

The two confirmations come in any order, and the second one books the payment: payee's position →
payer's position under PAY_OUT. No cap refuses it: the money has moved, whatever the books would
rather have. What it pays the payee of its window need not wait for the settlement any more.
"""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from exchange.commands import Book, Fact
from exchange.json_body import JSON_BODY, json_body
from exchange.ledger.postings import Posting
from partners.envelope import ENVELOPE_BODY
from settlement.bilateral import PairLeg, pair_posting
from settlement.windows import SettlementWindow

LEGS = "pair-legs"
LEG = "pair-leg"
"""Of each leg two facts, one for each party."""
CONFIRMED = "pair-confirmed"


class Side(StrEnum):
    """Which of the two confirms."""

    PAID = "PAID"
    RECEIVED = "RECEIVED"


class PairLegState(StrEnum):
    """How far a payment between partners has come."""

    ASKED = "ASKED"
    PAID = "PAID"
    """The payer says so; the payee does not yet."""
    RECEIVED = "RECEIVED"
    """The payee says so; the payer does not yet."""
    CONFIRMED = "CONFIRMED"
    """Both do, and it is booked."""
    CARRIED = "CARRIED"
    """The window was aborted before both did: the pair carries it."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What one partner is asked to pay another for a window."""

    reference: str
    """ISO 11649."""
    payer: str
    payer_number: int
    payee: str
    payee_number: int
    payment: int
    """Units of the currency's scale, whole minor units, above 0."""

    def side_of(self, partner_id: str) -> Side | None:
        """Which side a partner is on, if it is on any."""
        if partner_id == self.payer:
            return Side.PAID
        return Side.RECEIVED if partner_id == self.payee else None


@dataclass(frozen=True, slots=True)
class PairPayment:
    """A leg between partners with what became of it."""

    window: SettlementWindow
    asked: Asked
    paid_index: int | None
    """Where the payer's confirmation was booked."""
    received_index: int | None
    """Where the payee's was."""
    is_aborted: bool = False
    """Whether its window was, so that nobody can confirm it any more."""

    @property
    def state(self) -> PairLegState:
        """How far it has come."""
        if self.is_confirmed:
            return PairLegState.CONFIRMED
        if self.is_aborted:
            return PairLegState.CARRIED
        if self.paid_index is not None:
            return PairLegState.PAID
        return PairLegState.ASKED if self.received_index is None else PairLegState.RECEIVED

    @property
    def is_confirmed(self) -> bool:
        """Whether both have confirmed it."""
        return None not in (self.paid_index, self.received_index)

    def has_confirmed(self, side: Side) -> bool:
        """Whether this side has."""
        index = self.paid_index if side is Side.PAID else self.received_index
        return index is not None


def legs_key(window_id: str) -> str:
    """Entry key of the legs of a window."""
    return f"{LEGS}/{window_id}"


def legs_entry(window: SettlementWindow, legs: Iterable[Asked]) -> Book:
    """Books what the partners of a window are asked to pay each other; none is an entry too."""
    asked = tuple(legs)
    currency = window.currency.code
    facts = [Fact(LEGS, currency, window_number=window.number)]
    facts += [
        Fact(LEG, currency, party, window.number, each.reference)
        for each in asked
        for party in (each.payer_number, each.payee_number)
    ]
    body = {"legs": [asdict(each) for each in asked], "window_id": window.window_id}
    return Book(legs_key(window.window_id), JSON_BODY, json_body(body), facts=tuple(facts))


def legs_from(body: bytes) -> tuple[Asked, ...]:
    """The legs of a window from their entry."""
    document: dict[str, Any] = json.loads(body)
    return tuple(Asked(**each) for each in document["legs"])


def confirmation_entry(leg: PairPayment, side: Side, envelope_json: str) -> Book:
    """Books that one side has confirmed a leg; what the second one books moves the positions."""
    asked, window = leg.asked, leg.window
    number = asked.payer_number if side is Side.PAID else asked.payee_number
    other = Side.RECEIVED if side is Side.PAID else Side.PAID
    postings: tuple[Posting, ...] = ()
    if leg.has_confirmed(other):
        moved = PairLeg(asked.payer_number, asked.payee_number, asked.payment, asked.payment)
        postings = (pair_posting(moved, window.unit),)
    currency = window.currency.code
    return Book(
        f"pair/{asked.reference}/{side.lower()}",
        ENVELOPE_BODY,
        envelope_json.encode(),
        postings,
        currency if postings else None,
        facts=(Fact(CONFIRMED, currency, number, window.number, asked.reference),),
        forced=bool(postings),
        pays=window.window_id if postings else "",
    )
