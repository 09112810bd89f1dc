"""The command line as a whole: help, exit codes, what goes where, and what it does not need."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from exchange.cli.app import MigrateOptions, ServeOptions, Wiring, build_app
from exchange.embedded_postgres.errors import EmbeddedPostgresError
from partners.errors import Reason, Refused

COMMANDS = (
    "init", "serve", "config", "migrate", "fsck", "partner add", "partner list",
    "key register", "key rotate", "key revoke", "key recover", "key sign", "key list",
    "agreement propose", "agreement sign", "agreement activate", "agreement counter",
    "agreement withdraw", "agreement terminate", "agreement show", "agreement list", "tax add",
    "tax list", "transfer",
    "link start", "link confirm", "link revoke", "link list", "link freeze", "link unfreeze",
    "link require", "routes set", "routes list", "delivery list", "delivery resolve",
    "delivery pull", "delivery confirm", "member validate", "member erase",
    "rates check", "rates graph", "rates derive", "rates numeraire",
    "lookup", "receipts", "transfers", "simulate", "position", "corridors", "window open",
    "window close", "window list", "settle", "statement", "report list",
    "report get", "report accounts", "export", "verify",
)  # fmt: skip
SERVER_LIBRARIES = ("sqlalchemy", "psycopg2", "nacl", "structlog", "aiosql", "uvloop")


def nothing(options: object) -> None:
    """Stands for a server that starts and ends well."""


def app(
    serve: Callable[[ServeOptions], None] = nothing,
    migrate: Callable[[MigrateOptions], None] = nothing,
) -> typer.Typer:
    return build_app(
        Wiring(serve=serve, migrate=migrate, config=lambda _options: (), fsck=lambda *_: ())
    )


@pytest.fixture
def runner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CliRunner:
    monkeypatch.chdir(tmp_path)
    for name in ("POINTCLEAR_DATA_DIR", "POINTCLEAR_PROFILE", "POINTCLEAR_DATABASE_URL"):
        monkeypatch.delenv(name, raising=False)
    return CliRunner()


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_and_speaks_json(runner: CliRunner, command: str) -> None:
    result = runner.invoke(app(), [*command.split(), "--help"])
    assert result.exit_code == 0
    assert "--json" in result.stdout


def test_serve_and_migrate_are_handed_what_was_said(runner: CliRunner) -> None:
    seen: list[object] = []
    whole = app(seen.append, seen.append)
    arguments = ["serve", "--data-dir", "d", "--listen", "[::1]:9", "--database-url", "u", "--json"]
    assert runner.invoke(whole, arguments).exit_code == 0
    assert runner.invoke(whole, ["serve", "--set", "pool_size=9"]).exit_code == 0
    assert runner.invoke(whole, ["serve", "--set", "pool_size"]).exit_code == 2
    assert runner.invoke(whole, ["migrate", "--database-url", "o"]).exit_code == 0
    assert seen == [
        ServeOptions(Path("d"), None, (("listen", "[::1]:9"), ("database_url", "u")), True),
        ServeOptions(Path("pointclear-data"), None, (("pool_size", "9"),), False),
        MigrateOptions(Path("pointclear-data"), "o"),
    ]


def test_a_server_that_cannot_start_says_so_in_one_line_and_exits_3(runner: CliRunner) -> None:
    def cannot(options: ServeOptions) -> None:
        raise EmbeddedPostgresError("the port is in use", "choose another")

    result = runner.invoke(app(cannot), ["serve"])
    assert result.exit_code == 3
    assert result.stderr == "UNAVAILABLE: the port is in use: choose another\n"
    assert result.stdout == ""


def test_a_refusal_has_reason_field_text_and_remedy_in_two_lines_and_exits_1(
    runner: CliRunner,
) -> None:
    def refuse(options: ServeOptions) -> None:
        raise Refused(Reason.FIELD_INVALID, "listen", "an escape \x1b[2J and\na line")

    result = runner.invoke(app(refuse), ["serve"])
    assert result.exit_code == 1
    assert result.stderr.splitlines() == [
        "FIELD_INVALID (listen): an escape ?[2J and?a line",
        "  Correct the named field and send a new request.",
    ]


def test_a_refusal_is_one_json_document_on_stderr_for_machines(runner: CliRunner) -> None:
    def refuse(options: ServeOptions) -> None:
        raise Refused(Reason.LIMIT_EXCEEDED, "source_points", "too many", {"maximumPoints": "5"})

    result = runner.invoke(app(refuse), ["serve", "--json"])
    assert result.exit_code == 1
    assert result.stdout == ""
    error = json.loads(result.stderr)["error"]
    assert (error["reason"], error["field"]) == ("LIMIT_EXCEEDED", "source_points")
    assert (error["retry"], error["metadata"]) == ("NEW_ID", {"maximumPoints": "5"})
    assert error["exit_code"] == 1


@pytest.mark.parametrize(
    "command",
    [
        "nonsense",
        "transfer",
        "key rotate --purpose nothing --as x",
        "window open --currency USD",
        "lookup --as x",
        "simulate --as x --points 5",
        "transfer --as x --agreement a --points 5 --source-member m",
        "link confirm L --as x --program p --member m --consent c --method guess",
        "link start --as x --source-program a --target-program b --member m --salt 00",
        "link list --as x --state SLEEPING",
        "delivery resolve T --evidence f",
        "delivery confirm I --as x --program p",
        "delivery confirm I --as x --program p --done 5 --never",
        "delivery confirm I --as x --program p --declined perhaps",
        "delivery pull --as x",
        "member erase --as x --program p",
        "transfers --as x --state MAYBE",
        "transfers --as x --limit 0",
        "transfers --as x --from yesterday",
    ],
)
def test_a_wrong_call_exits_2(runner: CliRunner, command: str) -> None:
    assert runner.invoke(app(), command.split()).exit_code == 2


@pytest.mark.parametrize(
    "command",
    [
        "window open --currency USD --business-date 2017-02-30",
        "window close usd-2017-01-01 --next-business-date 20170102",
        "partner list --server localhost:1 --json",
    ],
)
def test_a_call_against_no_exchange_or_with_no_date_ends_as_such(
    runner: CliRunner, command: str
) -> None:
    assert runner.invoke(app(), ["init"]).exit_code == 0
    result = runner.invoke(app(), command.split())
    assert result.exit_code == (2 if "date" in command else 3)


def test_a_missing_profile_exits_3_with_one_line(runner: CliRunner) -> None:
    result = runner.invoke(app(), ["receipts", "--as", "nowhere"])
    assert result.exit_code == 3
    assert result.stderr.count("\n") == 1
    assert "there is no profile here" in result.stderr


def test_a_partners_profile_does_not_run_an_operators_command(runner: CliRunner) -> None:
    assert runner.invoke(app(), ["init"]).exit_code == 0
    result = runner.invoke(app(), ["receipts", "--as", "pointclear-data/operator"])
    assert result.exit_code == 2


def test_init_makes_a_directory_once(runner: CliRunner) -> None:
    made = runner.invoke(app(), ["init", "--json", "--audience", "pointclear.test/unit"])
    assert made.exit_code == 0
    assert json.loads(made.stdout)["audience"] == "pointclear.test/unit"
    again = runner.invoke(app(), ["init"])
    assert again.exit_code == 1
    assert "ALREADY_EXISTS" in again.stderr


def test_no_command_needs_a_library_of_the_server_to_start() -> None:
    program = f"""
import sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {SERVER_LIBRARIES!r}:
            raise ImportError(name)

sys.meta_path.insert(0, Blocked())
from exchange.cli.app import Wiring, build_app
app = build_app(Wiring(serve=print, migrate=print, config=print, fsck=print))
try:
    # The help of all commands imports each.
    app(["--help"])
except SystemExit as ended:
    assert not ended.code
app(["receipts", "--as", "nowhere"])
"""
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False
    )
    assert result.returncode == 3, result.stderr
    assert "there is no profile here" in result.stderr
