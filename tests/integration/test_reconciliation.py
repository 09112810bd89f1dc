"""A partner's own file against a real settled day: every break is found and nothing else, and what
becomes of breaks over runs.
"""

import asyncio
import hashlib
from collections import Counter
from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from uuid_utils import uuid7

from partners.caller import Caller
from pointclear.settlement.v1 import reconciliation_pb2 as pb
from settlement import store
from settlement.lines.line import LineFile
from settlement.lines.line_file import read_line_file
from settlement.lines.store import lines_of
from settlement.statement import StreamRange
from tests.database import Database
from tests.integration.test_settlement_cycle import CNY, FIRST, Coalition, found
from tests.own_file import OwnRow, mapping, own_file, rows_of

AURORA, BOREALIS = Caller("partner", "aurora"), Caller("partner", "borealis")
FINANCE = Caller("operator", "finance", UUID(str(uuid7())))
SECOND = FIRST + timedelta(days=1)
LINES = 16


class Desk:
    """A partner's reconciliation over the service."""

    def __init__(self, coalition: Coalition, caller: Caller = AURORA) -> None:
        self.coalition = coalition
        self.service = coalition.service
        self.caller = caller

    def lines(self, day: Any = FIRST) -> LineFile:
        return read_line_file(self.coalition.line_file(self.caller.name, day))

    def rows(self, day: Any = FIRST) -> list[OwnRow]:
        return rows_of(self.lines(day))

    def set_mapping(self, **changes: Any) -> int:
        request = pb.SetColumnMappingRequest(mapping=mapping(**changes))
        answer: pb.SetColumnMappingResponse = asyncio.run(
            self.service.set_column_mapping(request, self.caller)
        )
        return answer.version

    def upload(self, content: bytes, chunk_bytes: int = 500_000) -> bytes:
        sha256 = hashlib.sha256(content).digest()
        for offset in range(0, len(content), chunk_bytes):
            request = pb.UploadReconciliationRequest(
                file_sha256=sha256,
                file_bytes=len(content),
                offset=offset,
                chunk=content[offset : offset + chunk_bytes],
            )
            asyncio.run(self.service.upload_reconciliation(request, self.caller))
        return sha256

    def run(self, content: bytes, day: Any = FIRST) -> pb.RunReconciliationResponse:
        request = pb.RunReconciliationRequest(
            file_sha256=self.upload(content), file_name="own.csv", first_window_id=f"cny-{day}"
        )
        answer: pb.RunReconciliationResponse = asyncio.run(
            self.service.run_reconciliation(request, self.caller)
        )
        return answer

    def reconciled(self, rows: Sequence[OwnRow], day: Any = FIRST) -> pb.ReconciliationRun:
        response = self.run(own_file(rows), day)
        assert not response.faults, response.faults
        return response.run

    def breaks(self, run_id: str = "", **filters: Any) -> list[pb.ReconciliationBreak]:
        request = pb.ListBreaksRequest(run_id=run_id, page_size=500, **filters)
        return list(asyncio.run(self.service.list_breaks(request, self.caller)).breaks)

    def categories(self, run_id: str = "", **filters: Any) -> Counter[tuple[str, str]]:
        """Category and transfer of each."""
        return Counter(
            (name_of(each), str(UUID(bytes=each.transfer_id)) if each.transfer_id else "")
            for each in self.breaks(run_id, **filters)
        )

    def get(self, break_id: str) -> pb.GetBreakResponse:
        answer: pb.GetBreakResponse = asyncio.run(
            self.service.get_break(pb.GetBreakRequest(break_id=break_id), self.caller)
        )
        return answer


def name_of(found: pb.ReconciliationBreak) -> str:
    return pb.BreakCategory.Name(found.category).removeprefix("BREAK_CATEGORY_")


def state_of(found: pb.ReconciliationBreak) -> str:
    return pb.BreakState.Name(found.state).removeprefix("BREAK_STATE_")


@pytest.fixture
def coalition(database: Database) -> Coalition:
    """A day of transfers both ways, stated; the next day has some too, and is open."""
    founded = found(database.engine(), 1000 * CNY)
    founded.open()
    for number in range(LINES):
        founded.transfer("aurora" if number % 2 else "borealis", 100 + 20 * number, f"own-{number}")
    founded.close(FIRST)
    founded.settle(FIRST)
    for number in range(4):
        founded.transfer("aurora", 200 + 20 * number, f"next-{number}")
    return founded


@pytest.fixture
def desk(coalition: Coalition) -> Desk:
    desk = Desk(coalition)
    desk.set_mapping()
    return desk


def close_second_day(coalition: Coalition) -> None:
    coalition.close(SECOND)
    coalition.settle(SECOND)


def test_a_file_equal_to_ours_has_no_break(desk: Desk) -> None:
    rows = desk.rows()
    run = desk.reconciled(rows)
    assert (run.rows, run.lines, run.matched) == (LINES, LINES, LINES)
    assert not run.counts
    assert not desk.breaks()


def test_every_category_is_found_in_one_day_and_nothing_else(desk: Desk) -> None:
    rows = desk.rows()
    planted = {
        ("MISSING_AT_PARTNER", rows[0].transfer),
        ("POINTS_MISMATCH", rows[1].transfer),
        ("MONEY_MISMATCH", rows[2].transfer),
        ("RATE_MISMATCH", rows[3].transfer),
        ("FEE_MISMATCH", rows[5].transfer),
        ("TAX_MISMATCH", rows[7].transfer),
        ("STATUS_MISMATCH", rows[8].transfer),
        ("DUPLICATE_AT_PARTNER", rows[9].transfer),
        ("MEMBER_MISMATCH", rows[10].transfer),
        ("ROUNDING", rows[11].transfer),
        ("TIMING", rows[15].transfer),
    }
    stray = str(uuid7())
    planted.add(("MISSING_AT_EXCHANGE", stray))
    theirs = [
        rows[1].with_(points=rows[1].points + 7),
        rows[2].with_(money="99.990000"),
        rows[3].with_(rate="3:1"),
        rows[4],
        rows[5].with_(fee="0.500000"),
        rows[6],
        rows[7].with_(tax="0.700000"),
        rows[8].with_(state="open"),
        rows[9],
        rows[9].with_(booked=rows[9].booked[:-3] + "59Z", reference="again"),
        rows[10].with_(member="somebody-else"),
        rows[11].with_(money=rows[11].money[:-3] + "999"),
        *rows[12:15],
        rows[14].with_(transfer=stray, reference="stray"),
    ]
    run = desk.reconciled(theirs)
    assert desk.categories(run.run_id) == Counter(planted)
    assert {pb.BreakCategory.Name(each.category): each.count for each in run.counts} == {
        f"BREAK_CATEGORY_{category}": 1 for category, _ in planted
    }
    states = {name_of(each): state_of(each) for each in desk.breaks()}
    assert states.pop("ROUNDING") == "EXPLAINED"
    assert set(states.values()) == {"OPEN"}


def test_a_break_shows_both_sides_the_terms_and_what_to_do(desk: Desk) -> None:
    rows = desk.rows()
    rows[1] = rows[1].with_(money="5.000000")
    desk.reconciled(rows)
    (shown,) = desk.breaks()
    figures = {each.name: (each.ours, each.theirs) for each in shown.figures}
    line = desk.lines().lines[1]
    assert figures["money"] == (f"{line.value / CNY:.6f}", "5.000000")
    assert figures["rate"] == ("2:1", "2:1")
    assert shown.difference == 5 * CNY - abs(line.value)
    assert (shown.agreement_id, shown.agreement_version) == ("aurora-borealis", 1)
    assert "points x price" in shown.rounding
    assert "agreement version" in shown.next_step
    assert shown.row == 3
    assert shown.own_reference == "own-1"


def test_members_are_told_apart_by_digests_and_never_shown(desk: Desk, database: Database) -> None:
    rows = desk.rows()
    rows[1] = rows[1].with_(member="canary-of-a-person")
    desk.reconciled(rows)
    (shown,) = desk.breaks()
    (figure,) = [each for each in shown.figures if each.name == "member"]
    assert len(figure.ours) == len(figure.theirs) == 16
    assert figure.ours != figure.theirs
    stored = str(database.ask("SELECT b::text, e::text FROM recon_break b, recon_event e"))
    assert "canary" not in stored
    assert "member-of" not in stored
    assert database.ask("SELECT count(*) FROM recon_chunk") == [(0,)]


def test_the_same_file_again_is_the_same_run(desk: Desk) -> None:
    rows = desk.rows()[1:]
    first, again = desk.reconciled(rows), desk.reconciled(rows)
    assert first == again
    assert len(desk.breaks()) == 1


def test_timing_clears_itself_in_the_next_run(desk: Desk) -> None:
    rows = desk.rows()
    desk.reconciled(rows[:-1])
    (waiting,) = desk.breaks(open_only=True)
    assert name_of(waiting) == "TIMING"
    close_second_day(desk.coalition)
    run = desk.reconciled([rows[-1], *desk.rows(SECOND)], SECOND)
    assert run.cleared == 1
    assert not run.counts
    assert not desk.breaks(open_only=True)
    assert [each.kind for each in desk.get(waiting.break_id).events] == ["OPENED", "CLEARED"]


def test_what_the_next_file_does_not_have_either_is_missing(desk: Desk) -> None:
    rows = desk.rows()
    desk.reconciled(rows[:-1])
    close_second_day(desk.coalition)
    desk.reconciled(desk.rows(SECOND), SECOND)
    (missing,) = desk.breaks(open_only=True)
    assert (name_of(missing), missing.break_id) == ("MISSING_AT_PARTNER", "B1")


def test_a_row_of_the_next_day_is_timing_until_that_day_lacks_it(desk: Desk) -> None:
    rows = desk.rows()
    with_open_day = rows_of_open_day(desk)
    desk.reconciled([*rows, with_open_day[0]])
    (early,) = desk.breaks(open_only=True)
    assert (name_of(early), early.window_id) == ("TIMING", f"cny-{SECOND}")
    close_second_day(desk.coalition)
    run = desk.reconciled(desk.rows(SECOND)[1:], SECOND)
    assert (run.cleared, len(run.counts)) == (1, 0)


def test_a_row_in_two_days_files_is_a_duplicate(desk: Desk) -> None:
    rows = desk.rows()
    desk.reconciled(rows)
    close_second_day(desk.coalition)
    desk.reconciled([rows[3], *desk.rows(SECOND)], SECOND)
    assert desk.categories(open_only=True) == Counter([("DUPLICATE_AT_PARTNER", rows[3].transfer)])


def test_a_corrected_file_resolves_what_was_wrong(desk: Desk) -> None:
    rows = desk.rows()
    desk.reconciled([rows[0].with_(points=7), *rows[2:]])
    assert len(desk.breaks(open_only=True)) == 2
    run = desk.reconciled(rows)
    assert run.cleared == 2
    assert not desk.breaks(open_only=True)
    assert {state_of(each) for each in desk.breaks()} == {"RESOLVED"}
    desk.reconciled([rows[0].with_(points=7), *rows[1:]])
    (again,) = desk.breaks(open_only=True)
    assert again.break_id == "B1"
    kinds = [each.kind for each in desk.get("B1").events]
    assert kinds == ["OPENED", "CLEARED", "REOPENED"]


def rows_of_open_day(desk: Desk) -> list[OwnRow]:
    """What the brand booked already of a day that is open: its receipts say it."""
    with desk.coalition.engine.begin() as transaction:
        connection: Any = transaction.connection.dbapi_connection
        window = store.window_named(connection, f"cny-{SECOND}")
        partner = store.partners_of(connection, store.window_named(connection, f"cny-{FIRST}"))[0]
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT min(stream_seq), max(stream_seq) FROM stream_entry"
                " WHERE partner_number = %s AND log_index >= %s",
                (partner.number, window.opening_tree.size),
            )
            first, last = cursor.fetchone()
        lines = tuple(lines_of(connection, window, partner, StreamRange(first, last)))
    return rows_of(LineFile(window.window_id, "aurora", 6, lines))
