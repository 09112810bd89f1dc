"""Whether a statement's window is the part of the partner's stream that it says it is. Pure.

The statement names the first and last stream position in it, and every committed transfer of the
partner's stream in it is in the line file, line for line, and no other.
"""

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from exchange.cli.checks.entry import REVERSED, TARGET, Entry
from exchange.cli.checks.line_file import Line, line_faults
from exchange.cli.checks.statement import Figures, Statement
from exchange.cli.checks.verification import (
    Fault,
    compare,
)


@dataclass(frozen=True, slots=True)
class Stream:
    """A partner's good entries, in the order of the log, ready to be asked for windows."""

    chain: Sequence[Entry]
    by_window: Mapping[str, Sequence[Entry]]
    """Committed transfers and reversals by the window that their records name."""

    @classmethod
    def of(cls, chain: Sequence[Entry]) -> "Stream":
        """The stream of these entries."""
        by_window: defaultdict[str, list[Entry]] = defaultdict(list)
        for entry in chain:
            if entry.is_committed:
                by_window[entry.record.window_id].append(entry)
        return cls(chain, dict(by_window))

    def within(self, indices: range) -> Sequence[Entry]:
        """The entries of a range of the log."""
        first = bisect_left(self.chain, indices.start, key=_log_index)
        return self.chain[first : bisect_left(self.chain, indices.stop, key=_log_index)]


def _log_index(entry: Entry) -> int:
    return entry.record.log_index


def check_range(statement: Statement, stream: Stream) -> Iterator[Fault]:
    """Whether the window is the part of the partner's stream that it says it is."""
    message, place = statement.message, statement.place
    inside = stream.within(statement.indices)
    first, last = (inside[0].stream_seq, inside[-1].stream_seq) if inside else (0, 0)
    yield from compare(place, "first_stream_seq by the stream", first, message.first_stream_seq)
    yield from compare(place, "last_stream_seq by the stream", last, message.last_stream_seq)
    for entry in inside[:1]:
        yield from compare(place, "whose stream it is", entry.partner_id, message.partner_id)
        yield from compare(place, "audience by the stream", entry.audience, message.audience)
    for entry in (entry for entry in inside if entry.is_committed):
        record = entry.record
        what = f"window of log index {record.log_index} by {place}"
        yield from compare(entry.place, what, message.window_id, record.window_id)
        what = f"currency of log index {record.log_index} by {place}"
        yield from compare(entry.place, what, message.currency, record.settlement_currency)
    for entry in stream.by_window.get(message.window_id, ()):
        if entry.record.log_index not in statement.indices:
            span = f"{statement.indices.start} to below {statement.indices.stop}"
            what = f"log index of window {message.window_id} by {place}"
            yield Fault(entry.place, what, span, str(entry.record.log_index))


def check_lines(
    statement: Statement, place: str, lines: Sequence[Line], stream: Stream
) -> Iterator[Fault]:
    """Whether the lines are the committed transfers and reversals that the stream holds in the
    window's range.
    """
    stated = {line.log_index: line for line in lines}
    proved = {
        entry.record.log_index: entry
        for entry in stream.within(statement.indices)
        if entry.is_committed
    }
    for index in sorted(proved.keys() - stated.keys()):
        yield Fault(place, f"log index {index} ({proved[index].place}) is not in the line file")
    for index in sorted(stated.keys() - proved.keys()):
        yield Fault(stated[index].place, f"log index {index} is not in the window of the stream")
    for index in sorted(stated.keys() & proved.keys()):
        yield from line_faults(stated[index], proved[index], statement.message.scale)
    transfers = [entry for entry in proved.values() if not entry.is_reversal]
    reversals = [entry for entry in proved.values() if entry.is_reversal]
    message = statement.message
    yield from _promotion_faults(statement.place, "", message, transfers, 1)
    yield from _promotion_faults(statement.place, "reversed ", message.reversals, reversals, -1)


def _promotion_faults(
    place: str, prefix: str, figures: Figures, entries: Sequence[Entry], sign: int
) -> Iterator[Fault]:
    """Whether the promotions are stated as the records have them, by agreement and funder."""
    stated = Counter[tuple[str, str, str, str]]()
    proved = Counter[tuple[str, str, str, str]]()
    for line in figures.promotion_lines:
        key = (line.agreement_id, line.promotion_id, line.funder)
        stated[*key, "amount"] += line.amount
        stated[*key, "own share"] += line.own_share
    for entry in entries:
        for promotion in entry.record.promotions:
            for share in promotion.shares:
                key = (entry.record.agreement_id, promotion.promotion_id, share.funder)
                own = share.funder == entry.partner_id
                if entry.role in (TARGET, REVERSED[TARGET]):
                    proved[*key, "own share" if own else "amount"] += sign * share.amount
                elif own:
                    proved[*key, "amount"] -= sign * share.amount
    for agreement, name, funder, what in sorted(stated.keys() | proved.keys()):
        found = stated[agreement, name, funder, what]
        expected = proved[agreement, name, funder, what]
        said = f"{prefix}{what} of {funder} for {name} of {agreement} by the stream"
        yield from compare(place, said, expected, found)
