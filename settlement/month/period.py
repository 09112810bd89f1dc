"""Days and months, as books are closed by them. Pure.

A window belongs to the month of its business date, whatever time it was when its transfers came.
"""

import re
from calendar import monthrange
from dataclasses import dataclass
from datetime import date
from typing import Self

from partners.errors import Reason, Refused

_MONTH = re.compile(r"[0-9]{4}-[0-9]{2}")


@dataclass(frozen=True, slots=True)
class Period:
    """A calendar month, or one day."""

    first: date
    last: date

    @classmethod
    def of_month(cls, text: str, field: str = "period") -> Self:
        """The month that is named, as in `2017-01`; raises Refused(FIELD_INVALID)."""
        try:
            if not _MONTH.fullmatch(text):
                raise ValueError(text)
            return cls.holding(date.fromisoformat(f"{text}-01"))
        except ValueError:
            raise Refused(
                Reason.FIELD_INVALID, field, f"{text!r} is not a month such as 2017-01"
            ) from None

    @classmethod
    def named(cls, text: str, field: str = "period") -> Self:
        """A month, or a day as in `2017-01-31`; raises Refused(FIELD_INVALID)."""
        if _MONTH.fullmatch(text):
            return cls.of_month(text, field)
        day = parse_day(text, field)
        return cls(day, day)

    @classmethod
    def holding(cls, day: date) -> Self:
        """The month of a day."""
        return cls(day.replace(day=1), day.replace(day=monthrange(day.year, day.month)[1]))

    @property
    def is_month(self) -> bool:
        """Whether it is a month rather than a day."""
        return self.first != self.last

    @property
    def name(self) -> str:
        """As it is written: `2017-01`, or `2017-01-31`."""
        return self.first.strftime("%Y-%m") if self.is_month else self.first.isoformat()


def parse_day(text: str, field: str) -> date:
    """A day as in `2017-01-31`; raises Refused(FIELD_INVALID)."""
    try:
        day = date.fromisoformat(text)
        if text != day.isoformat():
            raise ValueError(text)
    except ValueError:
        raise Refused(
            Reason.FIELD_INVALID, field, f"{text!r} is not a day such as 2017-01-31"
        ) from None
    return day
