"""A partner's transfers, newest first, found in its stream.

A stream's positions have no gap, and neither log index nor time ever decreases along it. So a range
of times, or of a window's log indexes, is a range of positions, found by halving: no index on
either is needed. What else is asked for is held against each entry in turn, a bounded number of
them in one call; a page that runs into that bound is short and names where to go on.
"""

from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, TypeVar

from exchange import reads
from exchange.reads import OwnEntry

SCANNED_MAX = 5_000
"""Entries of a stream that one call looks at."""
CHUNK = 500
"""Entries that are read at once after the first page's worth."""

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Span:
    """A part of a stream; what is None or empty does not bound it."""

    recorded_from: datetime | None = None
    recorded_until: datetime | None = None
    """Exclusive."""
    window_id: str = ""


@dataclass(frozen=True, slots=True)
class Page(Generic[_T]):
    """Some of the entries that were asked for."""

    items: tuple[_T, ...]
    end: int | None
    """The position before which the next page begins, None when there is none."""


def list_page(
    connection: Any,
    partner_id: str,
    span: Span,
    before: int | None,
    size: int,
    read: Callable[[OwnEntry], _T | None],
) -> Page[_T]:
    """The newest `size` entries of a span before a position; `read` gives None for one that was
    not asked for.
    """
    low, high = _positions(connection, partner_id, span)
    high = high if before is None else min(high, before)
    found: list[_T] = []
    scanned = 0
    while low < high and len(found) < size and scanned < SCANNED_MAX:
        chunk = CHUNK if scanned else size
        for entry in reads.own_stream_before(connection, partner_id, low, high, chunk):
            scanned, high = scanned + 1, entry.stream_seq
            item = read(entry)
            if item is not None:
                found.append(item)
                if len(found) == size:
                    break
    return Page(tuple(found), high if low < high else None)


def _positions(connection: Any, partner_id: str, span: Span) -> tuple[int, int]:
    """The half-open range of positions that a span covers."""
    last = reads.own_stream_last(connection, partner_id)

    def first(reached: Callable[[int, datetime], bool]) -> int:
        """The first position of which it is true, as it is of all after it."""

        def reached_at(stream_seq: int) -> bool:
            return reached(*reads.own_stream_point(connection, partner_id, stream_seq))

        return 1 + bisect_left(range(1, last + 1), True, key=reached_at)

    low, high = 1, last + 1
    begins, ends = span.recorded_from, span.recorded_until
    if begins is not None:
        low = first(lambda _, recorded_at: recorded_at >= begins)
    if ends is not None:
        high = first(lambda _, recorded_at: recorded_at >= ends)
    if span.window_id:
        window = reads.window_range(connection, span.window_id)
        if window is None:
            return 1, 1
        first_index, end_index = window
        low = max(low, first(lambda log_index, _: log_index >= first_index))
        if end_index is not None:
            high = min(high, first(lambda log_index, _: log_index >= end_index))
    return low, high
