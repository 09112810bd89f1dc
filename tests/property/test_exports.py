"""Whatever was transferred: Beancount finds nothing wrong with the books, its positions are the
statements' nets, and it finds one millionth that is wrong.
"""

import re
from collections import Counter
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from beancount import loader
from beancount.core.data import Transaction
from hypothesis import given
from hypothesis import strategies as st

from exchange.commands import Command
from exchange.fold import State, fold
from exchange.ledger.accounts import (
    Account,
    hub_accounts,
    partner_accounts,
    program_accounts,
    unit_of,
)
from exchange.ledger.postings import Code, Phase, Posting
from partners.envelope import from_json
from partners.points import currency_scale
from settlement.reports.beancount_file import BookedAccount, Movement, Unit, beancount_file
from settlement.wire import parse_statement
from tests import factories as make
from tests.property.histories import FIRST, MONEY
from tests.property.test_journals import histories
from tests.property.test_statements import archive_of

SCALE = currency_scale(make.CURRENCY).scale
FIGURE = re.compile(r"^  \S+  -?\d+\.(\d{6}) \S+$", re.MULTILINE)


def accounts_of(state: State) -> dict[int, Account]:
    """Every account of the books by its number."""
    registry = state.registry
    taxes = tuple((each.number, each.code) for each in registry.taxes.values())
    found = list(hub_accounts(MONEY, taxes))
    for partner in registry.partners.values():
        found += partner_accounts(MONEY, partner.number, partner.partner_id, 0)
        for program in partner.programs:
            found += program_accounts(registry.points_unit(program).number, program)
    return {each.number: each for each in found}


def exported(history: Sequence[Command]) -> str:
    """The Beancount file of a history in one window."""
    folded = fold(FIRST, history, make.NOW)
    state = folded.state
    units = {
        state.registry.points_unit(program).number: Unit(f"PTS:{program}", 0)
        for program in state.registry.programs
    } | {MONEY: Unit(make.CURRENCY, SCALE)}
    booked = {
        number: BookedAccount(account.name, units[unit_of(number)], -state.balances[number].posted)
        for number, account in accounts_of(state).items()
        if number in state.balances
    }
    day = state.windows[make.WINDOW].business_date
    moved: Counter[tuple[str, str, Code, int]] = Counter()
    for outcome in folded.outcomes:
        postings: tuple[Posting, ...] = getattr(outcome, "postings", ())
        counted = [each for each in postings if each.phase in (Phase.POSTED, Phase.CONFIRMS)]
        corridor = {
            code: units[unit_of(each.debit)].name.removeprefix("PTS:")
            for each in counted
            for code in ("out", "in")
            if each.code in ((Code.OUT, Code.REV_OUT) if code == "out" else (Code.IN, Code.REV_IN))
        }
        way = corridor.get("out", ""), corridor.get("in", "")
        for each in counted:
            moved[*way, each.code, each.debit] += each.amount
            moved[*way, each.code, each.credit] -= each.amount
    movements = [
        Movement(day, make.WINDOW, source, target, code.name, booked[number], amount)
        for (source, target, code, number), amount in sorted(moved.items())
    ]
    return b"".join(beancount_file(make.AUDIENCE, booked.values(), movements)).decode()


@given(histories())
def test_beancount_finds_nothing_wrong_and_its_positions_are_the_nets(
    history: list[Command],
) -> None:
    entries, errors, _ = loader.load_string(exported(history))
    assert errors == []
    positions: Counter[str] = Counter()
    for entry in entries:
        for posting in entry.postings if isinstance(entry, Transaction) else ():
            positions[posting.account] -= micro(posting)
    for held in archive_of(history):
        statement = parse_statement(from_json(held.statements[make.WINDOW]).payload)
        name = f"Liabilities:Partners:{held.partner_id.capitalize()}:Position"
        assert positions[name] == statement.net * 10 ** (6 - SCALE)


@given(histories(), st.data())
def test_one_millionth_anywhere_is_found(history: list[Command], data: st.DataObject) -> None:
    text = exported(history)
    figures = list(FIGURE.finditer(text))
    if figures:
        chosen = data.draw(st.sampled_from(figures))
        wrong = f"{(int(chosen[1]) + 1) % 10**6:06d}"
        assert loader.load_string(text[: chosen.start(1)] + wrong + text[chosen.end(1) :])[1]


def micro(posting: Any) -> int:
    """What a posting moves, in millionths."""
    number: Decimal = posting.units.number
    return int(number.scaleb(6))
