"""How fast one caller may send: a token bucket for each, asked before any signature is checked.
Pure.

A bucket is one integer, the moment at which it will be full again (the generic cell rate algorithm
of ITU-T I.371): nothing has to be refilled, and nothing is rounded twice. There is one bucket per
certificate identity, so callers cannot make buckets without the operator's certificate authority.
"""

from dataclasses import dataclass

from partners.errors import Reason, Refused

_NANOSECONDS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Rate:
    """What one caller may send. An order costs 1, and so does any call without orders."""

    per_second: int
    burst: int
    """What may be sent at once after a pause."""


def take(full_at_ns: int, rate: Rate, cost: int, now_ns: int) -> int | None:
    """Take `cost` from a bucket; returns when it will be full then, or None when it holds less.

    Times are nanoseconds of any clock that never goes back.
    """
    after = max(full_at_ns, now_ns) + cost * _NANOSECONDS // rate.per_second
    if after - now_ns > rate.burst * _NANOSECONDS // rate.per_second:
        return None
    return after


class CallerRates:
    """The buckets of all callers, full at first."""

    def __init__(self, rate: Rate) -> None:
        self._rate = rate
        self._full_at_ns: dict[str, int] = {}

    def spend(self, caller: str, cost: int, now_ns: int) -> None:
        """Take `cost` from a caller's bucket; raises Refused(RATE_LIMITED) with nothing taken."""
        after = take(self._full_at_ns.get(caller, now_ns), self._rate, cost, now_ns)
        if after is None:
            rate = self._rate
            raise Refused(
                Reason.RATE_LIMITED,
                "",
                f"more than {rate.per_second} orders a second and {rate.burst} at once",
                {"ordersPerSecond": str(rate.per_second), "burst": str(rate.burst)},
            )
        self._full_at_ns[caller] = after
