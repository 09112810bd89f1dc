"""Options that several commands share, and what their values mean.

Pure but for reading profiles.
"""

import re
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Annotated
from uuid import UUID

import typer

from exchange.cli.profile import Profile, load_profile

DEFAULT_DATA_DIR = Path("pointclear-data")

JsonOption = Annotated[
    bool, typer.Option("--json", help="One JSON document on stdout; errors as JSON on stderr.")
]
DataDirOption = Annotated[
    Path,
    typer.Option(
        "--data-dir", envvar="POINTCLEAR_DATA_DIR", help="The deployment's data directory."
    ),
]
PartnerProfileOption = Annotated[
    Path,
    typer.Option(
        "--as",
        metavar="DIR",
        envvar="POINTCLEAR_PROFILE",
        help="The partner's profile directory.",
    ),
]
OperatorProfileOption = Annotated[
    Path | None,
    typer.Option(
        "--as",
        metavar="DIR",
        help="The operator's profile directory. [default: DATA_DIR/operator]",
    ),
]
EitherProfileOption = Annotated[
    Path | None,
    typer.Option(
        "--as",
        metavar="DIR",
        envvar="POINTCLEAR_PROFILE",
        help="A partner's or an operator's profile directory. [default: DATA_DIR/operator]",
    ),
]
ServerOption = Annotated[
    str | None,
    typer.Option(
        "--server", metavar="HOST:PORT", help="The exchange, if not the one in the profile."
    ),
]
ReasonOption = Annotated[
    str,
    typer.Option(
        "--reason",
        metavar="TEXT",
        envvar="POINTCLEAR_REASON",
        help="Why, for the trail; needed where four_eyes is on. Nothing about a person.",
    ),
]
WindowArgument = Annotated[
    str, typer.Argument(metavar="WINDOW_ID", help="The window, such as usd-2017-01-01.")
]

_DURATION = re.compile(r"(\d{1,6})([smh])")
_SECONDS = {"s": 1, "m": 60, "h": 3600}


def partner_profile(directory: Path, server: str | None) -> Profile:
    """A partner's profile. Raises FileError, or typer.BadParameter for an operator's."""
    profile = load_profile(directory, server)
    if profile.caller.is_operator:
        raise typer.BadParameter(
            f"{directory} is an operator's profile, and this is a partner's call"
        )
    return profile


def operator_profile(directory: Path | None, data_dir: Path, server: str | None) -> Profile:
    """An operator's profile. Raises FileError, or typer.BadParameter for a partner's."""
    profile = load_profile(directory or data_dir / "operator", server)
    if not profile.caller.is_operator:
        raise typer.BadParameter(
            f"{profile.directory} is a partner's profile, and this is an operator's call"
        )
    return profile


def either_profile(directory: Path | None, data_dir: Path, server: str | None) -> Profile:
    """The profile named, or else the operator's. Raises FileError."""
    return load_profile(directory or data_dir / "operator", server)


def parse_duration(text: str) -> timedelta:
    """`90s`, `5m` or `2h`. Raises typer.BadParameter."""
    match = _DURATION.fullmatch(text)
    if match is None:
        raise typer.BadParameter(f"{text!r} is no duration such as 90s, 5m or 2h")
    return timedelta(seconds=int(match.group(1)) * _SECONDS[match.group(2)])


def parse_date(text: str) -> str:
    """An ISO 8601 date, as it is. Raises typer.BadParameter."""
    try:
        if len(text) != len("2017-01-01"):
            raise ValueError
        return date.fromisoformat(text).isoformat()
    except ValueError:
        raise typer.BadParameter(f"{text!r} is no date such as 2017-01-01") from None


def parse_instant(text: str) -> datetime:
    """An ISO 8601 time or date, in UTC if it names no offset. Raises typer.BadParameter."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is no time such as 2017-01-01T12:00:00Z") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def parse_uuid(text: str) -> UUID:
    """A UUID. Raises typer.BadParameter."""
    try:
        return UUID(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is no UUID") from None


def parse_sha256(text: str) -> bytes:
    """A SHA-256 in hexadecimal. Raises typer.BadParameter."""
    if not re.fullmatch(r"[0-9a-f]{64}", text):
        raise typer.BadParameter(f"{text!r} is no SHA-256 of 64 hexadecimal digits")
    return bytes.fromhex(text)


def parse_rate(text: str) -> tuple[int, int]:
    """`50:25` as source and target units of a block. Raises typer.BadParameter."""
    match = re.fullmatch(r"(\d{1,18}):(\d{1,18})", text)
    if match is None:
        raise typer.BadParameter(f"{text!r} is no rate such as 50:25")
    return int(match.group(1)), int(match.group(2))


def parse_agreement_name(text: str) -> tuple[str, int | None]:
    """`grocery-fuel:2` as id and version; without a version, None. Raises typer.BadParameter."""
    agreement_id, colon, version = text.partition(":")
    if colon and not re.fullmatch(r"\d{1,9}", version):
        raise typer.BadParameter(f"{text!r} is no agreement such as grocery-fuel or grocery-fuel:2")
    return agreement_id, int(version) if colon else None
