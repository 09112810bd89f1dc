"""A closed window of a sample, stated for every partner by what states real ones. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass

from partners.key_events import EXCHANGE
from partners.keys import Purpose
from partners.registry import Partner
from settlement.lines.line import LineFile, Role
from settlement.lines.line_file import line_sums
from settlement.lines.wire import line_of
from settlement.netting import figures
from settlement.sample.coalition import Coalition
from settlement.sample.ledger import MemoryLedger
from settlement.statement import Statement, StreamRange, statement_of
from settlement.windows import SettlementWindow


@dataclass(frozen=True, slots=True)
class Stated:
    """A partner's window."""

    partner: Partner
    lines: LineFile
    statement: Statement


def state(
    ledger: MemoryLedger,
    coalition: Coalition,
    window: SettlementWindow,
    carried: Mapping[str, int],
) -> tuple[Stated, ...]:
    """Every partner's statement and lines; `carried` is what the window before carries forward, by
    partner id.
    """
    sums, points = ledger.window_sums(window), ledger.program_points(window)
    codes = {tax.number: tax.code for tax in ledger.state.registry.taxes.values()}
    found = []
    for partner in ledger.state.registry.partners.values():
        stream, lines = lines_of(ledger, window, partner)
        of_partner = figures(sums, partner.number, lines.totals(Role.TARGET).value, codes)
        statement = statement_of(
            window,
            partner,
            of_partner,
            line_sums(lines),
            brought_forward=carried.get(partner.partner_id, 0),
            points={name: each for name, each in points.items() if name in partner.programs},
            stream=stream,
            audience=coalition.audience,
            signing_key_id=coalition.seed.signer(EXCHANGE, Purpose.STATEMENTS).key_id,
        )
        found.append(Stated(partner, lines, statement))
    return tuple(found)


def lines_of(
    ledger: MemoryLedger, window: SettlementWindow, partner: Partner
) -> tuple[StreamRange, LineFile]:
    """What a partner's stream holds of a window, and the lines of what was committed."""
    assert window.closing_tree is not None, "only a closed window is stated"
    indexes = range(window.opening_tree.size, window.closing_tree.size)
    entries = [each for each in ledger.streams.get(partner.number, ()) if each.log_index in indexes]
    lines = (
        line_of(window.window_id, each.kind, each.payload, ledger.orders.get(each.log_index))
        for each in entries
    )
    file = LineFile(
        window.window_id,
        partner.partner_id,
        window.currency.scale,
        tuple(line for line in lines if line is not None),
    )
    ends = (entries[0].stream_seq, entries[-1].stream_seq) if entries else (0, 0)
    return StreamRange(*ends), file
