"""Advisory locks (flock) that the kernel drops when their holder is gone.

A flock belongs to an open file and lives until every process that inherited the file has closed it.
So a process killed with -9 holds nothing, a zombie holds nothing, and a lock handed to a server is
held exactly as long as any process of that server lives. Needs a local file system.
"""

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

POLL_S = 0.05


def try_lock(path: Path, *, shared: bool = False) -> int | None:
    """A file descriptor holding the lock, or None when someone else has it. Close it to let go."""
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
    descriptor = os.open(path, flags, 0o600)
    try:
        fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


@contextmanager
def locked(path: Path, waiting: Callable[[], None]) -> Iterator[None]:
    """Hold the lock for the block; `waiting` is called again and again until it is free."""
    while (descriptor := try_lock(path)) is None:
        waiting()
        time.sleep(POLL_S)
    try:
        yield
    finally:
        os.close(descriptor)
