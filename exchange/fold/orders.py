"""Decides an order: a repeat, a recorded refusal, or a transfer."""

from exchange.commands import Order, Reverse
from exchange.day_limits import Passed, check_day_limits, is_limited, transfer_of
from exchange.fold.answers import answered_with
from exchange.fold.reservations import credit_of, needs_answer, reserve
from exchange.fold.run import Run
from exchange.fold.state import Tally
from exchange.outcomes import Answer, Held, Recorded, Repeated, Result, TransferState
from exchange.promotions import grants
from exchange.transfer import (
    Plan,
    held_for_review,
    plan_transfer,
    post_plan,
    reserved,
    target_partner_of,
)
from partners.errors import Reason, Refused

ORDER_FIELDS = (
    "source_program",
    "target_program",
    "source_member",
    "target_member",
    "source_points",
    "target_points",
    "agreement_id",
    "agreement_version",
    "issued_at",
    "expires_at",
    "partner_reference",
    "link_id",
    "segment",
    "source_lots",
    "quote_id",
)
"""Of an order, as the wire names and orders them."""

REVERSAL_FIELDS = (
    "transfer_id",
    "target_points",
    "issued_at",
    "expires_at",
    "partner_reference",
)
"""Likewise of a reversal order."""


def transfer(run: Run, order: Order) -> Result:
    answered = run.answers.get(order.transfer_id)
    if answered is not None:
        return repeated(answered, order)
    check_key(run, order)
    try:
        plan = plan_transfer(
            run.registry,
            run.open_windows(),
            run.links,
            run.promotion_points,
            run.quotes,
            order,
            run.now,
        )
        passed = day_limits(run, order, plan)
        waits = passed.is_held or needs_answer(plan.terms)
        plan = reserved(plan) if waits else plan
        post_plan(run.balances, plan)
    except Refused as refusal:
        return record(run, order, refusal, None)
    run.day_tallies |= passed.counted
    if plan.quote:
        run.use(plan.quote, order.transfer_id)
    else:
        run.grant(grants(plan.terms, plan.conversion))
    if waits:
        return hold(run, order, plan, passed)
    run.count(plan.postings, plan.window)
    return record(run, order, None, plan)


def check_key(run: Run, order: Order | Reverse) -> None:
    """Raise Refused(KEY_NOT_IN_FORCE); nothing records that: whose order it is is not known."""
    key = run.registry.keys.get(order.key_id)
    if key is None or not key.in_force(run.index, run.now):
        raise Refused(Reason.KEY_NOT_IN_FORCE, "signatures", "the order's key is not in force")


def hold(run: Run, order: Order, plan: Plan, passed: Passed) -> Recorded:
    """Record a transfer whose amounts are reserved until an operator decides it, or its target
    answers. The record states no figures: nothing has moved.
    """
    promotions = tuple(each.promotion.promotion_id for each in plan.conversion.bonuses)
    outcome = Recorded(
        run.index,
        run.now,
        order,
        source_partner=order.partner_id,
        target_partner=target_partner_of(run.registry, order),
        refusal=held_for_review() if passed.is_held else None,
        terms=None,
        conversion=None,
        window=plan.window,
        postings=plan.postings,
        state=TransferState.HELD,
        counted=passed.returns,
        promotions=promotions,
    )
    held = Held(run.index, run.now, order, plan.postings, passed.returns, promotions)
    if not passed.is_held:
        return reserve(run, held, plan.terms, plan.conversion, outcome)
    run.held[order.transfer_id] = held
    return answered_with(run, outcome)


def day_limits(run: Run, order: Order, plan: Plan) -> Passed:
    """What the order counts as; raises the Refused of the first limit of a day that it meets."""
    if not is_limited(run.registry, order):
        return Passed()
    conversion = plan.conversion
    transfer = transfer_of(order, run.links, plan.terms, conversion.target_points, conversion.value)
    secret = run.before.member_secret
    return check_day_limits(run.registry, secret, run.day_tallies, transfer, run.now)


def record(run: Run, order: Order, refusal: Refused | None, plan: Plan | None) -> Recorded:
    if refusal is not None:
        tally(run, order.partner_id)
    outcome = Recorded(
        run.index,
        run.now,
        order,
        source_partner=order.partner_id,
        target_partner=target_partner_of(run.registry, order),
        refusal=refusal,
        terms=plan.terms if plan else None,
        conversion=plan.conversion if plan else None,
        window=plan.window if plan else None,
        postings=plan.postings if plan else (),
        state=TransferState.REFUSED if refusal else TransferState.COMMITTED,
        instruction=credit_of(run, order, plan.terms, plan.conversion, is_committed=True)
        if plan
        else None,
    )
    return answered_with(run, outcome)


def tally(run: Run, partner_id: str) -> None:
    """Count a refusal that is to be recorded; raises Refused(RATE_LIMITED) beyond the cap."""
    minute = int(run.now.timestamp()) // 60
    tally = run.tallies.get(partner_id, Tally())
    refused = tally.refused + 1 if tally.minute == minute else 1
    if refused > run.limits.refusals_per_minute:
        raise Refused(
            Reason.RATE_LIMITED,
            "",
            f"{run.limits.refusals_per_minute} refusals were recorded in this minute",
        )
    run.tallies[partner_id] = Tally(minute, refused)


def repeated(answer: Answer, order: Order | Reverse) -> Repeated:
    """What a used id is answered with; raises Refused(MODIFIED_REQUEST) for anything but the same
    order.
    """
    if answer.partner_id != order.partner_id or answer.payload_sha256 != order.payload_sha256:
        raise Refused(
            Reason.MODIFIED_REQUEST,
            first_difference(answer, order),
            "this id was used before with other content",
        )
    return Repeated(answer.log_index, answer.partner_id)


def first_difference(answer: Answer, order: Order | Reverse) -> str:
    """The first field in which an order differs from the one that its id stands for; the id itself
    where that one is not the caller's to know, or of the other kind.
    """
    is_reversal = isinstance(order, Reverse)
    own_id = "reversal_id" if is_reversal else "transfer_id"
    first = answer.order
    if type(first) is not type(order) or answer.partner_id != order.partner_id:
        return own_id
    fields = REVERSAL_FIELDS if is_reversal else ORDER_FIELDS
    return next((name for name in fields if getattr(first, name) != getattr(order, name)), own_id)
