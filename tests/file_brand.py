"""The example of a brand that takes files, as a process of its own."""

import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from adapters.file_program.places import Place
from adapters.file_program.program import FileProgram, Rhythm
from partners.key_files import create_key_file
from tests.file_program import NAME, keys_of, ordering_key, program
from tests.processes import ROOT, environment

BRAND = ROOT / "docs" / "examples" / "file-brand" / "brand.py"
MEMBERS = ("member-1", "member-2", "=member-3")
RHYTHM = Rhythm(age=timedelta(0), settled_after=timedelta(minutes=1))
PASSPHRASE = b"a passphrase of a test"


@dataclass(slots=True)
class FileBrand:
    """The example, over the folder that `tests.file_program` shares with it."""

    folder: Path
    process: "subprocess.Popen[bytes] | None" = None

    @property
    def journal(self) -> Path:
        return self.folder / "brand.sqlite"

    def start(self) -> None:
        command: list[str | Path] = [
            *(sys.executable, BRAND, "--every", "0.02", "--folder", self.folder / "shared"),
            *("--journal", self.journal, "--members", self.folder / "members.txt"),
            *("--audience", NAME.audience, "--partner", "fuel", "--program", "fuel"),
            *("--key", self.folder / "orders.pem", "--passphrase", self.folder / "passphrase"),
        ]
        self.process = subprocess.Popen(command, env=environment(), stdout=subprocess.PIPE)
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == b"ready\n"

    def kill(self) -> None:
        assert self.process is not None
        assert self.process.stdout is not None
        assert self.process.poll() is None
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()

    def points(self, member: str) -> int:
        with closing(sqlite3.connect(self.journal)) as rows:
            found = rows.execute("SELECT points FROM account WHERE member = ?", (member,))
            return int((found.fetchone() or (0,))[0])


@contextmanager
def brand_of(folder: Path, place: Place | None = None) -> Iterator[tuple[FileBrand, FileProgram]]:
    """A brand at work, and the program by which the exchange reaches it."""
    signer = create_key_file(folder / "orders.pem", PASSPHRASE)
    (folder / "passphrase").write_bytes(PASSPHRASE)
    (folder / "members.txt").write_text("\n".join(MEMBERS))
    key = ordering_key(key_id=signer.key_id, public_key=signer.public_key)
    made = program(folder, rhythm=RHYTHM, key_of=keys_of(key), place=place)
    brand = FileBrand(folder)
    brand.start()
    try:
        yield brand, made
    finally:
        brand.kill()
