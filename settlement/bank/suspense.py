"""What becomes of money in suspense: it pays a leg, or it goes back. Pure.

Two people decide it. Money in suspense is nobody's yet: it is not lent to pay-outs, and it cannot
become collateral, which lies in another account of the bank.

- **To a leg**: several items may come to it, and the last may have more than it takes; the rest
  stays. The leg's pending posting is voided, since the bank will not show that payment, and each
  item pays its share from suspense to the partner's position, in one entry `allocated/<reference>`.
- **Back to who paid**: the whole of what is left of one item is held as a pay-out under a reference
  of its own, in an entry `refund/<reference>`; the bank's entry with that reference confirms it.

Both keys follow from what is resolved, so that a repeat changes nothing.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from exchange.commands import Book, Fact
from exchange.json_body import JSON_BODY, json_body
from exchange.ledger.accounts import HubAccount, hub_account, unit_of
from exchange.ledger.postings import Code, Phase, Posting, bank_settlement
from partners.errors import Reason, Refused
from partners.points import CurrencyScale, format_amount
from settlement.accounts.account import (
    NO_ADDRESS,
    BankAccount,
    check_bic,
    check_iban,
    check_identification,
    is_iban,
    is_like_iban,
)
from settlement.bank.booking import USE_KIND
from settlement.bank.matching import Expected, compact
from settlement.bank.statement import Part
from settlement.references import refund_reference

ALLOCATED_KIND = "suspense_allocated"
"""Of the facts about legs that were paid from suspense."""
REFUND_KIND = "refund"
"""Of the facts about money that goes back, by its reference."""
TEXT_MAX = 140
ACCOUNT_MAX = 34
ITEMS_MAX = 100


@dataclass(frozen=True, slots=True)
class SuspenseItem:
    """Money that came in and is not used up."""

    item_id: str
    """The bank's own reference."""
    log_index: int
    place: int
    since: datetime
    amount: int
    """Units of the currency's scale, as it came."""
    open_amount: int
    """What of it is still there."""
    partner_number: int | None
    """Whose it seems to be: its reference names a payment of this partner."""
    part: Part
    """What the bank said of it."""


@dataclass(frozen=True, slots=True)
class Payee:
    """To whom money goes back."""

    name: str
    account: str
    """IBAN, or the account's number at its bank."""
    bic: str = ""

    @property
    def document(self) -> dict[str, str]:
        """As it is kept."""
        return {"account": self.account, "bic": self.bic, "name": self.name}

    @property
    def bank_account(self) -> BankAccount | None:
        """The account as a pay-out file names it; None where this does not say which it is: no IBAN
        and no bank, or nothing that a bank would take.
        """
        iban, other = (self.account, "") if is_iban(self.account) else ("", self.account)
        account = BankAccount(iban, other, self.bic, "", "", self.name, NO_ADDRESS)
        try:
            check_identification(account)
        except Refused:
            return None
        return account


def refund_key(reference: str) -> str:
    """Entry key of money that goes back."""
    return f"refund/{reference}"


def allocated_key(reference: str) -> str:
    """Entry key of a leg that was paid from suspense."""
    return f"allocated/{reference}"


def chosen(items: Iterable[SuspenseItem], item_ids: Sequence[str]) -> tuple[SuspenseItem, ...]:
    """The open items of these names, in their order; raises Refused(FIELD_INVALID)."""
    if not item_ids or len(item_ids) > ITEMS_MAX or len({*item_ids}) < len(item_ids):
        raise Refused(
            Reason.FIELD_INVALID, "item_ids", f"name 1 to {ITEMS_MAX} items, each of them once"
        )
    known = {each.item_id: each for each in items}
    for item_id in item_ids:
        if item_id not in known:
            raise Refused(
                Reason.FIELD_INVALID,
                "item_ids",
                f"{item_id!r} does not lie in suspense; list what does",
            )
    return tuple(known[each] for each in item_ids)


def allocation(leg: Expected, items: Sequence[SuspenseItem], currency: CurrencyScale) -> Book:
    """Pays a leg from suspense.

    Raises Refused(FIELD_INVALID) where the items come to less, or one of them is not needed.
    """
    asked = leg.confirms
    suspense = hub_account(unit_of(asked.debit), HubAccount.SUSPENSE)
    left = leg.amount
    taken = []
    for item in items:
        if not left:
            raise Refused(
                Reason.FIELD_INVALID,
                "item_ids",
                f"the leg is paid without {item.item_id}; leave it in suspense",
            )
        amount = min(left, item.open_amount)
        taken.append((item.item_id, amount))
        left -= amount
    if left:
        raise Refused(
            Reason.FIELD_INVALID,
            "item_ids",
            f"these items are {format_amount(left, currency.scale)} short of the leg; wait for the"
            " rest, or give them back",
        )
    postings = (
        replace(asked, phase=Phase.VOIDS),
        *(Posting(Code.PAY_IN, suspense, asked.credit, amount) for _, amount in taken),
    )
    partner = leg.partner_number
    facts = (
        Fact(ALLOCATED_KIND, currency.code, partner, None, leg.reference),
        *(Fact(USE_KIND, currency.code, partner, None, item_id) for item_id, _ in taken),
    )
    body = {"amount": leg.amount, "items": dict(taken), "reference": leg.reference}
    key = allocated_key(leg.reference)
    return Book(key, JSON_BODY, json_body(body), postings, currency.code, facts=facts)


def refund(item: SuspenseItem, payee: Payee, currency: CurrencyScale, unit: int) -> Book:
    """Holds what is left of an item as a pay-out to who paid it."""
    _check_payee(payee)
    reference = refund_reference(item.log_index, item.place)
    posting = Posting(
        Code.PAY_OUT,
        hub_account(unit, HubAccount.SUSPENSE),
        bank_settlement(unit),
        item.open_amount,
        Phase.PENDING,
    )
    body = {
        "amount": item.open_amount,
        "currency": currency.code,
        "direction": "PAY_OUT",
        "item_id": item.item_id,
        "payee": payee.document,
        "reference": reference,
    }
    facts = (
        Fact(USE_KIND, currency.code, None, None, item.item_id),
        Fact(REFUND_KIND, currency.code, None, None, reference),
    )
    key = refund_key(reference)
    return Book(key, JSON_BODY, json_body(body), (posting,), currency.code, facts=facts)


def leg_named(expected: Iterable[Expected], reference: str) -> Expected:
    """The pending leg of this reference that money in pays; raises Refused(FIELD_INVALID)."""
    wanted = compact(reference)
    for each in expected:
        if each.reference == wanted and each.amount > 0 and each.confirms.code is Code.PAY_IN:
            return each
    raise Refused(
        Reason.FIELD_INVALID,
        "leg_reference",
        f"no partner is asked for a payment of reference {reference}; see the window's legs",
    )


def _check_payee(payee: Payee) -> None:
    for text, field, limit in (
        (payee.name, "payee.name", TEXT_MAX),
        (payee.account, "payee.account", ACCOUNT_MAX),
    ):
        if not text or len(text) > limit or not text.isprintable():
            raise Refused(Reason.FIELD_INVALID, field, f"it has 1 to {limit} printable characters")
    if is_like_iban(payee.account):
        check_iban(payee.account, "payee.account")
    if payee.bic:
        check_bic(payee.bic, "payee.bic")
