"""What a command prints: one JSON document for machines, or lines and tables for people.

With `--json` stdout holds exactly one JSON document and stderr, on failure, one more. Points are
JSON integers; money is a decimal figure in a string, since a float would not hold it.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import IO, Any

import typer
from rich import box
from rich.console import Console, RenderableType
from rich.table import Table
from typer.core import TyperCommand

from exchange.cli.failure import Failure, failure_of
from partners.envelope import Envelope, to_json
from partners.errors import PointclearError

Document = Mapping[str, Any]
"""What `--json` prints."""

PIPED_COLUMNS = 200
"""Width of tables where no terminal says its own: wide enough that nothing is cut for `grep`."""


class Command(TyperCommand):
    """A command whose errors of ours become one or two lines, or one JSON document, and an exit
    code.
    """

    def invoke(self, ctx: Any) -> Any:
        """Run the command; raises typer.Exit with the failure's code."""
        try:
            return super().invoke(ctx)
        except PointclearError as error:
            failure = failure_of(error)
            print_failure(failure, as_json=bool(ctx.params.get("as_json")))
            raise typer.Exit(failure.exit_code) from None


def answer(as_json: bool, document: Document, *human: RenderableType) -> None:
    """Print the document for machines, or else the lines and tables for people."""
    if as_json:
        typer.echo(json_text(document), nl=False)
        return
    console = console_of()
    for each in human:
        console.print(each)


def print_failure(failure: Failure, *, as_json: bool) -> None:
    """Print a failure on stderr: one JSON document, or one or two lines."""
    if as_json:
        typer.echo(json.dumps({"error": failure_document(failure)}, ensure_ascii=False), err=True)
        return
    place = f" ({failure.field})" if failure.field else ""
    typer.echo(visible(f"{failure.reason}{place}: {failure.text}"), err=True)
    if failure.remedy:
        typer.echo(visible(f"  {failure.remedy}"), err=True)


def failure_document(failure: Failure) -> Document:
    """A failure for machines."""
    return {
        "reason": failure.reason,
        "field": failure.field,
        "text": failure.text,
        "remedy": failure.remedy,
        "retry": failure.retry,
        "retry_after_s": failure.retry_after_s,
        "metadata": dict(failure.metadata),
        "receipt": envelope_document(failure.receipt) if failure.receipt else None,
        "exit_code": int(failure.exit_code),
    }


def envelope_document(envelope: Envelope) -> Document:
    """An envelope in DSSE's own JSON form."""
    document: Document = json.loads(to_json(envelope))
    return document


def table(
    columns: Sequence[str], rows: Iterable[Sequence[object]], right: Sequence[str] = ()
) -> Table:
    """A table for people; the columns named in `right` are figures and stand to the right."""
    grid = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for column in columns:
        grid.add_column(column, justify="right" if column in right else "left", overflow="fold")
    for row in rows:
        grid.add_row(*(visible(str(cell)) for cell in row))
    return grid


def pairs(facts: Iterable[tuple[str, object]]) -> Table:
    """Named facts for people, one a line."""
    grid = Table.grid(padding=(0, 2))
    grid.add_column()
    grid.add_column(overflow="fold")
    for name, value in facts:
        grid.add_row(name, visible(str(value)))
    return grid


def console_of(file: IO[str] | None = None) -> Console:
    """A console that prints text as it is: nothing that came over the wire is markup."""
    console = Console(file=file, markup=False, highlight=False, emoji=False)
    if not console.is_terminal:
        console.width = PIPED_COLUMNS
    return console


def visible(text: str) -> str:
    """The text with whatever would steer a terminal shown as `?`."""
    return "".join(each if each.isprintable() else "?" for each in text)


def json_text(document: Document | Sequence[Document]) -> bytes:
    """A document as UTF-8 JSON with a newline at its end."""
    return (json.dumps(document, indent=2, ensure_ascii=False) + "\n").encode()
