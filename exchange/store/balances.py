"""The accounts that commands may post to, and their balances."""

from collections.abc import Collection, Iterable
from typing import Any

from exchange.commands import Book, Command, Order
from exchange.ledger.accounts import (
    HubAccount,
    PointsAccount,
    collateral_account,
    hub_account,
    is_collateral,
    points_account,
    position_account,
    tax_account,
)
from exchange.ledger.postings import Balance
from exchange.outcomes import Held
from exchange.store.promotions import promotions_touched
from exchange.store.queries import QUERIES
from exchange.transfer_postings import funder_account
from partners.agreement import Terms
from partners.commands import Activate, AddKey, AddPartner, AddTaxRate, SetLimits
from partners.limits.values import PartnerLimits
from partners.registry import Registry


def load_balances(connection: Any, accounts: Iterable[int] | None) -> dict[int, Balance]:
    """These accounts' balances, or all."""
    if accounts is None:
        rows = QUERIES.all_balances(connection)
    else:
        numbers = list(accounts)
        rows = QUERIES.balances(connection, account_numbers=numbers) if numbers else ()
    return {row[0]: Balance(*row[1:]) for row in rows}


def accounts_touched(
    registry: Registry, commands: Iterable[Command], held: Collection[Held] = ()
) -> set[int] | None:
    """The accounts that these commands may post to, some of them about transfers that were held or
    reserved; None means any.
    """
    accounts: set[int] = set()
    corridors = {(each.order.source_program, each.order.target_program) for each in held}
    for command in commands:
        match command:
            case Order():
                corridors.add((command.source_program, command.target_program))
            case Book():
                for posting in command.postings:
                    accounts |= {posting.debit, posting.credit}
                    # The bound of a position may follow its collateral.
                    accounts |= {a - 1 for a in (posting.debit, posting.credit) if is_collateral(a)}
                if command.step is not None:
                    accounts |= positions_of(registry)
            case SetLimits(limits=PartnerLimits(partner_id=name)) if name in registry.partners:
                partner = registry.partners[name]
                money = registry.units[partner.currency].number
                accounts.add(position_account(money, partner.number))
                accounts.add(collateral_account(money, partner.number))
            case AddPartner() | AddKey() | AddTaxRate() | Activate():
                # Orders behind it in the batch may rest on what it brings.
                return None
            case _:
                pass
    for source, target in corridors:
        if source in registry.programs and target in registry.programs:
            accounts |= corridor_accounts(registry, source, target)
    for version in promotions_touched(registry, commands, held):
        accounts |= funding_accounts(registry, registry.agreements[version].terms)
    return accounts


def positions_of(registry: Registry) -> set[int]:
    """Every partner's position: a window's step may set credits free."""
    return {
        position_account(registry.units[each.currency].number, each.number)
        for each in registry.partners.values()
    }


def corridor_accounts(registry: Registry, source: str, target: str) -> set[int]:
    """The accounts that a transfer of this corridor posts to, or a reversal of one."""
    payer = registry.partner_of_program(source)
    payee = registry.partner_of_program(target)
    out_unit, in_unit = registry.points_unit(source).number, registry.points_unit(target).number
    money = registry.units[payer.currency].number
    return {
        points_account(out_unit, PointsAccount.MEMBERS),
        points_account(out_unit, PointsAccount.REDEEMED),
        points_account(out_unit, PointsAccount.ISSUER),
        points_account(in_unit, PointsAccount.MEMBERS),
        points_account(in_unit, PointsAccount.GRANTED),
        points_account(in_unit, PointsAccount.ISSUER),
        position_account(money, payer.number),
        position_account(money, payee.number),
        hub_account(money, HubAccount.FEES),
        *(tax_account(money, tax.number) for tax in registry.taxes.values()),
    }


def funding_accounts(registry: Registry, terms: Terms) -> set[int]:
    """The accounts that the funders of these terms' promotions pay from."""
    return {
        funder_account(registry, terms, each.name)
        for promotion in terms.promotions
        for each in promotion.funders
    }
