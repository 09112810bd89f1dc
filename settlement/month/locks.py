"""Locks on days and months, and the adjustment periods of those that were opened again.

A lock and a reopening are entries, `lock/<currency>/<period>/<n>` and `reopen/…/<n>`, and a period
is locked when it was locked more often than reopened. Days lock softly: what relates to one needs a
reason. Months lock hard: nothing relates to one until two people have approved an adjustment
period, which every posting of it names. Nothing is ever booked *in* a period that was closed: it is
booked in the open window, and says what it relates to.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import Any

from exchange.commands import Book, Fact
from exchange.json_body import JSON_BODY, json_body
from partners.errors import Reason, Refused
from settlement.facts import entries_of
from settlement.month.period import Period

LOCK = "lock"
REOPEN = "reopen"
REASON_MAX = 200


class PeriodState(StrEnum):
    """Whether adjustments may relate to a period."""

    UNLOCKED = "UNLOCKED"
    LOCKED_SOFT = "LOCKED_SOFT"
    """A day: with a reason."""
    LOCKED_HARD = "LOCKED_HARD"
    """A month: not before it is reopened."""
    REOPENED = "REOPENED"
    """It was locked; an adjustment period is approved."""


@dataclass(frozen=True, slots=True)
class Standing:
    """How often a period was locked and opened again."""

    period: Period
    locked: int
    reopened: int

    @property
    def state(self) -> PeriodState:
        """How it stands."""
        if self.locked > self.reopened:
            return PeriodState.LOCKED_HARD if self.period.is_month else PeriodState.LOCKED_SOFT
        return PeriodState.REOPENED if self.reopened else PeriodState.UNLOCKED

    @property
    def adjustment_period(self) -> str:
        """What postings of a reopened period name; empty where it is none."""
        reopened = self.state is PeriodState.REOPENED
        return f"{self.period.name}/{self.reopened}" if reopened else ""


def standing_of(connection: Any, currency: str, period: Period) -> Standing:
    """How a period stands."""
    locked, reopened = (
        len(entries_of(connection, kind, currency=currency, subject=period.name))
        for kind in (LOCK, REOPEN)
    )
    return Standing(period, locked, reopened)


def check_unlocked(connection: Any, currency: str, relates_to: date, reason: str = "") -> str:
    """Whether something may be booked that relates to a day. Returns the adjustment period that it
    belongs to, such as `2017-01/1`, empty where the day was never locked hard.

    Raises Refused(PERIOD_STATE): `relates_to` while its month is locked, `reason` where the day is
    and none is given.
    """
    month = standing_of(connection, currency, Period.holding(relates_to))
    if month.state is PeriodState.LOCKED_HARD:
        raise Refused(
            Reason.PERIOD_STATE,
            "relates_to",
            f"{month.period.name} is locked: have it reopened, by two people, for an adjustment"
            " period",
            {"period": month.period.name},
        )
    day = standing_of(connection, currency, Period(relates_to, relates_to))
    if day.state is PeriodState.LOCKED_SOFT and not reason:
        raise Refused(
            Reason.PERIOD_STATE,
            "reason",
            f"{day.period.name} is locked softly: say why something more relates to it",
            {"period": day.period.name},
        )
    return month.adjustment_period


def lock_entry(currency: str, standing: Standing, explanations: Mapping[str, str]) -> Book:
    """Locks a period that is not locked; the explanations are those of the items left open."""
    body = {"explanations": dict(explanations), "number": standing.locked + 1}
    return _entry(LOCK, currency, standing.period, body)


def reopen_entry(currency: str, standing: Standing, reason: str) -> Book:
    """Opens a locked period again. Raises Refused."""
    if standing.locked <= standing.reopened:
        raise Refused(
            Reason.PERIOD_STATE, "period", f"{standing.period.name} is not locked: nothing to open"
        )
    if not reason or len(reason) > REASON_MAX or not reason.isprintable():
        raise Refused(
            Reason.FIELD_INVALID,
            "reason",
            f"say what for, in up to {REASON_MAX} printable characters",
        )
    body = {"number": standing.reopened + 1, "reason": reason}
    return _entry(REOPEN, currency, standing.period, body)


def _entry(kind: str, currency: str, period: Period, body: Mapping[str, object]) -> Book:
    whole = {**body, "currency": currency, "period": period.name}
    # The number makes two of them at once one, or the second a refusal.
    return Book(
        f"{kind}/{currency}/{period.name}/{body['number']}",
        JSON_BODY,
        json_body(whole),
        facts=(Fact(kind, currency, subject=period.name),),
    )
