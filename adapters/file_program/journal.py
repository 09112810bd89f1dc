"""What an adapter remembers of a file program: one SQLite file.

Effects: every method opens the file, does one transaction, and closes it, so that threads and
processes of one host share a journal without knowing of each other. Rules kept here:

- An instruction is kept by its id and kind before anything is said of it, and never changes.
- Batches are numbered from 1 without a gap, in the transaction that fills them.
- A result file is taken in one transaction with all that it answers.
- Members are forgotten when a batch is wholly answered and time enough has passed.

What a crash leaves is a journal before or after one of these steps, and the next visit goes on.
It is lost at a price: a restored older one would number batches anew, which the brand's folder and
the brand notice, and would know nothing of instructions that were carried out, which is why nothing
is ever concluded from what a journal does not hold.
"""

import os
import secrets
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import aiosql

from adapters.file_program.faults import FileFault, FileRefused
from adapters.file_program.instructions import Batch, Instruction, ProgramName
from adapters.file_program.journal_rows import (
    Kept,
    answer_columns,
    columns,
    instruction_of,
    key_of,
    read_row,
)
from adapters.file_program.judgement import Key, Open, new_answers
from adapters.file_program.results import ResultFile
from partners.confirmations.file_evidence import time_cell
from partners.errors import PointclearError
from partners.program_port import Evidence

BUSY_TIMEOUT_S = 10
REVISION = 1
_HERE = Path(__file__).parent
_SQL: Any = aiosql.from_path(_HERE / "journal.sql", "sqlite3", mandatory_parameters=False)


class JournalWrong(PointclearError):
    """The file is not the journal of this program."""


@dataclass(frozen=True, slots=True)
class Journal:
    """The journal of one program."""

    path: Path
    name: ProgramName
    journal_id: str

    @classmethod
    def at(cls, path: Path, name: ProgramName) -> "Journal":
        """Open or make one; raises JournalWrong for another program's, or for what is none."""
        # Members' references stand in it.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        try:
            with _transaction(path) as rows:
                return cls(path, name, _opened(rows, path, name))
        except sqlite3.Error as wrong:
            raise JournalWrong(f"{path} cannot be read: {type(wrong).__name__}") from wrong

    def keep(self, instruction: Instruction, now: datetime) -> Kept:
        """Keep an instruction unless its id and kind are there; what is there after that."""
        with _transaction(self.path) as rows:
            key = key_of(instruction)
            if (found := _kept(rows, self.name, key)) is None:
                _SQL.add_instruction(rows, **columns(instruction), handed_over_at=time_cell(now))
                return Kept(instruction, None)
            return found

    def find(self, key: Key) -> Kept | None:
        """What is kept of an instruction."""
        with _transaction(self.path) as rows:
            return _kept(rows, self.name, key)

    def cut(self, now: datetime, instructions_max: int, before: datetime) -> int | None:
        """Cut one batch, when enough instructions are waiting for a full one, or one has been since
        `before`; its number.
        """
        with _transaction(self.path) as rows:
            waiting = _SQL.waiting(rows)
            full = waiting["instructions"] >= instructions_max
            if not waiting["instructions"] or not (full or waiting["since"] <= time_cell(before)):
                return None
            number = int(_SQL.add_batch(rows, created_at=time_cell(now))["number"])
            _SQL.fill_batch(rows, number=number, instructions_max=instructions_max)
            return number

    def unsent(self) -> tuple[Batch, ...]:
        """Batches that were cut and not yet put into the brand's folder, the oldest first."""
        with _transaction(self.path) as rows:
            return tuple(_batch(rows, self.name, row) for row in _SQL.unsent(rows))

    def mark_sent(self, number: int, now: datetime) -> None:
        """Note that a batch stands in the brand's folder."""
        with _transaction(self.path) as rows:
            _SQL.mark_sent(rows, number=number, sent_at=time_cell(now))

    def sha256_of(self, file_id: str) -> str | None:
        """Of a result file that was taken."""
        with _transaction(self.path) as rows:
            found = _SQL.result_file(rows, file_id=file_id)
            return str(found["sha256"]) if found else None

    def take(
        self,
        file: ResultFile,
        sha256: str,
        evidence: tuple[Evidence, ...],
        now: datetime,
    ) -> int:
        """Take a result file whole, with the evidence of each line or none at all; how many answers
        were new. Raises FileRefused, and then nothing was taken.
        """
        with _transaction(self.path) as rows:
            before = _SQL.result_file(rows, file_id=file.file_id)
            if before:
                if before["sha256"] != sha256:
                    raise FileRefused(FileFault.NAME_USED, "a file of this name was taken before")
                return 0
            keys = ((line.said.instruction_id, line.said.kind) for line in file.lines)
            new = new_answers(file, _open(rows, self.name, keys))
            _SQL.add_result_file(rows, file_id=file.file_id, sha256=sha256, taken_at=time_cell(now))
            for index in new:
                answer = answer_columns(
                    file.lines[index].said, evidence[index] if evidence else None
                )
                _SQL.answer(rows, **answer, result_file=file.file_id)
            return len(new)

    def forgettable(self, before: datetime) -> tuple[Batch, ...]:
        """Batches that were wholly answered before an instant, whose members are still known."""
        with _transaction(self.path) as rows:
            found = _SQL.forgettable(rows, before=time_cell(before))
            return tuple(_batch(rows, self.name, row) for row in found)

    def forget(self, number: int, now: datetime) -> None:
        """Forget the members of a batch."""
        with _transaction(self.path) as rows:
            _SQL.forget_members(rows, number=number)
            _SQL.mark_forgotten(rows, number=number, forgotten_at=time_cell(now))


@contextmanager
def _transaction(path: Path) -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(path, BUSY_TIMEOUT_S, isolation_level=None)
    with closing(connection):
        connection.row_factory = sqlite3.Row
        # An instruction is answered for when it was kept, so it has to be on the disk by then.
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = ON")
        # Overwrites what is deleted or forgotten.
        connection.execute("PRAGMA secure_delete = ON")
        connection.execute("BEGIN IMMEDIATE")
        try:
            yield connection
        except BaseException:
            connection.execute("ROLLBACK")
            raise
        connection.execute("COMMIT")


def _opened(rows: sqlite3.Connection, path: Path, name: ProgramName) -> str:
    """The id of a program's journal, which is made where there is none."""
    if not rows.execute("PRAGMA user_version").fetchone()[0]:
        _make(rows, name)
    if rows.execute("PRAGMA user_version").fetchone()[0] != REVISION:
        raise JournalWrong(f"{path} was made by another version")
    *names, journal_id = _SQL.program(rows)
    if ProgramName(*names) != name:
        raise JournalWrong(f"{path} is the journal of another program")
    return str(journal_id)


def _make(rows: sqlite3.Connection, name: ProgramName) -> None:
    statements = (_HERE / "journal_schema.sql").read_text().split(";")
    for statement in statements:
        # One by one: executescript() would commit before it begins.
        rows.execute(statement)
    _SQL.add_program(
        rows,
        audience=name.audience,
        partner_id=name.partner_id,
        program=name.program,
        journal_id=secrets.token_hex(16),
    )
    rows.execute(f"PRAGMA user_version = {REVISION}")


def _open(rows: sqlite3.Connection, name: ProgramName, keys: Iterable[Key]) -> dict[Key, Open]:
    known: dict[Key, Open] = {}
    for key in keys:
        row = _SQL.instruction(rows, instruction_id=str(key[0]), kind=key[1])
        if row is not None and row["batch"] is not None:
            kept = read_row(row, name.program)
            known[key] = Open(kept.points, kept.answer)
    return known


def _batch(rows: sqlite3.Connection, name: ProgramName, row: sqlite3.Row) -> Batch:
    of_batch = _SQL.of_batch(rows, number=row["number"])
    instructions = tuple(instruction_of(each, name.program) for each in of_batch)
    return Batch(name, row["number"], datetime.fromisoformat(row["created_at"]), instructions)


def _kept(rows: sqlite3.Connection, name: ProgramName, key: Key) -> Kept | None:
    row = _SQL.instruction(rows, instruction_id=str(key[0]), kind=key[1])
    return None if row is None else read_row(row, name.program)
