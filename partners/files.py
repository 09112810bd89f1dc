"""Files that are read whole: profiles, certificates, and what only their owner may touch.

Effects: reads files. Whatever goes wrong is one line that names the file.
"""

import os
import stat
from pathlib import Path
from typing import Final

from partners.errors import PointclearError

FILE_BYTES_MAX: Final = 1_048_576


class FileError(PointclearError):
    """A file or directory that cannot be used. Its text is one line for people."""


def read_file(path: Path) -> bytes:
    """The content of a file of at most 1 MiB. Raises FileError."""
    return _read(path, private=False)


def read_private(path: Path) -> bytes:
    """The content of a file that its owner alone may touch.

    Raises FileError, also for any other mode.
    """
    return _read(path, private=True)


def unusable(path: Path, error: OSError) -> FileError:
    """The line for a file that the operating system refuses."""
    cause = error.strerror or type(error).__name__
    return FileError(f"{path}: {cause}; check the path and who owns it")


def _read(path: Path, *, private: bool) -> bytes:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(descriptor, "rb") as file:
            # The open file is asked, not its name: nobody can put another in its place in between.
            mode = os.fstat(descriptor).st_mode
            if not stat.S_ISREG(mode):
                raise FileError(f"{path}: this is not a regular file; name the file itself")
            if private and mode & (stat.S_IRWXG | stat.S_IRWXO):
                raise FileError(
                    f"{path}: others may use this file (mode {stat.S_IMODE(mode):04o});"
                    f" run: chmod 600 {path}"
                )
            content = file.read(FILE_BYTES_MAX + 1)
    except OSError as error:
        raise unusable(path, error) from None
    if len(content) > FILE_BYTES_MAX:
        raise FileError(f"{path}: more than {FILE_BYTES_MAX} bytes; name the right file")
    return content
