"""Every setting of a server, and where its value came from.

One precedence: flags, then environment (`POINTCLEAR_` and the name in capitals), then the file
(TOML, `<data-dir>/pointclear.toml` unless another is named), then the default. A name that is no
setting, in the file or a flag, is refused: a setting that is misspelt would otherwise be missed on
the day it is needed.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, ValidationError
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from exchange.cli.wiring import DEFAULT_LISTEN
from exchange.errors import CannotStart
from exchange.token_keys import parse_token_uri
from partners.keys import Purpose

PREFIX = "POINTCLEAR_"
FILE_NAME = "pointclear.toml"
ORDERS_IN_A_CALL_MAX = 500
DEFAULT, FLAG = "default", "flag"

MASKED = "***"


def _host_and_port(text: str) -> str:
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65535:
        raise ValueError("give it as HOST:PORT, such as 127.0.0.1:7443")
    return text


HostPort = Annotated[str, AfterValidator(_host_and_port)]


def _token_uris(text: str) -> str:
    for uri in text.split():
        parse_token_uri(uri)
    return text


TokenUris = Annotated[str, AfterValidator(_token_uris)]
"""One or more PKCS#11 URIs, the one in use first."""


class Settings(BaseSettings):
    """What a server is run with. Sizes are in bytes and times in seconds where a name says so."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_ignore_empty=True, frozen=True, extra="forbid"
    )

    listen: HostPort = Field(DEFAULT_LISTEN, description="Where partners and operators call.")
    http: HostPort | None = Field(
        None, description="Where /healthz, /readyz and /metrics are served; off unless given."
    )
    database_url: str | None = Field(
        None, description="The service role's database; the embedded one unless given."
    )
    signer_receipts: TokenUris | None = Field(
        None,
        description="PKCS#11 URIs of the keys for receipts, the one in use first;"
        " keys/receipts.pem unless given.",
    )
    signer_statements: TokenUris | None = Field(
        None, description="The same for statements; keys/statements.pem unless given."
    )
    signer_log: TokenUris | None = Field(
        None, description="The same for the log; keys/log.pem unless given."
    )
    log_format: Literal["auto", "json", "text"] = Field(
        "auto", description="auto is text on a terminal and JSON elsewhere."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="The least grave events that are logged."
    )
    pool_size: int = Field(8, ge=2, le=500, description="Connections kept to the database.")
    queue_max: int = Field(
        10_000, ge=ORDERS_IN_A_CALL_MAX, description="Orders that may wait; beyond it QUEUE_FULL."
    )
    batch_max: int = Field(1000, ge=1, le=10_000, description="Orders in one transaction.")
    orders_per_second: int = Field(
        2000, ge=1, description="Of one partner; beyond it RATE_LIMITED. Other calls cost 1 each."
    )
    orders_burst: int = Field(
        4000, ge=ORDERS_IN_A_CALL_MAX, description="What a partner may send at once after a pause."
    )
    refusals_per_minute: int = Field(
        600, ge=1, description="Refusals of one partner recorded in a minute."
    )
    look_ups_per_day: int = Field(
        1000, ge=0, description="Members whom one partner may look up in a UTC day."
    )
    look_up_seconds: float = Field(
        0.5, gt=0, le=30, description="After which a look-up is answered, whatever it finds."
    )
    circuit_open_seconds: float = Field(
        30, gt=0, le=3600, description="How long a program that failed is left alone."
    )
    simulated_programs: str | None = Field(
        None, description="Programs with made-up members: ids with commas between. For sandboxes."
    )
    file_batch_seconds: float = Field(
        300, ge=0, le=86_400, description="How old instructions in files become before they leave."
    )
    file_visit_seconds: float = Field(
        30,
        ge=0.05,
        le=3600,
        description="How often programs that take files are visited.",
    )
    file_settled_seconds: float = Field(
        60, ge=0, le=86_400, description="How long a wrong result file may still be written to."
    )
    four_eyes: Literal["on", "off"] = Field(
        "on", description="off: one operator may do what takes two; never in production."
    )
    grace_seconds: float = Field(
        10, ge=0, le=3600, description="How long a stop waits for calls under way."
    )
    message_bytes_max: int = Field(
        64 * 1024, ge=8 * 1024, le=16 * 1024 * 1024, description="Of a request."
    )
    large_message_bytes_max: int = Field(
        1024 * 1024,
        ge=64 * 1024,
        le=64 * 1024 * 1024,
        description="Of a batch of orders, a bank file or a part of a file that is reconciled.",
    )
    metadata_bytes_max: int = Field(
        16 * 1024, ge=8 * 1024, le=1024 * 1024, description="Of a call's metadata."
    )
    concurrent_streams_max: int = Field(
        1024, ge=1, le=100_000, description="Calls under way on one connection."
    )
    watches_per_partner: int = Field(
        4, ge=1, le=1000, description="Of one partner on this server; beyond it WATCHES_EXCEEDED."
    )
    connection_age_seconds: int = Field(
        1800, ge=1, description="When a connection is asked to make itself anew."
    )
    connection_age_grace_seconds: int = Field(
        60, ge=1, description="How long its calls may take after that."
    )

    def token_uris(self) -> dict[Purpose, tuple[str, ...]]:
        """Where the exchange's signers are that do not lie in files, by purpose."""
        given = {
            Purpose.RECEIPTS: self.signer_receipts,
            Purpose.STATEMENTS: self.signer_statements,
            Purpose.LOG: self.signer_log,
        }
        return {purpose: tuple((text or "").split()) for purpose, text in given.items()}

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Take what `load` has found and no more: it must know where each value came from."""
        return (init_settings,)


@dataclass(frozen=True, slots=True)
class Loaded:
    """The settings, and by name where each came from: a flag, a variable, a file, the default."""

    settings: Settings
    origins: Mapping[str, str]

    def shown(self) -> list[tuple[str, Any, str]]:
        """Name, value and origin of every setting; passwords are masked."""
        return [
            (name, _shown(name, value), self.origins[name])
            for name, value in self.settings.model_dump().items()
        ]


def load(flags: Mapping[str, str], data_dir: Path, config: Path | None) -> Loaded:
    """Read all sources. Raises CannotStart, one line that names the setting and its source."""
    path = config or data_dir / FILE_NAME
    found: dict[str, Any] = {}
    origins = dict.fromkeys(Settings.model_fields, DEFAULT)
    environment = EnvSettingsSource(Settings)()
    for values, origin in (
        (_read(path, must_exist=config is not None), str(path)),
        (environment, "{variable}"),
        (flags, FLAG),
    ):
        for name, value in values.items():
            if name not in Settings.model_fields:
                raise CannotStart(
                    f"{origin}: there is no setting {name}", "`pointclear config` lists them all"
                )
            found[name] = value
            origins[name] = origin.format(variable=f"{PREFIX}{name.upper()}")
    try:
        return Loaded(Settings(**found), origins)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        name = str(first["loc"][0])
        raise CannotStart(
            f"the setting {name} ({origins[name]}) is not valid",
            str(first["msg"]).removeprefix("Value error, "),
        ) from None


def _read(path: Path, *, must_exist: bool) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            return tomllib.load(file)
    except FileNotFoundError:
        if not must_exist:
            return {}
        raise CannotStart(f"{path} is missing", "make it, or leave --config out") from None
    except OSError as error:
        raise CannotStart(f"{path}: {error.strerror}", "mend that, or name another file") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise CannotStart(f"{path} is no TOML file ({error})", "correct it") from None


def _shown(name: str, value: Any) -> Any:
    if name != "database_url" or value is None:
        return value
    try:
        return make_url(value).render_as_string(hide_password=True)
    except (ArgumentError, ValueError):
        return MASKED
