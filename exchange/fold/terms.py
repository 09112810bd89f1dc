"""Decides what changes partners and terms. Pure but for the run that it is given."""

from datetime import timedelta

from exchange.fold.agreements import open_proposal, require_key
from exchange.fold.run import Run
from exchange.ledger.accounts import Account, hub_accounts, partner_accounts, program_accounts
from exchange.ledger.postings import (
    Balance,
)
from exchange.outcomes import Activated, PartnerAdded, Result
from exchange.promotions import key_of
from partners.commands import Activate, AddPartner
from partners.errors import Reason, Refused
from partners.points import currency_scale
from partners.rate_set import without_free_lunch
from partners.registry import Force, Partner, Registry, Unit, same_corridor

PARTNER_BODY = "application/vnd.pointclear.partner.v1+protobuf"
"""What the body of a partner's entry is."""
ACTIVATION_BODY = "application/vnd.pointclear.agreement-activation.v1+protobuf"
"""What the body of an activation's entry is."""


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
    entry_key = activation_key(command)
    if entry_key in run.entries:
        return run.same_body(entry_key, command.body, "agreement_id")
    proposal = open_proposal(run, terms.name, terms.sha256)
    if proposal.missing:
        missing = ", ".join(proposal.missing)
        raise Refused(Reason.COUNTER_SIGNATURE_MISSING, "agreement", f"not signed by {missing}")
    for _, key_id in proposal.signatures:
        require_key(run, key_id)
    check_parties(run.registry, terms.source_partner, terms.source_program, terms.currency)
    check_parties(run.registry, terms.target_partner, terms.target_program, terms.currency)
    for funder in terms.other_funders:
        check_funder(run.registry, funder, terms.currency)
    for code in terms.tax_codes:
        if code not in run.registry.taxes:
            raise Refused(Reason.TERMS_INVALID, "tax_code", f"there is no tax {code}")
    for agreement_id, version in run.registry.agreements:
        if agreement_id == terms.agreement_id and version > terms.version:
            raise Refused(
                Reason.TERMS_INVALID, "version", f"version {version} was in force already"
            )
    force = force_of(run, command)
    # What begins later changes nothing until then, but what is known of all terms is known from
    # now on.
    since = force.effective_from if command.effective_from is None else run.now
    run.registry = without_free_lunch(run.registry.with_force(force), since, (force,))
    run.now = since
    run.promotion_points |= {key_of(terms, each): 0 for each in terms.promotions}
    effect = Activated(force, proposal.round)
    return run.enter(entry_key, ACTIVATION_BODY, command.body, effect=effect)


def activation_key(command: Activate) -> str:
    """The key of an activation's entry: a version is activated once."""
    return f"agreement/{command.terms.agreement_id}/{command.terms.version}"


def force_of(run: Run, command: Activate) -> Force:
    """The instants that an activation asks for.

    Raises Refused(EFFECTIVE_IN_PAST, FIELD_INVALID or AGREEMENT_OVERLAPS). What is in force when
    they begin ends then; what begins later must find them ended.
    """
    begins, ends = command.effective_from, command.effective_until
    others = [
        each
        for each in run.registry.agreements.values()
        if same_corridor(each.terms, command.terms)
    ]
    if begins is None:
        # Two versions in force within one clock reading would leave the earlier one no time at
        # all.
        just_begun = any(each.effective_from == run.now for each in others)
        begins = run.now + timedelta(microseconds=1) if just_begun else run.now
    elif begins < run.now:
        raise Refused(
            Reason.EFFECTIVE_IN_PAST, "effective_from", f"it is {run.now.isoformat()} already"
        )
    if ends is not None and ends <= begins:
        raise Refused(Reason.FIELD_INVALID, "effective_until", "terms end after they begin")
    for each in others:
        if begins <= each.effective_from and (ends is None or each.effective_from < ends):
            name = f"version {each.terms.version} of {each.terms.agreement_id}"
            raise Refused(
                Reason.AGREEMENT_OVERLAPS,
                "effective_from",
                f"{name} is activated from {each.effective_from.isoformat()}",
            )
    return Force(command.terms, begins, ends)


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
