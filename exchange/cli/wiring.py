"""What the composition root gives the command line: what needs the server's libraries. Pure."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

DEFAULT_LISTEN = "127.0.0.1:7443"


@dataclass(frozen=True, slots=True)
class ServeOptions:
    """How `serve` was called."""

    data_dir: Path
    listen: str = DEFAULT_LISTEN
    """`host:port`."""
    database_url: str | None = None
    """The service role's; None means the embedded database."""
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
class Wiring:
    """Runs what the command line itself cannot.

    Each raises PointclearError for what a user can mend.
    """

    serve: Callable[[ServeOptions], None]
    migrate: Callable[[MigrateOptions], None]
