"""What the composition root gives the command line: what needs the server's libraries. Pure."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

DEFAULT_LISTEN = "127.0.0.1:7443"


@dataclass(frozen=True, slots=True)
class ServeOptions:
    """How `serve` or `config` was called."""

    data_dir: Path
    config: Path | None = None
    """The settings file; None means the one of the data directory, if there is one."""
    settings: tuple[tuple[str, str], ...] = ()
    """Name and value of the settings that were given as flags."""
    json: bool = False
    """Whether what it prints is for machines."""


@dataclass(frozen=True, slots=True)
class MigrateOptions:
    """How `migrate` was called."""

    data_dir: Path
    database_url: str | None = None
    """The owner's; None means the embedded database."""
    json: bool = False
    """Whether what it prints is for machines."""


@dataclass(frozen=True, slots=True)
class FsckOptions:
    """How `fsck` was called."""

    data_dir: Path
    database_url: str | None = None
    """The service's; None means the embedded database."""


@dataclass(frozen=True, slots=True)
class Fault:
    """A rule that what is stored breaks, and where."""

    rule: str
    subject: str
    found: str


Told = Callable[[int, int], None]
"""Told how many rows were looked at, of how many."""


@dataclass(frozen=True, slots=True)
class Wiring:
    """Runs what the command line itself cannot.

    Each raises PointclearError for what a user can mend.
    """

    serve: Callable[[ServeOptions], None]
    migrate: Callable[[MigrateOptions], None]
    config: Callable[[ServeOptions], Sequence[tuple[str, Any, str]]]
    """Gives name, value and origin of every setting."""
    fsck: Callable[[FsckOptions, Told], Sequence[Fault]]
    """Gives everything that is wrong in the database."""
