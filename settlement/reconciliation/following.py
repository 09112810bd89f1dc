"""What a run makes of what it found, and of the breaks that earlier runs left open. Pure.

- A line that is not in the file may still come: where the file ends before it, shortly before its
  window does, it is TIMING. The next window's file clears it, or else it is MISSING_AT_PARTNER.
- A row whose line is in another window, which was not reconciled yet, is TIMING; that window's run
  finds no row for the line and clears it, or finds a second one: DUPLICATE_AT_PARTNER.
- A row whose line is in a window that was reconciled clears the break that waits for it. Where none
  does the line had its row, and this is a second one.
- A row whose transfer is no line is what the books say of it: reserved, void, or another window's.
- What an earlier run of the same windows found and this one does not is resolved: the file was
  put right.
- What comes back after it was resolved is open again; what was written off or explained stays so.
"""

from collections import Counter
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from settlement.reconciliation.apart import Found
from settlement.reconciliation.breaks import Break, BreakState, Category, break_of
from settlement.reconciliation.differences import OUTSIDE, Difference

LINE, ROW = "line", "row"
"""What breaks are about that may change their category: a line that waits for its row, and a row
in another file than that of its line's window."""


class Standing(StrEnum):
    """What the books say of a transfer that is no line of the windows."""

    COMMITTED = "COMMITTED"
    RESERVED = "RESERVED"
    HELD = "HELD"
    ABORTED = "ABORTED"
    REFUSED = "REFUSED"


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """A transfer of the partner's that is no line of the windows."""

    standing: Standing
    window_id: str
    """Of a committed one."""
    log_index: int


@dataclass(frozen=True, slots=True)
class Known:
    """A break that an earlier run left open or explained."""

    number: int
    key: bytes
    category: Category
    state: BreakState
    window_id: str
    log_index: int | None
    facts: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Context:
    """What a run is held against."""

    windows: tuple[str, ...]
    """That are reconciled, in order."""
    before: str
    """The window before them; empty where there is none."""
    scale: int
    covered: frozenset[str] = frozenset()
    """Windows of which an earlier run of the partner exists."""
    known: tuple[Known, ...] = ()
    elsewhere: Mapping[str, Elsewhere] = field(default_factory=dict)
    """By transfer id, of rows without a line."""


@dataclass(frozen=True, slots=True)
class Change:
    """What becomes of an earlier break."""

    number: int
    text: str
    category: Category | None = None
    """What it is from now on; None where it is cleared."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run comes to."""

    breaks: tuple[Break, ...]
    changes: tuple[Change, ...]


def outcome(found: Found, context: Context) -> Outcome:
    """Decide what every difference is, and what becomes of earlier breaks."""
    judge = _Judge(context)
    breaks = _told_apart(judge.break_for(each) for each in found.differences)
    return Outcome(tuple(breaks.values()), tuple(judge.changes(found, breaks)))


Making = Callable[[int], Break]
"""Makes a break for a place among alike ones."""


def _told_apart(found: Iterable[Making | None]) -> dict[bytes, Break]:
    """By key; the same difference twice in one file has two keys."""
    breaks: dict[bytes, Break] = {}
    for make in found:
        if make is None:
            continue
        place = 0
        each = make(place)
        while each.key in breaks:
            place += 1
            each = make(place)
        breaks[each.key] = each
    return breaks


class _Judge:
    """One run's decisions."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self.cleared: dict[int, str] = {}
        """Numbers of earlier breaks, and why."""
        self.by_line: dict[tuple[str, int], list[Known]] = {}
        for known in context.known:
            if known.log_index is not None:
                about = str(known.facts.get("about", ""))
                self.by_line.setdefault((about, known.log_index), []).append(known)

    def break_for(self, found: Difference) -> Making | None:
        """What makes the break of a difference; None where it is none."""
        window = (found.ours or {}).get("window_id") or self.context.windows[-1]
        if found.category == OUTSIDE:
            return self._outside(found, window)
        if found.category == Category.MISSING_AT_PARTNER:
            return self._missing(found, window)
        if found.category == Category.MISSING_AT_EXCHANGE:
            return self._stray(found, window)
        return self._plain(found, Category(found.category), window)

    def _plain(
        self,
        found: Difference,
        category: Category,
        window: str,
        note: str = "",
        about: str = "",
    ) -> Making:
        # A line belongs to its own window's file, whichever windows this run is of.
        file_window = window if about == LINE else self.context.windows[-1]

        def make(place: int) -> Break:
            return break_of(
                found,
                category,
                window,
                self.context.scale,
                note=note,
                about=about,
                place=place,
                facts={"about": about, "file_window": file_window},
            )

        return make

    def _outside(self, found: Difference, window: str) -> Making | None:
        """A row in this file whose line is in another window."""
        assert found.ours is not None, "a row outside has a line"
        waiting = self.by_line.get((LINE, found.ours["log_index"]), [])
        for known in waiting:
            self.cleared[known.number] = f"its row is in the file of {self.context.windows[-1]}"
        if waiting:
            return None
        if window in self.context.covered:
            note = f"the line is in {window}, whose own file had its row"
            return self._plain(found, Category.DUPLICATE_AT_PARTNER, window, note)
        note = f"the line is in {window}, the row in the file of {self.context.windows[-1]}"
        return self._plain(found, Category.TIMING, window, note, ROW)

    def _missing(self, found: Difference, window: str) -> Making | None:
        """A line without a row."""
        assert found.ours is not None, "a missing line is one"
        elsewhere = self.by_line.get((ROW, found.ours["log_index"]), [])
        for known in elsewhere:
            self.cleared[known.number] = "its row was in another file"
        if elsewhere:
            return None
        category = Category.TIMING if found.in_tail else Category.MISSING_AT_PARTNER
        # The next file may have it, whatever it is taken for now.
        return self._plain(found, category, window, about=LINE)

    def _stray(self, found: Difference, window: str) -> Making | None:
        """A row without a line."""
        assert found.theirs is not None, "a stray row is one"
        known = self.context.elsewhere.get(str(found.theirs["transfer_id"]))
        if known is None:
            return self._plain(found, Category.MISSING_AT_EXCHANGE, window)
        if known.standing is not Standing.COMMITTED:
            return self._standing(found, known, window)
        line = {
            "transfer_id": found.theirs["transfer_id"],
            "log_index": known.log_index,
            "window_id": known.window_id,
            "state": known.standing.value,
        }
        return self._outside(Difference(OUTSIDE, ours=line, theirs=found.theirs), known.window_id)

    def _standing(self, found: Difference, known: Elsewhere, window: str) -> Making | None:
        """A row whose transfer is not committed."""
        assert found.theirs is not None, "a stray row is one"
        in_books = known.standing
        # Held and refused are no words of a mapping: nothing has moved, or nothing ever did.
        alike = {Standing.HELD: "RESERVED", Standing.REFUSED: "ABORTED"}.get(in_books, in_books)
        if found.theirs["status"] == alike:
            return None
        ours = {"state": in_books.value, "transfer_id": found.theirs["transfer_id"]}
        both = Difference(Category.STATUS_MISMATCH, ours=ours, theirs=found.theirs)
        if found.theirs["status"] is None:
            both = Difference(
                Category.STATUS_MISMATCH, ours=ours, theirs={**found.theirs, "status": "COMMITTED"}
            )
        note = f"the books have it as {in_books}"
        if in_books is Standing.RESERVED:
            note += ": in doubt"
        return self._plain(both, Category.STATUS_MISMATCH, window, note)

    def changes(self, found: Found, breaks: Mapping[bytes, Break]) -> list[Change]:
        """What becomes of the earlier breaks."""
        changes = [Change(number, text) for number, text in sorted(self.cleared.items())]
        seen = set(found.watched)
        for known in self.context.known:
            if known.number not in self.cleared and known.key not in breaks:
                changes += self._unseen(known, seen)
        return changes

    def _unseen(self, known: Known, seen: Container[int | None]) -> Iterator[Change]:
        """What becomes of an earlier break that this run did not find."""
        windows, about = self.context.windows, known.facts.get("about")
        if known.facts.get("file_window", known.window_id) in windows:
            yield Change(known.number, "the file has it right now")
        elif about == ROW and known.window_id in windows and known.log_index in seen:
            yield Change(known.number, "its row is in two files", Category.DUPLICATE_AT_PARTNER)
        elif (
            known.category is Category.TIMING
            and about == LINE
            and known.window_id == self.context.before
        ):
            text = f"its row is not in the file of {windows[0]} either"
            yield Change(known.number, text, Category.MISSING_AT_PARTNER)


def watched_lines(known: Sequence[Known]) -> tuple[int, ...]:
    """The lines of which a run must say whether they have a row."""
    found = {each.log_index for each in known if each.facts.get("about") in (LINE, ROW)}
    return tuple(sorted(each for each in found if each is not None))


def counted(breaks: Sequence[Break]) -> Mapping[Category, int]:
    """How many there are of each."""
    return Counter(each.category for each in breaks)
