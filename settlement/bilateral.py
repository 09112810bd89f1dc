"""Who pays whom where partners pay each other: dues, payments and carries by pair. Pure.

Rules kept here:

- The due of a pair is everything that its two parties have counted against each other and not paid
  yet: nets of windows less payments between them. So what a pair carries needs no account of its
  own: it is what the sums of the windows leave.
- The debtor of a pair pays ⌊|due|⌋ in whole minor units, and the rest is carried by the pair. So it
  never pays a unit that it does not owe, and the rest of a pair is below one minor unit.
- A party's dues over all its pairs, the operator's among them, are its multilateral due: nothing is
  owed in one way of paying that is not owed in the other.
- A payment between two partners is one posting, payee's position → payer's position, under PAY_OUT:
  both positions come nearer to 0 by what was paid, and no account of the operator moves.

How pairs stand when a window is stated, what they are asked for and who has confirmed it is in
`settlement.pairs`.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from exchange.fold import InvariantBroken
from exchange.ledger.accounts import HUB, position_account
from exchange.ledger.postings import COLLATERAL_CODES, Code, Posting
from settlement.windows import WindowSum


@dataclass(frozen=True, slots=True)
class PairLeg:
    """What one party of a pair pays the other. Units of the currency's scale."""

    payer: int
    """Partner number; `HUB` for the operator."""
    payee: int
    due: int
    """Above 0."""
    payment: int
    """Whole minor units, 0 where less is due."""

    @property
    def carried(self) -> int:
        """What the payer still owes the payee, below one minor unit."""
        return self.due - self.payment


def pair_dues(sums: Iterable[WindowSum]) -> dict[tuple[int, int], int]:
    """What each party (first) is owed by each other (second), from the sums of every window so far.

    Both views of a pair are given. Raises InvariantBroken unless they mirror each other.
    """
    dues: dict[tuple[int, int], int] = {}
    for each in sums:
        if each.code not in COLLATERAL_CODES:
            pair = (each.party, each.counterparty)
            dues[pair] = dues.get(pair, 0) + each.amount
    for (party, counterparty), due in dues.items():
        if dues.get((counterparty, party), 0) != -due:
            raise InvariantBroken(f"{party} and {counterparty} do not see opposite dues")
    return dues


def pair_legs(dues: Mapping[tuple[int, int], int], minor_unit: int) -> tuple[PairLeg, ...]:
    """Who pays whom how much, by payer and payee; none for a pair that owes nothing."""
    return tuple(
        PairLeg(payer, payee, -due, -due // minor_unit * minor_unit)
        for (payer, payee), due in sorted(dues.items())
        if due < 0
    )


def multilateral(dues: Mapping[tuple[int, int], int]) -> dict[int, int]:
    """What each party is owed in all."""
    totals: dict[int, int] = {}
    for (party, _), due in dues.items():
        totals[party] = totals.get(party, 0) + due
    return totals


def pair_posting(leg: PairLeg, unit: int) -> Posting:
    """A payment between two partners, as both have confirmed it."""
    assert HUB not in (leg.payer, leg.payee), "the operator is paid through its bank"
    payer, payee = (position_account(unit, each) for each in (leg.payer, leg.payee))
    return Posting(Code.PAY_OUT, payee, payer, leg.payment)
