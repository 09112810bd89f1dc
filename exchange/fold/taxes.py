"""Decides the rates of taxes. Pure but for the run that it is given."""

from datetime import UTC

from exchange.fold.run import Run
from exchange.ledger.accounts import Account, tax_account
from exchange.ledger.postings import Balance
from exchange.outcomes import Result, TaxRateAdded
from partners.commands import AddTaxRate
from partners.errors import Reason, Refused
from partners.registry import Tax, TaxRate

TAX_RATE_BODY = "application/vnd.pointclear.tax-rate.v1+protobuf"
TAX_NUMBER_MAX = 3839
"""As many as account numbers have room for."""


def tax_entry_key(command: AddTaxRate) -> str:
    """The key of a rate's entry: a code has one rate from an instant on."""
    moment = command.effective_from.astimezone(UTC)
    return f"tax/{command.tax_code}/{moment:%Y-%m-%dT%H:%M:%S.%fZ}"


def add_tax_rate(run: Run, command: AddTaxRate) -> Result:
    entry_key = tax_entry_key(command)
    if entry_key in run.entries:
        return run.same_body(entry_key, command.body, "rate.effective_from")
    if command.effective_from <= run.now:
        raise Refused(
            Reason.EFFECTIVE_IN_PAST,
            "rate.effective_from",
            f"it is {run.now.isoformat()} already; what was taxed stays as it was",
        )
    rate = TaxRate(command.effective_from, command.basis_points)
    known = run.registry.taxes.get(command.tax_code)
    accounts: tuple[Account, ...] = ()
    if known is None:
        tax = Tax(command.tax_code, new_number(run), (rate,))
        accounts = accounts_of(run, tax)
    else:
        newest = known.rates[-1].effective_from
        if command.effective_from <= newest:
            raise Refused(
                Reason.FIELD_INVALID,
                "rate.effective_from",
                f"the newest rate of {known.code} begins at {newest.isoformat()}: a rate follows"
                " the one before",
            )
        tax = Tax(known.code, known.number, (*known.rates, rate))
    run.registry = run.registry.with_tax(tax)
    run.balances |= {account.number: Balance() for account in accounts}
    effect = TaxRateAdded(tax, rate, accounts)
    return run.enter(entry_key, TAX_RATE_BODY, command.body, effect=effect)


def new_number(run: Run) -> int:
    """The number of a code that is new; raises Refused(FIELD_INVALID) when all are taken."""
    number = 1 + max((tax.number for tax in run.registry.taxes.values()), default=-1)
    if number > TAX_NUMBER_MAX:
        raise Refused(Reason.FIELD_INVALID, "rate.tax_code", "there is no room for another code")
    return number


def accounts_of(run: Run, tax: Tax) -> tuple[Account, ...]:
    """The accounts of a new code: one for each currency that is settled in."""
    return tuple(
        Account(tax_account(run.registry.units[currency].number, tax.number), f"hub.tax.{tax.code}")
        for currency in run.registry.currencies
    )
