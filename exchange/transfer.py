"""What becomes of one order: the checks in the sequencer, in their order, and the postings of a
transfer. Pure.

The order of the checks is part of the protocol. The first that fails answers: clock, parties,
switches, agreement in force, members, amounts, limits, window, and last the books: the payer's
position and what they can count. A simulation passes the very same functions, so it answers what
the order would be answered.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from exchange.commands import Order, Window
from exchange.ledger.accounts import (
    HubAccount,
    PointsAccount,
    hub_account,
    points_account,
    position_account,
    tax_account,
)
from exchange.ledger.postings import Balance, Code, CounterFull, OutOfBounds, Posting, post
from exchange.linked_members import check_members
from exchange.switches import check_switches
from partners.agreement import Terms
from partners.conversion import Conversion, convert
from partners.errors import Reason, Refused
from partners.links.link import Link
from partners.registry import Partner, Registry

CLOCK_SKEW = timedelta(seconds=30)
"""How far a sender's clock may run ahead of ours."""


@dataclass(frozen=True, slots=True)
class Plan:
    """An order that may be committed if the position allows it."""

    terms: Terms
    conversion: Conversion
    tax_basis_points: int
    window: Window
    postings: tuple[Posting, ...]


def target_partner_of(registry: Registry, order: Order) -> str:
    """Id of the brand whose points are ordered, empty where the program is not known."""
    return registry.programs.get(order.target_program, "")


def plan_transfer(
    registry: Registry,
    open_windows: dict[str, Window],
    links: Mapping[UUID, Link],
    order: Order,
    now: datetime,
) -> Plan:
    """Decide everything about an order but its position; raises the Refused that answers it."""
    check_clock(order, now)
    check_parties(registry, order)
    check_switches(registry, order.source_program, order.target_program)
    terms = agreement_in_force(registry, order, now)
    check_members(registry, links, order, now)
    tax_basis_points = registry.taxes[terms.fee.tax_code].basis_points_at(now)
    conversion = convert(terms, order.source_points, tax_basis_points)
    if order.target_points != conversion.target_points:
        raise Refused(
            Reason.AMOUNT_MISMATCH,
            "target_points",
            f"the points become {conversion.target_points}, not {order.target_points}",
            {"targetPoints": str(conversion.target_points)},
        )
    return plan_conversion(
        registry, open_windows, terms, order.source_points, conversion, tax_basis_points
    )


def plan_conversion(
    registry: Registry,
    open_windows: dict[str, Window],
    terms: Terms,
    source_points: int,
    conversion: Conversion,
    tax_basis_points: int,
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
        tax_basis_points,
        window,
        postings(registry, terms, source_points, conversion),
    )


def post_plan(balances: dict[int, Balance], plan: Plan) -> None:
    """Apply a plan's postings; raises Refused(LIMIT_EXCEEDED or NET_DEBIT_CAP_EXCEEDED) with
    `balances` as they were when the books have no room for it.
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
    except OutOfBounds:
        # Of a transfer's accounts only the payer's position has a bound that a debit can meet.
        raise Refused(
            Reason.NET_DEBIT_CAP_EXCEEDED,
            "",
            "the transfer would take your position beyond your net debit cap",
        ) from None


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
    terms: Terms,
    source_points: int,
    now: datetime,
) -> Simulation:
    """What `source_points` would come to at `now`, under terms in force; nothing given is changed.

    `balances` holds all accounts of the corridor.
    """
    conversion = None
    tax_basis_points = registry.taxes[terms.fee.tax_code].basis_points_at(now)
    try:
        check_switches(registry, terms.source_program, terms.target_program)
        conversion = convert(terms, source_points, tax_basis_points)
        plan = plan_conversion(
            registry, open_windows, terms, source_points, conversion, tax_basis_points
        )
        post_plan(dict(balances), plan)
    except Refused as refusal:
        return Simulation(terms, conversion, refusal)
    return Simulation(terms, conversion, None)


def check_clock(order: Order, now: datetime) -> None:
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


def agreement_in_force(registry: Registry, order: Order, now: datetime) -> Terms:
    """The terms that the order names, if they are in force for its corridor."""
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


def postings(
    registry: Registry, terms: Terms, source_points: int, conversion: Conversion
) -> tuple[Posting, ...]:
    """The postings of a transfer that nobody has to confirm: points out, points in, value, fee,
    tax.
    """
    source: Partner = registry.partners[terms.source_partner]
    target: Partner = registry.partners[terms.target_partner]
    out_unit = registry.points_unit(terms.source_program).number
    in_unit = registry.points_unit(terms.target_program).number
    money = registry.units[terms.currency].number
    payer = position_account(money, source.number)
    rows = (
        (
            Code.OUT,
            points_account(out_unit, PointsAccount.MEMBERS),
            points_account(out_unit, PointsAccount.REDEEMED),
            source_points,
        ),
        (
            Code.IN,
            points_account(in_unit, PointsAccount.GRANTED),
            points_account(in_unit, PointsAccount.MEMBERS),
            conversion.target_points,
        ),
        (Code.VALUE, payer, position_account(money, target.number), conversion.value),
        (Code.FEE, payer, hub_account(money, HubAccount.FEES), conversion.fee),
        (
            Code.TAX,
            payer,
            tax_account(money, registry.taxes[terms.fee.tax_code].number),
            conversion.tax,
        ),
    )
    return tuple(Posting(*row) for row in rows if row[3])
