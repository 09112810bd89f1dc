"""In which pay-out files are numbered. Pure.

    a window               its legs, out of the settlement account
    a currency's account   the other payments out of it: refunds out of suspense from the settlement
                           account, withdrawals and draws from the collateral account

Other payments belong to no window, and an account is open for ever: so is its series.
"""

from dataclasses import dataclass
from datetime import datetime

from partners.points import CurrencyScale
from settlement.bank.matching import AccountKind
from settlement.windows import SettlementWindow


@dataclass(frozen=True, slots=True)
class Series:
    """Files that are numbered from 1."""

    currency: CurrencyScale
    unit: int
    """Number of the currency among the units."""
    account: AccountKind
    """Which of the currency's two accounts the bank pays from."""
    window: SettlementWindow | None
    """Whose legs are paid; None for other payments."""

    @property
    def name(self) -> str:
        """As keys of entries and people name it: `cny-2017-01-01`, `CNY/collateral`."""
        if self.window is not None:
            return self.window.window_id
        return f"{self.currency.code}/{self.account.lower()}"

    @property
    def field(self) -> str:
        """By which requests name it."""
        return "window_id" if self.window is not None else "currency"

    @property
    def window_number(self) -> int | None:
        """Of the window, if it is one's."""
        return self.window.number if self.window is not None else None

    def message_id(self, number: int, created_at: datetime) -> str:
        """The id of a file's message, at most 35 characters: banks refuse one that they have
        seen.
        """
        if self.window is not None:
            mark = f"{self.window.number:06d}"
        else:
            mark = f"{self.currency.code}-{self.account[0]}"
        return f"PAYOUT-{mark}-{number:03d}-{created_at:%Y%m%d}"


def of_window(window: SettlementWindow) -> Series:
    """The files that pay a window's legs."""
    return Series(window.currency, window.unit, AccountKind.SETTLEMENT, window)


def of_account(currency: CurrencyScale, unit: int, account: AccountKind) -> Series:
    """The files of other payments out of one of a currency's accounts."""
    return Series(currency, unit, account, None)
