"""Whatever a window came to: lines, statement and journal are the same, and a journal balances."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from exchange.commands import Command
from exchange.fold import fold
from exchange.outcomes import Recorded
from partners.envelope import from_json
from settlement.lines.line import Role
from settlement.lines.line_file import read_line_file
from settlement.reports.account_map import DEFAULTS, AccountMap, Own, account_map
from settlement.reports.items import Item, net_rows
from settlement.reports.journal import journal
from settlement.statement import Statement
from settlement.wire import parse_statement
from tests import factories as make
from tests.property.histories import FIRST, orders
from tests.property.test_statements import archive_of


@st.composite
def histories(draw: st.DrawFn) -> list[Command]:
    """Orders, some of them reversed in part or whole."""
    wanted = draw(st.lists(orders(), max_size=6))
    committed = [
        each.order
        for each in fold(FIRST, wanted, make.NOW).outcomes
        if isinstance(each, Recorded) and each.refusal is None
    ]
    reversals = [
        make.reverse(
            number,
            order.transfer_id.int & 0xFF,
            draw(st.integers(1, order.target_points)),
            order.target_program,
        )
        for number, order in enumerate(committed)
        if draw(st.booleans())
    ]
    return [*wanted, *reversals]


UNITS = st.integers(-(10**12), 10**12)
MAPS = st.dictionaries(st.sampled_from(sorted(DEFAULTS)), st.sampled_from("ABC")).map(
    lambda accounts: account_map((item, "", account) for item, account in accounts.items())
)


@given(histories())
def test_lines_statement_and_journal_come_to_the_same(history: list[Command]) -> None:
    for held in archive_of(history):
        statement = parse_statement(from_json(held.statements[make.WINDOW]).payload)
        lines = read_line_file(held.line_files[make.WINDOW])
        of_lines = sum(
            line.value + line.value_tax + line.promotion + line.fee + line.tax
            for line in lines.lines
        )
        booked = journal(statement, account_map(()))
        figures = [line for line in booked.lines if line.item in list(Item)]
        assert of_lines == statement.net
        assert of_lines == sum(row.amount for row in net_rows(statement))
        assert of_lines == sum(line.credit - line.debit for line in figures)
        fees = sum(line.fee for line in lines.lines if line.role in (Role.SOURCE, Role.TARGET))
        of_fees = [line for line in figures if line.item == Item.FEES and not line.is_reversed]
        assert sum(line.credit - line.debit for line in of_fees) == fees


@st.composite
def statements(draw: st.DrawFn) -> Statement:
    """A statement with everything that can stand in one."""
    held = archive_of(draw(histories()))
    stated = parse_statement(from_json(draw(st.sampled_from(held)).statements[make.WINDOW]).payload)
    adjustments, draws = draw(UNITS), draw(st.integers(0, 10**9))
    stated = replace(
        stated,
        brought_forward=draw(UNITS),
        restated=draw(UNITS),
        withheld=draw(UNITS),
        adjustments=adjustments,
        net=stated.net + adjustments,
        top_ups=draw(st.integers(0, 10**9)),
        draws=draws,
        withdrawals=-draws - draw(st.integers(0, 10**9)),
    )
    due = stated.standing - stated.withheld
    payment = due // 10_000 * 10_000
    return replace(stated, due=due, payment=payment, carried_forward=stated.standing - payment)


@given(statements(), MAPS)
def test_every_entry_balances_and_the_position_ends_at_what_is_carried(
    statement: Statement, accounts: AccountMap
) -> None:
    booked = journal(statement, accounts)
    for entry in {line.entry for line in booked.lines}:
        lines = [line for line in booked.lines if line.entry == entry]
        assert sum(line.debit for line in lines) == sum(line.credit for line in lines)
    assert all(
        min(line.debit, line.credit) == 0 < line.debit + line.credit for line in booked.lines
    )
    position = sum(line.debit - line.credit for line in booked.lines if line.item == Own.POSITION)
    assert statement.brought_forward + position == statement.carried_forward
