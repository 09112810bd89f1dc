"""Withdrawals and draws as entries to book. Pure.

Collateral moves on the mirror of the collateral account at the bank, `hub.bank.collateral`:

    TOP_UP     hub.bank.collateral → <partner>.collateral     by the bank's file, unannounced
    WITHDRAW   <partner>.collateral → hub.bank.collateral     pending, then by the bank's file
    DRAW       hub.bank.settlement → <partner>.position       pending, then by the bank's file

A withdrawal and a draw are entries `leg/<reference>` like the legs of a settlement: the bank's
entry with that reference confirms them. A draw is one entry with two movements, WITHDRAW at place 0
and DRAW at place 1: money goes from the collateral account to the settlement account, and each
account's own file confirms its side. What is pending is gone from the collateral at once and on the
position only when it has arrived, so that nothing counts twice.
"""

from dataclasses import dataclass

from exchange.commands import Book, Fact
from exchange.json_body import JSON_BODY, json_body
from exchange.ledger.accounts import HubAccount, collateral_account, hub_account, position_account
from exchange.ledger.postings import Code, Phase, Posting, PostingRef
from settlement.references import draw_reference, withdrawal_reference

DRAWN = "collateral-draw"
"""Kind of the facts of draws; the subject is the reference."""
APPROVED = "withdrawal-approved"
"""Of those of withdrawals that were let go; the subject is the withdrawal's id, as below."""
REFUSED = "withdrawal-refused"
REQUESTED = "withdrawal-requested"


@dataclass(frozen=True, slots=True)
class Depositor:
    """A partner as far as its collateral is concerned."""

    number: int
    partner_id: str
    currency: str
    unit: int
    """Number of its currency."""


def draw_entry(of: Depositor, amount: int, window_number: int, number: int = 1) -> Book:
    """Has a partner's collateral pay what its position owes: the operator transfers it from one of
    its two accounts at the bank to the other.

    `number` counts the draws for one window from 1: the same one again changes nothing. Raises
    nothing; the books refuse (LIMIT_EXCEEDED) what the collateral does not hold.
    """
    reference = draw_reference(window_number, of.number, number)
    bank = hub_account(of.unit, HubAccount.BANK_SETTLEMENT)
    position = position_account(of.unit, of.number)
    return Book(
        f"leg/{reference}",
        JSON_BODY,
        json_body({**_about(of, amount, reference), "direction": "DRAW", "window": window_number}),
        (
            _given(of, amount),
            Posting(Code.DRAW, bank, position, amount, Phase.PENDING),
        ),
        of.currency,
        facts=(Fact(DRAWN, of.currency, of.number, window_number, reference),),
    )


def withdrawal_entry(of: Depositor, withdrawal_id: str, requested_index: int, amount: int) -> Book:
    """Lets a withdrawal go: it waits for the bank. The books refuse it (COLLATERAL_NEEDED) where
    the collateral covers what the partner owes.
    """
    reference = withdrawal_reference(requested_index)
    body = {**_about(of, amount, reference), "direction": "WITHDRAW", "withdrawal": withdrawal_id}
    return Book(
        f"leg/{reference}",
        JSON_BODY,
        json_body(body),
        (_given(of, amount),),
        of.currency,
        facts=(Fact(APPROVED, of.currency, of.number, None, withdrawal_id),),
    )


def refusal_entry(of: Depositor, withdrawal_id: str, requested_index: int) -> Book:
    """Refuses a withdrawal that was not let go: in place of the entry that would have, so that of
    two that decide at once one is refused.
    """
    reference = withdrawal_reference(requested_index)
    body = {"direction": "NONE", "partner_id": of.partner_id, "withdrawal": withdrawal_id}
    fact = Fact(REFUSED, of.currency, of.number, None, withdrawal_id)
    return Book(f"leg/{reference}", JSON_BODY, json_body(body), facts=(fact,))


def recall_entry(
    of: Depositor, withdrawal_id: str, reference: str, amount: int, approved_index: int
) -> Book:
    """Takes a withdrawal back that the bank has not made. Of this and the bank's file the first
    counts.
    """
    given = _given(of, amount, Phase.VOIDS, PostingRef(approved_index, 0))
    body = {**_about(of, amount, reference), "withdrawal": withdrawal_id}
    fact = Fact(REFUSED, of.currency, of.number, None, withdrawal_id)
    key = f"cancelled/{reference}"
    return Book(key, JSON_BODY, json_body(body), (given,), of.currency, facts=(fact,))


def _given(
    of: Depositor, amount: int, phase: Phase = Phase.PENDING, resolves: PostingRef | None = None
) -> Posting:
    own = collateral_account(of.unit, of.number)
    lies = hub_account(of.unit, HubAccount.BANK_COLLATERAL)
    return Posting(Code.WITHDRAW, own, lies, amount, phase, resolves)


def _about(of: Depositor, amount: int, reference: str) -> dict[str, object]:
    return {
        "amount": amount,
        "currency": of.currency,
        "partner_id": of.partner_id,
        "reference": reference,
    }
