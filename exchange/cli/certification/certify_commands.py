"""`certify run`, `certify watch`, `certify show` and `certify list`."""

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from exchange.cli.calling import App
from exchange.cli.certification.certify_run import run
from exchange.cli.certification.certify_watch import watch
from exchange.cli.certification.issuing import VERDICTS
from exchange.cli.certification.report import report_document
from exchange.cli.failure import ExitCode
from exchange.cli.options import JsonOption
from exchange.cli.output import Document, answer, pairs, table
from exchange.cli.partners.life_commands import read_report
from partners.certification import WATCHED, ScenarioName, verify_report
from partners.key_files import read_public_key
from partners.keys import VerifyKey


def certify_app() -> App:
    """The commands about certification."""
    app = App(
        no_args_is_help=True, help="Try a partner's keys, connection and client in a sandbox."
    )
    app.command("run")(run)
    app.command("watch")(watch)
    app.command("show")(show)
    app.command("list")(list_scenarios)
    return app


def show(
    report: Annotated[Path, typer.Argument(metavar="FILE", help="A certification report.")],
    certifier: Annotated[
        list[Path],
        typer.Option(
            metavar="FILE.pem", help="A public key to trust, of a sandbox; may be repeated."
        ),
    ],
    as_json: JsonOption = False,
) -> None:
    """Verify a report, offline, and show it. Exit code 1 where it is not trusted or not passed."""
    envelope = read_report(report)
    trusted = [VerifyKey.of(read_public_key(path)) for path in certifier]
    verify_report(envelope, {key.key_id: key for key in trusted})
    document = report_document(envelope)
    answer(as_json, document, *_shown(document))
    if not document["passed"]:
        raise typer.Exit(ExitCode.REFUSED)


def list_scenarios(as_json: JsonOption = False) -> None:
    """List the scenarios, in their order, and which of them a watch can judge too."""
    listed = [{"name": each, "watched": each in WATCHED} for each in ScenarioName]
    answer(
        as_json,
        {"scenarios": listed},
        table(
            ("scenario", "judged by"),
            [(each["name"], "run, watch" if each["watched"] else "run") for each in listed],
        ),
    )


def _shown(document: Document) -> tuple[Table | str, ...]:
    facts = ("partner_id", "audience", "method", "client_sha256", "issued_at", "key_id")
    return (
        pairs((name.replace("_", " "), document[name]) for name in facts),
        table(
            ("scenario", "verdict"),
            [(each["name"], VERDICTS[each["verdict"]]) for each in document["scenarios"]],
        ),
        f"Nobody goes live with it: {document['fault']}" if document["fault"] else "Passed",
    )
