"""A brand reconciles its own file over the command line, against a real server."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from python_calamine import load_workbook

from exchange.cli.reconcile.run_commands import CHUNK_BYTES
from pointclear.settlement.v1 import reconciliation_pb2 as pb
from pointclear.settlement.v1 import settlement_service_pb2 as settlement_pb
from settlement.lines.line import Role
from settlement.lines.line_file import read_line_file
from tests.acceptance.coalition import FIRST_DAY, Coalition, coalition, make_data_dir, refused
from tests.own_file import OwnRow, mapping, own_file, rows_of
from tests.processes import Server, connection, contents, folder, pointclear

WINDOW = f"usd-{FIRST_DAY}"
FORMULA = '=HYPERLINK("http://evil.example","pay")'
MEMBERS = {Role.SOURCE: "member-of-source", Role.TARGET: "member-of-target"}


@dataclass(frozen=True, slots=True)
class Settled:
    """A coalition whose first day is stated."""

    home: Path
    members: Coalition
    rows: tuple[OwnRow, ...]
    """What aurora booked."""

    def aurora(self, *arguments: str | Path) -> tuple[int, Any]:
        """A command of aurora's: its status, and what it printed for machines."""
        profile = self.members["aurora"].connection.profile
        ran = pointclear(
            "reconcile", *arguments, "--as", profile.directory, "--server", profile.server, "--json"
        )
        return ran.returncode, json.loads(ran.stdout or ran.stderr)

    def write(self, name: str, content: bytes) -> Path:
        path = self.home / name
        path.write_bytes(content)
        return path


@pytest.fixture(scope="module")
def settled() -> Iterator[Settled]:
    with (
        folder() as home,
        Server(make_data_dir(home)) as server,
        coalition(server, home, ("aurora", "borealis")) as members,
    ):
        for number in range(8):
            source, target = ("aurora", "borealis") if number % 2 else ("borealis", "aurora")
            reference = FORMULA if number == 3 else f"own-{number}"
            brand = members[source]
            brand.send(brand.order(target, partner_reference=reference))
        operator = members.operator
        operator.call(
            operator.settlement.CloseWindow, settlement_pb.CloseWindowRequest(window_id=WINDOW)
        )
        operator.call(
            operator.settlement.SettleWindow, settlement_pb.SettleWindowRequest(window_id=WINDOW)
        )
        own = members["aurora"].connection
        chunks = own.stream(
            own.settlement.DownloadLineFile, settlement_pb.DownloadLineFileRequest(window_id=WINDOW)
        )
        lines = read_line_file(b"".join(each.chunk for each in chunks))
        settled = Settled(home, members, tuple(rows_of(lines, MEMBERS)))
        status, said = settled.aurora("mapping", "set", settled.write("mapping.json", mapping()))
        assert (status, said) == (0, {"version": 1})
        yield settled


def test_a_file_is_reconciled_and_its_breaks_are_followed(settled: Settled) -> None:
    rows = settled.rows
    file = settled.write("own.csv", own_file([rows[0].with_(points=7), *rows[1:3], *rows[4:]]))
    book = settled.home / "breaks.xlsx"
    status, said = settled.aurora(file, "--xlsx", book)
    assert status == 1
    assert said["counts"] == {"MISSING_AT_PARTNER": 1, "POINTS_MISMATCH": 1}
    assert (said["rows"], said["lines"], said["matched"]) == (7, 8, 7)
    found = {each["category"]: each for each in said["breaks"]}
    assert found["POINTS_MISMATCH"]["figures"]["points"]["theirs"] == "7"
    missing = found["MISSING_AT_PARTNER"]
    assert missing["own_reference"] == FORMULA

    # T27: what looks like a formula is a text in the workbook, and no link.
    sheet = load_workbook(str(book)).get_sheet_by_name("Breaks").to_python()
    assert any(f"'{FORMULA}" in row for row in sheet)
    assert FORMULA not in [cell for row in sheet for cell in row]
    # A difference is a number that can be added up, and empty where there is none to name.
    place = sheet[0].index("difference")
    assert {row[2]: row[place] for row in sheet[1:]} == {
        "POINTS_MISMATCH": -43.0,
        "MISSING_AT_PARTNER": "",
    }

    assert settled.aurora("assign", missing["break_id"], "finance desk")[0] == 0
    assert settled.aurora("comment", missing["break_id"], "asked the till")[0] == 0
    status, shown = settled.aurora("show", missing["break_id"])
    assert (status, shown["owner"]) == (0, "finance desk")
    assert [each["kind"] for each in shown["events"]] == ["OPENED", "ASSIGNED", "COMMENTED"]
    status, said = settled.aurora("resolve", missing["break_id"], "booked now")
    assert (status, said["state"]) == (0, "RESOLVED")
    status, said = settled.aurora("breaks")
    assert [each["category"] for each in said["breaks"]] == ["POINTS_MISMATCH"]

    # Put right, the file has no break: exit code 0.
    status, said = settled.aurora(settled.write("right.csv", own_file(rows)))
    assert (status, said["breaks"], said["cleared"]) == (0, [], 1)


def test_t26_a_file_with_a_fault_leaves_every_table_as_it_was(settled: Settled) -> None:
    rows = settled.rows
    content = own_file([rows[0], rows[1].with_(booked="01/02/2017"), *rows[2:]])
    with connection(settled.members.data_dir) as database:
        before = contents(database)
        database.rollback()
        status, said = settled.aurora(settled.write("wrong.csv", content))
        assert status == 1
        assert said["refused"]
        assert (said["faults"][0]["row"], said["faults"][0]["column"]) == (3, "booked")
        assert contents(database) == before


def test_of_a_file_of_many_parts_each_fault_is_named(settled: Settled) -> None:
    row = settled.rows[0]
    rows = [row.with_(transfer=str(UUID(int=number + (7 << 76)))) for number in range(9_000)]
    for place, wrong in ((10, "1.000,5"), (4_500, "1,000.5"), (8_999, "=1+1")):
        rows[place] = row.with_(transfer=rows[place].transfer, fee=wrong)
    file = settled.write("many.csv", own_file(rows))
    assert file.stat().st_size > 2 * CHUNK_BYTES
    status, said = settled.aurora(file)
    assert (status, said["fault_count"]) == (1, 3)
    assert [each["row"] for each in said["faults"]] == [12, 4_502, 9_001]
    guess = settled.home / "large.json"
    assert pointclear("reconcile", "mapping", "suggest", file, "--out", guess).returncode == 0
    assert json.loads(guess.read_text())["rows"]["end"] == "END"


def test_t20_a_break_of_another_brand_is_none(settled: Settled) -> None:
    own = settled.members["borealis"].connection
    refusal = refused(own.settlement.GetBreak, pb.GetBreakRequest(break_id="B1"))
    assert (
        refused(
            own.settlement.GetBreak, pb.GetBreakRequest(partner_id="aurora", break_id="B1")
        ).reason
        is refusal.reason
    )
    assert not own.call(own.settlement.ListBreaks, pb.ListBreaksRequest()).breaks


def test_operators_see_every_brands_breaks_and_write_one_off(settled: Settled) -> None:
    rows = settled.rows
    stray = rows[0].with_(transfer="01a20200-474e-713f-a78e-d40d5bd5927c", reference="stray")
    status, said = settled.aurora(settled.write("stray.csv", own_file([*rows, stray])))
    assert (status, said["counts"]) == (1, {"MISSING_AT_EXCHANGE": 1})
    (found,) = said["breaks"]
    operator = settled.members.operator
    listed = operator.call(operator.settlement.ListBreaks, pb.ListBreaksRequest(open_only=True))
    assert [each.partner_id for each in listed.breaks] == ["aurora"]
    request = pb.WriteOffBreakRequest(
        partner_id="aurora", break_id=found["break_id"], text="not worth a posting"
    )
    answered = operator.call(operator.settlement.WriteOffBreak, request)
    assert answered.reconciliation_break.state == pb.BREAK_STATE_WRITTEN_OFF
    status, again = settled.aurora("last", said["run_id"])
    assert (status, again["open"]) == (0, 0)


def test_a_mapping_is_suggested_from_a_file_and_taken(settled: Settled) -> None:
    file = settled.write("own.csv", own_file(settled.rows))
    guess = settled.home / "guess.json"
    assert pointclear("reconcile", "mapping", "suggest", file, "--out", guess).returncode == 0
    document = json.loads(guess.read_text())
    assert document["rows"] == {"column": "kind", "total": "TOTAL", "end": "END"}
    assert document["columns"]["points"] == "points"
    assert document["date_format"] == "%Y-%m-%dT%H:%M:%SZ"
    assert settled.aurora("mapping", "set", guess)[0] == 0
    status, said = settled.aurora(file)
    assert (status, said["counts"]) == (0, {})
