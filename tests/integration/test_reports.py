"""Report files over a real database: made once, kept, given out in chunks, and only to whom they
belong.
"""

import asyncio
import csv
import hashlib
import io
import json
from collections.abc import Callable
from datetime import timedelta

import pytest
from psycopg2 import errors
from python_calamine import CalamineWorkbook

from exchange.embedded_postgres import OWNER_ROLE
from exchange.fold import InvariantBroken
from partners.caller import Caller
from partners.errors import Reason, Refused
from pointclear.settlement.v1 import approval_pb2
from pointclear.settlement.v1 import report_pb2 as pb
from settlement.lines.line_file import read_line_file
from settlement.reports import making
from settlement.reports.catalogue import OUTPUTS, ReportName, output_of
from settlement.service import SettlementService
from tests.database import Database
from tests.integration.test_settlement_cycle import (
    AUDIENCE,
    CNY,
    FIRST,
    OPERATOR,
    SIGNERS,
    Coalition,
    found,
    order,
    worked_example,
)
from tests.unit.test_typesetting import text_of

WINDOW = "cny-2017-01-01"
AURORA, BOREALIS = (Caller("partner", name) for name in ("aurora", "borealis"))
PARTNERS_OUTPUTS = [
    (kind, format_)
    for kind, output in OUTPUTS.items()
    if not output.is_operators and not output.is_occasional
    for format_ in output.formats
]
OPERATORS_OUTPUTS = [
    (kind, format_)
    for kind, output in OUTPUTS.items()
    if output.is_operators
    for format_ in output.formats
]


@pytest.fixture
def stated(fresh_database: Callable[[], Database]) -> Coalition:
    """The worked example of the design, stated."""
    coalition = found(fresh_database().engine(), 1000 * CNY)
    worked_example(coalition)
    coalition.settle()
    return coalition


def download(
    coalition: Coalition, kind: str, format_: str, caller: Caller, partner_id: str = ""
) -> tuple[pb.Report, bytes]:
    """A report as it comes over the wire, its digest checked."""

    async def run() -> tuple[pb.Report, bytes]:
        request = pb.DownloadReportRequest(
            period=WINDOW, partner_id=partner_id, kind=kind, format=format_
        )
        steps = [each async for each in coalition.service.download_report(request, caller)]
        (report,) = (each.report for each in steps if each.HasField("report"))
        return report, b"".join(each.chunk for each in steps if each.HasField("chunk"))

    report, content = asyncio.run(run())
    assert hashlib.sha256(content).digest() == report.sha256
    assert report.size == len(content)
    return report, content


def listed(coalition: Coalition, caller: Caller, partner_id: str = "") -> list[pb.Report]:
    request = pb.ListReportsRequest(period=WINDOW, partner_id=partner_id)
    return list(asyncio.run(coalition.service.list_reports(request, caller)).reports)


@pytest.mark.parametrize(("kind", "format_"), PARTNERS_OUTPUTS)
def test_a_partners_report_is_kept_and_the_same_bytes_come_again(
    stated: Coalition, kind: str, format_: str
) -> None:
    report, content = download(stated, kind, format_, AURORA)
    assert download(stated, kind, format_, AURORA) == (report, content)
    assert download(stated, kind, format_, OPERATOR, "aurora") == (report, content)
    assert made_again(stated, kind, format_, "aurora") == content


@pytest.mark.parametrize(("kind", "format_"), OPERATORS_OUTPUTS)
def test_an_operators_report_is_kept_and_the_same_bytes_come_again(
    stated: Coalition, kind: str, format_: str
) -> None:
    report, content = download(stated, kind, format_, OPERATOR)
    assert download(stated, kind, format_, OPERATOR) == (report, content)
    assert made_again(stated, kind, format_, "") == content


def made_again(coalition: Coalition, kind: str, format_: str, partner_id: str) -> bytes:
    """The report as it would be made today, whether or not it is kept."""
    target = io.BytesIO()
    with coalition.engine.connect() as connection:
        raw = connection.connection.dbapi_connection
        name = making.name_of(raw, *output_of(kind, format_), WINDOW, partner_id, version=0)
        making.make(raw, name, partner_id, AUDIENCE, lambda _lines: None, target)
    return target.getvalue()


def test_what_is_listed_is_made_when_it_is_asked_for(stated: Coalition) -> None:
    expected = {*PARTNERS_OUTPUTS, ("payment-request", "pdf")}
    assert {(each.kind, each.format) for each in listed(stated, AURORA)} == expected
    # A line file is there as soon as its window is stated.
    assert made(listed(stated, AURORA)) == {("lines", "csv")}
    report, _ = download(stated, "statement", "pdf", AURORA)
    assert report in listed(stated, AURORA)
    assert made(listed(stated, AURORA)) == {("lines", "csv"), ("statement", "pdf")}
    assert made(listed(stated, BOREALIS)) == {("lines", "csv")}


def made(reports: list[pb.Report]) -> set[tuple[str, str]]:
    """Kind and format of those that are kept."""
    return {(each.kind, each.format) for each in reports if each.size}


def test_t20_anothers_report_is_unknown(stated: Coalition) -> None:
    with pytest.raises(Refused) as refusal:
        download(stated, "statement", "pdf", AURORA, "borealis")
    assert refusal.value.reason is Reason.STATEMENT_UNKNOWN
    with pytest.raises(Refused) as refusal:
        listed(stated, AURORA, "borealis")
    assert refusal.value.reason is Reason.STATEMENT_UNKNOWN


@pytest.mark.parametrize(("kind", "format_"), OPERATORS_OUTPUTS)
def test_t20_an_operators_report_is_no_partners(stated: Coalition, kind: str, format_: str) -> None:
    with pytest.raises(Refused) as refusal:
        download(stated, kind, format_, AURORA)
    assert refusal.value.reason is Reason.FIELD_INVALID


@pytest.mark.parametrize(("kind", "format_"), [("weather", "pdf"), ("statement", "xlsx")])
def test_what_there_is_not_is_refused_by_name(stated: Coalition, kind: str, format_: str) -> None:
    with pytest.raises(Refused) as refusal:
        download(stated, kind, format_, AURORA)
    assert refusal.value.reason is Reason.FIELD_INVALID


def test_nothing_is_reported_of_a_window_that_is_not_stated(
    fresh_database: Callable[[], Database],
) -> None:
    coalition = found(fresh_database().engine(), 1000 * CNY)
    worked_example(coalition)
    with pytest.raises(Refused) as refusal:
        download(coalition, "statement", "pdf", AURORA)
    assert refusal.value.reason is Reason.STATEMENT_UNKNOWN


def test_t27_a_formula_in_a_reference_opens_as_text(stated: Coalition) -> None:
    """`worked_example` orders with the reference `=own-1`."""
    _, content = download(stated, "lines", "xlsx", AURORA)
    sheet = CalamineWorkbook.from_filelike(io.BytesIO(content)).get_sheet_by_name("Lines")
    head, *rows = sheet.to_python()
    assert rows[0][head.index("own_reference")] == "=own-1"
    assert b"<f>" not in content


def test_the_workbooks_figures_are_those_of_the_line_file(stated: Coalition) -> None:
    _, content = download(stated, "lines", "xlsx", AURORA)
    lines = read_line_file(download(stated, "lines", "csv", AURORA)[1])
    book = CalamineWorkbook.from_filelike(io.BytesIO(content))
    head, *rows = book.get_sheet_by_name("Lines").to_python()
    assert len(rows) == len(lines.lines)
    for row, line in zip(rows, lines.lines, strict=True):
        cells = dict(zip(head, row, strict=True))
        assert cells["transfer_id"] == str(line.transfer_id)
        for name in ("value", "fee", "tax", "promotion"):
            assert round(float(str(cells[name])) * CNY) == getattr(line, name)
        assert float(str(cells["source_points"])) == line.source_points


def test_the_statements_csv_adds_up_to_the_statement(stated: Coalition) -> None:
    statement = stated.statement("aurora")
    text = download(stated, "statement", "csv", AURORA)[1]
    assert text.endswith(b"\r\n")
    cells = rows_of(text)
    net = sum(units(row["amount"]) for row in cells if row["row"] == "NET")
    (total,) = (row for row in cells if row["row"] == "TOTAL")
    assert net == units(total["amount"]) == statement.net
    assert cells[-1]["row"] == "END"


def rows_of(content: bytes) -> list[dict[str, str]]:
    """The rows of a CSV file by column, the end marker last."""
    rows = list(csv.DictReader(io.StringIO(content.decode(), newline="")))
    assert rows[-1]["row"] == "END"
    assert rows[-2]["row"] == "TOTAL"
    return rows


def units(amount: str) -> int:
    whole, _, fraction = amount.partition(".")
    assert len(fraction) == 6
    return int(whole + fraction)


def test_the_net_matrix_sums_to_nothing_and_to_the_statements(stated: Coalition) -> None:
    text = download(stated, "net-matrix", "csv", OPERATOR)[1]
    cells = rows_of(text)
    nets = {row["party"]: units(row["amount"]) for row in cells if row["row"] == "NET"}
    (total,) = (row for row in cells if row["row"] == "TOTAL")
    assert sum(nets.values()) == units(total["amount"]) == 0
    for name in ("aurora", "borealis"):
        assert nets[name] == stated.statement(name).net
        pairs = [row for row in cells if (row["row"], row["party"]) == ("PAIR", name)]
        assert sum(units(row["amount"]) for row in pairs) == nets[name]


def test_a_corridors_summary_is_that_of_its_lines(stated: Coalition) -> None:
    text = download(stated, "corridors", "csv", AURORA)[1]
    cells = rows_of(text)
    outgoing, incoming = (row for row in cells if row["row"] == "CORRIDOR")
    assert (outgoing["role"], incoming["role"]) == ("source", "target")
    assert (outgoing["count"], outgoing["source_points"]) == ("1", "1000")
    assert (outgoing["target_points"], outgoing["effective_rate"]) == ("500", "0.500000")
    assert (outgoing["value"], outgoing["fee"]) == ("-9.800000", "-0.098000")
    assert (incoming["source_points"], incoming["effective_rate"]) == ("200", "1.900000")


def test_only_the_source_sees_what_was_refused(
    fresh_database: Callable[[], Database],
) -> None:
    coalition = found(fresh_database().engine(), 1000 * CNY)
    coalition.open()
    coalition.transfer("aurora", 1000)
    coalition.run(order("aurora", "borealis", 1000, 499))
    coalition.close(FIRST)
    coalition.settle()
    refused = [
        [
            line
            for line in download(coalition, "corridors", "csv", caller)[1].decode().splitlines()
            if line.startswith("REFUSED")
        ]
        for caller in (AURORA, BOREALIS)
    ]
    assert [len(each) for each in refused] == [1, 0]
    assert refused[0][0].startswith(
        "REFUSED,source,aurora-points,borealis-points,,,AMOUNT_MISMATCH,1"
    )


def test_a_journal_books_to_the_partners_own_accounts(stated: Coalition) -> None:
    request = pb.SetAccountMapRequest(
        accounts=[
            pb.AccountMapping(item="fees", account="=7100"),
            pb.AccountMapping(item="fee-tax", code="vat6", account="1521"),
        ]
    )
    answer = asyncio.run(stated.service.set_account_map(request, AURORA))
    assert ("fees", "", "=7100") in {(a.item, a.code, a.account) for a in answer.accounts}
    shown = asyncio.run(stated.service.get_account_map(pb.GetAccountMapRequest(), AURORA))
    assert shown.accounts == answer.accounts
    cells = rows_of(download(stated, "journal", "csv", AURORA)[1])
    accounts = {row["item"]: row["account"] for row in cells}
    assert (accounts["fees"], accounts["fee-tax"]) == ("'=7100", "1521")
    assert accounts["outgoing-value"] == "5010"
    document = json.loads(download(stated, "journal", "json", AURORA)[1])
    assert document["debits"] == document["credits"] == cells[-2]["debit"] == cells[-2]["credit"]
    others = rows_of(download(stated, "journal", "csv", BOREALIS)[1])
    assert {row["account"] for row in others if row["item"] == "fees"} == {"6010"}


def test_a_map_is_set_again_and_again(stated: Coalition) -> None:
    for account in ("1", "2", "2", "1"):
        request = pb.SetAccountMapRequest(
            accounts=[pb.AccountMapping(item="fees", account=account)], partner_id="aurora"
        )
        answer = asyncio.run(stated.service.set_account_map(request, OPERATOR))
        assert {a.account for a in answer.accounts if a.item == "fees"} == {account}


@pytest.mark.parametrize(
    "mapping",
    [("weather", "", "1"), ("fees", "", ""), ("fees", "", "a\nb"), ("fees", "", "1" * 65)],
)
def test_a_wrong_mapping_is_refused(stated: Coalition, mapping: tuple[str, str, str]) -> None:
    item, code, account = mapping
    request = pb.SetAccountMapRequest(
        accounts=[pb.AccountMapping(item=item, code=code, account=account)]
    )
    with pytest.raises(Refused) as refusal:
        asyncio.run(stated.service.set_account_map(request, AURORA))
    assert refusal.value.reason is Reason.FIELD_INVALID


def test_t20_anothers_map_is_unknown(stated: Coalition) -> None:
    with pytest.raises(Refused) as refusal:
        asyncio.run(
            stated.service.get_account_map(pb.GetAccountMapRequest(partner_id="borealis"), AURORA)
        )
    assert refusal.value.reason is Reason.PARTNER_UNKNOWN


def test_the_bank_proof_holds_before_and_after_money_moved(stated: Coalition) -> None:
    before = rows_of(download(stated, "bank-proof", "csv", OPERATOR)[1])
    assert [row["holds"] for row in before if row["holds"]] == ["yes", "yes", "yes"]
    assert all(units(row["amount"]) == 0 for row in before if row["row"] == "BANK")
    for _ in range(2):
        stated.pay(stated.settle().legs)
    stated.close(FIRST + timedelta(days=1))
    name = ReportName("bank-proof", f"cny-{FIRST + timedelta(days=1)}", 0, 1, "csv")
    target = io.BytesIO()
    with stated.engine.connect() as connection:
        raw = connection.connection.dbapi_connection
        making.make(raw, name, "", AUDIENCE, lambda _lines: None, target)
    after = rows_of(target.getvalue())
    assert [row["holds"] for row in after if row["holds"]] == ["yes", "yes", "yes"]
    # 6.30 paid in, 6.15 paid out: the rest is what the operator and the carries are owed.
    assert [row["amount"] for row in after if row["row"] == "BANK"] == ["0.150000", "0.000000"]
    owned = {row["account"]: row["amount"] for row in after if row["row"] == "OWNED"}
    assert (owned["aurora.position"], owned["hub.fees"]) == ("0.006120", "0.134100")


def test_a_report_made_later_is_as_of_its_window(stated: Coalition) -> None:
    for _ in range(2):
        stated.pay(stated.settle().legs)
    late = rows_of(download(stated, "bank-proof", "csv", OPERATOR)[1])
    assert all(units(row["amount"]) == 0 for row in late if row["row"] == "BANK")


def test_a_debtor_is_asked_by_a_paper_and_a_creditor_is_told_when_it_was_paid(
    stated: Coalition,
) -> None:
    (page,) = text_of(download(stated, "payment-request", "pdf", AURORA)[1])
    assert "CNY 6.30" in page
    assert "pointclear-settlement-cny" in page
    assert stated.statement("aurora").payment_reference in page.replace(" ", "")
    for caller, kind in ((AURORA, "remittance-advice"), (BOREALIS, "payment-request")):
        with pytest.raises(Refused) as refusal:
            download(stated, kind, "pdf", caller)
        assert refusal.value.reason is Reason.STATEMENT_UNKNOWN
    with pytest.raises(Refused) as refusal:
        download(stated, "remittance-advice", "pdf", BOREALIS)
    assert refusal.value.reason is Reason.STATEMENT_UNKNOWN
    for _ in range(2):
        stated.pay(stated.settle().legs)
    assert ("remittance-advice", "pdf") in {(r.kind, r.format) for r in listed(stated, BOREALIS)}
    (page,) = text_of(download(stated, "remittance-advice", "pdf", BOREALIS)[1])
    assert "CNY 6.15" in page
    assert stated.statement("borealis").payment_reference in page.replace(" ", "")


def test_each_version_of_a_statement_has_papers_of_its_own(stated: Coalition) -> None:
    first = download(stated, "statement", "pdf", AURORA)
    abort = approval_pb2.AbortWindowRequest(window_id=WINDOW, reason="the bank is closed")
    asyncio.run(stated.service.abort_window(abort, OPERATOR))
    report, content = download(stated, "statement", "pdf", AURORA)
    assert (first[0].version, report.version) == (1, 2)
    assert report.file_name == f"{WINDOW}.statement.v2.pdf"
    text = "".join(text_of(content))
    assert "aborted" in text
    assert stated.statement("aurora").supersedes_sha256.hex() in text.replace("\u200b", "")
    kept = [(r.version, r.sha256) for r in listed(stated, AURORA) if r.format == "pdf" and r.size]
    assert kept == [(1, first[0].sha256), (2, report.sha256)]
    booked = json.loads(download(stated, "journal", "json", AURORA)[1])
    assert (booked["version"], {line["entry"] for line in booked["lines"]}) == (2, {"net"})


def test_t08_a_report_that_was_altered_is_noticed(fresh_database: Callable[[], Database]) -> None:
    database = fresh_database()
    coalition = found(database.engine(), 1000 * CNY)
    worked_example(coalition)
    coalition.settle()
    download(coalition, "statement", "csv", AURORA)
    with pytest.raises(errors.InsufficientPrivilege):
        database.tell("UPDATE report_part SET content = ''", role=OWNER_ROLE)
    database.tell("ALTER TABLE report_part DISABLE TRIGGER append_only", role=OWNER_ROLE)
    database.tell("UPDATE report_part SET content = content || 'x'::bytea", role=OWNER_ROLE)
    with pytest.raises(InvariantBroken, match="altered"):
        download(coalition, "statement", "csv", AURORA)


def test_two_who_ask_at_once_get_the_same_file(stated: Coalition) -> None:
    async def ask() -> list[bytes]:
        request = pb.DownloadReportRequest(period=WINDOW, kind="statement", format="pdf")
        services = [
            stated.service,
            SettlementService(stated.engine, stated.submit, AUDIENCE, SIGNERS),
        ]

        async def one(service: SettlementService) -> bytes:
            steps = [each async for each in service.download_report(request, AURORA)]
            return b"".join(each.chunk for each in steps)

        return await asyncio.gather(*map(one, services))

    first, second = asyncio.run(ask())
    assert first == second


def test_large_files_come_in_parts(stated: Coalition, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("settlement.reports.store.PART_BYTES", 1000)
    monkeypatch.setattr("settlement.calls.CHUNK_BYTES_MAX", 300)
    _, content = download(stated, "statement", "pdf", AURORA)
    assert len(content) > 10_000
    assert content.startswith(b"%PDF-")


def test_lines_beyond_a_few_are_written_by_another_process(
    stated: Coalition, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = made_again(stated, "lines", "xlsx", "aurora")
    monkeypatch.setattr("settlement.reports.making.APART_FROM_LINES", 1)
    assert download(stated, "lines", "xlsx", AURORA)[1] == here
