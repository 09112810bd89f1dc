"""What a settlement statement proves: its sums, its line file, its place between two others. Pure.

Its rules, beside those of `exchange.cli.checks.verification`:

- net = outgoing + incoming + fees + taxes + taxes on value + promotions, and the same of reversals,
  + adjustments; due = brought forward + restated + net - withheld; carried = brought forward +
  restated + net - payment.
  What leaves is never positive, what comes never negative, and of reversals the other way round;
  the payment is due, rounded down.
- The line file is the one whose digest is signed, and its sums are the statement's: count, values,
  fees, taxes by code, promotions by funder, points by program.
- The window is the log's range from the opening tree's size up to, without, the closing tree's. The
  statement names the first and last stream position in it, and every committed transfer of the
  partner's stream in it is in the line file, line for line, and no other.
- A statement begins where the one before it ended: same tree, and the balance of one of that one's
  versions. Versions follow each other by digest and differ in what is withheld and paid alone.
- Over all partners of a window outgoing and incoming value and the tax on them sum to 0, promotions
  to what the operator paid for them, and all name the same trees.

Source: books.md (Settlement windows), pointclear/settlement/v1/statement.proto.
"""

import hashlib
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from exchange.cli.checks.line_file import Line, line_faults, read_lines
from exchange.cli.checks.stream import REVERSED, TARGET, Entry
from exchange.cli.checks.verification import (
    Broken,
    Fault,
    KeySet,
    KnownKey,
    check_force,
    compare,
    open_envelope,
    parse,
)
from partners.agreement import HUB
from partners.envelope import SETTLEMENT_STATEMENT
from partners.errors import Refused
from partners.points import currency_scale
from pointclear.settlement.v1.statement_pb2 import Reversals, SettlementStatement, TreeHead

HASH_BYTES = 32

Figures = SettlementStatement | Reversals
"""What transfers came to, and what reversals gave back."""


@dataclass(frozen=True, slots=True)
class Statement:
    """A statement whose signature and sums hold."""

    place: str
    message: SettlementStatement
    unproven: str = ""
    """A sentence on what it does not show by itself, if there is anything."""
    sha256: bytes = b""
    """Of its payload."""
    carried_before: tuple[int, ...] = ()
    """What versions before this one carried forward, those that are here."""

    @property
    def version(self) -> int:
        """From 1."""
        return self.message.version or 1

    @property
    def indices(self) -> range:
        """The window's range of the log."""
        return range(self.message.opening_tree.size, self.message.closing_tree.size)


def check_statement(place: str, text: str, keys: KeySet) -> Statement:
    """A statement by itself. Raises Broken with all its faults."""
    envelope = open_envelope(place, text, keys, SETTLEMENT_STATEMENT)
    message = parse(place, "payload", SettlementStatement, envelope.payload)
    key = keys[envelope.signatures[0].key_id]
    # A statement is recorded behind its window, at an index that it does not state: at the earliest
    # the one at which the window was closed.
    faults = (
        *compare(place, "signing_key_id", key.key_id, message.signing_key_id),
        *_revocation_faults(place, key, message),
        *_sum_faults(place, message),
        *_sign_faults(place, message),
        *_payment_faults(place, message),
        *_range_faults(place, message),
    )
    if faults:
        raise Broken(*faults)
    unproven = ""
    if key.revoked_index is not None:
        unproven = f"whether {place} was stated before its key was revoked at {key.revoked_index}"
    return Statement(place, message, unproven, hashlib.sha256(envelope.payload).digest())


def _revocation_faults(place: str, key: KnownKey, message: SettlementStatement) -> Iterator[Fault]:
    if key.revoked_index is not None:
        yield from check_force(
            place, replace(key, registered_index=None), message.closing_tree.size
        )


def _net_of(figures: Figures) -> int:
    taxes = sum(tax.amount for tax in figures.taxes)
    value_taxes = sum(tax.outgoing + tax.incoming for tax in figures.value_taxes)
    net = figures.outgoing_value + figures.incoming_value + figures.fees + taxes
    return net + value_taxes + figures.promotions


def _sum_faults(place: str, message: SettlementStatement) -> Iterator[Fault]:
    net = _net_of(message) + _net_of(message.reversals) + message.adjustments
    yield from compare(place, "net, outgoing + incoming + fees + taxes", net, message.net)
    for what, figures in (("promotions", message), ("promotions reversed", message.reversals)):
        promotions = sum(line.amount for line in figures.promotion_lines)
        yield from compare(place, f"{what}, their lines", promotions, figures.promotions)
    standing = message.brought_forward + message.restated + message.net
    due = standing - message.withheld
    said = "due, brought_forward + restated + net - withheld"
    yield from compare(place, said, due, message.due)
    carried = standing - message.payment
    said = "carried_forward, brought_forward + restated + net - payment"
    yield from compare(place, said, carried, message.carried_forward)


def _sign_faults(place: str, message: SettlementStatement) -> Iterator[Fault]:
    for name, amount in _leaving(message):
        if amount > 0:
            yield Fault(place, name, "at most 0", str(amount))
    for name, amount in _coming(message):
        if amount < 0:
            yield Fault(place, name, "at least 0", str(amount))
    for name, amount in _leaving(message.reversals):
        if amount < 0:
            yield Fault(place, f"{name} reversed", "at least 0", str(amount))
    for name, amount in _coming(message.reversals):
        if amount > 0:
            yield Fault(place, f"{name} reversed", "at most 0", str(amount))


def _leaving(figures: Figures) -> Iterator[tuple[str, int]]:
    """What a partner owes for transfers, or gets back of it."""
    yield "outgoing_value", figures.outgoing_value
    yield "fees", figures.fees
    for tax in figures.taxes:
        yield f"tax {tax.tax_code}", tax.amount
    for value_tax in figures.value_taxes:
        yield f"outgoing value tax {value_tax.tax_code}", value_tax.outgoing


def _coming(figures: Figures) -> Iterator[tuple[str, int]]:
    """What a partner is owed for transfers, or gives back of it."""
    yield "incoming_value", figures.incoming_value
    for tax in figures.value_taxes:
        yield f"incoming value tax {tax.tax_code}", tax.incoming
    for line in figures.promotion_lines:
        yield f"own share of {line.promotion_id}", line.own_share


def _payment_faults(place: str, message: SettlementStatement) -> Iterator[Fault]:
    try:
        currency = currency_scale(message.currency)
    except Refused as refused:
        yield Fault(place, str(refused))
        return
    yield from compare(place, "scale of the currency", currency.scale, message.scale)
    # Down to the minor unit as the partner sees it; only a pay-out may be held back.
    whole = message.due - message.due % currency.minor_unit
    if message.aborted:
        # What was paid by then stands, and nothing more is asked for.
        return
    if message.payment != 0 or message.due < 0:
        yield from compare(place, "payment, due in whole minor units", whole, message.payment)
    is_paid, is_named = message.payment != 0, bool(message.payment_reference)
    yield from compare(place, "whether there is a payment reference", is_paid, is_named)


def _range_faults(place: str, message: SettlementStatement) -> Iterator[Fault]:
    for name, tree in (("opening", message.opening_tree), ("closing", message.closing_tree)):
        yield from compare(place, f"bytes of the {name} tree's root", HASH_BYTES, len(tree.root))
    opening, closing = message.opening_tree.size, message.closing_tree.size
    if not 0 <= opening <= closing:
        yield Fault(place, "closing tree's size", f"at least {opening}", str(closing))


# The line file


def check_line_file(
    statement: Statement, place: str, content: bytes
) -> tuple[tuple[Line, ...] | None, tuple[Fault, ...]]:
    """The lines of a statement's line file, and whether they are what the statement sums up.

    None where the file cannot be read.
    """
    message = statement.message
    digest = hashlib.sha256(content).digest()
    faults = [
        *compare(place, "SHA-256 that the statement states", message.line_file_sha256, digest)
    ]
    try:
        file = read_lines(place, content, message.scale)
    except Broken as broken:
        return None, (*faults, *broken.faults)
    lines = file.lines
    faults += file.faults
    faults += compare(place, "window in the end marker", message.window_id, file.window_id)
    faults += compare(place, "partner in the end marker", message.partner_id, file.partner_id)
    faults += compare(
        place, "line_count of the statement and of the lines", message.line_count, len(lines)
    )
    transferred = [line for line in lines if not line.is_reversed]
    reversed_ = [line for line in lines if line.is_reversed]
    faults += _line_sum_faults(place, "", message, transferred)
    faults += _line_sum_faults(place, "reversed ", message.reversals, reversed_)
    faults += _points_faults(place, message, lines)
    return lines, tuple(faults)


def _line_sum_faults(
    place: str, prefix: str, figures: Figures, lines: Sequence[Line]
) -> Iterator[Fault]:
    for what, stated, summed in (
        (
            "outgoing_value",
            figures.outgoing_value,
            sum(line.value for line in lines if line.is_outgoing),
        ),
        (
            "incoming_value",
            figures.incoming_value,
            sum(line.value for line in lines if not line.is_outgoing),
        ),
        ("fees", figures.fees, sum(line.fee for line in lines)),
        ("promotions", figures.promotions, sum(line.promotion for line in lines)),
    ):
        said = f"{prefix}{what} of the statement and of the lines"
        yield from compare(place, said, stated, summed)
    yield from _tax_faults(place, prefix, figures, lines)


def _tax_faults(
    place: str, prefix: str, figures: Figures, lines: Sequence[Line]
) -> Iterator[Fault]:
    stated, summed = Counter[str](), Counter[str]()
    for tax in figures.taxes:
        stated[tax.tax_code] += tax.amount
    for value_tax in figures.value_taxes:
        stated[f"outgoing {value_tax.tax_code}"] += value_tax.outgoing
        stated[f"incoming {value_tax.tax_code}"] += value_tax.incoming
    for line in lines:
        summed[line.cells["tax_code"]] += line.tax
        if line.value_tax:
            way = "outgoing" if line.is_outgoing else "incoming"
            summed[f"{way} {line.cells['value_tax_code']}"] += line.value_tax
    for code in sorted(stated.keys() | summed.keys()):
        what = f"{prefix}tax {code or 'without a code'} of the statement and of the lines"
        yield from compare(place, what, stated[code], summed[code])


def _points_faults(
    place: str, message: SettlementStatement, lines: Sequence[Line]
) -> Iterator[Fault]:
    stated, summed = Counter[tuple[str, str]](), Counter[tuple[str, str]]()
    for points in message.points:
        stated[points.program_id, "out"] += points.points_out
        stated[points.program_id, "in"] += points.points_in
        stated[points.program_id, "bonus"] += points.bonus_points
        stated[points.program_id, "reversed out"] += points.reversed_out
        stated[points.program_id, "reversed in"] += points.reversed_in
        stated[points.program_id, "reversed bonus"] += points.reversed_bonus
    for line in lines:
        for program, way, count in line.own_points:
            summed[program, way] += count
    for program, way in sorted(stated.keys() | summed.keys()):
        what = f"points {way} of {program} of the statement and of the lines"
        yield from compare(place, what, stated[program, way], summed[program, way])


# The stream


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


# Statement by statement


def check_sequence(statements: Sequence[Statement]) -> tuple[Fault, ...]:
    """Whether each of a partner's statements, in order, begins where the one before it ended."""
    faults: list[Fault] = []
    for before, after in pairwise(statements):
        earlier, later, place = before.message, after.message, after.place
        faults += compare(place, "partner", earlier.partner_id, later.partner_id)
        faults += compare(place, "currency", earlier.currency, later.currency)
        if later.brought_forward not in before.carried_before:
            carried = earlier.carried_forward
            faults += compare(place, "brought_forward", carried, later.brought_forward)
        faults += _tree_faults(place, "opening tree", earlier.closing_tree, later.opening_tree)
        if later.business_date <= earlier.business_date:
            past = f"after {earlier.business_date}"
            faults.append(Fault(place, "business_date", past, later.business_date))
    return tuple(faults)


PAID_OTHERWISE = (
    *("version", "supersedes_sha256", "reason", "withheld", "aborted"),
    *("due", "payment", "payment_reference", "carried_forward", "signing_key_id"),
)
"""The fields in which versions of a statement may differ."""


def newest_version(versions: Sequence[Statement]) -> tuple[Statement, tuple[Fault, ...]]:
    """The newest of a statement's versions, and whether they follow each other."""
    ordered = sorted(versions, key=lambda each: each.version)
    faults: list[Fault] = []
    for before, after in pairwise(ordered):
        if after.version == before.version + 1:
            digest, named = before.sha256, after.message.supersedes_sha256
            faults += compare(after.place, "supersedes_sha256", digest, named)
        for name in (each.name for each in SettlementStatement.DESCRIPTOR.fields):
            one, two = getattr(before.message, name), getattr(after.message, name)
            if name not in PAID_OTHERWISE and one != two:
                faults.append(Fault(after.place, f"{name} by {before.place}", str(one), str(two)))
    carried = tuple(each.message.carried_forward for each in ordered[:-1])
    return replace(ordered[-1], carried_before=carried), tuple(faults)


def check_values(statements: Mapping[str, Sequence[Statement]]) -> tuple[Fault, ...]:
    """Whether the values in the statements of each window, those of all its partners, sum to 0.

    The mapping is from window id to the statements of it.
    """
    faults: list[Fault] = []
    for window_id, of_window in statements.items():
        first = of_window[0]
        messages = [statement.message for statement in of_window]
        faults += _together(first.place, window_id, messages)
        reversals = [each.reversals for each in messages]
        faults += _together(first.place, f"{window_id}, reversals", reversals)
    return tuple(faults)


def _together(place: str, window_id: str, of_all: Sequence[Figures]) -> Iterator[Fault]:
    value = sum(each.outgoing_value + each.incoming_value for each in of_all)
    what = f"values of all partners in window {window_id} together"
    yield from compare(place, what, 0, value)
    taxes = [tax for each in of_all for tax in each.value_taxes]
    what = f"taxes on value of all partners in window {window_id} together"
    yield from compare(place, what, 0, sum(tax.outgoing + tax.incoming for tax in taxes))
    lines = [line for each in of_all for line in each.promotion_lines]
    by_hub = sum(line.amount for line in lines if line.funder == HUB)
    what = f"promotions of all partners in window {window_id} together, but the operator's"
    yield from compare(place, what, 0, sum(each.promotions for each in of_all) - by_hub)


def check_same_window(statements: Mapping[str, Sequence[Statement]]) -> tuple[Fault, ...]:
    """Whether the statements of each window, of whichever partners, name one range of one log."""
    faults: list[Fault] = []
    for first, *others in statements.values():
        for other in others:
            one, two, place = first.message, other.message, other.place
            faults += _tree_faults(place, "opening tree", one.opening_tree, two.opening_tree)
            faults += _tree_faults(place, "closing tree", one.closing_tree, two.closing_tree)
            faults += compare(place, "business_date", one.business_date, two.business_date)
            faults += compare(place, "currency", one.currency, two.currency)
            faults += compare(place, "audience", one.audience, two.audience)
    return tuple(faults)


def check_heads(statements: Iterable[Statement]) -> tuple[Fault, ...]:
    """Whether all these statements rest on one history: one root for each size of the log."""
    roots: dict[int, tuple[str, bytes]] = {}
    faults: list[Fault] = []
    for statement in statements:
        for head in (statement.message.opening_tree, statement.message.closing_tree):
            where, root = roots.setdefault(head.size, (statement.place, head.root))
            what = f"root of the log at size {head.size} by {where}"
            faults += compare(statement.place, what, root, head.root)
    return tuple(faults)


def _tree_faults(place: str, name: str, expected: TreeHead, found: TreeHead) -> Iterator[Fault]:
    yield from compare(place, f"size of the {name}", expected.size, found.size)
    yield from compare(place, f"root of the {name}", expected.root, found.root)
