"""How a settlement currency is settled: when windows close, what is paid when, and what follows
where it is not. Pure but for `scheme_of`.

A scheme is an entry of kind `scheme` with a JSON body; the newest of a currency holds. A currency
without one is closed by hand, and silence accepts a statement at once.
"""

import json
from dataclasses import asdict, dataclass, fields
from enum import StrEnum
from typing import Any

from exchange.json_body import json_body
from settlement.facts import newest_entry_of

KIND = "scheme"


class CashLegs(StrEnum):
    """Between whom money moves."""

    MULTILATERAL = "MULTILATERAL"
    """Each partner and the settlement account."""
    BILATERAL = "BILATERAL"
    """Each pair of partners; the operator stays out of the money."""


class DefaultOutcome(StrEnum):
    """What silence means when the clock of a statement has run out."""

    ACCEPTED = "ACCEPTED"


@dataclass(frozen=True, slots=True)
class Scheme:
    """The terms on which a currency is settled."""

    currency: str
    cut_off: str = ""
    """`HH:MM` by the zone's wall clock; empty: windows are closed by hand."""
    zone: str = "UTC"
    """IANA name."""
    banking_calendar: str = ""
    """A country or a market of the `holidays` package; empty: every weekday is a banking day."""
    due_days: int = 1
    """Banking days after the close."""
    minimum_payout: int = 0
    """Units of the currency's scale: a pay-out below it waits and is carried."""
    acknowledge_minutes: int = 0
    """For how long a statement may be disputed before it is paid; 0: silence accepts at once."""
    default_outcome: DefaultOutcome = DefaultOutcome.ACCEPTED
    cash_legs: CashLegs = CashLegs.MULTILATERAL
    remind_after_hours: int = 0
    """After the due date."""
    draw_after_days: int = 0
    hold_after_days: int = 1
    unwind_after_days: int = 3
    account_cooling_hours: int = 24
    """Before a partner's new bank account is used."""
    settlement_account: str = ""
    """IBAN or the bank's own number; empty: `pointclear-settlement-<currency>`."""
    collateral_account: str = ""
    """The same; empty: `pointclear-collateral-<currency>`."""
    bank_bic: str = ""
    operator_name: str = ""
    """As the bank knows it."""

    @property
    def settlement_account_id(self) -> str:
        """How bank files name the settlement account."""
        return self.settlement_account or f"pointclear-settlement-{self.currency.lower()}"

    @property
    def collateral_account_id(self) -> str:
        """How bank files name the collateral account."""
        return self.collateral_account or f"pointclear-collateral-{self.currency.lower()}"


def scheme_body(scheme: Scheme) -> bytes:
    """The one form of a scheme."""
    return json_body(asdict(scheme))


def scheme_from(body: bytes) -> Scheme:
    """A scheme from its entry; what a later version of this program adds is left out."""
    known = {each.name for each in fields(Scheme)}
    values = {name: value for name, value in json.loads(body).items() if name in known}
    values["cash_legs"] = CashLegs(values.get("cash_legs", CashLegs.MULTILATERAL))
    values["default_outcome"] = DefaultOutcome(
        values.get("default_outcome", DefaultOutcome.ACCEPTED)
    )
    return Scheme(**values)


def scheme_of(connection: Any, currency: str) -> Scheme:
    """The scheme that holds; the defaults where none was ever set."""
    entry = newest_entry_of(connection, KIND, currency)
    return scheme_from(entry.body) if entry else Scheme(currency)
