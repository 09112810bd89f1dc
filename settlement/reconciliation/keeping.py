"""Keeps what a run found.

A run is written whole, in one transaction and one process's turn; so a crash leaves all of it or
nothing, and the same file again finds it.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from settlement.reconciliation import store, wire
from settlement.reconciliation.apart import Found
from settlement.reconciliation.breaks import Break, BreakState, Category
from settlement.reconciliation.following import Change, Context, outcome
from settlement.reconciliation.gathering import QUERIES, Own, Range


def keep_run(
    connection: Any,
    own: Own,
    span: Range,
    mapping_version: int,
    sha256: bytes,
    file_name: str,
    found: Found,
    now: datetime,
) -> int:
    """Decide what was found is, and keep it; the run's number, or that of the same run."""
    QUERIES.take_turn(connection, partner_number=own.number)
    same = store.same_run(connection, own, sha256, mapping_version, span)
    if same is not None:
        return same
    result = outcome(found, _context(connection, own, span, found))
    number = int(QUERIES.next_run(connection, partner_number=own.number))
    cleared = sum(each.category is None for each in result.changes)
    QUERIES.keep_run(
        connection,
        partner_number=own.number,
        run_number=number,
        sha256=sha256,
        file_name=file_name,
        mapping_version=mapping_version,
        first_window=span.first.number,
        last_window=span.last.number,
        file_rows=found.rows,
        lines=found.lines,
        matched=found.matched,
        cleared=cleared,
        now=now,
    )
    writer = _Writer(connection, own, number, now)
    writer.keep(result.breaks)
    writer.change(result.changes)
    return number


def _context(connection: Any, own: Own, span: Range, found: Found) -> Context:
    strays = {
        str(each.theirs["transfer_id"])
        for each in found.differences
        if each.category == Category.MISSING_AT_EXCHANGE
        and each.theirs is not None
        and each.theirs["transfer_id"]
    }
    covered = QUERIES.covered_windows(
        connection, partner_number=own.number, currency=own.currency.code
    )
    return Context(
        tuple(each.window_id for each in span.windows),
        span.before.window_id if span.before else "",
        own.currency.scale,
        frozenset(row[0] for row in covered),
        store.known_breaks(connection, own),
        store.elsewhere(connection, own, sorted(strays)) if strays else {},
    )


class _Writer:
    """Writes what one run found."""

    def __init__(self, connection: Any, own: Own, run: int, now: datetime) -> None:
        self.connection = connection
        self.own = own
        self.run = run
        self.now = now

    @property
    def names(self) -> dict[str, Any]:
        return {"partner_number": self.own.number, "now": self.now}

    def keep(self, breaks: Sequence[Break]) -> None:
        """New breaks, and those that were found before."""
        versions = agreement_versions(
            self.connection, [each.log_index for each in breaks if each.log_index is not None]
        )
        before = {
            bytes(key): (number, Category(category), BreakState(state))
            for key, number, category, state in QUERIES.breaks_by_key(
                self.connection,
                partner_number=self.own.number,
                keys=[each.key for each in breaks],
            )
        }
        new = [each for each in breaks if each.key not in before]
        first = int(QUERIES.next_break(self.connection, partner_number=self.own.number))
        numbers = {each.key: first + place for place, each in enumerate(new)}
        self._insert(new, numbers, versions)
        again = [each for each in breaks if each.key in before]
        self._find_again(again, before, versions)
        every = numbers | {key: row[0] for key, row in before.items()}
        QUERIES.keep_found(
            self.connection,
            partner_number=self.own.number,
            run_number=self.run,
            numbers=[every[each.key] for each in breaks],
            categories=[each.category.value for each in breaks],
        )

    def _insert(
        self, new: Sequence[Break], numbers: Mapping[bytes, int], versions: Mapping[int, int]
    ) -> None:
        QUERIES.keep_breaks(
            self.connection,
            **self.names,
            run_number=self.run,
            numbers=[numbers[each.key] for each in new],
            keys=[each.key for each in new],
            categories=[each.category.value for each in new],
            states=[each.first_state.value for each in new],
            windows=[each.window_id for each in new],
            log_indexes=[each.log_index for each in new],
            transfer_ids=[str(each.transfer_id) if each.transfer_id else None for each in new],
            bodies=[body_of(each, versions) for each in new],
        )
        self._tell((numbers[each.key], "OPENED", each.note) for each in new)

    def _find_again(
        self,
        again: Sequence[Break],
        before: Mapping[bytes, tuple[int, Category, BreakState]],
        versions: Mapping[int, int],
    ) -> None:
        states = {}
        events = []
        for each in again:
            number, category, state = before[each.key]
            states[each.key] = state
            if state is BreakState.RESOLVED:
                states[each.key] = each.first_state
                events.append((number, "REOPENED", "it was found again"))
            elif category is not each.category:
                events.append((number, "CHANGED", f"{category} is {each.category} now"))
        QUERIES.find_breaks_again(
            self.connection,
            partner_number=self.own.number,
            run_number=self.run,
            numbers=[before[each.key][0] for each in again],
            categories=[each.category.value for each in again],
            states=[states[each.key].value for each in again],
            bodies=[body_of(each, versions) for each in again],
        )
        self._tell(events)

    def change(self, changes: Sequence[Change]) -> None:
        """What becomes of earlier breaks."""
        for each in changes:
            state = BreakState.RESOLVED if each.category is None else BreakState.OPEN
            QUERIES.move_break(
                self.connection,
                **self.names,
                break_number=each.number,
                state=state.value,
                category=each.category and each.category.value,
            )
        self._tell(
            (each.number, "CLEARED" if each.category is None else "CHANGED", each.text)
            for each in changes
        )

    def _tell(self, events: Iterable[tuple[int, str, str]]) -> None:
        numbers, kinds, texts = zip(*events, strict=True) if (events := list(events)) else ((),) * 3
        QUERIES.keep_events(
            self.connection,
            **self.names,
            numbers=list(numbers),
            actor=f"R{self.run}",
            kinds=list(kinds),
            texts=list(texts),
        )


def agreement_versions(connection: Any, log_indexes: Sequence[int]) -> dict[int, int]:
    """The version under which each of these was booked, as its record says."""
    rows = QUERIES.records_at(connection, log_indexes=list(log_indexes))
    return {
        log_index: wire.agreement_version(kind, bytes(record)) for log_index, kind, record in rows
    }


def body_of(found: Break, versions: Mapping[int, int]) -> str:
    """What of a break is kept as JSON."""
    return json.dumps(
        {
            "own_reference": found.own_reference,
            "row": found.row,
            "figures": [(each.name, each.ours, each.theirs) for each in found.figures],
            "difference": found.difference,
            "agreement_id": found.agreement_id,
            "agreement_version": versions.get(found.log_index, 0) if found.log_index else 0,
            "rounding": found.rounding,
            "note": found.note,
            "facts": dict(found.facts),
        },
        ensure_ascii=False,
    )
