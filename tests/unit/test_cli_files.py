"""Files of the command line: whole or not at all, never overwritten unawares, private where they
must be.
"""

import os
import stat
from pathlib import Path

import pytest

from exchange.cli.files import (
    FileError,
    make_directory,
    read_file,
    read_private,
    write_new,
    write_output,
)


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_new_file_has_the_content_and_the_mode_asked_for(tmp_path: Path) -> None:
    write_new(tmp_path / "key", b"secret")
    write_new(tmp_path / "certificate", b"public", 0o644)
    assert (tmp_path / "key").read_bytes() == b"secret"
    assert mode_of(tmp_path / "key") == 0o600
    assert mode_of(tmp_path / "certificate") == 0o644


def test_an_existing_file_is_never_overwritten(tmp_path: Path) -> None:
    write_new(tmp_path / "key", b"first")
    with pytest.raises(FileError, match="not overwritten"):
        write_new(tmp_path / "key", b"second")
    assert (tmp_path / "key").read_bytes() == b"first"


def test_no_temporary_file_stays_behind(tmp_path: Path) -> None:
    write_new(tmp_path / "key", b"first")
    with pytest.raises(FileError):
        write_new(tmp_path / "key", b"second")
    write_output(tmp_path / "receipt", b"one")
    write_output(tmp_path / "receipt", b"two")
    assert sorted(os.listdir(tmp_path)) == ["key", "receipt"]
    assert (tmp_path / "receipt").read_bytes() == b"two"


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o602, 0o610])
def test_a_private_file_that_others_may_touch_is_refused_with_the_remedy(
    tmp_path: Path, mode: int
) -> None:
    path = tmp_path / "tls-key.pem"
    write_new(path, b"secret", mode)
    with pytest.raises(FileError, match=f"chmod 600 {path}"):
        read_private(path)


def test_a_missing_file_a_directory_and_a_huge_file_are_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "huge").write_bytes(bytes(1_048_577))
    for path in (tmp_path / "missing", tmp_path, tmp_path / "huge"):
        with pytest.raises(FileError) as refusal:
            read_file(path)
        assert str(path) in str(refusal.value)
        assert "\n" not in str(refusal.value)


def test_a_directory_is_made_with_its_mode_and_kept_when_it_is_there(tmp_path: Path) -> None:
    make_directory(tmp_path / "data" / "keys", 0o700)
    make_directory(tmp_path / "open", 0o711)
    assert mode_of(tmp_path / "data" / "keys") == 0o700
    assert mode_of(tmp_path / "open") == 0o711
    make_directory(tmp_path / "open", 0o700)
    assert mode_of(tmp_path / "open") == 0o711
    (tmp_path / "file").touch()
    with pytest.raises(FileError, match="name a directory"):
        make_directory(tmp_path / "file")
