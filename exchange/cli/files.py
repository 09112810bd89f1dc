"""Files of the command line that are not signing keys: written whole or not at all, private where
they must be.

Effects: writes files; `partners.files` reads them. A file appears under its name only when all its
bytes are on disk, so that a crash leaves no cut file in the way of the next run.
"""

import os
import secrets
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path
from typing import Final

from partners.files import FileError, read_file, read_private, unusable

__all__ = [
    "PRIVATE_DIRECTORY_MODE",
    "PRIVATE_MODE",
    "PUBLIC_MODE",
    "FileError",
    "make_directory",
    "opened",
    "read_file",
    "read_private",
    "unusable",
    "write_chunks",
    "write_new",
    "write_output",
]

PRIVATE_MODE: Final = 0o600
PUBLIC_MODE: Final = 0o644
PRIVATE_DIRECTORY_MODE: Final = 0o700


@contextmanager
def opened(path: Path) -> Iterator[BufferedReader]:
    """A file of any size, to be read in parts. Raises FileError."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(descriptor, "rb") as file:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise FileError(f"{path}: this is not a regular file; name the file itself")
            yield file
    except OSError as error:
        raise unusable(path, error) from None


def make_directory(path: Path, mode: int = PRIVATE_DIRECTORY_MODE) -> None:
    """Make a directory of exactly this mode; one that is there is kept as it is.

    Raises FileError.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.mkdir(mode=PRIVATE_DIRECTORY_MODE)
        path.chmod(mode)  # The umask may have taken bits away.
    except FileExistsError:
        if not path.is_dir():
            raise FileError(f"{path}: this is a file; name a directory") from None
    except OSError as error:
        raise unusable(path, error) from None


def write_new(path: Path, content: bytes, mode: int = PRIVATE_MODE) -> None:
    """Write a file that is not there yet. Raises FileError if it is, or cannot be written."""
    temporary = _write_beside(path, content, mode)
    try:
        # A link fails where the name is taken, a rename would replace what is there.
        os.link(temporary, path)
    except FileExistsError:
        raise FileError(
            f"{path}: the file exists and is not overwritten; choose another name"
        ) from None
    except OSError as error:
        raise unusable(path, error) from None
    finally:
        temporary.unlink()
    _sync_directory(path.parent)


def write_output(path: Path, content: bytes, mode: int = PUBLIC_MODE) -> None:
    """Write what a command gives out; an earlier file of this name is replaced.

    Raises FileError.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = _write_beside(path, content, mode)
        temporary.replace(path)
    except OSError as error:
        raise unusable(path, error) from None
    _sync_directory(path.parent)


def write_chunks(path: Path, chunks: Iterable[bytes], mode: int = PUBLIC_MODE) -> None:
    """Write what a command gives out bit by bit; an earlier file of this name is replaced when all
    is there.

    Raises FileError, and whatever `chunks` raises: then the earlier file stays.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise unusable(path, error) from None
    temporary = _write_beside(path, chunks, mode)
    try:
        temporary.replace(path)
    except OSError as error:
        raise unusable(path, error) from None
    _sync_directory(path.parent)


def _write_beside(path: Path, content: bytes | Iterable[bytes], mode: int) -> Path:
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        # A crash from here on leaves a hidden file that nobody reads.
        descriptor = os.open(
            temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, PRIVATE_MODE
        )
        with open(descriptor, "wb") as file:
            file.writelines([content] if isinstance(content, bytes) else content)
            file.flush()
            os.fchmod(descriptor, mode)
            os.fsync(descriptor)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise unusable(path, error) from None
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    return temporary


def _sync_directory(path: Path) -> None:
    # Without this a power cut may forget the name of a file that others were told of.
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
