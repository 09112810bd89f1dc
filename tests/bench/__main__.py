"""`python -m tests.bench`: measure, write `results.json`, show the table."""

import signal
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich import progress as bars

from exchange.cli.files import make_directory
from exchange.cli.output import Command, console_of
from tests.bench.course import Wanted, started
from tests.bench.measures import Result
from tests.bench.report import RESULTS_FILE, report


def bench(
    rounds: Annotated[int, typer.Option(min=1, help="Pairs A B of each comparison.")] = 5,
    seconds: Annotated[float, typer.Option(min=0.1, help="Of each measurement.")] = 3.0,
    in_flight: Annotated[
        int, typer.Option(min=1, max=1000, help="Unary calls under way at once.")
    ] = 64,
    bulk: Annotated[
        int,
        typer.Option(
            min=0, help="Also close and state a window of so many transfers, 1000000 say."
        ),
    ] = 0,
    out: Annotated[Path, typer.Option(metavar="DIR", help=f"Where {RESULTS_FILE} goes.")] = Path(
        "bench-out"
    ),
) -> None:
    """Measure signed transfers against an echo server and against pgbench, in turn, with the
    storage and memory that they take.

    Everything is started for it, in a temporary directory, and stopped again. Ratios are what to
    compare: absolute figures move with the machine and with whatever else it does.
    """
    # Otherwise a SIGTERM would leave the server and both databases running.
    signal.signal(signal.SIGTERM, lambda _number, _frame: sys.exit(128 + signal.SIGTERM))
    results = measured(Wanted(rounds, seconds, in_flight, bulk))
    make_directory(out, 0o755)
    report(results, out / RESULTS_FILE)


def measured(wanted: Wanted) -> list[Result]:
    """Run with progress on standard error: a bar on a terminal, lines elsewhere."""
    console = console_of(sys.stderr)
    columns = (bars.BarColumn(), bars.TimeElapsedColumn(), bars.TextColumn("{task.description}"))
    with bars.Progress(*columns, console=console, disable=not console.is_terminal) as shown:
        task = shown.add_task("", total=wanted.steps)
        begun = -1

        def step(what: str) -> None:
            nonlocal begun
            begun += 1
            shown.update(task, completed=begun, description=what)
            if not console.is_terminal:
                typer.echo(f"[{begun + 1}/{wanted.steps}] {what} ...", err=True)

        with started(wanted, step) as ready:
            results = ready.run()
        shown.update(task, completed=wanted.steps, description="done")
    return results


def main() -> None:
    """Run the command line. Exit codes as of `pointclear`: 2 usage, 3 unavailable."""
    app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
    app.command("bench", cls=Command)(bench)
    app(prog_name="python -m tests.bench")


if __name__ == "__main__":
    main()
