"""All that one folder of receipts, statements and line files proves together. Pure.

An archive is what `pointclear demo` writes, and what a partner or an auditor keeps:

    keys.json                            [{"key_id", "holder", "purpose", "public_key_pem"}, ...]
    <partner>/receipts.jsonl             the whole stream, one DSSE JSON envelope on each line
    <partner>/<window>.statement.json    a DSSE JSON envelope; of a later version
                                         <window>.v<n>.statement.json
    <partner>/<window>.lines.csv         the line file that the statement names by its digest

Its rules, beside those of the modules that it calls: a statement and its line file come together,
and the folder, the file and the payload name the same partner and window. What could not be looked
at is said, never passed over: a check that did not happen is not one that succeeded.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from exchange.cli.checks.entry import NAMES, Entry, check_entry, funders_of
from exchange.cli.checks.line_file import Line
from exchange.cli.checks.stated_lines import check_line_file
from exchange.cli.checks.stated_window import Stream, check_lines, check_range
from exchange.cli.checks.statement import Statement, check_statement
from exchange.cli.checks.statements import (
    check_heads,
    check_same_window,
    check_sequence,
    check_values,
    newest_version,
)
from exchange.cli.checks.stream import check_chain, check_counterparts, check_reversals
from exchange.cli.checks.verification import Broken, Fault, KeySet, compare

STREAM = "receipts.jsonl"
STATEMENT = ".statement.json"
LINE_FILE = ".lines.csv"
_VERSION = re.compile(r"\.v\d{1,5}$")


@dataclass(frozen=True, slots=True)
class PartnerFiles:
    """One partner's folder. Places are what faults call the files."""

    partner_id: str
    place: str
    stream: Sequence[str] = ()
    """One envelope each, in order."""
    statements: Mapping[str, str] = field(default_factory=dict)
    """Envelopes by window id, with `.v<n>` behind it from the second version on."""
    line_files: Mapping[str, bytes] = field(default_factory=dict)
    """Contents by window id."""

    @property
    def steps(self) -> int:
        """How often `check_archive` reports progress over this folder."""
        return len(self.stream) + len(self.statements)


@dataclass(frozen=True, slots=True)
class Report:
    """What was looked at and what was wrong with it."""

    faults: tuple[Fault, ...] = ()
    checked: Mapping[str, int] = field(default_factory=dict)
    """How many things of each kind held by themselves."""
    not_checked: tuple[str, ...] = ()
    """Sentences that say what could not be looked at."""


@dataclass(frozen=True, slots=True)
class _Folder:
    """What held of one partner's folder."""

    chain: tuple[Entry, ...]
    statements: tuple[Statement, ...]
    line_count: int
    faults: tuple[Fault, ...]
    not_checked: Mapping[str, str]
    """By window id: which statement could not be held against the stream."""


def check_archive(
    partners: Sequence[PartnerFiles],
    keys: KeySet,
    start_seq: int = 1,
    advance: Callable[[], object] = lambda: None,
) -> Report:
    """Check every file of these partners, and all of them against each other.

    `advance` is called once for each envelope. Streams start at `start_seq`.
    """
    folders = {
        files.partner_id: _check_folder(files, keys, start_seq, advance) for files in partners
    }
    chains = {partner_id: folder.chain for partner_id, folder in folders.items()}
    by_window: defaultdict[str, list[Statement]] = defaultdict(list)
    statements = [s for folder in folders.values() for s in folder.statements]
    for statement in statements:
        by_window[statement.message.window_id].append(statement)
    whole, not_checked = _whole_windows(by_window, folders)
    not_checked = (
        *(statement.unproven for statement in statements if statement.unproven),
        *(sentence for folder in folders.values() for sentence in folder.not_checked.values()),
        *not_checked,
        *_unstated(folders),
    )
    faults = (
        *(fault for folder in folders.values() for fault in folder.faults),
        *check_counterparts(chains),
        *check_same_window(by_window),
        *check_heads(statements),
        *check_values(whole),
    )
    return Report(faults, _count(folders.values(), len(whole)), not_checked)


def _check_folder(
    files: PartnerFiles, keys: KeySet, start_seq: int, advance: Callable[[], object]
) -> _Folder:
    stream_place = f"{files.place}{STREAM}"
    chain, faults = check_stream(
        stream_place, files.stream, keys, files.partner_id, start_seq, advance
    )
    is_whole = not faults
    stream = Stream.of(chain)
    versions: defaultdict[str, list[Statement]] = defaultdict(list)
    not_checked: dict[str, str] = {}
    line_count = 0
    for name, text in sorted(files.statements.items()):
        window_id = window_of(name)
        place = f"{files.place}{name}{STATEMENT}"
        advance()
        try:
            statement = check_statement(place, text, keys)
        except Broken as broken:
            faults += broken.faults
            continue
        is_first = not versions[window_id]
        versions[window_id].append(statement)
        message = statement.message
        faults += compare(place, "partner by its folder", files.partner_id, message.partner_id)
        faults += compare(place, "window by its file name", window_id, message.window_id)
        lines, line_faults = _check_line_file(files, window_id, statement)
        line_count += len(lines or ()) if is_first else 0
        faults += line_faults
        if not _covers(chain, is_whole, start_seq, statement):
            not_checked[window_id] = f"{place} against {stream_place}, which is not whole so far"
            continue
        faults += check_range(statement, stream)
        if lines is not None:
            faults += check_lines(statement, f"{files.place}{window_id}{LINE_FILE}", lines, stream)
    for window_id in sorted(files.line_files.keys() - set(map(window_of, files.statements))):
        faults.append(Fault(f"{files.place}{window_id}{LINE_FILE}", "has no statement beside it"))
    statements: list[Statement] = []
    for of_window in versions.values():
        newest, version_faults = newest_version(of_window)
        statements.append(newest)
        faults += version_faults
    # A name is no order: windows follow each other by the log.
    statements.sort(key=lambda s: (s.indices.start, s.indices.stop, s.message.business_date))
    faults += check_sequence(statements)
    return _Folder(chain, tuple(statements), line_count, tuple(faults), not_checked)


def window_of(name: str) -> str:
    """The window of a statement's file, by its name."""
    return _VERSION.sub("", name)


def _covers(chain: Sequence[Entry], is_whole: bool, start_seq: int, statement: Statement) -> bool:
    """Whether the good part of a stream holds all that it should hold of a window."""
    if start_seq > 1 and statement.message.first_stream_seq < start_seq:
        return False
    return is_whole or (bool(chain) and statement.indices.stop <= chain[-1].record.log_index + 1)


def _check_line_file(
    files: PartnerFiles, window_id: str, statement: Statement
) -> tuple[tuple[Line, ...] | None, tuple[Fault, ...]]:
    place = f"{files.place}{window_id}{LINE_FILE}"
    content = files.line_files.get(window_id)
    if content is None:
        return None, (Fault(place, "is missing"),)
    return check_line_file(statement, place, content)


def check_stream(
    place: str,
    texts: Sequence[str],
    keys: KeySet,
    partner_id: str | None = None,
    start_seq: int = 1,
    advance: Callable[[], object] = lambda: None,
) -> tuple[tuple[Entry, ...], list[Fault]]:
    """A stream's entries up to its first fault; that fault, and those of single entries.

    Without `partner_id` the stream is whoever's its first good entry is.
    """
    faults: list[Fault] = []
    entries: list[Entry | None] = []
    for number, text in enumerate(texts, start=1):
        try:
            entries.append(check_entry(f"{place}:{number}", text, keys))
        except Broken as broken:
            faults += broken.faults
            entries.append(None)
        advance()
    owner = next((entry.partner_id for entry in entries if entry), "")
    chain, chain_faults = check_chain(entries, partner_id or owner, start_seq)
    return chain, [*faults, *chain_faults, *check_reversals(chain)]


def _whole_windows(
    by_window: Mapping[str, list[Statement]], folders: Mapping[str, _Folder]
) -> tuple[dict[str, list[Statement]], tuple[str, ...]]:
    """The windows of which all partners' statements are here, and a sentence on each other one.

    Who took part is known from the streams, so a window counts only where those were read.
    """
    parties: defaultdict[str, set[str]] = defaultdict(set)
    unread = {window_id for folder in folders.values() for window_id in folder.not_checked}
    for folder in folders.values():
        for entry in folder.chain:
            if entry.is_committed:
                record = entry.record
                parties[record.window_id] |= {record.source_partner, record.target_partner}
                parties[record.window_id] |= funders_of(record)
    whole: dict[str, list[Statement]] = {}
    not_checked: list[str] = []
    for window_id, statements in sorted(by_window.items()):
        missing = parties[window_id] - {s.message.partner_id for s in statements}
        if missing:
            names = ", ".join(sorted(missing))
            not_checked.append(f"sum of window {window_id}: no good statement of {names} is here")
        elif window_id in unread:
            not_checked.append(f"sum of window {window_id}: who took part is not known")
        else:
            whole[window_id] = statements
    return whole, tuple(not_checked)


def _unstated(folders: Mapping[str, _Folder]) -> Iterator[str]:
    """A sentence for each partner with transfers that none of its statements here counts."""
    for partner_id, folder in folders.items():
        stated = {statement.message.window_id for statement in folder.statements}
        windows = {e.record.window_id for e in folder.chain if e.is_committed} - stated
        if windows:
            names = ", ".join(sorted(windows))
            yield f"windows {names} of {partner_id}: no good statement of them is here"


def count_entries(chain: Sequence[Entry]) -> dict[str, int]:
    """How many receipts and notices a stream holds."""
    names = Counter(NAMES[entry.role] for entry in chain)
    return {f"{name}s": names[name] for name in NAMES.values()}


def _count(folders: Iterable[_Folder], windows: int) -> dict[str, int]:
    checked = Counter(windows=windows)
    for folder in folders:
        checked["partners"] += 1
        checked.update(count_entries(folder.chain))
        checked["statements"] += len(folder.statements)
        checked["lines"] += folder.line_count
    proofs = dict.fromkeys(f"{name}s" for name in NAMES.values())
    names = ("partners", *proofs, "statements", "lines", "windows")
    return {name: checked[name] for name in names}


def merged(reports: Iterable[Report]) -> Report:
    """One report of several."""
    checked: Counter[str] = Counter()
    faults: list[Fault] = []
    not_checked: list[str] = []
    for report in reports:
        checked.update(report.checked)
        faults += report.faults
        not_checked += report.not_checked
    return Report(tuple(faults), dict(checked), tuple(not_checked))
