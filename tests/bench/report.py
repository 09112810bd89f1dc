"""How results are written and shown."""

from pathlib import Path

from exchange.cli.files import write_output
from exchange.cli.output import console_of, json_text, table
from tests.bench.measures import Result, document_of, row_of

RESULTS_FILE = "results.json"
FIGURES = ("value", "baseline", "ratio", "spread of ratio")


def report(results: list[Result], path: Path) -> None:
    """Write the results, and print the table."""
    write_output(path, json_text([document_of(each) for each in results]))
    console = console_of()
    names = ("", "value", "baseline", "unit", "ratio", "spread of ratio", "p50 / p99 ms")
    console.print(table(names, map(row_of, results), right=FIGURES))
    console.print(f"Wrote {path}")
