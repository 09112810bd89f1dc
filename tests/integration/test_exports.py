"""The books in other programs' formats, over a real day that was settled and a day after it:
Beancount finds nothing wrong with them, and everything that is wrong.
"""

import asyncio
import json
import re
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest
from beancount import loader
from beancount.core.data import Transaction

from partners.caller import Caller
from partners.errors import Reason, Refused
from pointclear.settlement.v1 import report_pb2 as pb
from settlement.lines.line_file import read_line_file
from settlement.reports.account_map import NOTHING_MAPPED
from settlement.reports.items import Item
from settlement.reports.journal import journal
from tests.database import Database
from tests.integration.test_settlement_cycle import (
    CNY,
    FIRST,
    OPERATOR,
    Coalition,
    found,
    worked_example,
)

WINDOW = "cny-2017-01-01"
PAYMENTS = {"PAY_IN", "PAY_OUT", "DRAW"}


@pytest.fixture(scope="module")
def settled(postgres: Any) -> Coalition:
    """The worked example, paid and settled, with more transfers on the day after."""
    database: Database = postgres.migrated()
    coalition = found(database.engine(), 1000 * CNY)
    worked_example(coalition)
    for _ in range(3):
        answer = coalition.settle()
        coalition.pay(answer.legs)
    assert coalition.settle().window.state == 4
    for points in (2000, 400, 600):
        coalition.transfer("aurora", points, "=HYPERLINK(1)")
        coalition.transfer("borealis", points)
    coalition.close(FIRST + timedelta(days=1))
    coalition.settle(FIRST + timedelta(days=1))
    coalition.transfer("aurora", 800)
    return coalition


def exported(coalition: Coalition, format_: str) -> dict[str, bytes]:
    """The files of an export by their names."""

    async def run() -> dict[str, bytes]:
        files: dict[str, bytes] = {}
        request = pb.ExportBooksRequest(format=format_)
        async for each in coalition.service.export_books(request, OPERATOR):
            if each.file_name:
                files[each.file_name] = files.get(each.file_name, b"") + each.chunk
        return files

    return asyncio.run(run())


def faults(text: str) -> list[Any]:
    """What Beancount finds wrong."""
    return list(loader.load_string(text)[1])


def test_bean_check_passes_the_books(settled: Coalition, tmp_path: Path) -> None:
    (content,) = exported(settled, "beancount").values()
    path = tmp_path / "books.beancount"
    path.write_bytes(content)
    checked = subprocess.run(
        [sys.executable, "-m", "beancount.scripts.check", str(path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")
    assert faults(content.decode()) == []


AMOUNT = re.compile(r"^  (\S+)  (-?\d+)\.(\d{6}) (\S+)$", re.MULTILINE)


def test_one_micro_unit_too_much_anywhere_does_not_pass(settled: Coalition) -> None:
    text = exported(settled, "beancount")["books.beancount"].decode()
    places = list(AMOUNT.finditer(text))
    assert len(places) > 20
    for match in places:
        wrong = str(int(match[3]) + 1 if match[3] != "999999" else 0).zfill(6)
        assert faults(text[: match.start(3)] + wrong + text[match.end(3) :]), match[0]


def test_one_micro_unit_moved_between_two_accounts_does_not_pass(settled: Coalition) -> None:
    """Each transaction balances still: the books' own balances say otherwise."""
    text = exported(settled, "beancount")["books.beancount"].decode()
    first, second = list(AMOUNT.finditer(text))[:2]
    assert first[4] == second[4]

    def more(amount: re.Match[str], micro: int) -> str:
        units = int(amount[2] + amount[3]) + micro
        sign, digits = "-" * (units < 0), f"{abs(units):07d}"
        return f"  {amount[1]}  {sign}{digits[:-6]}.{digits[-6:]} {amount[4]}"

    changed = text.replace(first[0], more(first, 1), 1).replace(second[0], more(second, -1), 1)
    assert changed != text
    assert faults(changed)


def test_every_amount_has_six_decimals(settled: Coalition) -> None:
    text = exported(settled, "beancount")["books.beancount"].decode()
    amounts = re.findall(r"-?\d+\.\d+(?= )", text)
    assert amounts
    assert all(len(each.partition(".")[2]) == 6 for each in amounts)


def test_lines_statement_journal_and_beancount_come_to_the_same(settled: Coalition) -> None:
    text = exported(settled, "beancount")["books.beancount"].decode()
    entries = [each for each in loader.load_string(text)[0] if isinstance(each, Transaction)]
    for day in (FIRST, FIRST + timedelta(days=1)):
        for partner_id in ("aurora", "borealis"):
            statement = settled.statement(partner_id, day)
            lines = read_line_file(settled.line_file(partner_id, day)).lines
            of_lines = sum(
                line.value + line.value_tax + line.promotion + line.fee + line.tax for line in lines
            )
            booked = journal(statement, NOTHING_MAPPED).lines
            of_journal = sum(each.credit - each.debit for each in booked if each.item in list(Item))
            position = f"Liabilities:Partners:{partner_id.title()}:Position"
            of_beancount = -sum(
                number_of(posting)
                for entry in entries
                if entry.meta.get("window") == f"cny-{day}" and entry.payee not in PAYMENTS
                for posting in entry.postings
                if posting.account == position
            )
            assert of_lines == statement.net == of_journal
            assert Decimal(of_lines) / CNY == of_beancount


def number_of(posting: Any) -> Decimal:
    """What a posting of Beancount moves."""
    number: Decimal = posting.units.number
    return number


def test_an_entry_is_one_window_corridor_and_code(settled: Coalition) -> None:
    text = exported(settled, "beancount")["books.beancount"].decode()
    entries = [each for each in loader.load_string(text)[0] if isinstance(each, Transaction)]
    keys = [(each.date, each.meta.get("window"), each.payee, each.narration) for each in entries]
    assert len(keys) == len(set(keys))
    assert (FIRST, WINDOW, "VALUE", "aurora-points > borealis-points") in keys


@pytest.mark.parametrize(("format_", "suffix"), [("parquet", "parquet"), ("json", "jsonl")])
def test_journal_lines_and_statements_are_tables(
    settled: Coalition, tmp_path: Path, format_: str, suffix: str
) -> None:
    files = exported(settled, format_)
    assert list(files) == [f"{name}.{suffix}" for name in ("journal", "lines", "statements")]
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    tables = {name: f"'{tmp_path / name}.{suffix}'" for name in ("journal", "lines", "statements")}
    decimal = "DECIMAL(38, 6)"
    with duckdb.connect() as database:
        compared = database.execute(
            f"WITH net AS (SELECT window_id, partner_id, sum(value::{decimal}"
            f" + value_tax::{decimal} + promotion::{decimal} + fee::{decimal} + tax::{decimal})"
            f" AS of_lines FROM {tables['lines']} GROUP BY ALL)"
            f" SELECT count(*), count(*) FILTER (of_lines = s.net::{decimal})"
            f" FROM net JOIN {tables['statements']} AS s USING (window_id, partner_id)"
        ).fetchall()
        assert compared == [(4, 4)]
        (postings,) = database.execute(f"SELECT count(*) FROM {tables['journal']}").fetchall()
        (stored,) = _rows(settled, "SELECT count(*) FROM posting")
        assert postings == stored
        formulas = database.execute(
            f"SELECT DISTINCT own_reference FROM {tables['lines']} WHERE own_reference LIKE '=H%'"
        ).fetchall()
        assert formulas == [("=HYPERLINK(1)",)]


def test_json_amounts_are_texts(settled: Coalition) -> None:
    first = exported(settled, "json")["statements.jsonl"].splitlines()[0]
    assert json.loads(first)["net"] == "-6.293880"


@pytest.mark.parametrize("format_", ["beancount", "parquet", "json"])
def test_the_same_books_give_the_same_bytes(settled: Coalition, format_: str) -> None:
    assert exported(settled, format_) == exported(settled, format_)


def test_books_with_nothing_in_them_pass(fresh_database: Callable[[], Database]) -> None:
    coalition = found(fresh_database().engine(), 1000 * CNY)
    assert faults(exported(coalition, "beancount")["books.beancount"].decode()) == []
    assert set(exported(coalition, "parquet")) == {
        "journal.parquet",
        "lines.parquet",
        "statements.parquet",
    }


def test_an_export_is_an_operators(settled: Coalition) -> None:
    async def run() -> None:
        request = pb.ExportBooksRequest(format="beancount")
        async for _ in settled.service.export_books(request, Caller("partner", "aurora")):
            pass

    with pytest.raises(Refused) as refusal:
        asyncio.run(run())
    assert refusal.value.reason is Reason.ROLE_MISSING


def test_an_unknown_format_is_refused(settled: Coalition) -> None:
    with pytest.raises(Refused) as refusal:
        exported(settled, "excel")
    assert refusal.value.reason is Reason.FIELD_INVALID


def _rows(coalition: Coalition, query: str) -> list[Any]:
    with coalition.engine.connect() as connection:
        return [tuple(row) for row in connection.exec_driver_sql(query)]
