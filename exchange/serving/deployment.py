"""What one server process is given by its host."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from exchange.database import Database
from exchange.host_keys import HostKeys
from exchange.logs import Logger
from exchange.settings import Settings
from partners.environment import Environment


@dataclass(frozen=True, slots=True)
class Deployment:
    """What one server process serves with."""

    settings: Settings
    data_dir: Path
    keys: HostKeys
    audience: str
    environment: Environment
    stored_from: datetime
    database: Database
    log: Logger
    as_json: bool
