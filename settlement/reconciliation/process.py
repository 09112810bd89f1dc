"""Runs `apart` as a process of its own, one at a time.

Effects: a child process, which never outlives the call.
"""

import asyncio
import logging
import sys
from pathlib import Path

from settlement.reconciliation.apart import Found, Job, read_result, write_job

log = logging.getLogger(__name__)

SECONDS_MAX = 600.0
"""After which a run is given up."""


class Apart:
    """Where files are reconciled."""

    def __init__(self) -> None:
        # A large file takes much of a processor: one at a time leaves the rest to orders.
        self._turn = asyncio.Lock()

    async def reconcile(self, folder: Path, job: Job) -> Found:
        """Do a job whose files lie in the folder; raises FileWrong."""
        async with self._turn:
            await asyncio.to_thread(write_job, folder, job)
            child = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "settlement.reconciliation.apart", str(folder)),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.PIPE,
            )
            try:
                async with asyncio.timeout(SECONDS_MAX):
                    _, told = await child.communicate()
            finally:
                if child.returncode is None:
                    child.kill()
                    await child.wait()
        if child.returncode != 0:
            log.error("reconciling failed: %s", told.decode(errors="replace")[-2000:])
            raise RuntimeError(f"the reconciling process ended with {child.returncode}")
        return await asyncio.to_thread(read_result, folder)
