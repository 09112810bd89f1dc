"""A small brand that takes batches of files: what a partner's engineer may start from.

It reads `instructions/`, books in a journal of its own (SQLite), and writes `results/`, signed. It
needs Python 3.11 and `cryptography`, and no code of the exchange. The formats are described in
docs/file-program.md. What it keeps to:

- A batch is booked whole, in one transaction with its number: killed at any moment, it goes on with
  the same batch, or with the next one.
- What was decided about an instruction is never decided again.
- A result file is made from the journal, so that it has the same bytes however often it is made.
"""

import argparse
import base64
import csv
import hashlib
import io
import json
import os
import sqlite3
import sys
import time
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

SCHEMA = """
CREATE TABLE IF NOT EXISTS account (
    member TEXT PRIMARY KEY, points INTEGER NOT NULL CHECK (points >= 0));
CREATE TABLE IF NOT EXISTS batch (
    number INTEGER PRIMARY KEY, booked_at TEXT NOT NULL, answered INTEGER NOT NULL DEFAULT 0);
CREATE TABLE IF NOT EXISTS decision (
    instruction_id TEXT, kind TEXT, transfer_id TEXT, member TEXT, outcome TEXT NOT NULL,
    points INTEGER NOT NULL, reason TEXT NOT NULL, decided_at TEXT NOT NULL,
    PRIMARY KEY (instruction_id, kind));
CREATE TABLE IF NOT EXISTS asked (
    batch INTEGER, place INTEGER, instruction_id TEXT, kind TEXT, PRIMARY KEY (batch, place));
"""
# fmt: off
COLUMNS = (
    "row", "file", "kind", "instruction_id", "outcome", "points", "reason", "reference",
    "decided_at", "count", "program", "partner", "audience", "created_at", "signature",
)
# fmt: on
PAYLOAD_TYPE = "application/vnd.pointclear.result-file.v1+json"


class Brand:
    """One program of a brand, its folder and its journal."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.folder: Path = options.folder
        (self.folder / "results").mkdir(parents=True, exist_ok=True)
        self.names = {
            "program": options.program,
            "partner": options.partner,
            "audience": options.audience,
        }
        self.members = set(options.members.read_text().split())
        self.key: Ed25519PrivateKey | None = None
        if options.key:
            passphrase = options.passphrase.read_bytes().strip()
            key = load_pem_private_key(options.key.read_bytes(), passphrase)
            assert isinstance(key, Ed25519PrivateKey)
            self.key = key
        self.journal = sqlite3.connect(options.journal, isolation_level=None)
        self.journal.execute("PRAGMA synchronous = FULL")
        self.journal.executescript(SCHEMA)

    def work(self) -> None:
        """Book each batch that came, and see to it that each has its results."""
        for path in sorted((self.folder / "instructions").glob("*.instructions.csv")):
            self.book(path)
        open_ = "SELECT number, booked_at FROM batch WHERE NOT answered ORDER BY number"
        for number, booked_at in self.journal.execute(open_).fetchall():
            self.answer(number, booked_at)

    def book(self, path: Path) -> None:
        """Carry a batch out, once."""
        number = int(path.name.removesuffix(".instructions.csv").rpartition("-")[2])
        (last,) = self.journal.execute("SELECT coalesce(max(number), 0) FROM batch").fetchone()
        if number <= last:
            return
        require(number == last + 1, f"batch {last + 1} is missing; ask the exchange for it")
        lines = self.read(path)
        now = datetime.now(UTC).isoformat()
        self.journal.execute("BEGIN IMMEDIATE")
        with self.journal:
            self.journal.execute("INSERT INTO batch VALUES (?, ?, 0)", (number, now))
            for place, line in enumerate(lines):
                kind = line["kind"].removeprefix("LOOK_UP_")
                key = (line["instruction_id"], kind)
                self.journal.execute("INSERT INTO asked VALUES (?, ?, ?, ?)", (number, place, *key))
                decided = "SELECT 1 FROM decision WHERE instruction_id = ? AND kind = ?"
                if not self.journal.execute(decided, key).fetchone():
                    member = line["member"].removeprefix("'")
                    outcome, points, reason = self.decide(line, member)
                    self.journal.execute(
                        "INSERT INTO decision VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                        (*key, line["transfer_id"], member, outcome, points, reason, now),
                    )

    def decide(self, line: dict[str, str], member: str) -> tuple[str, int, str]:
        """Outcome, points and reason, for an instruction that was never seen; books the points."""
        if line["kind"].startswith("LOOK_UP_"):
            # From now on it is declined: the row in `decision` answers it if it comes after all.
            return "NEVER", 0, ""
        points = int(line["points"])
        if member not in self.members:
            return "DECLINED", 0, "MEMBER_UNKNOWN"
        if line["kind"] == "CREDIT":
            self.journal.execute("INSERT OR IGNORE INTO account VALUES (?, 0)", (member,))
            self.move(member, points)
            return "DONE", points, ""
        given = (
            "SELECT points FROM decision"
            " WHERE instruction_id = ? AND kind = 'CREDIT' AND member = ?"
        )
        taken = (
            "SELECT coalesce(sum(points), 0) FROM decision"
            " WHERE transfer_id = ? AND kind = 'REVERSE'"
        )
        (credited,) = self.journal.execute(given, (line["transfer_id"], member)).fetchone() or (0,)
        (reversed_,) = self.journal.execute(taken, (line["transfer_id"],)).fetchone()
        balance = "SELECT points FROM account WHERE member = ?"
        (has,) = self.journal.execute(balance, (member,)).fetchone() or (0,)
        takes = min(points, has, credited - reversed_)
        if takes <= 0:
            return "DECLINED", 0, "SPENT"
        self.move(member, -takes)
        return "DONE", takes, ""

    def move(self, member: str, points: int) -> None:
        """Give or take points."""
        self.journal.execute(
            "UPDATE account SET points = points + ? WHERE member = ?", (points, member)
        )

    def read(self, path: Path) -> list[dict[str, str]]:
        """The instructions of a batch file that is whole and this program's."""
        rows = list(csv.DictReader(io.StringIO(path.read_text("utf-8"), newline=""), strict=True))
        head, end = rows[0], rows[-1]
        lines = [row for row in rows if row["row"] == "LINE"]
        totals = {
            row["kind"]: (row["count"], row["points"]) for row in rows if row["row"] == "TOTAL"
        }
        ours = {name: head[name] for name in self.names} == self.names
        require(head["row"] == "BATCH" and ours, f"{path.name} is not for this program")
        whole = end["row"] == "END" and end["count"] == str(len(lines))
        require(whole, f"{path.name} was cut short")
        for kind, total in totals.items():
            points = [int(line["points"] or 0) for line in lines if line["kind"] == kind]
            wrong = f"{path.name}: the total of {kind} is wrong"
            require(total == (str(len(points)), str(sum(points))), wrong)
        return lines

    def answer(self, number: int, booked_at: str) -> None:
        """Write the results of a batch."""
        file_id = f"{self.names['program']}-{number:08d}"
        name = f"{file_id}.results.csv"
        lines = self.journal.execute(
            "SELECT instruction_id, kind, outcome, points, reason, 'B-' || decision.rowid,"
            " decided_at FROM asked JOIN decision USING (instruction_id, kind)"
            " WHERE batch = ? ORDER BY place",
            (number,),
        ).fetchall()
        text = io.StringIO(newline="")
        rows = csv.DictWriter(text, COLUMNS, restval="")
        rows.writeheader()
        signature = "DSSE" if self.key else "NONE"
        rows.writerow(
            {"row": "RESULTS", "file": file_id, **self.names, "created_at": booked_at}
            | {"signature": signature}
        )
        for instruction_id, kind, outcome, points, reason, reference, decided_at in lines:
            rows.writerow(
                {
                    "row": "LINE",
                    "file": file_id,
                    "kind": kind,
                    "instruction_id": instruction_id,
                    "outcome": outcome,
                    "points": points or "",
                    "reason": reason,
                    "reference": reference,
                    "decided_at": decided_at,
                }
            )
        for kind in ("CREDIT", "REVERSE"):
            moved = [line[3] for line in lines if line[1] == kind]
            total = {"row": "TOTAL", "kind": kind, "count": len(moved), "points": sum(moved)}
            rows.writerow({**total, "file": file_id})
        rows.writerow({"row": "END", "file": file_id, "count": len(lines)})
        content = text.getvalue().encode()
        if self.key:
            leaves = [b"\0" + row for row in content.split(b"\r\n") if row.startswith(b"LINE,")]
            seal = {"file": file_id, "lines": len(lines), "root": root(leaves).hex()}
            envelope = sign(self.key, {**self.names, **seal})
            put(self.folder / "results" / f"{name}.dsse.json", envelope)
        put(self.folder / "results" / name, content)
        # Killed before this: the same file is written again, which the exchange has seen then.
        self.journal.execute("UPDATE batch SET answered = 1 WHERE number = ?", (number,))


def root(leaves: list[bytes]) -> bytes:
    """The root of the tree over the lines (RFC 6962): so each line can be proved by itself."""
    if len(leaves) < 2:
        return hashlib.sha256(b"".join(leaves)).digest()
    middle = 1 << (len(leaves) - 1).bit_length() - 1
    return hashlib.sha256(b"\1" + root(leaves[:middle]) + root(leaves[middle:])).digest()


def sign(key: Ed25519PrivateKey, seal: dict[str, object]) -> bytes:
    """The signature file: a DSSE envelope over what names a result file and its lines."""
    payload = json.dumps(seal).encode()
    kind = PAYLOAD_TYPE.encode()
    signed = key.sign(b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload))
    key_id = hashlib.sha256(key.public_key().public_bytes_raw()).hexdigest()[:32]
    signature = {"keyid": key_id, "sig": base64.b64encode(signed).decode()}
    envelope = {"payload": base64.b64encode(payload).decode(), "payloadType": PAYLOAD_TYPE}
    return json.dumps({**envelope, "signatures": [signature]}).encode()


def require(condition: bool, otherwise: str) -> None:
    """Stop, and say why: what is wrong here takes people."""
    if not condition:
        sys.exit(otherwise)


def put(path: Path, content: bytes) -> None:
    """Make a file appear whole: written aside, on the disk, then renamed."""
    part = path.with_name(f"{path.name}.part")
    with part.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)


def main() -> None:
    """Work once, or again and again."""
    options = argparse.ArgumentParser(description="A small brand that takes batches of files.")
    options.add_argument("--folder", type=Path, required=True, help="what the exchange shares")
    options.add_argument("--journal", type=Path, required=True, help="made where it is missing")
    options.add_argument("--members", type=Path, required=True, help="a file of references")
    for name in ("audience", "partner", "program"):
        options.add_argument(f"--{name}", required=True)
    options.add_argument(
        "--key", type=Path, help="the key for orders; without it nothing is signed"
    )
    options.add_argument("--passphrase", type=Path, help="a file with the key's")
    options.add_argument("--every", type=float, help="seconds; without it, work once")
    chosen = options.parse_args()
    brand = Brand(chosen)
    with closing(brand.journal):
        print("ready", flush=True)
        brand.work()
        while chosen.every:
            time.sleep(chosen.every)
            brand.work()


if __name__ == "__main__":
    main()
