"""What a pay-out file instructs the bank to pay, and what it leaves out. Pure.

Rules kept here:

- A payment's EndToEndId is its reference, whatever file it stands in: one for ever.
- A payment stands in one file, unless the bank rejected it or the file: then it may stand in
  another.
- Legs and withdrawals of collateral go to their partner's account in effect, and name its event by
  the digest of what the partner signed. Those of a partner that has none, or whose settlement is on
  hold, are left out by name, and wait for the next file.
- Refunds go to the payee that two people recorded, draws on collateral to the coalition's own
  settlement account. What the books do not know an account for is left out by name, to be keyed in
  at the bank by hand.
- A file is an entry of the log with all that it says. Its bytes follow from the entry and nothing
  else, so that the same bytes come out at every export.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, date, datetime
from enum import StrEnum
from typing import Any

from exchange.json_body import json_body
from partners.points import CurrencyScale, currency_scale
from settlement.accounts.account import Address, BankAccount
from settlement.accounts.versions import AccountVersion
from settlement.bank.matching import AccountKind


class PayOutKind(StrEnum):
    """What a payment out of one of the two accounts is."""

    LEG = "LEG"
    """What a partner is paid for a window."""
    WITHDRAWAL = "WITHDRAWAL"
    """Collateral that its partner takes back."""
    REFUND = "REFUND"
    """Out of suspense, to who paid it."""
    DRAW = "DRAW"
    """Collateral that pays what its partner has not, to the settlement account."""
    OWN_FUNDS = "OWN_FUNDS"
    """The operator's own."""


class Why(StrEnum):
    """Why a payment is in no file yet."""

    NO_ACCOUNT = "NO_ACCOUNT"
    """The partner has no bank account in effect: none was approved, or it cools."""
    ON_HOLD = "ON_HOLD"
    """The partner's settlement is on hold."""
    PAYEE_UNCLEAR = "PAYEE_UNCLEAR"
    """What was recorded of the payee does not say which account at which bank: pay it by hand."""
    ACCOUNT_UNKNOWN = "ACCOUNT_UNKNOWN"
    """It goes to an account of the operator that the books do not know: pay it by hand."""


@dataclass(frozen=True, slots=True)
class Due:
    """A payment that is instructed in the books and waits for the bank."""

    kind: PayOutKind
    reference: str
    """ISO 11649."""
    partner_id: str
    """Whose it is; empty for a refund and for the operator's own."""
    amount: int
    """Units of the currency's scale, a whole number of minor units."""
    payee: BankAccount | None = None
    """Where a refund or a draw goes; None where that is not known."""


@dataclass(frozen=True, slots=True)
class Instructed:
    """One payment of a file."""

    reference: str
    """The EndToEndId."""
    partner_id: str
    """As in `Due`."""
    amount: int
    """Units of the currency's scale, a whole number of minor units."""
    account: BankAccount
    account_version: int
    """0 where it goes to no partner's account."""
    account_sha256: str
    """Of the payload of the partner's `settlement-account` event, in hex; empty where it goes to no
    partner's account.
    """
    kind: PayOutKind = PayOutKind.LEG


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A payment that is instructed in the books and stands in no file."""

    reference: str
    partner_id: str
    amount: int
    why: Why
    kind: PayOutKind = PayOutKind.LEG


@dataclass(frozen=True, slots=True)
class Debtor:
    """From where the bank pays."""

    name: str
    account: str
    """IBAN or the bank's own number."""
    bic: str
    """Empty where the scheme names none."""


@dataclass(frozen=True, slots=True)
class PayoutFile:
    """Everything that a pay-out file says."""

    window_id: str
    """Empty for other payments than a window's."""
    number: int
    """1 for the first of its series."""
    message_id: str
    """At most 35 characters, never given twice."""
    currency: str
    created_at: datetime
    """To the second."""
    execution_date: date
    debtor: Debtor
    payments: tuple[Instructed, ...]
    left_out: tuple[LeftOut, ...]
    digests: Mapping[str, str]
    """SHA-256 of the file in each format, in hex; empty before it was written."""
    pays_from: AccountKind = AccountKind.SETTLEMENT
    """Which of the currency's two accounts the bank pays from."""

    @property
    def total(self) -> int:
        """Sum of the payments, units."""
        return sum(each.amount for each in self.payments)


def sorted_out(
    due: Iterable[Due],
    filed: frozenset[str],
    accounts: Mapping[str, AccountVersion],
    on_hold: frozenset[str],
) -> tuple[tuple[Instructed, ...], tuple[LeftOut, ...]]:
    """The payments of the next file, and what it leaves out, in the order of what is due.

    `filed` are the references that stand in a file already, `accounts` those in effect by partner,
    `on_hold` the partners whose settlement is.
    """
    payments: list[Instructed] = []
    left_out: list[LeftOut] = []
    for each in due:
        if each.reference in filed:
            continue
        made = _instructed(each, accounts, on_hold)
        if isinstance(made, Why):
            left_out.append(LeftOut(each.reference, each.partner_id, each.amount, made, each.kind))
        else:
            payments.append(made)
    return tuple(payments), tuple(left_out)


def _instructed(
    due: Due, accounts: Mapping[str, AccountVersion], on_hold: frozenset[str]
) -> Instructed | Why:
    """A payment as a file instructs it, or why none does."""
    match due.kind:
        case PayOutKind.OWN_FUNDS:
            return Why.ACCOUNT_UNKNOWN
        case PayOutKind.REFUND | PayOutKind.DRAW:
            if due.payee is None:
                return Why.PAYEE_UNCLEAR
            account, version, digest = due.payee, 0, ""
        case PayOutKind.LEG | PayOutKind.WITHDRAWAL:
            if due.partner_id in on_hold:
                return Why.ON_HOLD
            in_effect = accounts.get(due.partner_id)
            if in_effect is None:
                return Why.NO_ACCOUNT
            event = in_effect.event
            account, version, digest = event.account, event.version, in_effect.sha256.hex()
    return Instructed(due.reference, due.partner_id, due.amount, account, version, digest, due.kind)


def decimal_amount(units: int, currency: CurrencyScale) -> str:
    """An amount as a bank writes it: `6.15` for USD, `615` for JPY, `6.150` for KWD."""
    minor, rest = divmod(units, currency.minor_unit)
    assert not rest, "a leg is a whole number of minor units"
    whole, fraction = divmod(minor, 10**currency.minor_digits)
    digits = currency.minor_digits
    return f"{whole}.{fraction:0{digits}d}" if digits else str(whole)


def file_body(file: PayoutFile) -> bytes:
    """The one form of a file's entry."""
    document = asdict(file) | {
        "created_at": moment_text(file.created_at),
        "execution_date": file.execution_date.isoformat(),
        "digests": dict(file.digests),
        "total": file.total,
    }
    return json_body(document)


def file_from(body: bytes) -> PayoutFile:
    """A file from its entry."""
    document: dict[str, Any] = json.loads(body)
    document.pop("total")
    return PayoutFile(
        **document
        | {
            "created_at": datetime.fromisoformat(document["created_at"]),
            "execution_date": date.fromisoformat(document["execution_date"]),
            "debtor": Debtor(**document["debtor"]),
            "payments": tuple(map(_payment_from, document["payments"])),
            "left_out": tuple(
                LeftOut(**each | {"why": Why(each["why"]), "kind": PayOutKind(each["kind"])})
                for each in document["left_out"]
            ),
            "pays_from": AccountKind(document["pays_from"]),
        }
    )


def _payment_from(document: dict[str, Any]) -> Instructed:
    account = document["account"]
    made = BankAccount(**account | {"address": Address(**account["address"])})
    return Instructed(**document | {"account": made, "kind": PayOutKind(document["kind"])})


def with_digests(file: PayoutFile, digests: Mapping[str, str]) -> PayoutFile:
    """The file with the digests of what was written of it."""
    return replace(file, digests=dict(sorted(digests.items())))


def moment_text(moment: datetime) -> str:
    """A moment in UTC to the second, as files name it."""
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def scale_of(file: PayoutFile) -> CurrencyScale:
    """How the file's currency is counted."""
    return currency_scale(file.currency)
