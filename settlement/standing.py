"""Reads how partners, the operator and the bank stand in the books, and what limits them. All
functions take a psycopg2 connection.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from exchange.ledger.accounts import HubAccount, hub_account
from partners.limits.values import PartnerLimits, PartnerSwitches
from partners.limits.wire import limits_from_body, switches_from_body
from partners.queries import load_queries
from settlement.own_funds.own_leg import OwnStood
from settlement.windows import SettlementWindow

QUERIES = load_queries(Path(__file__).with_name("standing.sql"))


@dataclass(frozen=True, slots=True)
class Stands:
    """How a partner stands in the books at one moment, in units of the currency's scale."""

    position: int
    unpaid: int
    """Legs of earlier windows that are not confirmed; positive is still paid to it."""
    unstated: int
    """Nets of windows that are not stated."""
    collateral: int

    @property
    def carried(self) -> int:
        """What earlier windows come to once their legs are paid."""
        return self.position - self.unpaid - self.unstated


@dataclass(frozen=True, slots=True)
class BankBalances:
    """What the books say of the settlement account of a currency, in units of its scale."""

    mirror_posted: int
    """Posted balance of `hub.bank.settlement`: minus what the bank holds."""
    paying_out: int
    """Pay-outs on their way."""
    suspense: int
    """Money of unknown origin among what the bank holds."""

    @property
    def payable(self) -> int:
        """What pay-outs may still take."""
        return -self.mirror_posted - self.paying_out - self.suspense


def standings(connection: Any, window: SettlementWindow) -> dict[str, Stands]:
    """How the partners of a window's currency stand before it is stated, by partner id."""
    rows = QUERIES.standings(
        connection,
        currency=window.currency.code,
        unit_number=window.unit,
        window_number=window.number,
    )
    return {name: Stands(*each) for name, *each in rows}


def own_stands(connection: Any, window: SettlementWindow) -> OwnStood | None:
    """How the operator stands for the bonuses that it pays and for what it has lost, before a
    window is stated; None where it owes nothing and is owed nothing.
    """
    account = hub_account(window.unit, HubAccount.PROMOTIONS)
    stood, unpaid, unstated, net, others = QUERIES.own_stands(
        connection,
        promotions=account,
        unit_number=window.unit,
        currency=window.currency.code,
        window_number=window.number,
    )
    carried, shortfall = stood - unpaid - unstated, min(0, others)
    return OwnStood(carried, net, shortfall) if carried or net or shortfall else None


def reserved_at(connection: Any, window: SettlementWindow) -> dict[str, int]:
    """What partners had reserved when a window closed, by partner id; none that had nothing."""
    assert window.closing_tree is not None, "an open window has no cut-off yet"
    rows = QUERIES.reserved_at(
        connection, unit_number=window.unit, end_index=window.closing_tree.size
    )
    return dict(rows)


def bank_balances(connection: Any, unit: int) -> BankBalances:
    """The balances about the settlement account of the currency with this unit number."""
    row = QUERIES.bank_balances(
        connection,
        bank=hub_account(unit, HubAccount.BANK_SETTLEMENT),
        suspense=hub_account(unit, HubAccount.SUSPENSE),
    )
    return BankBalances(*row)


def partner_limits(connection: Any) -> dict[str, PartnerLimits]:
    """The limits that were set for partners, by partner id."""
    rows = QUERIES.restraints_of_partners(connection, kind="limits")
    read = (limits_from_body(bytes(body)) for (body,) in rows)
    return {each.partner_id: each for each in read if isinstance(each, PartnerLimits)}


def partners_on_hold(connection: Any) -> frozenset[str]:
    """The partners whose settlement is on hold."""
    rows = QUERIES.restraints_of_partners(connection, kind="switches")
    read = (switches_from_body(bytes(body)) for (body,) in rows)
    return frozenset(
        each.partner_id
        for each in read
        if isinstance(each, PartnerSwitches) and each.settlement_on_hold
    )
