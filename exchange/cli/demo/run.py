"""Runs the demo for the command: prepares its folders, shows progress, prints the figures."""

import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path

import typer
from rich import progress as bars

from exchange.cli.demo.figures import Figures
from exchange.cli.demo.replay import replay
from exchange.cli.demo.report import page
from exchange.cli.demo.settlement_day import Bank
from exchange.cli.demo.summary import document, render
from exchange.cli.demo.week import Replay
from exchange.cli.failure import ExitCode
from exchange.cli.files import make_directory, write_output
from exchange.cli.output import answer, console_of

REPORT = "report.html"
"""The page, in the folder for results."""


def run_demo(
    bank: Bank, first_day: date, days: int, out: Path, keep: Path | None, *, as_json: bool
) -> None:
    """Replay, write `out`, print. Exit 1 when anything is not as it must be."""
    prepare_out(out)
    with data_directory(keep) as data_dir:
        done = run(Replay(first_day, days, data_dir, out), bank, quiet=as_json)
    write_output(out / REPORT, page(done).encode())
    show(done, out, keep, as_json)


def show(done: Figures, out: Path, keep: Path | None, as_json: bool) -> None:
    """Print the figures; exit 1 when anything is not as it must be."""
    report = out / REPORT
    kept = {"out": str(out), "report": str(report), "data_dir": str(keep) if keep else None}
    lines = [
        f"Wrote {out}; check it again with: pointclear verify {out}",
        f"Open {report} in a browser: the same in charts",
        *done.faults,
    ]
    if keep:
        lines.append(f"Kept {keep}; serve it with: pointclear serve --data-dir {keep}")
        lines.append(
            f"Profiles: its operators' in {keep / 'operators'}, its brands' in {keep / 'brands'}"
        )
    figures = {**document(done), **kept, "faults": list(done.faults)}
    answer(as_json, figures, *render(done), *lines)
    if not done.is_as_it_must_be:
        raise typer.Exit(ExitCode.REFUSED)


def prepare_out(out: Path) -> None:
    """Make the folder for results empty; raises typer.BadParameter for one that holds something
    else.
    """
    if out.exists() and any(out.iterdir()):
        if not (out / "keys.json").exists():
            raise typer.BadParameter(f"{out} holds something else; name another folder with --out")
        shutil.rmtree(out)
    make_directory(out, 0o755)


@contextmanager
def data_directory(keep: Path | None) -> Iterator[Path]:
    """The deployment's data directory: the one to keep, or one that is removed on leaving."""
    if keep is not None:
        yield keep
        return
    # The system user of the embedded PostgreSQL must be able to pass through it.
    with tempfile.TemporaryDirectory(prefix="pointclear-demo-") as folder:
        Path(folder).chmod(0o711)
        yield Path(folder) / "data"


def run(wanted: Replay, bank: Bank, *, quiet: bool) -> Figures:
    """Replay with progress on standard error: bars on a terminal, lines elsewhere."""
    console = console_of()
    if quiet:
        return replay(wanted, bank, Lines(lambda _line: None))
    if not console.is_terminal:
        return replay(wanted, bank, Lines(lambda line: typer.echo(line, err=True)))
    columns = (
        bars.TextColumn("{task.description}"),
        bars.BarColumn(),
        bars.MofNCompleteColumn(),
        bars.TimeElapsedColumn(),
    )
    with bars.Progress(*columns, console=console) as shown:
        return replay(wanted, bank, Bars(shown))


class Lines:
    """Progress as lines, one for each part of the work."""

    def __init__(self, say: Callable[[str], None]) -> None:
        """`say` gets each line."""
        self._say = say

    def begin(self, what: str, steps: int) -> None:
        """Say what begins."""
        self._say(f"{what} ...")

    def step(self, what: str = "") -> None:
        """Nothing: lines are for logs."""


class Bars:
    """Progress as bars, one for each part of the work."""

    def __init__(self, shown: bars.Progress) -> None:
        """`shown` is on the terminal already."""
        self._shown = shown
        self._task: bars.TaskID | None = None

    def begin(self, what: str, steps: int) -> None:
        """End the part before, begin the next."""
        self._finish()
        self._task = self._shown.add_task(what, total=steps)

    def step(self, what: str = "") -> None:
        """Advance the bar."""
        if self._task is not None:
            self._shown.advance(self._task)

    def _finish(self) -> None:
        if self._task is not None:
            self._shown.update(self._task, completed=self._shown.tasks[self._task].total)
