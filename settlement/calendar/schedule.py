"""What is due by schedule: the next step of a currency's windows. Pure.

A window closes at the cut-off of its own business date and never before, whatever closed the one
before it. So closing by hand brings no other close forward, a clock that steps back closes nothing
twice, and whoever asks again is answered as a repeat.

Where the cut-off passed and no server was there to see it, the window closes when one looks again.
It keeps its business date; the next window has the date of the business day that is running then.
The dates between have no window (decision 0032).
"""

from dataclasses import dataclass
from datetime import date, datetime, timedelta

from exchange.commands import CloseWindow, OpenWindow
from settlement.calendar.cut_off import cut_off_of
from settlement.schemes.scheme import Scheme


@dataclass(frozen=True, slots=True)
class Standing:
    """A currency that has a scheme, and how its windows stand."""

    scheme: Scheme
    window_id: str | None
    """The open one; None before the first."""
    business_date: date | None


@dataclass(frozen=True, slots=True)
class Due:
    """A step that is due."""

    command: OpenWindow | CloseWindow
    late: timedelta
    """How long ago the cut-off passed; nothing for an opening."""


def due_step(standing: Standing, now: datetime) -> Due | None:
    """The step that is due in a currency; None while there is none, or where people close."""
    cut_off = cut_off_of(standing.scheme)
    if cut_off is None:
        return None
    if standing.window_id is None or standing.business_date is None:
        opening = OpenWindow(standing.scheme.currency, cut_off.business_date(now))
        return Due(opening, timedelta())
    ends_at = cut_off.on(standing.business_date)
    if now < ends_at:
        return None
    closing = CloseWindow(standing.window_id, cut_off.business_date(now), ends_at)
    return Due(closing, now - ends_at)
