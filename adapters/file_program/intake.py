"""Takes the result files that a brand has put into its folder.

Effects: reads and moves files, writes to the journal. Rules kept here:

- A file is taken as soon as it is whole and right; it is refused only when it is wrong and nobody
  has written to it for a while, since a file that is still being written is wrong too.
- First the journal, then the folder: a crash between them leaves a file that was taken, and the
  next visit finds it so and moves it.
- The signature file is moved before its result file, so that the latter is never without it.
"""

import asyncio
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from adapters.file_program.faults import FileFault, FileRefused, refusal_json
from adapters.file_program.journal import Journal
from adapters.file_program.judgement import check_head
from adapters.file_program.places import REFUSED, RESULTS, TAKEN, Files, Listed
from adapters.file_program.results import (
    BYTES_MAX,
    SUFFIX,
    Signing,
    is_result_file,
    parse_results,
)
from adapters.file_program.signature import BYTES_MAX as SIGNATURE_BYTES_MAX
from adapters.file_program.signature import SIGNATURE_SUFFIX, verify_results
from partners.confirmations.verification import KeyOf
from partners.program_port import Evidence

REFUSAL_SUFFIX = ".refused.json"


@dataclass(frozen=True, slots=True)
class Taken:
    """A result file that was taken."""

    name: str
    answers: int
    """That were new; 0 where all had been given before."""
    repeated: bool
    """Whether this very file had been taken before."""


@dataclass(frozen=True, slots=True)
class Turned:
    """A result file that was refused."""

    name: str
    refused: FileRefused


@dataclass(frozen=True, slots=True)
class Waiting:
    """A result file that is not finished, or waits for its signature file."""

    name: str


Found = Taken | Turned | Waiting


@dataclass(slots=True)
class Intake:
    """Takes one program's result files."""

    journal: Journal
    key_of: KeyOf
    settled_after: timedelta
    """How long a file that is wrong must stay as it is before it is refused."""
    _first_seen: dict[Listed, datetime] = field(default_factory=dict)

    async def take_all(self, files: Files, now: datetime, found: list[Found]) -> None:
        """Take what is there, by name; what was found so far is in `found` when it fails.

        Raises PlaceFailed.
        """
        listed = await files.listed(RESULTS)
        self._first_seen = {each: self._first_seen.get(each, now) for each in listed}
        for each in listed:
            if is_result_file(each.name):
                found.append(await self._take(files, each, listed, now))

    async def _take(
        self, files: Files, each: Listed, listed: Sequence[Listed], now: datetime
    ) -> Found:
        content = await files.read(f"{RESULTS}/{each.name}", BYTES_MAX + 1)
        signature_name = each.name + SIGNATURE_SUFFIX
        signature = await files.read(f"{RESULTS}/{signature_name}", SIGNATURE_BYTES_MAX + 1)
        if content is None:
            return Waiting(each.name)
        sha256 = hashlib.sha256(content).hexdigest()
        try:
            taken = await asyncio.to_thread(self._judge, each.name, content, sha256, signature, now)
        except FileRefused as refused:
            both = [one for one in listed if one.name in (each.name, signature_name)]
            if any(now - self._first_seen[one] < self.settled_after for one in both):
                return Waiting(each.name)
            # A crash from here on leaves a file that is refused again.
            refusal = refusal_json(each.name, sha256, refused, now)
            await files.put(f"{REFUSED}/{each.name}{REFUSAL_SUFFIX}", refusal, replace=True)
            await _move(files, each.name, REFUSED, with_signature=signature is not None)
            return Turned(each.name, refused)
        if taken is None:
            return Waiting(each.name)
        # A crash before this leaves a file that was taken before, and has no effect again.
        await _move(files, each.name, TAKEN, with_signature=signature is not None)
        return taken

    def _judge(
        self, name: str, content: bytes, sha256: str, signature: bytes | None, now: datetime
    ) -> Taken | None:
        """Take a file, or find that it waits for its signature; raises FileRefused."""
        file_id = name.removesuffix(SUFFIX)
        if (before := self.journal.sha256_of(file_id)) is not None:
            if before != sha256:
                raise FileRefused(FileFault.NAME_USED, "a file of this name was taken before")
            return Taken(name, 0, repeated=True)
        if len(content) > BYTES_MAX:
            raise FileRefused(FileFault.TOO_LARGE, f"a file has at most {BYTES_MAX} bytes")
        file = parse_results(content)
        check_head(file, self.journal.name, file_id)
        evidence: tuple[Evidence, ...] = ()
        if file.signing is Signing.DSSE:
            if signature is None:
                return None
            evidence = verify_results(signature, file, self.key_of, now)
        answers = self.journal.take(file, sha256, evidence, now)
        return Taken(name, answers, repeated=False)


async def _move(files: Files, name: str, folder: str, *, with_signature: bool) -> None:
    if with_signature:
        signature_name = name + SIGNATURE_SUFFIX
        await files.move(f"{RESULTS}/{signature_name}", f"{folder}/{signature_name}")
    await files.move(f"{RESULTS}/{name}", f"{folder}/{name}")
