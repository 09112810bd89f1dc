"""Whatever was transferred under terms of every kind: statements, line files and the verifier,
which is written apart, come to the same.
"""

from collections import defaultdict

from hypothesis import given
from hypothesis import strategies as st

from exchange.cli.checks.archive import PartnerFiles, check_archive
from exchange.cli.checks.verification import KnownKey
from exchange.commands import CloseWindow, Order
from exchange.fold import fold
from exchange.ledger.postings import MoneyCell, PointsCell
from exchange.log.merkle import Frontier
from exchange.seal import StreamEntry, seal
from exchange.signing import PAPERS
from partners.envelope import SETTLEMENT_STATEMENT, sign, to_json
from partners.keys import Purpose, VerifyKey
from partners.points import currency_scale
from settlement.line_file import LineFile, Role, write_line_file
from settlement.netting import figures, nets
from settlement.statement import ProgramPoints, StreamRange, statement_of
from settlement.windows import SettlementWindow, TreeHead, WindowState, WindowSum
from settlement.wire import line_of, statement_payload
from tests import factories as make
from tests.property.histories import FIRST, MONEY, orders

STATEMENTS = make.signer("exchange", Purpose.STATEMENTS)
KEYS = {
    each.key_id: KnownKey(VerifyKey(each.key_id, each.public_key), "exchange", purpose)
    for each, purpose in ((make.RECEIPTS, Purpose.RECEIPTS), (STATEMENTS, Purpose.STATEMENTS))
}
CURRENCY = currency_scale(make.CURRENCY)


def archive_of(commands: list[Order]) -> list[PartnerFiles]:
    """What each partner holds after these orders and the close of their window."""
    folded = fold(FIRST, [*commands, CloseWindow(make.WINDOW, None)], make.NOW)
    registry = folded.state.registry
    sealed = seal(folded.outcomes, registry, Frontier(), {}, make.LETTERHEAD, make.salts())
    closed = folded.state.windows[make.WINDOW]
    assert closed.end_index is not None
    window = SettlementWindow(
        closed.number,
        closed.window_id,
        CURRENCY,
        MONEY,
        closed.business_date,
        WindowState.CLOSED,
        TreeHead(closed.first_index, bytes(32)),
        TreeHead(closed.end_index, bytes(range(32))),
    )
    of_window = {
        cell: amount
        for (number, cell), amount in folded.state.window_sums.items()
        if number == closed.number
    }
    sums = [
        WindowSum(cell.party, cell.counterparty, cell.code, cell.tax_number, amount)
        for cell, amount in of_window.items()
        if isinstance(cell, MoneyCell)
    ]
    streams: defaultdict[int, list[StreamEntry]] = defaultdict(list)
    for entry in sealed.stream_entries:
        streams[entry.partner_number].append(entry)
    held = []
    stated = nets(sums)[0]
    for partner in registry.partners.values():
        stream = streams[partner.number]
        rows = (line_of(make.WINDOW, int(e.kind), e.payload, None) for e in stream)
        lines = LineFile(
            make.WINDOW, partner.partner_id, CURRENCY.scale, tuple(row for row in rows if row)
        )
        incoming = lines.totals(Role.TARGET).value
        codes = {tax.number: tax.code for tax in registry.taxes.values()}
        points = {}
        for program in partner.programs:
            unit = registry.points_unit(program).number
            out, paid, bonus = (
                sum(
                    amount
                    for cell, amount in of_window.items()
                    if isinstance(cell, PointsCell) and (cell.unit, cell.code.name) == (unit, code)
                )
                for code in ("OUT", "IN", "BONUS_IN")
            )
            if out or paid:
                points[program] = ProgramPoints(program, out, paid + bonus, bonus)
        statement = statement_of(
            window,
            partner,
            figures(sums, partner.number, incoming, codes),
            lines,
            brought_forward=0,
            points=points,
            stream=StreamRange(1, len(stream)) if stream else StreamRange(),
            audience=make.AUDIENCE,
            signing_key_id=STATEMENTS.key_id,
        )
        stated += statement.net
        signed = sign(STATEMENTS, SETTLEMENT_STATEMENT, statement_payload(statement))
        held.append(
            PartnerFiles(
                partner.partner_id,
                f"{partner.partner_id}/",
                [to_json(sign(make.RECEIPTS, PAPERS[e.kind][0], e.payload)) for e in stream],
                {make.WINDOW: to_json(signed)},
                {make.WINDOW: write_line_file(lines)},
            )
        )
    assert stated == 0
    return held


@given(st.lists(orders(), max_size=12))
def test_t12_statements_line_files_and_the_verifier_come_to_the_same(commands: list[Order]) -> None:
    held = archive_of(commands)
    report = check_archive(held, KEYS)
    assert report.faults == ()
    assert report.not_checked == ()
