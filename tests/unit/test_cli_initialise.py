"""`init`: everything made with its mode, nothing ever made twice, and half-made never taken for
made.
"""

import json
import stat
from datetime import UTC, datetime
from pathlib import Path

import pytest

from exchange.cli.deployment.initialise import initialise, load_authority
from exchange.cli.files import FileError
from exchange.cli.profile import load_profile
from partners.environment import Environment
from partners.errors import Reason, Refused
from partners.key_files import load_key_file, read_passphrase_file, read_public_key
from partners.keys import Purpose

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def make(data_dir: Path) -> None:
    initialise(data_dir, "pointclear.test/unit", "localhost:7443", NOW)


def contents(directory: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(directory)): path.read_bytes()
        for path in sorted(directory.rglob("*"))
        if path.is_file()
    }


def test_a_data_directory_has_what_the_server_and_the_operator_need(tmp_path: Path) -> None:
    data = tmp_path / "data"
    made = initialise(data, "pointclear.test/unit", "localhost:7443", NOW)
    assert json.loads((data / "deployment.json").read_text()) == {
        "audience": "pointclear.test/unit",
        "environment": "development",
    }
    passphrase = read_passphrase_file(data / "keys" / "passphrase")
    for purpose in ("receipts", "statements", "log"):
        signer = load_key_file(data / "keys" / f"{purpose}.pem", passphrase)
        assert signer.key_id == made.exchange_key_ids[purpose]
    operator = load_profile(data / "operator")
    assert operator.identity == "pointclear://operator/operator"
    assert operator.audience == "pointclear.test/unit"
    public = read_public_key(data / "operators" / "operator.pub.pem")
    assert public == operator.signer(Purpose.OPERATOR).public_key
    assert load_authority(data).certificate.subject.rfc4514_string()


def test_directories_and_private_files_have_their_modes(tmp_path: Path) -> None:
    data = tmp_path / "data"
    make(data)
    assert stat.S_IMODE(data.stat().st_mode) == 0o711
    assert stat.S_IMODE((data / "keys").stat().st_mode) == 0o700
    private = {"passphrase", "ca-key.pem", "tls-key.pem", "receipts.pem", "statements.pem"}
    private |= {"log.pem", "operator.pem"}
    found = {path for path in data.rglob("*") if path.name in private}
    assert {path.name for path in found} == private
    assert {stat.S_IMODE(path.stat().st_mode) for path in found} == {0o600}


def test_a_made_directory_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    make(tmp_path)
    before = contents(tmp_path)
    with pytest.raises(Refused) as refusal:
        make(tmp_path)
    assert refusal.value.reason is Reason.ALREADY_EXISTS
    assert contents(tmp_path) == before


def test_a_half_made_directory_is_completed_with_the_keys_that_are_there(tmp_path: Path) -> None:
    make(tmp_path)
    whole = contents(tmp_path)
    lost = (
        "deployment.json",
        "operator/profile.json",
        "operator/tls.pem",
        "operators/operator.pub.pem",
    )
    for name in lost:
        (tmp_path / name).unlink()
    make(tmp_path)
    completed = contents(tmp_path)
    assert completed.keys() == whole.keys()
    # A certificate has a new serial number; everything else is as it was.
    assert {name for name in whole if completed[name] != whole[name]} == {"operator/tls.pem"}


def test_an_authority_that_is_missing_or_damaged_is_refused_in_one_line(
    tmp_path: Path,
) -> None:
    with pytest.raises(FileError, match=r"ca\.pem"):
        load_authority(tmp_path)
    make(tmp_path)
    (tmp_path / "keys" / "ca.pem").write_text("nonsense")
    with pytest.raises(FileError, match="no authority"):
        load_authority(tmp_path)


def test_a_sandbox_is_told_by_its_audience_and_simulates_a_program(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with pytest.raises(Refused) as refused:
        initialise(data, "pointclear.test/unit", "localhost:0", NOW, Environment.SANDBOX)
    assert (refused.value.reason, refused.value.field) == (Reason.FIELD_INVALID, "audience")
    assert not data.exists()
    initialise(data, "pointclear.test/sandbox", "localhost:0", NOW, Environment.SANDBOX)
    settings = (data / "pointclear.toml").read_text()
    assert 'four_eyes = "off"' in settings
    assert 'simulated_programs = "mirror"' in settings
