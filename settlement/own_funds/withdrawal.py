"""Withdrawals of the operator's own funds: the fees that it earned, and the taxes that it pays on.
Pure.

    WITHDRAW   hub.fees or hub.tax.<code> → hub.bank.settlement     pending, then by the bank's file

A withdrawal is an entry `leg/<reference>` like the legs of a settlement: the bank's entry with that
reference confirms it. Nobody is paid from another's money: what is withdrawn has been earned, lies
at the bank, and is neither what creditors of stated windows wait for nor what they carry. What
reversals refund later takes an account below zero; the operator's own leg asks for it then.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from exchange.commands import Book, Fact
from exchange.json_body import JSON_BODY, json_body
from exchange.ledger.accounts import HubAccount, hub_account, tax_number_of
from exchange.ledger.postings import Code, Phase, Posting, PostingRef, bank_settlement
from partners.errors import Reason, Refused
from partners.points import CurrencyScale, format_amount
from settlement.references import own_funds_reference
from settlement.windows import LegState

WITHDRAWAL = "own-withdrawal"
"""Kind of their facts; the subject is the reference."""


@dataclass(frozen=True, slots=True)
class OwnAccount:
    """An account of the operator, units of the currency's scale."""

    name: str
    """Such as `hub.fees`."""
    number: int
    posted: int
    """Positive is the operator's."""
    on_its_way: int
    """Of it: asked for and not confirmed by the bank; negative where it is to come in."""

    @property
    def is_earned(self) -> bool:
        """Whether it holds fees or taxes, which the operator may take out."""
        unit = self.number >> 20
        is_fees = self.number == hub_account(unit, HubAccount.FEES)
        return is_fees or bool(tax_number_of(self.number))

    @property
    def free(self) -> int:
        """What of it may be withdrawn, if it lies at the bank."""
        return max(0, self.posted - self.on_its_way) if self.is_earned else 0


@dataclass(frozen=True, slots=True)
class OwnWithdrawal:
    """A withdrawal and what became of it."""

    number: int
    """From 1, for each currency."""
    account: str
    amount: int
    reference: str
    log_index: int
    recorded_at: datetime
    resolved_by: Phase | None = None
    """CONFIRMS by the bank, VOIDS where it was taken back."""

    @property
    def state(self) -> LegState:
        """How far it has come."""
        if self.resolved_by is None:
            return LegState.PENDING
        return LegState.CONFIRMED if self.resolved_by is Phase.CONFIRMS else LegState.CANCELLED


@dataclass(frozen=True, slots=True)
class OwnFunds:
    """What is the operator's in a currency."""

    currency: CurrencyScale
    unit: int
    accounts: tuple[OwnAccount, ...]
    at_bank: int
    """Of what lies in the settlement account: nobody waits for it. Not negative."""
    withdrawals: tuple[OwnWithdrawal, ...]

    def free(self, account: OwnAccount) -> int:
        """What of an account may be withdrawn now."""
        return min(account.free, self.at_bank)


def withdrawal_entry(funds: OwnFunds, number: int, account: str, amount: int) -> Book | None:
    """Asks the bank for a withdrawal; None where this very one was asked for before.

    Raises Refused: FIELD_INVALID for an account that is not the operator's to take from, a number
    that is not the next, or an amount that is not there or that no bank pays; ALREADY_EXISTS where
    the number is another withdrawal's.
    """
    if 1 <= number <= len(funds.withdrawals):
        known = funds.withdrawals[number - 1]
        if (known.account, known.amount) != (account, amount):
            raise Refused(
                Reason.ALREADY_EXISTS,
                "number",
                f"withdrawal {number} is another one; the next is {len(funds.withdrawals) + 1}",
            )
        return None
    if number != len(funds.withdrawals) + 1:
        raise _invalid("number", f"the next withdrawal is {len(funds.withdrawals) + 1}")
    taken = _account_named(funds.accounts, account)
    currency = funds.currency
    if amount <= 0 or amount % currency.minor_unit:
        raise _invalid("amount", f"it is a whole number of minor units of {currency.code}, above 0")
    free = funds.free(taken) // currency.minor_unit * currency.minor_unit
    if amount > free:
        text = format_amount(free, currency.scale)
        raise _invalid(
            "amount",
            f"{text} of {account} may be withdrawn now: what is earned, lies at the bank, and is"
            " not what creditors wait for",
        )
    reference = own_funds_reference(funds.unit, number)
    body = {
        "account": account,
        "amount": amount,
        "currency": currency.code,
        "direction": "PAY_OUT",
        "number": number,
        "reference": reference,
    }
    posting = Posting(
        Code.PAY_OUT, taken.number, bank_settlement(funds.unit), amount, Phase.PENDING
    )
    fact = Fact(WITHDRAWAL, currency.code, subject=reference)
    key = f"leg/{reference}"
    return Book(key, JSON_BODY, json_body(body), (posting,), currency.code, facts=(fact,))


def recall_entry(funds: OwnFunds, number: int) -> Book | None:
    """Takes a withdrawal back that the bank has not made; None where it was taken back before.

    Raises Refused: FIELD_INVALID where there is none of this number, LEG_STATE where the bank has
    made it.
    """
    if not 1 <= number <= len(funds.withdrawals):
        raise _invalid("number", f"there are {len(funds.withdrawals)} withdrawals; list them")
    known = funds.withdrawals[number - 1]
    if known.state is LegState.CANCELLED:
        return None
    if known.state is LegState.CONFIRMED:
        raise Refused(Reason.LEG_STATE, "reference", f"the bank has made {known.reference}")
    taken = _account_named(funds.accounts, known.account)
    posting = Posting(
        Code.PAY_OUT,
        taken.number,
        bank_settlement(funds.unit),
        known.amount,
        Phase.VOIDS,
        PostingRef(known.log_index, 0),
    )
    code = funds.currency.code
    body = {"currency": code, "number": number, "reference": known.reference}
    key = f"cancelled/{known.reference}"
    return Book(key, JSON_BODY, json_body(body), (posting,), code)


def _account_named(accounts: Sequence[OwnAccount], name: str) -> OwnAccount:
    for each in accounts:
        if each.name == name and each.is_earned:
            return each
    names = ", ".join(each.name for each in accounts if each.is_earned)
    raise _invalid("account", f"fees and taxes can be withdrawn: {names}")


def _invalid(field: str, text: str) -> Refused:
    return Refused(Reason.FIELD_INVALID, field, text)
