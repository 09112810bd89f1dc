"""The names of accounts, as records and people use them. Pure."""

from collections.abc import Iterable

from exchange.ledger.accounts import hub_accounts, partner_accounts, program_accounts, unit_of
from exchange.ledger.postings import Posting
from partners.registry import Registry


def account_names(registry: Registry, postings: Iterable[Posting]) -> dict[int, str]:
    """Names of all accounts in the units that `postings` touch, by number."""
    numbers = {unit_of(posting.debit) for posting in postings}
    taxes = tuple((tax.number, tax.code) for tax in registry.taxes.values())
    names: dict[int, str] = {}
    for unit in registry.units.values():
        if unit.number not in numbers:
            continue
        if unit.name.startswith("PTS:"):
            accounts = program_accounts(unit.number, unit.name.removeprefix("PTS:"))
        else:
            accounts = hub_accounts(unit.number, taxes)
            for partner in registry.partners.values():
                if partner.currency == unit.name:
                    accounts += partner_accounts(unit.number, partner.number, partner.partner_id, 0)
        names |= {account.number: account.name for account in accounts}
    return names
