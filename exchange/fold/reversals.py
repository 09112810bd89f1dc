"""Decides a reversal order: a repeat, a recorded refusal, a reversal, or a request for one. Pure
but for the run that it is given.

Rules kept here:

- The target says how many points it has taken back, and that is booked at once: at the transfer's
  own terms and promotions, in the window that is open now.
- The source asks for points to be taken back. Its request is recorded, and the target's program
  told; nothing moves until that has answered.
- It is forced. No switch, no limit and no cap refuses it: what happened at the target has happened.
  Floors give way, and whoever comes past its cap by it can order no more until it is back.
- Points that were retired or issued meanwhile are taken back from the issuer in the same entry, as
  many as are missing, so that what is redeemed and what is granted never change side.
- All reversals of a transfer together take back what it credited at most. Two at once are decided
  one after the other, so that both cannot take the last points.
- Bonus points that are taken back are free again in the promotions' budgets, which bound what
  funders pay. What was counted for the limits of a day stays counted.
- Who is no party to a transfer, or was not told of it, learns nothing of it.
"""

from dataclasses import replace

from exchange.commands import Asked, Reverse
from exchange.day_limits import digest
from exchange.fold.orders import check_key, repeated, tally
from exchange.fold.run import Run
from exchange.ledger.postings import CounterFull, OutOfBounds, Posting
from exchange.outcomes import Answer, Instruction, Original, Result, Reversed, TransferState, Window
from exchange.promotions import grants
from exchange.reversal import Portion, between, portion_of
from exchange.reversal_postings import reversal_postings, unconfirmed
from exchange.transfer import check_clock, check_unaltered
from partners.agreement import Terms
from partners.errors import Reason, Refused
from partners.program_port import InstructionKind
from partners.routes.route import RouteKind


def reverse(run: Run, order: Reverse) -> Result:
    """What an order to reverse comes to."""
    answered = run.answers.get(order.reversal_id)
    if answered is not None:
        return repeated(answered, order)
    check_key(run, order)
    original = known_to(run.originals.get(order.transfer_id), order.partner_id)
    try:
        check_clock(order, run.now)
        known = require_reversible(original)
        if order.partner_id != known.target_partner:
            require_answerable(run, known)
            return ask_back(run, order, known)
        return answered_with(run, book_back(run, order, known, order.target_points))
    except Refused as refusal:
        return refused(run, order, original, refusal)


def known_to(original: Original | None, partner_id: str) -> Original | None:
    """The transfer, if the partner is its source, or its target and was told of it."""
    if original is None:
        return None
    told = original.state in (TransferState.COMMITTED, TransferState.RESERVED)
    if partner_id == original.source_partner or (told and partner_id == original.target_partner):
        return original
    return None


def require_reversible(original: Original | None) -> Original:
    """The transfer, if there is something to take back; raises Refused."""
    if original is None:
        raise Refused(Reason.TRANSFER_UNKNOWN, "transfer_id", "there is no such transfer")
    if original.state is not TransferState.COMMITTED:
        raise Refused(
            Reason.TRANSFER_STATE,
            "transfer_id",
            f"the transfer is {original.state.lower()}: nothing was credited",
        )
    return original


def require_answerable(run: Run, original: Original) -> None:
    """Raise Refused(TARGET_REVERSES) where the target's program cannot be told to take back."""
    terms = original.terms
    if terms is None or run.registry.route_of(terms.target_program).kind is RouteKind.STREAM:
        raise Refused(
            Reason.TARGET_REVERSES,
            "partner_id",
            "only the brand that credited the points can say how many it has taken back",
        )


def ask_back(run: Run, order: Reverse, original: Original) -> Reversed:
    """Have the target's program told to take back what the source asks for. What is asked for
    counts: two that ask at once do not both ask for the last points.
    """
    terms, whole = figures_of(run, original)
    left = whole.target_points - original.reversed_points - original.asked_points
    require_left(left, order.target_points)
    told = Instruction(
        InstructionKind.REVERSE,
        terms.target_program,
        order.target_points,
        (),
        # It needs no turn: the program knows by itself what it has left of the one credit.
        digest(run.before.member_secret, "reverse", str(order.reversal_id)),
        committed=True,
    )
    outcome = Reversed(run.index, run.now, order, original, None, None, None, (), told)
    run.asked[order.reversal_id] = Asked(order)
    return answered_with(run, outcome)


def book_back(run: Run, order: Reverse, original: Original, points: int) -> Reversed:
    """Post what was taken back of a committed transfer, on whoever's word; raises Refused."""
    terms, whole = figures_of(run, original)
    require_left(whole.target_points - original.reversed_points, points)
    window = open_window_of(run, terms)
    portion = between(
        to_date(terms, whole, original.reversed_points),
        to_date(terms, whole, original.reversed_points + points),
    )
    postings = reversal_postings(run.registry, terms, portion)
    postings += unconfirmed(postings, run.balances)
    force(run, postings, window)
    returned = grants(terms, portion.conversion)
    run.grant({key: -points for key, points in returned.items() if points})
    return Reversed(run.index, run.now, order, original, None, portion, window, postings)


def figures_of(run: Run, original: Original) -> tuple[Terms, Portion]:
    """By what a transfer is reversed; raises Refused(AGREEMENT_ALTERED) where that is not stored as
    it was signed.
    """
    terms, whole = original.terms, original.whole
    if terms is None or whole is None:
        raise Refused(
            Reason.AGREEMENT_ALTERED,
            "agreement_id",
            "the transfer's agreement is not stored as the transfer names it",
        )
    check_unaltered(run.registry, *terms.name)
    return terms, whole


def require_left(left: int, points: int) -> None:
    """Raise Refused(ALREADY_REVERSED) where more is taken back than is left."""
    if points > left:
        raise Refused(
            Reason.ALREADY_REVERSED,
            "target_points",
            f"{left} of the points that were credited are not reversed yet",
            {"leftPoints": str(left)},
        )


def to_date(terms: Terms, whole: Portion, points: int) -> Portion:
    """What some of the transfer's target points come to by its terms."""
    return portion_of(whole, points, fee_refundable=terms.fee.refundable)


def open_window_of(run: Run, terms: Terms) -> Window:
    """The window that counts a reversal, whichever counted the transfer."""
    window = run.open_windows().get(terms.currency)
    if window is None:
        raise Refused(Reason.WINDOW_STATE, "", f"no settlement window of {terms.currency} is open")
    return window


def force(run: Run, postings: tuple[Posting, ...], window: Window) -> None:
    """Post a reversal; raises Refused(LIMIT_EXCEEDED) where the books cannot count it."""
    try:
        run.force(postings, window)
    except (CounterFull, OutOfBounds) as bound:
        raise Refused(Reason.LIMIT_EXCEEDED, "", str(bound)) from bound


def refused(run: Run, order: Reverse, original: Original | None, refusal: Refused) -> Reversed:
    """Record a refusal; raises Refused(RATE_LIMITED) beyond what is recorded in a minute."""
    tally(run, order.partner_id)
    return answered_with(
        run, Reversed(run.index, run.now, order, original, refusal, None, None, ())
    )


def answered_with(run: Run, outcome: Reversed) -> Reversed:
    """Append an outcome, which is what its id is answered with from now on."""
    order = outcome.order
    run.answers[order.reversal_id] = Answer(
        order.partner_id, order.payload_sha256, outcome.log_index, order
    )
    if outcome.original is not None:
        run.originals[order.transfer_id] = replace(
            outcome.original,
            reversed_points=outcome.reversed_points,
            asked_points=outcome.asked_points,
        )
    run.append(outcome)
    return outcome
