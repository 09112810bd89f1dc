"""Runs and breaks as they are kept. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from settlement.reconciliation.breaks import BreakState, Category, Figure


@dataclass(frozen=True, slots=True)
class KeptMapping:
    """A mapping as it was set."""

    version: int
    body: bytes
    set_at: datetime


@dataclass(frozen=True, slots=True)
class Run:
    """A run as it was kept."""

    partner_id: str
    number: int
    first_window_id: str
    last_window_id: str
    file_sha256: bytes
    file_name: str
    mapping_version: int
    rows: int
    lines: int
    matched: int
    made_at: datetime
    cleared: int
    counts: Mapping[Category, int]
    open: int


@dataclass(frozen=True, slots=True)
class KeptBreak:
    """A break as it stands."""

    partner_number: int
    partner_id: str
    number: int
    category: Category
    state: BreakState
    owner: str
    first_run: int
    newest_run: int
    opened_at: datetime
    closed_at: datetime | None
    window_id: str
    log_index: int | None
    transfer_id: UUID | None
    body: Mapping[str, Any]
    currency: str

    @property
    def figures(self) -> tuple[Figure, ...]:
        """Of both sides."""
        return tuple(Figure(*each) for each in self.body["figures"])


@dataclass(frozen=True, slots=True)
class Event:
    """What happened to a break."""

    at: datetime
    actor: str
    kind: str
    text: str
    journal: str
