"""Pages: their size, their tokens, and what a list finds in a stream of any length."""

from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.reading import listing
from exchange.reading.listing import Span, list_page
from exchange.reads import OwnEntry
from exchange.seal import PayloadKind
from partners.errors import Reason, Refused
from partners.paging import PAGE_DEFAULT, PAGE_MAX, page_end, page_size, page_token
from tests.factories import NOW

ME = "partner/grocery"


# Tokens


@pytest.mark.parametrize(
    ("wanted", "size"),
    [(0, PAGE_DEFAULT), (1, 1), (500, 500), (501, PAGE_MAX), (2**31 - 1, PAGE_MAX)],
)
def test_t18_a_page_has_a_default_and_a_largest_size(wanted: int, size: int) -> None:
    assert page_size(wanted) == size


@given(st.text(max_size=40), st.binary(max_size=40), st.text(max_size=130))
def test_a_token_gives_back_the_end_that_it_was_made_from(
    caller: str, listed: bytes, end: str
) -> None:
    assert page_end(caller, listed, page_token(caller, listed, end)) == end


def test_the_first_page_has_no_token() -> None:
    assert page_end(ME, b"list", "") is None


@given(st.text(min_size=1))
def test_t18_any_text_that_is_no_token_is_refused(text: str) -> None:
    with pytest.raises(Refused) as refused:
        page_end(ME, b"list", text)
    assert (refused.value.reason, refused.value.field) == (Reason.FIELD_INVALID, "page_token")


@pytest.mark.parametrize(
    ("caller", "listed"), [("partner/fuel", b"list"), (ME, b"other list"), ("", b"list")]
)
def test_t18_a_token_is_good_for_one_list_of_one_caller(caller: str, listed: bytes) -> None:
    token = page_token(ME, b"list", "17")
    with pytest.raises(Refused):
        page_end(caller, listed, token)


# A stream


class Stream:
    """A stream in memory: position n has log index 3n and the time of its minute."""

    def __init__(self, minutes: list[int]) -> None:
        self.minutes = sorted(minutes)
        self.read = 0

    def own_stream_last(self, connection: object, partner_id: str) -> int:
        return len(self.minutes)

    def own_stream_point(
        self, connection: object, partner_id: str, stream_seq: int
    ) -> tuple[int, datetime]:
        return 3 * stream_seq, at(self.minutes[stream_seq - 1])

    def own_stream_before(
        self, connection: object, partner_id: str, low: int, high: int, most: int
    ) -> tuple[OwnEntry, ...]:
        positions = range(high - 1, low - 1, -1)[:most]
        self.read += len(positions)
        return tuple(OwnEntry(b"", seq, PayloadKind.RECEIPT, b"", None, "") for seq in positions)

    def window_range(self, connection: object, window_id: str) -> tuple[int, int | None] | None:
        return {"closed": (7, 25), "open": (25, None)}.get(window_id)


def at(minute: int) -> datetime:
    """So many minutes on."""
    return NOW + timedelta(minutes=minute)


@pytest.fixture
def bound(monkeypatch: pytest.MonkeyPatch) -> None:
    """A call looks at few entries."""
    monkeypatch.setattr(listing, "SCANNED_MAX", 10)
    monkeypatch.setattr(listing, "CHUNK", 4)


def pages(stream: Stream, span: Span, size: int, step: int = 1) -> list[list[int]]:
    """All pages of the positions that `step` divides."""

    def read(entry: OwnEntry) -> int | None:
        return None if entry.stream_seq % step else entry.stream_seq

    found: list[list[int]] = []
    end: int | None = None
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(listing, "reads", stream)
        while True:
            page = list_page(None, "grocery", span, end, size, read)
            found.append(list(page.items))
            end = page.end
            if end is None:
                return found


minutes = st.lists(st.integers(0, 30), max_size=60)
bounds = st.none() | st.integers(-1, 32)


@given(minutes, bounds, bounds, st.sampled_from(["", "closed", "open", "none"]), st.integers(1, 9))
def test_the_pages_of_a_span_are_its_entries_newest_first_each_once(
    stamps: list[int], begins: int | None, ends: int | None, window_id: str, size: int
) -> None:
    stream = Stream(stamps)
    first, last = {"": (0, None), "none": (0, 0), "closed": (7, 25), "open": (25, None)}[window_id]
    span = Span(
        None if begins is None else at(begins), None if ends is None else at(ends), window_id
    )
    expected = [
        seq
        for seq, minute in enumerate(stream.minutes, start=1)
        if (begins is None or begins <= minute)
        and (ends is None or minute < ends)
        and first <= 3 * seq
        and (last is None or 3 * seq < last)
    ]
    found = pages(stream, span, size)
    assert [seq for page in found for seq in page] == expected[::-1]
    assert all(len(page) == size for page in found[:-1])


@pytest.mark.usefixtures("bound")
@pytest.mark.parametrize("step", [1, 2, 7, 1_000])
def test_t18_one_call_looks_at_a_bounded_number_of_entries_and_says_where_to_go_on(
    step: int,
) -> None:
    stream = Stream(list(range(100)))
    found = pages(stream, Span(), 3, step)
    assert [seq for page in found for seq in page] == [n for n in range(100, 0, -1) if not n % step]
    # A page's worth, then chunks until the bound is passed.
    assert stream.read <= len(found) * (10 + 4)
    assert len(found) >= 100 // (10 + 4)
