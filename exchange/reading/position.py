"""Where a partner stands: its balances, and what windows and statements make of them.

Every amount is in units of the currency's scale, signed from the partner's view: positive is owed
to it. A position is the nets of its windows and its confirmed payments, so what is neither of an
unstated window nor a payment under way is what the statements have carried.
"""

from dataclasses import dataclass
from typing import Any

from exchange.cap_alerts import level_of
from exchange.reads import QUERIES


@dataclass(frozen=True, slots=True)
class Position:
    """One partner's position in its settlement currency, all at one moment."""

    partner_id: str
    currency: str
    scale: int
    net_debit_cap: int | None
    """None where no cap bounds it."""
    balance: int
    """Posted credits less posted debits of the position."""
    reserved: int
    """Pending debits of the position."""
    collateral: int
    """Posted credits less posted debits of the collateral."""
    open_window_id: str
    """Empty before the first window is opened."""
    open: int
    """Net of the open window, payments left out."""
    closed: int
    """Nets of the windows that are closed and not stated."""
    stated: int
    """Payments that statements ask for and the bank has not confirmed."""
    credits_held: int = 0
    """Credits that wait until their window is settled, where they do."""

    @property
    def carried(self) -> int:
        """What the newest statement carries forward."""
        return self.balance - self.open - self.closed - self.stated

    @property
    def alert_level(self) -> int:
        """The highest alert level of the cap that is reached, in percent; 0 for none."""
        return level_of(self._usable, -(self.net_debit_cap or 0))

    @property
    def headroom(self) -> int:
        """What may still be debited before the cap refuses it; 0 where there is none."""
        return 0 if self.net_debit_cap is None else max(0, self.net_debit_cap + self._usable)

    @property
    def _usable(self) -> int:
        return self.balance - self.reserved - self.credits_held


def read_position(connection: Any, partner_id: str) -> Position | None:
    """A partner's position from one snapshot, or None when there is no such partner."""
    row = QUERIES.position(connection, partner_id=partner_id)
    return Position(*row) if row else None
