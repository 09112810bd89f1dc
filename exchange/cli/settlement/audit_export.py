"""`export audit`: all that an auditor needs of a time, as a folder."""

import hashlib
import json
from collections.abc import Callable, Iterator
from itertools import groupby
from pathlib import Path, PurePosixPath
from typing import Any

from exchange.cli.checks.audit import MANIFEST
from exchange.cli.connection import Connection
from exchange.cli.failure import proof_invalid
from exchange.cli.files import make_directory, write_chunks
from pointclear.settlement.v1.month_pb2 import ExportAuditRequest, ExportAuditResponse

AUDIT_TIMEOUT_S = 3600.0


def fetch_audit(
    connection: Connection, first_day: str, last_day: str, out: Path, advance: Callable[[int], None]
) -> list[Path]:
    """Write an export under `out` and hold every file against its manifest. Raises Failed."""
    answers: Iterator[ExportAuditResponse] = connection.stream(
        connection.settlement.ExportAudit,
        ExportAuditRequest(first_day=first_day, last_day=last_day),
        AUDIT_TIMEOUT_S,
    )
    digests: dict[str, str] = {}
    written = []
    made = (each for each in answers if each.path)
    for name, of_file in groupby(made, lambda each: each.path):
        path = out / _inside(name)
        make_directory(path.parent, 0o755)
        digest = hashlib.sha256()
        write_chunks(path, _chunks(of_file, digest, advance))
        digests[name] = digest.hexdigest()
        written.append(path)
    manifest = json.loads((out / MANIFEST).read_bytes())
    named = {each["path"]: each["sha256"] for each in manifest["files"]}
    if named != {name: digest for name, digest in digests.items() if name != MANIFEST}:
        raise proof_invalid("the files that came are not those of the manifest")
    return written


def _inside(name: str) -> PurePosixPath:
    """A path of the export; raises Failed for one that leads out of it."""
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts:
        raise proof_invalid(f"{name!r} leads out of the folder")
    return path


def _chunks(
    answers: Iterator[ExportAuditResponse], digest: Any, advance: Callable[[int], None]
) -> Iterator[bytes]:
    for each in answers:
        digest.update(each.chunk)
        advance(len(each.chunk))
        yield each.chunk
