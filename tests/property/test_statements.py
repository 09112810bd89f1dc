"""Whatever was transferred under terms of every kind: statements, line files and the verifier,
which is written apart, come to the same.
"""

from collections import defaultdict
from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from exchange.cli.checks.archive import PartnerFiles, check_archive
from exchange.cli.checks.verification import KnownKey
from exchange.commands import CloseWindow, Command, Order
from exchange.fold import fold
from exchange.ledger.postings import MoneyCell, PointsCell
from exchange.log.merkle import Frontier
from exchange.outcomes import Recorded
from exchange.seal import StreamEntry, seal
from exchange.signing import PAPERS
from partners.envelope import SETTLEMENT_STATEMENT, sign, to_json
from partners.keys import Purpose, VerifyKey
from partners.points import currency_scale
from settlement.lines.line import LineFile, Role
from settlement.lines.line_file import line_sums, write_line_file
from settlement.lines.wire import line_of
from settlement.netting import figures, nets
from settlement.statement import ProgramPoints, StreamRange, statement_of
from settlement.windows import SettlementWindow, TreeHead, WindowState, WindowSum
from settlement.wire import statement_payload
from tests import factories as make
from tests.property.histories import FIRST, MONEY, orders

STATEMENTS = make.signer("exchange", Purpose.STATEMENTS)
KEYS = {
    each.key_id: KnownKey(VerifyKey(each.key_id, each.public_key), "exchange", purpose)
    for each, purpose in ((make.RECEIPTS, Purpose.RECEIPTS), (STATEMENTS, Purpose.STATEMENTS))
}
CURRENCY = currency_scale(make.CURRENCY)


def archive_of(commands: Sequence[Command]) -> list[PartnerFiles]:
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
        given_back = lines.totals(Role.TARGET_REVERSED).value
        codes = {tax.number: tax.code for tax in registry.taxes.values()}
        points = {}
        for program in partner.programs:
            unit = registry.points_unit(program).number
            out, paid, bonus, rev_out, rev_paid, rev_bonus = (
                sum(
                    amount
                    for cell, amount in of_window.items()
                    if isinstance(cell, PointsCell) and (cell.unit, cell.code.name) == (unit, code)
                )
                for code in ("OUT", "IN", "BONUS_IN", "REV_OUT", "REV_IN", "REV_BONUS_IN")
            )
            if out or paid:
                points[program] = ProgramPoints(
                    program, out, paid + bonus, bonus, rev_out, rev_paid + rev_bonus, rev_bonus
                )
        statement = statement_of(
            window,
            partner,
            figures(sums, partner.number, incoming, codes, given_back),
            line_sums(lines),
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


@given(st.lists(orders(), min_size=1, max_size=8), st.data())
def test_they_come_to_the_same_when_transfers_are_reversed_in_parts(
    commands: list[Order], data: st.DataObject
) -> None:
    committed = [
        each.order
        for each in fold(FIRST, commands, make.NOW).outcomes
        if isinstance(each, Recorded) and each.refusal is None
    ]
    reversals: list[Command] = []
    for order in committed:
        left = order.target_points
        for _ in range(data.draw(st.integers(0, 3))):
            # Some ask for more than is left, and are refused.
            points = data.draw(st.integers(1, left + 1))
            left -= points if points <= left else 0
            number, target = len(reversals), order.target_program
            reversals.append(make.reverse(number, order.transfer_id.int & 0xFF, points, target))
            if not left:
                break
    held = archive_of([*commands, *reversals])
    report = check_archive(held, KEYS)
    assert report.faults == ()
    assert report.not_checked == ()
    assert report.checked["reversal notices"] >= len(reversals)
