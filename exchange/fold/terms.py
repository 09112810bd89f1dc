"""Decides what changes partners and terms. Pure but for the run that it is given."""

from datetime import timedelta

from exchange.commands import (
    PartnerAdded,
    Result,
)
from exchange.fold.free_lunch import without_free_lunch
from exchange.fold.run import Run
from exchange.ledger.accounts import Account, hub_accounts, partner_accounts, program_accounts
from exchange.ledger.postings import (
    Balance,
)
from partners.commands import Activate, AddPartner
from partners.envelope import RATE_AGREEMENT
from partners.errors import Reason, Refused
from partners.points import currency_scale
from partners.registry import Force, Partner, Registry, Unit, same_corridor

PARTNER_BODY = "application/vnd.pointclear.partner.v1+protobuf"
"""What the body of a partner's entry is."""


def add_partner(run: Run, command: AddPartner) -> Result:
    known = run.registry.partners.get(command.partner_id)
    entry_key = f"partner/{command.partner_id}"
    if known is not None:
        return run.same_body(entry_key, command.body, "partner.partner_id")
    for program in command.programs:
        if program in run.registry.programs:
            raise Refused(
                Reason.ALREADY_EXISTS, "partner.programs", f"program {program} is registered"
            )
    scale = currency_scale(command.currency, "partner.settlement_account.currency")
    number = len(run.registry.partners) + 1
    opened = new_units(run, command)
    partner = Partner(
        number,
        command.partner_id,
        command.legal_name,
        command.programs,
        command.currency,
        command.net_debit_cap,
    )
    run.registry = run.registry.with_partner(partner, opened, scale)
    accounts = accounts_of(run, partner, opened)
    for account in accounts:
        run.balances[account.number] = Balance(floor=account.floor, ceiling=account.ceiling)
    effect = PartnerAdded(partner, opened, accounts)
    return run.enter(entry_key, PARTNER_BODY, command.body, effect=effect)


def new_units(run: Run, command: AddPartner) -> tuple[Unit, ...]:
    names = [f"PTS:{program}" for program in command.programs]
    scales = [0] * len(names)
    if command.currency not in run.registry.units:
        names.append(command.currency)
        scales.append(currency_scale(command.currency).scale)
    first = len(run.registry.units) + 1
    return tuple(
        Unit(first + i, name, scale)
        for i, (name, scale) in enumerate(zip(names, scales, strict=True))
    )


def accounts_of(run: Run, partner: Partner, new_units: tuple[Unit, ...]) -> tuple[Account, ...]:
    taxes = tuple((tax.number, tax.code) for tax in run.registry.taxes.values())
    money = run.registry.units[partner.currency].number
    opened: list[Account] = []
    for unit in new_units:
        if unit.name == partner.currency:
            opened += hub_accounts(unit.number, taxes)
        else:
            opened += program_accounts(unit.number, unit.name.removeprefix("PTS:"))
    opened += partner_accounts(money, partner.number, partner.partner_id, partner.net_debit_cap)
    return tuple(opened)


def activate(run: Run, command: Activate) -> Result:
    terms = command.terms
    name = (terms.agreement_id, terms.version)
    if name in run.registry.agreements:
        return run.same_body(f"agreement/{name[0]}/{name[1]}", command.body, "agreement_id")
    check_parties(run.registry, terms.source_partner, terms.source_program, terms.currency)
    check_parties(run.registry, terms.target_partner, terms.target_program, terms.currency)
    for funder in terms.other_funders:
        check_funder(run.registry, funder, terms.currency)
    for code in terms.tax_codes:
        if code not in run.registry.taxes:
            raise Refused(Reason.TERMS_INVALID, "tax_code", f"there is no tax {code}")
    for key_id in command.key_ids:
        key = run.registry.keys.get(key_id)
        if key is None or not key.in_force(run.index, run.now):
            raise Refused(Reason.KEY_NOT_IN_FORCE, "agreement", f"key {key_id} is not in force")
    for agreement_id, version in run.registry.agreements:
        if agreement_id == terms.agreement_id and version > terms.version:
            raise Refused(
                Reason.TERMS_INVALID, "version", f"version {version} was in force already"
            )
    begins = run.now
    for earlier in run.registry.agreements.values():
        # Two versions in force within one clock reading would leave the earlier one no time at
        # all.
        if same_corridor(earlier.terms, terms) and earlier.effective_from >= begins:
            begins = earlier.effective_from + timedelta(microseconds=1)
    force = Force(terms, begins)
    run.registry = without_free_lunch(run.registry.with_force(force), begins, (force,))
    run.now = begins
    return run.enter(f"agreement/{name[0]}/{name[1]}", RATE_AGREEMENT, command.body, effect=force)


def check_parties(registry: Registry, partner_id: str, program_id: str, currency: str) -> None:
    """Raise Refused unless the partner exists, has the program and settles in the currency."""
    partner = registry.partners.get(partner_id)
    if partner is None:
        raise Refused(Reason.PARTNER_UNKNOWN, "agreement", f"there is no partner {partner_id}")
    if program_id not in partner.programs:
        raise Refused(
            Reason.PROGRAM_UNKNOWN, "agreement", f"{partner_id} has no program {program_id}"
        )
    check_currency(partner, currency)


def check_funder(registry: Registry, partner_id: str, currency: str) -> None:
    """Raise Refused unless the partner exists and can pay in the currency."""
    partner = registry.partners.get(partner_id)
    if partner is None:
        raise Refused(Reason.PARTNER_UNKNOWN, "promotions", f"there is no partner {partner_id}")
    check_currency(partner, currency)


def check_currency(partner: Partner, currency: str) -> None:
    """Raise Refused(TERMS_INVALID) for a partner that settles in another currency."""
    if partner.currency != currency:
        raise Refused(
            Reason.TERMS_INVALID,
            "settlement_currency",
            f"{partner.partner_id} settles in {partner.currency}, not {currency}",
        )
