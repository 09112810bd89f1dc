"""From a closed window to its payments by the commands that people use: a draft is approved by its
digest, partners counter-sign and dispute, statements get versions that verify, a window is aborted.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from exchange.cli.demo.archive import write_archive
from partners.wire import envelope_from_proto
from pointclear.exchange.v1.transfer_pb2 import TransferReceipt, TransferRecord
from tests.acceptance.coalition import (
    BRANDS,
    CURRENCY,
    FIRST_DAY,
    Coalition,
    check_log_and_books,
    coalition,
    make_data_dir,
)
from tests.processes import Server, folder, pointclear

WINDOW = f"usd-{FIRST_DAY}"
REFUSED = 1


@dataclass(frozen=True, slots=True)
class Closed:
    """A coalition whose first window is closed, with one order of aurora's for borealis."""

    home: Path
    address: str
    members: Coalition
    transfer_id: str

    def run(self, *arguments: str, status: int = 0) -> dict[str, Any]:
        """An operator's command; its document, or that of its error."""
        return self._run(arguments, ["--data-dir", str(self.members.data_dir)], status)

    def run_as(self, brand: str, *arguments: str, status: int = 0) -> dict[str, Any]:
        """A brand's command."""
        directory = self.members[brand].connection.profile.directory
        return self._run(arguments, ["--as", str(directory)], status)

    def _run(self, arguments: tuple[str, ...], who: list[str], status: int) -> dict[str, Any]:
        done = pointclear(*arguments, *who, "--server", self.address, "--json")
        assert done.returncode == status, done.stderr
        document: dict[str, Any] = json.loads(done.stdout if status == 0 else done.stderr)
        return document


@pytest.fixture
def closed() -> Iterator[Closed]:
    with (
        folder() as home,
        Server(make_data_dir(home)) as server,
        coalition(server, home) as members,
    ):
        receipt = members["aurora"].send(members["aurora"].order("borealis"))
        payload = TransferReceipt.FromString(envelope_from_proto(receipt).payload)
        record = TransferRecord.FromString(payload.record)
        members["borealis"].send(members["borealis"].order("cirrus"))
        made = Closed(home, server.address, members, _uuid(record.transfer_id))
        made.run("scheme", "set", CURRENCY, "--acknowledge-minutes", "60")
        made.run("window", "close", WINDOW)
        yield made


def _uuid(raw: bytes) -> str:
    text = raw.hex()
    return "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))


def test_a_window_is_approved_disputed_stated_again_and_verified(closed: Closed) -> None:
    draft = closed.run("window", "draft", WINDOW)
    assert {line["partner_id"]: line["payment"] for line in draft["lines"]} == {
        "aurora": "-1.020000",
        "borealis": "-0.020000",
        "cirrus": "1.000000",
    }
    other = closed.run("settle", WINDOW, "--draft", "0" * 64, status=REFUSED)
    assert "draft" in json.dumps(other)
    settled = closed.run("settle", WINDOW, "--draft", draft["draft_sha256"])
    assert {leg["state"] for leg in settled["legs"]} == {"WAITING"}

    # One line is in dispute; nobody is asked for money before everybody has looked.
    opened = closed.run_as("borealis", "dispute", "open", closed.transfer_id, "--why", "money")
    subject = opened["dispute"]["subject"]
    assert opened["dispute"]["lines"][0]["amounts"] == [["borealis", "1.000000"]]
    assert closed.run_as("cirrus", "dispute", "list")["disputes"] == []
    receipts = closed.home / "receipts"
    shown = closed.run_as("borealis", "dispute", "show", subject, "--out", str(receipts))
    (paper,) = shown["papers"]
    assert paper["partner_id"] == "borealis"
    assert closed.transfer_id in paper["file"]
    assert "payload" in json.loads((receipts / paper["file"]).read_text())
    everybodys = closed.run("dispute", "show", subject)["papers"]
    assert [each["partner_id"] for each in everybodys] == ["aurora", "borealis"]
    closed.run_as("cirrus", "dispute", "show", subject, status=REFUSED)
    for brand in BRANDS:
        closed.run_as(brand, "acknowledge", WINDOW)
    approval = closed.run("window", "approval", WINDOW)
    assert approval["payable"]
    assert {each["partner_id"]: each["version"] for each in approval["statements"]} == {
        "aurora": 2,
        "borealis": 2,
        "cirrus": 1,
    }
    late = closed.run_as(
        "aurora", "dispute", "open", closed.transfer_id, "--why", "other", status=REFUSED
    )
    assert "withheld already" in json.dumps(late)

    # What it comes to is proved by both versions.
    papers = closed.home / "papers"
    write_archive(closed.members.profiles, [], papers, lambda _what: None)
    for brand in BRANDS:
        for version in (1, 2) if brand != "cirrus" else (1,):
            shown = closed.run_as(
                brand,
                *("statement", WINDOW, "--version", str(version)),
                *("--out", str(papers / brand)),
            )
            assert shown["version"] == version
    statement = closed.run_as("aurora", "statement", WINDOW, "--out", str(papers / "aurora"))
    assert (statement["withheld"], statement["payment"]) == ("-1.000000", "-0.020000")
    verified = pointclear("verify", "--json", papers)
    assert verified.returncode == 0, verified.stdout + verified.stderr

    # It is decided, and the rest of the window goes over to the next settlement.
    ended = closed.run("dispute", "end", subject, "--outcome", "rejected", "--text", "as agreed")
    assert ended["dispute"]["ended"]
    closed.run("window", "abort", WINDOW, "--reason", "the bank is closed today")
    windows = {each["window_id"]: each for each in closed.run("window", "list")["windows"]}
    assert windows[WINDOW]["state"] == "ABORTED"
    following = f"usd-{FIRST_DAY.replace(day=2)}"
    closed.run("window", "close", following)
    carried = closed.run("window", "draft", following)
    assert {line["partner_id"]: line["payment"] for line in carried["lines"]} == {
        "aurora": "-1.020000",
        "borealis": "-0.020000",
        "cirrus": "1.000000",
    }
    check_log_and_books(closed.members.data_dir)
