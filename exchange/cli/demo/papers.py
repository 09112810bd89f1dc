"""What a settlement day produces for people: each brand's statement as PDF and its lines as a
workbook, and for the operator who owes whom.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from exchange.cli.connection import Connection
from exchange.cli.settlement.report_commands import fetch_report, reports_of

OF_BRANDS = (("statement", "pdf"), ("lines", "xlsx"))
OF_OPERATOR = (("net-matrix", "pdf"), ("bank-proof", "pdf"))
PLACE = "papers"
"""The operator's folder among the results."""


@dataclass(frozen=True, slots=True)
class Paper:
    """A file."""

    whose: str
    """A brand; empty for the operator."""
    kind: str
    name: str
    size: int
    sha256: str


def fetch_papers(
    operator: Connection,
    brands: Mapping[str, Connection],
    window_id: str,
    out: Path,
    step: Callable[[str], None],
) -> tuple[Paper, ...]:
    """Fetch a window's papers as their owners would, and check their digests. Raises Failed."""
    found = []
    for name, own in brands.items():
        found += _fetched(own, name, window_id, OF_BRANDS, out / name)
        step(name)
    found += _fetched(operator, "", window_id, OF_OPERATOR, out / PLACE)
    step("the operator")
    return tuple(found)


def _fetched(
    own: Connection,
    whose: str,
    window_id: str,
    wanted: tuple[tuple[str, str], ...],
    folder: Path,
) -> list[Paper]:
    papers = []
    for each in reports_of(own, window_id, ""):
        if (each.kind, each.format) in wanted:
            made = fetch_report(own, each, folder / each.file_name)
            papers.append(Paper(whose, made.kind, made.file_name, made.size, made.sha256.hex()))
    return papers
