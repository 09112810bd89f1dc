"""Mappings, uploaded parts, runs and breaks, as they are kept. All functions take a psycopg2
connection in its caller's transaction.

A run is written whole, in one transaction and one process's turn; so a crash leaves all of it or
nothing, and the same file again finds it.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from partners.errors import Reason, Refused
from settlement.reconciliation import wire
from settlement.reconciliation.apart import Found
from settlement.reconciliation.breaks import Break, BreakState, Category
from settlement.reconciliation.following import Change, Context, Elsewhere, Known, Standing, outcome
from settlement.reconciliation.gathering import QUERIES, Own, Range
from settlement.reconciliation.values import Event, KeptBreak, KeptMapping, Run

_STANDINGS = {
    1: Standing.COMMITTED,
    2: Standing.REFUSED,
    4: Standing.HELD,
    5: Standing.RESERVED,
}
"""By the leaf's kind; a refusal after a hold or a reservation is an abort."""


# Mappings and uploads


def newest_mapping(connection: Any, own: Own) -> KeptMapping | None:
    """The mapping that holds."""
    row = QUERIES.newest_mapping(connection, partner_number=own.number)
    return KeptMapping(row[0], bytes(row[1]), row[2]) if row else None


def keep_mapping(connection: Any, own: Own, body: bytes, now: datetime) -> int:
    """Keep a mapping; the version of the same one, if it is that."""
    QUERIES.take_turn(connection, partner_number=own.number)
    newest = newest_mapping(connection, own)
    if newest is not None and newest.body == body:
        return newest.version
    version = newest.version + 1 if newest else 1
    QUERIES.keep_mapping(connection, partner_number=own.number, version=version, body=body, now=now)
    return version


def keep_chunk(
    connection: Any, own: Own, sha256: bytes, offset: int, content: bytes, now: datetime
) -> int:
    """Keep the next part of a file; how much is here then. Raises Refused(FIELD_INVALID) for a part
    that leaves a gap.
    """
    QUERIES.take_turn(connection, partner_number=own.number)
    QUERIES.drop_other_chunks(connection, partner_number=own.number, sha256=sha256)
    received = int(QUERIES.received(connection, partner_number=own.number, sha256=sha256))
    if offset > received:
        raise Refused(Reason.FIELD_INVALID, "offset", f"the next part begins at {received}")
    if offset < received or not content:
        return received
    QUERIES.keep_chunk(
        connection,
        partner_number=own.number,
        sha256=sha256,
        chunk_offset=offset,
        content=content,
        now=now,
    )
    return received + len(content)


def chunks(connection: Any, own: Own, sha256: bytes) -> Iterator[bytes]:
    """The parts of a file, in order."""
    offset = 0
    while True:
        content = QUERIES.chunk_from(
            connection, partner_number=own.number, sha256=sha256, chunk_offset=offset
        )
        if content is None:
            return
        yield bytes(content)
        offset += len(content)


def drop_chunks(connection: Any, own: Own, sha256: bytes) -> None:
    """Forget an uploaded file."""
    QUERIES.drop_chunks(connection, partner_number=own.number, sha256=sha256)


# Runs


def same_run(
    connection: Any, own: Own, sha256: bytes, mapping_version: int, span: Range
) -> int | None:
    """The run of this very file, by this mapping, over these windows."""
    number = QUERIES.same_run(
        connection,
        partner_number=own.number,
        sha256=sha256,
        mapping_version=mapping_version,
        first_window=span.first.number,
        last_window=span.last.number,
    )
    return None if number is None else int(number)


def known_breaks(connection: Any, own: Own) -> tuple[Known, ...]:
    """The partner's breaks that are not closed."""
    rows = QUERIES.known_breaks(connection, partner_number=own.number)
    return tuple(
        Known(
            number,
            bytes(key),
            Category(category),
            BreakState(state),
            window_id,
            log_index,
            json.loads(body)["facts"],
        )
        for number, key, category, state, window_id, log_index, body in rows
    )


def elsewhere(connection: Any, own: Own, transfer_ids: Sequence[str]) -> dict[str, Elsewhere]:
    """What the books have of transfers, as far as the partner may know."""
    found: dict[str, Elsewhere] = {}
    rows = QUERIES.records_of(
        connection, partner_number=own.number, transfer_ids=list(transfer_ids)
    )
    for transfer_id, kind, log_index, window_id in rows:
        standing = _STANDINGS[kind]
        if standing is Standing.REFUSED and transfer_id in found:
            standing = Standing.ABORTED
        found[transfer_id] = Elsewhere(standing, window_id or "", log_index)
    return found


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
    same = same_run(connection, own, sha256, mapping_version, span)
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
        known_breaks(connection, own),
        elsewhere(connection, own, sorted(strays)) if strays else {},
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
            if each.category is None:
                QUERIES.move_break(
                    self.connection,
                    **self.names,
                    break_number=each.number,
                    state=BreakState.RESOLVED.value,
                    category=None,
                )
            else:
                QUERIES.move_break(
                    self.connection,
                    **self.names,
                    break_number=each.number,
                    state=BreakState.OPEN.value,
                    category=each.category.value,
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


def run_numbered(connection: Any, own: Own, number: int) -> Run:
    """A run, or the newest for 0; raises Refused(RECONCILIATION_UNKNOWN)."""
    row = QUERIES.run_numbered(connection, partner_number=own.number, run_number=number)
    if row is None:
        raise Refused(Reason.RECONCILIATION_UNKNOWN, "run_id", "there is no such run")
    counts = list(QUERIES.run_counts(connection, partner_number=own.number, run_number=row[1]))
    partner_id, found, first, last, sha256, name, version, rows, lines, matched, at, cleared = row
    return Run(
        partner_id,
        found,
        first,
        last,
        bytes(sha256),
        name,
        version,
        rows,
        lines,
        matched,
        at,
        cleared,
        {Category(category): count for category, count, _ in counts},
        sum(still for _, _, still in counts),
    )


# Breaks


def breaks_page(
    connection: Any,
    partner_number: int,
    run_number: int,
    category: str,
    after: tuple[int, int],
    breaks_max: int,
    *,
    open_only: bool,
) -> tuple[KeptBreak, ...]:
    """Some breaks in their order: of one partner or of all (0), of one run or of any (0)."""
    rows = QUERIES.breaks_page(
        connection,
        partner_number=partner_number,
        run_number=run_number,
        open_only=open_only,
        category=category,
        after_partner=after[0],
        after_break=after[1],
        breaks_max=breaks_max,
    )
    return tuple(map(_break, rows))


def break_numbered(connection: Any, own: Own, number: int) -> KeptBreak:
    """One break; raises Refused(RECONCILIATION_UNKNOWN)."""
    row = QUERIES.break_numbered(connection, partner_number=own.number, break_number=number)
    if row is None:
        raise Refused(Reason.RECONCILIATION_UNKNOWN, "break_id", "there is no such break")
    return _break(row)


def _break(row: Any) -> KeptBreak:
    partner, partner_id, number, category, state, owner, first, newest, opened, closed, *rest = row
    window_id, log_index, transfer_id, body, currency = rest
    return KeptBreak(
        partner,
        partner_id,
        number,
        Category(category),
        BreakState(state),
        owner,
        first,
        newest,
        opened,
        closed,
        window_id,
        log_index,
        UUID(transfer_id) if transfer_id else None,
        json.loads(body),
        currency,
    )


def events_of(connection: Any, own: Own, number: int) -> tuple[Event, ...]:
    """What happened to a break, oldest first."""
    rows = QUERIES.events_of(connection, partner_number=own.number, break_number=number)
    return tuple(Event(*row) for row in rows)


def is_entry(connection: Any, entry_key: str) -> bool:
    """Whether such an entry is booked."""
    return bool(QUERIES.is_entry(connection, entry_key=entry_key))
