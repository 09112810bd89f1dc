"""What follows when a pay-in is missing, step by step. Pure.

    REMIND   remind_after_hours after the due date is over   the server by itself, once
    DRAW     draw_after_days                                 two operators: DrawCollateral
    HOLD     hold_after_days                                 two operators: SetSwitches
    UNWIND   unwind_after_days                               two operators: UnwindPartner

A payment on the due date is in time: nothing is overdue before that day is over by the scheme's
clock. Days are banking days after the due date, and a step falls due when its day is over, since
only then every file of the bank has come that may show the money.

What is due is proposed, in this order; nothing but the reminder is done by itself. A reminder is
harmless. A draw, a hold and an unwind take from a partner or stop it, on the word of a bank file
that somebody may have forgotten to import: for that two people are asked. Steps do not wait for
each other, so that an unwind is not held up by a draw that cannot be made. While a draw is on its
way nothing else is proposed: the bank will show it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo

from exchange.ledger.accounts import HUB
from settlement.calendar.banking import banking_day_after, parse_calendar
from settlement.schemes.scheme import Scheme
from settlement.windows import Leg, LegDirection, LegState


class Step(StrEnum):
    """What follows, in this order."""

    REMIND = "REMIND"
    DRAW = "DRAW"
    HOLD = "HOLD"
    UNWIND = "UNWIND"


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of a partner that has not paid."""

    collateral: int = 0
    """That it has and that is not on its way out, in units of the currency's scale."""
    on_hold: bool = False
    reminded_at: datetime | None = None
    drawn: bool = False
    """Whether a draw for this leg waits for the bank."""
    in_pairs: bool = False
    """Whether partners pay each other for the window, so that nobody is taken out of it."""


@dataclass(frozen=True, slots=True)
class Overdue:
    """A pay-in that was not made in time."""

    leg: Leg
    due_date: date
    overdue_since: datetime
    known: Known
    steps: tuple[Step, ...]
    """Those that are due and not done, in their order."""

    @property
    def short(self) -> int:
        """What the collateral lacks to pay it, units; 0 where it suffices."""
        return max(0, self.leg.amount - self.known.collateral)


def times(scheme: Scheme, due: date) -> Mapping[Step, datetime]:
    """When each step falls due, by the scheme's clock and calendar."""
    return {
        Step.REMIND: end_of(due, scheme) + timedelta(hours=scheme.remind_after_hours),
        Step.DRAW: _end_after(due, scheme.draw_after_days, scheme),
        Step.HOLD: _end_after(due, scheme.hold_after_days, scheme),
        Step.UNWIND: _end_after(due, scheme.unwind_after_days, scheme),
    }


def end_of(day: date, scheme: Scheme) -> datetime:
    """When a day is over by the scheme's clock: the first moment of the next."""
    return datetime.combine(day + timedelta(days=1), time(), ZoneInfo(scheme.zone))


def _end_after(due: date, days: int, scheme: Scheme) -> datetime:
    if not days:
        return end_of(due, scheme)
    calendar = parse_calendar(scheme.banking_calendar)
    return end_of(banking_day_after(due, days, calendar), scheme)


def overdue(scheme: Scheme, leg: Leg, due: date, known: Known, now: datetime) -> Overdue | None:
    """What follows for a leg; None where it is no pay-in, is paid or taken back, or still has time.

    `now` is aware. A leg that waits to be recorded asks for nothing yet.
    """
    is_asked = leg.direction is LegDirection.PAY_IN and leg.state is LegState.PENDING
    since = end_of(due, scheme)
    if not is_asked or now < since:
        return None
    done = {
        Step.REMIND: known.reminded_at is not None,
        # Where the collateral does not pay all of it, the bank could not match the rest.
        Step.DRAW: known.collateral < leg.amount,
        Step.HOLD: known.on_hold,
        Step.UNWIND: known.in_pairs,
    }
    due_steps = times(scheme, due)
    steps = tuple(step for step in Step if due_steps[step] <= now and not done[step])
    if leg.partner_number == HUB:
        # Nobody reminds, holds or unwinds the operator: whoever looks learns that it has to pay.
        steps = ()
    if known.drawn:
        steps = tuple(step for step in steps if step is Step.REMIND)
    return Overdue(leg, due, since, known, steps)
