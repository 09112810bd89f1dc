"""Shows a watch at work: on a terminal a table that stays in its place, elsewhere a line for each
scenario as it is ticked off.

Effects: writes to stderr; stdout is the report's.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import typer
from rich.live import Live
from rich.table import Table

from exchange.cli.certification.issuing import VERDICTS
from exchange.cli.certification.outcome import Outcomes
from exchange.cli.output import console_of, table, visible
from partners.certification import WATCHED, ScenarioName

WAITING = "waiting"


@contextmanager
def board(*, quiet: bool) -> Iterator[Callable[[Outcomes], None]]:
    """Takes what was seen by now, as often as it is looked for. Where it is quiet nothing shows."""
    console = console_of(sys.stderr)
    if quiet:
        yield lambda _outcomes: None
    elif not console.is_terminal:
        yield Lines().show
    else:
        with Live(console=console, auto_refresh=False, transient=True) as live:
            yield lambda outcomes: live.update(as_table(outcomes), refresh=True)


@dataclass(slots=True)
class Lines:
    """What was told line by line."""

    begun: bool = False
    told: set[ScenarioName] = field(default_factory=set)

    def show(self, outcomes: Outcomes) -> None:
        """Tell what is new."""
        if not self.begun:
            typer.echo(f"watching for {len(WATCHED)} scenarios", err=True)
            self.begun = True
        for name in ScenarioName:
            if name in outcomes and name not in self.told:
                self.told.add(name)
                ended = outcomes[name]
                text = f"{name}: {VERDICTS[ended.verdict]}, {ended.note}"
                typer.echo(visible(f"{len(self.told)}/{len(WATCHED)} {text}"), err=True)


def as_table(outcomes: Outcomes) -> Table:
    """What was seen, and what is waited for."""
    names = [name for name in ScenarioName if name in WATCHED]
    ended = {name: (VERDICTS[each.verdict], each.note) for name, each in outcomes.items()}
    shown = table(
        ("scenario", "verdict", "seen"), [(name, *ended.get(name, (WAITING, ""))) for name in names]
    )
    shown.caption = f"{len(outcomes)} of {len(names)}"
    return shown
