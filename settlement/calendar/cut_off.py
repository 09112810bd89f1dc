"""Cut-offs by the wall clock of a zone, and the business days between them. Pure.

The cut-off of a business date is the first moment at which the zone's wall clock shows the cut-off
time of that date or later. That one sentence answers the odd days, too:

- In spring a local time may not exist: the clock jumps over it, and the cut-off is the jump itself.
- In autumn a local time may exist twice: the first of the two is the cut-off.
- A date that a zone leaves out altogether (Samoa's 30 December 2011) ends with the jump over it.

A business day reaches from the cut-off of the date before (included) to its own (not included). So
every moment lies in exactly one, which has 23 or 25 hours where the zone's clock was turned: the
next cut-off is looked up, never "24 hours later".

A business date is the date on which its cut-off falls. Midnight ends the day that it follows: with
a cut-off at 00:00 business days are the zone's calendar days.

Zones are those of the IANA time zone database (RFC 6557), as `zoneinfo` has it.
"""

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo, available_timezones

from partners.errors import Reason, Refused
from settlement.schemes.scheme import Scheme

_TIME = re.compile(r"([01][0-9]|2[0-3]):[0-5][0-9]")
_NO_ZONES = frozenset({"localtime", "Factory"})
"""Files beside the zones that say what a host or nobody keeps."""
_SECOND = timedelta(seconds=1)
_DAY = timedelta(days=1)
_MIDNIGHT = time(0, 0)


@dataclass(frozen=True, slots=True)
class CutOff:
    """A time of day in a zone at which business days end."""

    at: time
    zone: ZoneInfo

    def on(self, business_date: date) -> datetime:
        """The moment at which a business date ends, in UTC."""
        try:
            day = business_date + _DAY if self.at == _MIDNIGHT else business_date
            return first_moment(datetime.combine(day, self.at), self.zone)
        except OverflowError:
            # Where the calendar ends, so does its last day.
            return datetime.max.replace(tzinfo=UTC)

    def business_date(self, moment: datetime) -> date:
        """The business date in whose day a moment lies."""
        day = moment.astimezone(self.zone).date() - _DAY
        # Three dates are tried at most, and one more for each that the zone has left out.
        while self.on(day) <= moment:
            day += _DAY
        return day

    def after(self, moment: datetime) -> datetime:
        """The next cut-off after a moment, in UTC."""
        return self.on(self.business_date(moment))

    def business_day(self, business_date: date) -> tuple[datetime, datetime]:
        """The first moment of a business day, and the first past it, in UTC."""
        return self.on(business_date - _DAY), self.on(business_date)


def first_moment(shown: datetime, zone: ZoneInfo) -> datetime:
    """The first moment, in UTC, at which a zone's wall clock shows this (naive) time or later."""
    # By the offset before a jump: later than the jump, if the time is left out; the first of two,
    # if it comes twice.
    late = shown.replace(tzinfo=zone, fold=0).astimezone(UTC)
    if _shown(late, zone) == shown:
        return late
    # By the offset after the jump: before it, if the time is left out.
    early = shown.replace(tzinfo=zone, fold=1).astimezone(UTC)
    while late - early > _SECOND:
        between = early + (late - early) // _SECOND // 2 * _SECOND
        if _shown(between, zone) < shown:
            early = between
        else:
            late = between
    return late


def _shown(moment: datetime, zone: ZoneInfo) -> datetime:
    """What the zone's wall clock shows, as a naive time."""
    return moment.astimezone(zone).replace(tzinfo=None)


def parse_cut_off(text: str, field: str = "cut_off") -> time:
    """A time of day from `HH:MM`; raises Refused(FIELD_INVALID)."""
    if not _TIME.fullmatch(text):
        raise Refused(
            Reason.FIELD_INVALID,
            field,
            f"{text!r} is not a time from 00:00 to 23:59, such as 17:30; 00:00 is the midnight"
            " that ends the day",
        )
    return time.fromisoformat(text)


def parse_zone(name: str, field: str = "zone") -> ZoneInfo:
    """The zone of this IANA name; raises Refused(FIELD_INVALID)."""
    if name in _NO_ZONES or name not in available_timezones():
        raise Refused(
            Reason.FIELD_INVALID,
            field,
            f"{name!r} is not a zone of the IANA database, such as Europe/Berlin or Asia/Shanghai",
        )
    return ZoneInfo(name)


def cut_off_of(scheme: Scheme) -> CutOff | None:
    """When the windows of a scheme are cut off; None where they are closed by hand."""
    if not scheme.cut_off:
        return None
    return CutOff(parse_cut_off(scheme.cut_off), ZoneInfo(scheme.zone))
