"""Profiles: read whole, or refused with one line that says what to do."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from exchange.cli.deployment.initialise import initialise
from exchange.cli.files import FileError
from exchange.cli.profile import load_profile
from partners.key_files import KeyFileError
from partners.keys import Purpose

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@pytest.fixture
def profile_dir(tmp_path: Path) -> Path:
    initialise(tmp_path, "pointclear.test/unit", "localhost:7443", NOW)
    return tmp_path / "operator"


def test_a_profile_says_who_speaks_and_to_whom(profile_dir: Path) -> None:
    profile = load_profile(profile_dir)
    assert (profile.caller.kind, profile.caller.name) == ("operator", "operator")
    assert profile.server == "localhost:7443"
    assert profile.certificate.startswith(b"-----BEGIN CERTIFICATE-----")
    assert b"PRIVATE KEY" in profile.tls_key


def test_the_server_can_be_overridden(profile_dir: Path) -> None:
    assert load_profile(profile_dir, "127.0.0.1:9").server == "127.0.0.1:9"


def test_a_profile_never_shows_its_private_key(profile_dir: Path) -> None:
    assert "PRIVATE" not in repr(load_profile(profile_dir))


def test_a_directory_without_profile_is_refused_with_the_way_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="pointclear partner add"):
        load_profile(tmp_path)


@pytest.mark.parametrize(
    "document",
    [
        "",
        "[]",
        "{}",
        json.dumps({"identity": 7, "server": "localhost:7443", "audience": "a"}),
        json.dumps({"identity": "https://x", "server": "localhost:7443", "audience": "a"}),
        json.dumps({"identity": "pointclear://partner/a", "server": "", "audience": "a"}),
    ],
)
def test_a_damaged_profile_is_refused(profile_dir: Path, document: str) -> None:
    (profile_dir / "profile.json").write_text(document)
    with pytest.raises(FileError, match="this is not a profile"):
        load_profile(profile_dir)


def test_a_tls_key_that_others_may_read_is_refused(profile_dir: Path) -> None:
    (profile_dir / "tls-key.pem").chmod(0o644)
    with pytest.raises(FileError, match="chmod 600"):
        load_profile(profile_dir)


def test_a_signing_key_that_others_may_read_is_refused(profile_dir: Path) -> None:
    (profile_dir / "keys" / "operator.pem").chmod(0o604)
    with pytest.raises(KeyFileError, match="chmod 600"):
        load_profile(profile_dir).signer(Purpose.OPERATOR)
