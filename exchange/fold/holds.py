"""How what was held or reserved ends in the books. Pure but for the run that it is given.

Rules kept here:

- What takes place books what the order came to when it was held: its terms, its bonuses and the
  taxes of that time, in the window that is open now. What the target bears was not reserved, and
  comes with its value.
- A void gives back what the hold took: of budgets, and of its day's limits, but for the member's,
  whose tries count.
"""

from dataclasses import replace

from exchange.commands import Verdict
from exchange.fold.run import Run
from exchange.fold.state import InvariantBroken
from exchange.ledger.postings import CounterFull, OutOfBounds, Phase, Posting, PostingRef
from exchange.outcomes import Held, Recorded, TransferState
from exchange.promotions import grants
from exchange.transfer import convert_with, refused_by, target_partner_of
from exchange.transfer_postings import payee_account, transfer_postings
from partners.agreement import Terms
from partners.conversion import Conversion
from partners.errors import Reason, Refused


def committed(run: Run, held: Held, verdict: Verdict) -> Recorded:
    """The transfer takes place, as it was ordered."""
    terms, conversion = came_to(run, held)
    planned = transfer_postings(run.registry, terms, held.order.source_points, conversion)
    payee = payee_account(run.registry, terms)
    waiting = tuple(replace(p, phase=Phase.PENDING) for p in planned if p.debit != payee)
    if waiting != held.postings:
        raise InvariantBroken(f"the hold at {held.log_index} is not what its order comes to")
    ends = (*ended(held, Phase.CONFIRMS), *(p for p in planned if p.debit == payee))
    return replace(
        resolved(run, held, ends),
        terms=terms,
        conversion=conversion,
        state=TransferState.COMMITTED,
        verdict=verdict,
    )


def voided(run: Run, held: Held, verdict: Verdict) -> Recorded:
    """The transfer does not take place."""
    terms, conversion = came_to(run, held)
    outcome = resolved(run, held, ended(held, Phase.VOIDS))
    run.grant({key: -points for key, points in grants(terms, conversion).items()})
    for subject, day, amount in held.counted:
        if subject in run.day_tallies:
            run.day_tallies[subject] = run.day_tallies[subject].minus(day, amount)
    refusal = refused_by(verdict)
    return replace(outcome, refusal=refusal, state=TransferState.ABORTED, verdict=verdict)


def came_to(run: Run, held: Held) -> tuple[Terms, Conversion]:
    """What the order came to when it was held."""
    order = held.order
    quote = run.quotes.get(order.quote_id) if order.quote_id else None
    if quote is not None:
        return quote.terms, quote.conversion
    terms = run.registry.agreements[order.agreement_id, order.agreement_version].terms
    promotions = tuple(each for each in terms.promotions if each.promotion_id in held.promotions)
    return terms, convert_with(
        run.registry, terms, order.source_points, order.segment, promotions, held.recorded_at
    )


def ended(held: Held, phase: Phase) -> tuple[Posting, ...]:
    """What confirms or voids the pending postings of a hold."""
    return tuple(
        replace(each, phase=phase, resolves=PostingRef(held.log_index, place))
        for place, each in enumerate(held.postings)
    )


def resolved(run: Run, held: Held, ends: tuple[Posting, ...]) -> Recorded:
    """The end of a hold, its postings applied; raises Refused(WINDOW_STATE) where no window is
    open, or LIMIT_EXCEEDED where the books have no room.
    """
    currency = run.registry.partners[held.order.partner_id].currency
    window = run.open_windows().get(currency)
    if window is None:
        raise Refused(Reason.WINDOW_STATE, "", f"no settlement window of {currency} is open")
    try:
        run.apply(ends, window)
    except (CounterFull, OutOfBounds) as bound:
        raise Refused(Reason.LIMIT_EXCEEDED, "", str(bound)) from bound
    return Recorded(
        run.index,
        run.now,
        held.order,
        source_partner=held.order.partner_id,
        target_partner=target_partner_of(run.registry, held.order),
        refusal=None,
        terms=None,
        conversion=None,
        window=window,
        postings=ends,
        decides=held.order.transfer_id,
    )
