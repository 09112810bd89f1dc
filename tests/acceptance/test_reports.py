"""Reports through the front door: a server process, and the commands that finance types."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from beancount import loader

from exchange.cli.settlement.settlement_commands import close_and_state
from tests.acceptance.coalition import FIRST_DAY, Coalition, coalition, make_data_dir
from tests.processes import Server, folder, pointclear
from tests.unit.test_typesetting import text_of

WINDOW = f"usd-{FIRST_DAY}"


@dataclass(frozen=True, slots=True)
class Stated:
    """A coalition whose first window is stated."""

    home: Path
    members: Coalition

    def run(self, who: str, *arguments: str | Path) -> dict[str, Any]:
        """The document of a command of a brand, or of the operator."""
        profile = self.members.operator.profile.directory if who == "operator" else self.home / who
        server = self.members.operator.profile.server
        done = pointclear(*arguments, "--as", profile, "--server", server, "--json")
        assert done.returncode == 0, done.stdout + done.stderr
        document: dict[str, Any] = json.loads(done.stdout)
        return document


@pytest.fixture(scope="module")
def stated() -> Iterator[Stated]:
    with (
        folder() as home,
        Server(make_data_dir(home)) as server,
        coalition(server, home) as members,
    ):
        for source, target in (("aurora", "borealis"), ("borealis", "cirrus")):
            for number in range(3):
                reference = f"=HYPERLINK({number})"
                brand = members[source]
                brand.send(brand.order(target, partner_reference=reference))
        close_and_state(members.operator, WINDOW)
        yield Stated(home, members)


def test_a_partner_fetches_all_of_its_reports_into_a_folder(stated: Stated) -> None:
    out = stated.home / "aurora-reports"
    fetched = stated.run("aurora", "report", "get", WINDOW, "--all", "--out", out)["reports"]
    assert {(each["kind"], each["format"]) for each in fetched} == {
        *(("statement", "pdf"), ("statement", "csv"), ("lines", "csv"), ("lines", "xlsx")),
        *(("corridors", "csv"), ("corridors", "xlsx"), ("journal", "csv"), ("journal", "json")),
        ("payment-request", "pdf"),
    }
    for each in fetched:
        content = (out / each["file_name"]).read_bytes()
        assert hashlib.sha256(content).hexdigest() == each["sha256"]
        assert len(content) == each["size"]
    listed = stated.run("aurora", "report", "list", WINDOW)["reports"]
    assert {each["sha256"] for each in listed} == {each["sha256"] for each in fetched}
    (page,) = text_of((out / f"{WINDOW}.statement.pdf").read_bytes())
    assert "Aurora Ltd" in page
    assert "'=HYPERLINK(0)" in (out / f"{WINDOW}.lines.csv").read_text()


def test_the_operator_fetches_a_partners_reports_and_its_own(stated: Stated) -> None:
    out = stated.home / "operator-reports"
    one = stated.run(
        *("operator", "report", "get", WINDOW, "--kind", "statement", "--format", "pdf"),
        *("--partner", "aurora", "--out", out),
    )["reports"]
    own = stated.run("aurora", "report", "list", WINDOW)["reports"]
    assert one[0]["sha256"] in {each["sha256"] for each in own}
    kinds = stated.run("operator", "report", "get", WINDOW, "--all", "--out", out)["reports"]
    assert {each["kind"] for each in kinds} == {"net-matrix", "bank-proof"}


def test_a_partner_sets_its_accounts_before_its_journal_is_made(stated: Stated) -> None:
    answer = stated.run("borealis", "report", "accounts", "--set", "fees=7100")["accounts"]
    assert {"item": "fees", "tax_code": "", "account": "7100"} in answer
    out = stated.home / "borealis-reports"
    stated.run("borealis", "report", "get", WINDOW, "--kind", "journal", "--out", out)
    journal = json.loads((out / f"{WINDOW}.journal.json").read_text())
    assert {line["account"] for line in journal["lines"] if line["item"] == "fees"} == {"7100"}
    assert journal["debits"] == journal["credits"]


def test_t20_anothers_reports_are_unknown(stated: Stated) -> None:
    done = pointclear(
        *("report", "list", WINDOW, "--partner", "borealis", "--as", stated.home / "aurora"),
        *("--server", stated.members.operator.profile.server, "--json"),
    )
    assert done.returncode == 1
    assert json.loads(done.stderr)["error"]["reason"] == "STATEMENT_UNKNOWN"


def test_the_books_are_exported_and_beancount_finds_nothing_wrong(stated: Stated) -> None:
    out = stated.home / "export"
    written = stated.run("operator", "export", "--format", "beancount", "--out", out)["files"]
    assert [Path(each["path"]).name for each in written] == ["books.beancount"]
    entries, errors, _ = loader.load_file(str(out / "books.beancount"))
    assert errors == []
    assert len(entries) > 20
    tables = stated.run("operator", "export", "--format", "parquet", "--out", out)["files"]
    assert [Path(each["path"]).name for each in tables] == [
        *("journal.parquet", "lines.parquet", "statements.parquet"),
    ]


def test_what_there_is_not_is_a_usage_error(stated: Stated) -> None:
    done = pointclear(
        *("report", "get", WINDOW, "--kind", "weather", "--out", stated.home),
        *("--as", stated.home / "aurora"),
        *("--server", stated.members.operator.profile.server),
    )
    assert done.returncode == 2
