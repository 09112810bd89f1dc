"""Where a brand's files lie: a folder of this host, or one on another (see `sftp`).

In it: `instructions/` is written by the exchange, `results/` by the brand. What was taken of the
latter is moved to `taken/`, what was refused to `refused/`, with the reason beside it.

Rules that every place keeps: a file is written under a name that ends in `.part` and renamed when
it is whole and on the disk, so that a name without it means a whole file; what is there already
with the same content is left alone, and other content is never written over unless asked for.
"""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from partners.errors import PointclearError

INSTRUCTIONS, RESULTS, TAKEN, REFUSED = "instructions", "results", "taken", "refused"
FOLDERS = (INSTRUCTIONS, RESULTS, TAKEN, REFUSED)
PART = ".part"


class PlaceFailed(PointclearError):
    """The place cannot be reached, or does not do what it was asked. Perhaps later."""


class ContentDiffers(PointclearError):
    """Another file stands under the name. It takes people to find out why."""


@dataclass(frozen=True, slots=True)
class Listed:
    """A file as a folder shows it."""

    name: str
    size: int
    """Bytes."""
    changed_at: float
    """By the clock of whoever keeps the folder; only compared with itself."""


class Files(Protocol):
    """A place that is open. Names are `<folder>/<file>`. Every method may raise PlaceFailed."""

    async def put(self, name: str, content: bytes, *, replace: bool = False) -> None:
        """Make a file appear whole, and on the disk; raises ContentDiffers."""

    async def listed(self, folder: str) -> tuple[Listed, ...]:
        """The plain files of a folder."""

    async def read(self, name: str, bytes_max: int) -> bytes | None:
        """A file, or as much of it as is allowed; None where there is none."""

    async def move(self, name: str, target: str) -> None:
        """Give a file another name, in place of whatever bore it."""

    async def remove(self, name: str) -> None:
        """Remove a file, if it is there."""


class Place(Protocol):
    """A brand's folder, wherever it is."""

    def open(self) -> AbstractAsyncContextManager[Files]:
        """Reach it, for one visit. Raises PlaceFailed."""


@dataclass(frozen=True, slots=True)
class LocalPlace:
    """A folder of this host; implements `Place` and `Files`."""

    root: Path

    @asynccontextmanager
    async def open(self) -> AsyncIterator["LocalPlace"]:
        """Make the folders that are missing."""
        try:
            for folder in FOLDERS:
                (self.root / folder).mkdir(parents=True, exist_ok=True)
        except OSError as wrong:
            raise PlaceFailed(str(wrong)) from wrong
        yield self

    async def put(self, name: str, content: bytes, *, replace: bool = False) -> None:
        """See `Files`."""
        await asyncio.to_thread(self._put, self.root / name, content, replace)

    async def listed(self, folder: str) -> tuple[Listed, ...]:
        """See `Files`."""
        return await asyncio.to_thread(self._listed, folder)

    async def read(self, name: str, bytes_max: int) -> bytes | None:
        """See `Files`."""
        return await asyncio.to_thread(_read, self.root / name, bytes_max)

    async def move(self, name: str, target: str) -> None:
        """See `Files`."""
        await asyncio.to_thread(_move, self.root / name, self.root / target)

    async def remove(self, name: str) -> None:
        """See `Files`."""
        try:
            (self.root / name).unlink(missing_ok=True)
        except OSError as wrong:
            raise PlaceFailed(str(wrong)) from wrong

    def _put(self, path: Path, content: bytes, replace: bool) -> None:
        if not replace and (there := _read(path, len(content) + 1)) is not None:
            check_same(path.name, there, content)
            return
        part = path.with_name(path.name + PART)
        try:
            # Neither is a link followed that a brand laid there.
            flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
            with os.fdopen(os.open(part, flags, 0o660), "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            # A crash before this leaves a part, which nobody reads and the next try writes over.
            part.replace(path)
            # A crash before this may lose the name: whoever asked tries again then.
            _sync_folder(path.parent)
        except OSError as wrong:
            raise PlaceFailed(str(wrong)) from wrong

    def _listed(self, folder: str) -> tuple[Listed, ...]:
        found: list[Listed] = []
        try:
            for each in sorted((self.root / folder).iterdir()):
                # Gone since: the brand's own business.
                with suppress(FileNotFoundError):
                    status = each.lstat()
                    if each.is_file() and not each.is_symlink():
                        found.append(Listed(each.name, status.st_size, status.st_mtime))
        except OSError as wrong:
            raise PlaceFailed(str(wrong)) from wrong
        return tuple(found)


def check_same(name: str, there: bytes, content: bytes) -> None:
    """Raise ContentDiffers unless what stands under a name is what was to be put there."""
    if there != content:
        raise ContentDiffers(f"{name} stands there already, with other content")


def _read(path: Path, bytes_max: int) -> bytes | None:
    try:
        # Not through a link: the brand may write here, and must not make us read what it cannot.
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        with os.fdopen(os.open(path, flags), "rb") as file:
            return file.read(bytes_max)
    except FileNotFoundError:
        return None
    except OSError as wrong:
        raise PlaceFailed(str(wrong)) from wrong


def _move(path: Path, target: Path) -> None:
    try:
        path.replace(target)
        _sync_folder(target.parent)
        _sync_folder(path.parent)
    except OSError as wrong:
        raise PlaceFailed(str(wrong)) from wrong


def _sync_folder(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
