"""What a pay-out file instructs the bank to pay, and what it leaves out. Pure.

Rules kept here:

- A payment's EndToEndId is its leg's reference, whatever file it stands in: one for ever.
- A leg stands in one file, unless the bank rejected that file: then it may stand in another.
- Each payment names the account event by the digest of what the partner signed. A leg whose partner
  has no account in effect, or whose settlement is on hold, is left out by name, and waits for the
  next file.
- A file is an entry of the log with all that it says. Its bytes follow from the entry and nothing
  else, so that the same bytes come out at every export.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, date, datetime
from enum import StrEnum
from typing import Any

from partners.points import CurrencyScale, currency_scale
from settlement.accounts.account import Address, BankAccount
from settlement.accounts.versions import AccountVersion
from settlement.windows import Leg, LegDirection, LegState


class Why(StrEnum):
    """Why a leg is in no file yet."""

    NO_ACCOUNT = "NO_ACCOUNT"
    """The partner has no bank account in effect: none was approved, or it cools."""
    ON_HOLD = "ON_HOLD"
    """The partner's settlement is on hold."""


@dataclass(frozen=True, slots=True)
class Instructed:
    """One payment of a file."""

    reference: str
    """Of the leg: the EndToEndId."""
    partner_id: str
    amount: int
    """Units of the currency's scale, a whole number of minor units."""
    account: BankAccount
    account_version: int
    account_sha256: str
    """Of the payload of the partner's `settlement-account` event, in hex."""


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A pay-out that is instructed in the books and stands in no file."""

    reference: str
    partner_id: str
    amount: int
    why: Why


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
    number: int
    """1 for the first of the window."""
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

    @property
    def total(self) -> int:
        """Sum of the payments, units."""
        return sum(each.amount for each in self.payments)


def message_id(window_number: int, number: int, created_at: datetime) -> str:
    """The id of a file's message: banks refuse one that they have seen."""
    return f"PAYOUT-{window_number:06d}-{number:03d}-{created_at:%Y%m%d}"


def sorted_out(
    legs: Iterable[Leg],
    filed: frozenset[str],
    accounts: Mapping[str, AccountVersion],
    on_hold: frozenset[str],
) -> tuple[tuple[Instructed, ...], tuple[LeftOut, ...]]:
    """The payments of the next file, and what it leaves out, in the order of the legs.

    `filed` are the references that stand in a file already, `accounts` those in effect by partner,
    `on_hold` the partners whose settlement is.
    """
    payments: list[Instructed] = []
    left_out: list[LeftOut] = []
    for leg in legs:
        is_due = leg.direction is LegDirection.PAY_OUT and leg.state is LegState.PENDING
        if not is_due or leg.reference in filed:
            continue
        version = accounts.get(leg.partner_id)
        if leg.partner_id in on_hold or version is None:
            why = Why.ON_HOLD if leg.partner_id in on_hold else Why.NO_ACCOUNT
            left_out.append(LeftOut(leg.reference, leg.partner_id, leg.amount, why))
            continue
        payments.append(
            Instructed(
                leg.reference,
                leg.partner_id,
                leg.amount,
                version.event.account,
                version.event.version,
                version.sha256.hex(),
            )
        )
    return tuple(payments), tuple(left_out)


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
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


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
            "payments": tuple(map(_instructed, document["payments"])),
            "left_out": tuple(
                LeftOut(**each | {"why": Why(each["why"])}) for each in document["left_out"]
            ),
        }
    )


def _instructed(document: dict[str, Any]) -> Instructed:
    account = document["account"]
    made = BankAccount(**account | {"address": Address(**account["address"])})
    return Instructed(**document | {"account": made})


def with_digests(file: PayoutFile, digests: Mapping[str, str]) -> PayoutFile:
    """The file with the digests of what was written of it."""
    return replace(file, digests=dict(sorted(digests.items())))


def moment_text(moment: datetime) -> str:
    """A moment in UTC to the second, as files name it."""
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def scale_of(file: PayoutFile) -> CurrencyScale:
    """How the file's currency is counted."""
    return currency_scale(file.currency)
