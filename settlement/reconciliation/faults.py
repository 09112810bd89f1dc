"""What is wrong with a file, by row and column. Pure.

A file with one fault is refused whole. Faults are listed in the order of rows, the first
`FAULTS_MAX` of them; all are counted.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from partners.errors import PointclearError

FAULTS_MAX = 100
QUOTED_MAX = 40
"""Characters of a cell that a fault quotes."""


@dataclass(frozen=True, slots=True, order=True)
class Fault:
    """One thing that is wrong."""

    row: int
    """As an editor or a spreadsheet counts, from 1; 0 for the whole file."""
    column: str
    """As the file calls it; empty for the whole row."""
    text: str


class FileWrong(PointclearError):
    """The file is not taken."""

    def __init__(self, faults: Iterable[Fault], count: int | None = None) -> None:
        """`count` is of all faults, where these are not all."""
        found = sorted(faults)
        super().__init__(f"the file has {count or len(found)} faults")
        self.faults = tuple(found[:FAULTS_MAX])
        self.count = max(count or 0, len(found))


def quoted(cell: str) -> str:
    """A cell as a fault shows it."""
    shown = "".join(each if each.isprintable() else "?" for each in cell[:QUOTED_MAX])
    return f"'{shown}…'" if len(cell) > QUOTED_MAX else f"'{shown}'"
