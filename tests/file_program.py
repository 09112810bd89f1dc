"""A file program over a real folder and journal, and the files that a brand would put there."""

import sqlite3
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from adapters.file_program.instructions import ProgramName
from adapters.file_program.intake import Intake
from adapters.file_program.journal import Journal
from adapters.file_program.places import FOLDERS, INSTRUCTIONS, RESULTS, LocalPlace, Place
from adapters.file_program.program import FileProgram, Rhythm
from adapters.file_program.results import SUFFIX, Signing, parse_results, write_results
from adapters.file_program.signature import SIGNATURE_SUFFIX, sign_results
from partners.confirmations.confirmation import Confirmation
from partners.confirmations.verification import KeyOf
from partners.keys import Purpose, Signer
from partners.program_port import (
    Credit,
    CreditOutcome,
    Fault,
    InstructionKind,
    ProgramAnswer,
    ProgramUnavailable,
    Reversal,
)
from partners.registry import RegisteredKey
from tests.factories import AUDIENCE, NOW, order_signer

NAME = ProgramName(AUDIENCE, "fuel", "fuel")
AT_ONCE = Rhythm(age=timedelta(0), settled_after=timedelta(0))
"""A batch at every visit, and a verdict at the first sight of a file."""


@dataclass(slots=True)
class Clock:
    """Stands still until it is told."""

    now: datetime = NOW

    def __call__(self) -> datetime:
        return self.now

    def later(self, by: timedelta = timedelta(minutes=1)) -> datetime:
        self.now += by
        return self.now


def batches(folder: Path) -> list[str]:
    """The names of the instruction files, also of those in part."""
    found = (folder / "shared" / INSTRUCTIONS).glob("*.instructions.csv*")
    return sorted(each.name for each in found)


def ordering_key(brand: str = "fuel", **changes: Any) -> RegisteredKey:
    """A brand's key for orders as the registry has it."""
    signer = order_signer(brand)
    key = RegisteredKey(
        signer.key_id,
        f"partner/{brand}",
        Purpose.ORDERS,
        signer.public_key,
        NOW - timedelta(days=1),
        NOW + timedelta(days=365),
        registered_index=1,
    )
    return replace(key, **changes)


def keys_of(*keys: RegisteredKey) -> KeyOf:
    """A registry of these."""
    return {key.key_id: key for key in keys}.get


def program(
    folder: Path,
    *,
    name: ProgramName = NAME,
    rhythm: Rhythm = AT_ONCE,
    place: Place | None = None,
    key_of: KeyOf | None = None,
    clock: Clock | None = None,
) -> FileProgram:
    """The program whose journal and files lie in a folder; again, as after a restart."""
    for each in FOLDERS:
        (folder / "shared" / each).mkdir(parents=True, exist_ok=True)
    journal = Journal.at(folder / "journal.sqlite", name)
    intake = Intake(journal, key_of or keys_of(ordering_key()), rhythm.settled_after)
    return FileProgram(
        journal, place or LocalPlace(folder / "shared"), intake, clock or Clock(), rhythm
    )


def instruction_id(number: int) -> UUID:
    """Of the form of a UUIDv7."""
    return UUID(int=(7 << 76) | (2 << 62) | number)


def credit(number: int, **changes: Any) -> Credit:
    """A credit of 100 points."""
    sha256 = number.to_bytes(32, "big")
    made = Credit(instruction_id(number), "fuel", f"member-{number}", 100, sha256, committed=True)
    return replace(made, **changes)


def reversal(number: int, of: int, **changes: Any) -> Reversal:
    """It takes 100 points back."""
    made = Reversal(instruction_id(number), instruction_id(of), "fuel", f"member-{of}", 100)
    return replace(made, **changes)


async def hand_over(to: FileProgram, *instructions: Credit | Reversal) -> None:
    """Hand instructions over that are answered later."""
    for each in instructions:
        assert await answer(to, each) is None


async def hand_over_many(to: FileProgram, numbers: range) -> None:
    """Credits of 100 points, as if each had been handed over with a commit of its own."""
    await hand_over(to, credit(numbers[0]))
    copied = (
        "instruction_id, kind, inquiry, member, points, committed, expiry_lots, order_sha256,"
        " handed_over_at"
    )
    with closing(sqlite3.connect(to.journal.path)) as rows, rows:
        rows.executemany(
            f"INSERT INTO instruction ({copied}) SELECT ?, {copied.partition(', ')[2]}"
            " FROM instruction WHERE instruction_id = ?",
            [(str(instruction_id(each)), str(instruction_id(numbers[0]))) for each in numbers[1:]],
        )


async def answer(of: FileProgram, to: Credit | Reversal) -> ProgramAnswer | None:
    """What the port says to an instruction; None for an answer that comes later."""
    try:
        return await (of.credit(to) if isinstance(to, Credit) else of.reverse(to))
    except ProgramUnavailable as later:
        if later.fault is not Fault.AT_WORK:
            raise
        return None


def done(number: int, **changes: Any) -> Confirmation:
    """What says that a credit was done."""
    said = Confirmation(
        AUDIENCE,
        "fuel",
        instruction_id(number),
        InstructionKind.CREDIT,
        "fuel",
        CreditOutcome.DONE,
        NOW,
        100,
        program_reference="B-1",
    )
    return replace(said, **changes)


def results(
    *answers: Confirmation,
    file_id: str = "r-1",
    name: ProgramName = NAME,
    signing: Signing = Signing.NONE,
) -> bytes:
    """A file with these answers."""
    return write_results(name, file_id, NOW, signing, answers)


def lay(
    folder: Path,
    *answers: Confirmation,
    file_id: str = "r-1",
    name: ProgramName = NAME,
    signer: Signer | None = None,
    content: bytes | None = None,
) -> Path:
    """Put a result file, and its signature, where the brand puts it."""
    signing = Signing.NONE if signer is None else Signing.DSSE
    made = results(*answers, file_id=file_id, name=name, signing=signing)
    path = folder / "shared" / RESULTS / f"{file_id}{SUFFIX}"
    if signer is not None:
        signature = path.with_name(path.name + SIGNATURE_SUFFIX)
        signature.write_bytes(sign_results(signer, parse_results(made)))
    path.write_bytes(made if content is None else content)
    return path
