"""What becomes of one order: the checks in the sequencer, in their order, and the postings of a
transfer. Pure.

The order of the checks is part of the protocol. The first that fails answers: clock, parties,
switches, agreement in force or quote good, members, segment and lots, amounts with promotions and
their budgets, limits, window, and last the books: the payer's position, the others', and what they
can count. A simulation passes the very same functions, so it answers what the order would be
answered.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from types import MappingProxyType
from uuid import UUID

from exchange.commands import Order, Reverse, Verdict
from exchange.day_limits import DayTally, Transfer, check_day_limits
from exchange.ledger.postings import Balance, CounterFull, OutOfBounds, Phase, Posting, post
from exchange.linked_members import check_members
from exchange.outcomes import Window
from exchange.promotions import PromotionPoints, check_amount, covered
from exchange.quotes.quote import Quote, check_quoted, require_usable
from exchange.switches import check_switches
from exchange.transfer_postings import payee_account, payer_account, transfer_postings
from partners.agreement import ExpiryRule, Promotion, Terms
from partners.conversion import Conversion, base_points, convert, segment_named
from partners.errors import Reason, Refused
from partners.links.link import Link
from partners.registry import Registry

CLOCK_SKEW = timedelta(seconds=30)
"""How far a sender's clock may run ahead of ours."""


@dataclass(frozen=True, slots=True)
class Plan:
    """An order that may be committed if the positions allow it."""

    terms: Terms
    conversion: Conversion
    window: Window
    postings: tuple[Posting, ...]
    payer: int
    """Number of the source's position."""
    payee: int
    """Number of the target's."""
    quote: Quote | None = None
    """The one that was ordered at."""


def target_partner_of(registry: Registry, order: Order) -> str:
    """Id of the brand whose points are ordered, empty where the program is not known."""
    return registry.programs.get(order.target_program, "")


def plan_transfer(
    registry: Registry,
    open_windows: dict[str, Window],
    links: Mapping[UUID, Link],
    granted: PromotionPoints,
    quotes: Mapping[UUID, Quote],
    order: Order,
    now: datetime,
) -> Plan:
    """Decide everything about an order but the positions; raises the Refused that answers it.

    `granted` holds every promotion of the order's agreement, `quotes` the one that it names.
    """
    check_clock(order, now)
    check_parties(registry, order)
    check_switches(registry, order.source_program, order.target_program)
    quote = quote_named(quotes, order, now)
    if quote:
        check_unaltered(registry, *quote.terms.name)
    terms = quote.terms if quote else agreement_in_force(registry, order, now)
    check_members(registry, links, order, now)
    segment_named(terms, order.segment)
    check_lots(terms, order)
    if quote:
        check_quoted(quote, order.source_points, order.target_points, order.segment)
        conversion = quote.conversion
    else:
        conversion = convert_at(registry, terms, order.source_points, order.segment, granted, now)
        running = terms.promotions_at(now)
        check_amount(terms, running, order.source_points, order.target_points, conversion)
    plan = plan_conversion(registry, open_windows, terms, order.source_points, conversion)
    return replace(plan, quote=quote)


def quote_named(quotes: Mapping[UUID, Quote], order: Order, now: datetime) -> Quote | None:
    """The quote that an order names, None where it names none; raises Refused(QUOTE_UNKNOWN,
    QUOTE_USED or QUOTE_EXPIRED).
    """
    if order.quote_id is None:
        return None
    corridor = order.source_program, order.target_program
    return require_usable(quotes.get(order.quote_id), order.partner_id, corridor, now)


def convert_at(
    registry: Registry,
    terms: Terms,
    source_points: int,
    segment_id: str,
    granted: PromotionPoints,
    now: datetime,
) -> Conversion:
    """What points become at `now`: with the tax rates of the time, and with the promotions that run
    and whose budgets cover the bonus. Raises Refused(SEGMENT_UNKNOWN or INCREMENT).
    """
    segment_named(terms, segment_id)
    base = base_points(terms, source_points)
    promotions = covered(terms, terms.promotions_at(now), base, granted)
    return convert_with(registry, terms, source_points, segment_id, promotions, now)


def convert_with(
    registry: Registry,
    terms: Terms,
    source_points: int,
    segment_id: str,
    promotions: tuple[Promotion, ...],
    moment: datetime,
) -> Conversion:
    """What points become with these promotions and with the tax rates of `moment`."""
    value_tax = registry.taxes[terms.value_tax_code] if terms.value_tax_code else None
    return convert(
        terms,
        source_points,
        registry.taxes[terms.fee.tax_code].basis_points_at(moment),
        value_tax.basis_points_at(moment) if value_tax else 0,
        segment_id=segment_id,
        promotions=promotions,
    )


def reserved(plan: Plan) -> Plan:
    """The plan with its postings pending: they count against the payer and the funders at once.
    What the target bears is left out: it comes with the value.
    """
    pending = tuple(
        replace(each, phase=Phase.PENDING) for each in plan.postings if each.debit != plan.payee
    )
    return replace(plan, postings=pending)


def plan_conversion(
    registry: Registry,
    open_windows: dict[str, Window],
    terms: Terms,
    source_points: int,
    conversion: Conversion,
) -> Plan:
    """Decide whether points may be converted under terms in force; raises Refused(LIMIT_EXCEEDED
    or WINDOW_STATE).
    """
    check_limits(terms, source_points)
    window = open_windows.get(terms.currency)
    if window is None:
        raise Refused(Reason.WINDOW_STATE, "", f"no settlement window of {terms.currency} is open")
    return Plan(
        terms,
        conversion,
        window,
        transfer_postings(registry, terms, source_points, conversion),
        payer_account(registry, terms),
        payee_account(registry, terms),
    )


def post_plan(balances: dict[int, Balance], plan: Plan) -> None:
    """Apply a plan's postings; raises Refused(LIMIT_EXCEEDED, NET_DEBIT_CAP_EXCEEDED or
    COUNTERPARTY_LIMIT) with `balances` as they were when the books have no room for it.
    """
    try:
        post(balances, plan.postings)
    except CounterFull:
        # Written, it would fail the whole batch: the database counts in 64 bits.
        raise Refused(
            Reason.LIMIT_EXCEEDED,
            "source_points",
            "the books cannot count so many points or so much",
        ) from None
    except OutOfBounds as bound:
        # The payer comes first among the postings, so where its own cap stands, that answers.
        if bound.account != plan.payer:
            raise Refused(
                Reason.COUNTERPARTY_LIMIT, "", "another party has no room for the transfer"
            ) from None
        raise Refused(
            Reason.NET_DEBIT_CAP_EXCEEDED,
            "",
            "the transfer would take your position beyond your net debit cap",
        ) from None


def held_for_review() -> Refused:
    """What a transfer is answered with while an operator is to look at it."""
    return Refused(Reason.HELD_FOR_REVIEW, "", "the transfer is held until an operator decides it")


def refused_by(verdict: Verdict) -> Refused:
    """What the sender of a voided transfer is answered with."""
    match verdict:
        case Verdict.CANCELLED:
            return Refused(Reason.TRANSFER_CANCELLED, "", "you cancelled it before it took place")
        case Verdict.DECLINED:
            return Refused(Reason.CREDIT_REFUSED, "", "the target program declined the credit")
        case Verdict.LAPSED:
            return Refused(Reason.TRANSFER_LAPSED, "", "the target program was not reached in time")
        case _:
            return Refused(Reason.REVIEW_REFUSED, "", "an operator refused it after its review")


VOIDS = {
    Reason.TRANSFER_CANCELLED: Verdict.CANCELLED,
    Reason.CREDIT_REFUSED: Verdict.DECLINED,
    Reason.TRANSFER_LAPSED: Verdict.LAPSED,
    Reason.REVIEW_REFUSED: Verdict.REFUSED,
}
"""The verdict behind each reason of a void transfer."""


@dataclass(frozen=True, slots=True)
class Simulation:
    """What an order sent now would come to."""

    terms: Terms
    conversion: Conversion | None
    """None where the points are no whole number of increments."""
    refusal: Refused | None
    """Why it would be refused, or None where it would be committed."""


def simulate_transfer(
    registry: Registry,
    open_windows: dict[str, Window],
    balances: Mapping[int, Balance],
    granted: PromotionPoints,
    terms: Terms,
    source_points: int,
    segment_id: str,
    now: datetime,
    tallies: Mapping[str, DayTally] = MappingProxyType({}),
) -> Simulation:
    """What `source_points` would come to at `now`, under terms in force; nothing given is changed.

    `balances` holds all accounts of the corridor, `granted` every promotion of the terms, `tallies`
    what was counted of the corridor. Limits of members are left out: nobody is named.
    """
    conversion = None
    try:
        check_switches(registry, terms.source_program, terms.target_program)
        conversion = convert_at(registry, terms, source_points, segment_id, granted, now)
        plan = plan_conversion(registry, open_windows, terms, source_points, conversion)
        simulated = Transfer(terms, source_points, conversion.target_points, conversion.value)
        passed = check_day_limits(registry, b"", tallies, simulated, now)
        post_plan(dict(balances), plan)
        if passed.is_held:
            raise held_for_review()
    except Refused as refusal:
        return Simulation(terms, conversion, refusal)
    return Simulation(terms, conversion, None)


def check_clock(order: Order | Reverse, now: datetime) -> None:
    """`issued_at` less the skew ≤ now < `expires_at`, by the exchange's clock."""
    if now < order.issued_at - CLOCK_SKEW:
        raise Refused(
            Reason.ORDER_FROM_FUTURE, "issued_at", "the order was issued later than it is here"
        )
    if order.expires_at <= now:
        raise Refused(Reason.ORDER_EXPIRED, "expires_at", "the order's expiry has passed")


def terms_in_force(registry: Registry, corridor: tuple[str, str], now: datetime) -> Terms | None:
    """The terms by which the corridor's points convert at `now`, if any are in force."""
    return next(
        (
            force.terms
            for force in registry.agreements.values()
            if (force.terms.source_program, force.terms.target_program) == corridor
            and force.covers(now)
        ),
        None,
    )


def check_parties(registry: Registry, order: Order) -> None:
    """Both programs are there, and the source is the sender's."""
    for field, program in (
        ("source_program", order.source_program),
        ("target_program", order.target_program),
    ):
        if program not in registry.programs:
            raise Refused(Reason.PROGRAM_UNKNOWN, field, f"there is no program {program}")
    if registry.programs[order.source_program] != order.partner_id:
        raise Refused(
            Reason.NOT_A_PARTY, "source_program", "the source program is another partner's"
        )


def check_unaltered(registry: Registry, agreement_id: str, version: int) -> None:
    """Raise Refused(AGREEMENT_ALTERED) for terms whose rows other hands have altered."""
    if (agreement_id, version) in registry.altered:
        raise Refused(
            Reason.AGREEMENT_ALTERED,
            "agreement_id",
            f"version {version} of {agreement_id} is not stored as signed",
        )


def agreement_in_force(registry: Registry, order: Order, now: datetime) -> Terms:
    """The terms that the order names, if they are in force for its corridor."""
    check_unaltered(registry, order.agreement_id, order.agreement_version)
    force = registry.agreements.get((order.agreement_id, order.agreement_version))
    if force is None:
        raise Refused(
            Reason.AGREEMENT_UNKNOWN,
            "agreement_id",
            f"version {order.agreement_version} of {order.agreement_id} was never in force",
        )
    terms = force.terms
    if (terms.source_program, terms.target_program) != (order.source_program, order.target_program):
        raise Refused(
            Reason.AGREEMENT_NOT_IN_FORCE, "agreement_id", "the agreement is another corridor's"
        )
    if not force.covers(now):
        raise Refused(
            Reason.AGREEMENT_NOT_IN_FORCE,
            "agreement_version",
            f"version {terms.version} is not in force now",
        )
    return terms


def check_lots(terms: Terms, order: Order) -> None:
    """An order states the lots of its source points exactly where they pass their expiry on."""
    inherits = terms.expiry.rule is ExpiryRule.INHERIT
    if inherits != bool(order.source_lots):
        raise Refused(
            Reason.LOTS_MISMATCH,
            "source_lots",
            "the agreement inherits the expiry of the source points, so the order states their lots"
            if inherits
            else "the agreement inherits no expiry, so the order states no lots",
        )


def check_limits(terms: Terms, source_points: int) -> None:
    """The agreement's least and most points of one transfer."""
    least, most = terms.minimum_source_points, terms.maximum_source_points
    if not least <= source_points <= most:
        raise Refused(
            Reason.LIMIT_EXCEEDED,
            "source_points",
            f"a transfer is of {least} to {most} points",
            {"minimumPoints": str(least), "maximumPoints": str(most)},
        )
