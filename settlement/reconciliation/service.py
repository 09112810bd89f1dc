"""The calls that bring a partner's file and hold it against its lines. They raise Refused.

The order of effects of a run:

    parts kept → a folder with the file and our lines → a process apart, which reads them
    → run and breaks kept, the parts gone

A crash before the last leaves the parts, by which the same call begins anew; the folder is a
temporary one. A file that is refused leaves nothing at all.
"""

import hashlib
import tempfile
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Engine

from partners.caller import Caller
from partners.errors import Reason, Refused
from partners.points import check_id
from partners.transaction import in_transaction
from partners.wire import time_to_proto
from pointclear.settlement.v1 import reconciliation_pb2 as pb
from settlement.reconciliation import store, uploads, wire
from settlement.reconciliation.apart import FILE, Job
from settlement.reconciliation.calls import numbered, whose
from settlement.reconciliation.faults import FileWrong
from settlement.reconciliation.following import watched_lines
from settlement.reconciliation.gathering import Own, Range, gather, partner_named, range_of
from settlement.reconciliation.keeping import keep_run
from settlement.reconciliation.mapping_document import parse_mapping
from settlement.reconciliation.process import Apart
from settlement.reconciliation.values import KeptMapping

CHUNK_BYTES_MAX = 960 * 1024
"""Of a part, so that a message with one stays below a mebibyte."""
FILE_BYTES_MAX = 512 * 1024 * 1024
NAME_MAX = 200

_T = TypeVar("_T")


class ReconciliationCalls:
    """The handlers."""

    def __init__(self, engine: Engine, now: Callable[[], datetime]) -> None:
        self._engine = engine
        self._now = now
        self._apart = Apart()

    async def set_column_mapping(
        self, request: pb.SetColumnMappingRequest, caller: Caller
    ) -> pb.SetColumnMappingResponse:
        """A partner: how its own files are written."""
        name = caller.require_partner()
        parse_mapping(request.mapping)

        def keep(connection: Any) -> int:
            own = partner_named(connection, name)
            return uploads.keep_mapping(connection, own, request.mapping, self._now())

        return pb.SetColumnMappingResponse(version=await self._do(keep))

    async def get_column_mapping(
        self, request: pb.GetColumnMappingRequest, caller: Caller
    ) -> pb.GetColumnMappingResponse:
        """As it was set."""
        name = whose(request.partner_id, caller)

        def read(connection: Any) -> KeptMapping:
            return _mapping(connection, partner_named(connection, name))

        kept = await self._do(read)
        return pb.GetColumnMappingResponse(
            mapping=kept.body, version=kept.version, set_at=time_to_proto(kept.set_at)
        )

    # Files

    async def upload_reconciliation(
        self, request: pb.UploadReconciliationRequest, caller: Caller
    ) -> pb.UploadReconciliationResponse:
        """A partner: one part of a file."""
        name = caller.require_partner()
        _digest(request.file_sha256)
        if not 1 <= request.file_bytes <= FILE_BYTES_MAX:
            raise Refused(
                Reason.FIELD_INVALID, "file_bytes", f"a file has 1 to {FILE_BYTES_MAX:,} bytes"
            )
        end = request.offset + len(request.chunk)
        if request.offset < 0 or end > request.file_bytes:
            raise Refused(Reason.FIELD_INVALID, "offset", "the part is not within the file")
        if len(request.chunk) > CHUNK_BYTES_MAX:
            raise Refused(
                Reason.FIELD_INVALID, "chunk", f"a part has at most {CHUNK_BYTES_MAX:,} bytes"
            )

        def keep(connection: Any) -> int:
            own = partner_named(connection, name)
            return uploads.keep_chunk(
                connection, own, request.file_sha256, request.offset, request.chunk, self._now()
            )

        return pb.UploadReconciliationResponse(received_bytes=await self._do(keep))

    async def run_reconciliation(
        self, request: pb.RunReconciliationRequest, caller: Caller
    ) -> pb.RunReconciliationResponse:
        """A partner: an uploaded file against the lines of one or more windows."""
        name = caller.require_partner()
        sha256 = _digest(request.file_sha256)
        file_name = request.file_name
        if len(file_name) > NAME_MAX or not file_name.isprintable():
            raise Refused(
                Reason.FIELD_INVALID, "file_name", f"at most {NAME_MAX} printable characters"
            )
        first, last = (
            check_id(each, field) if each else ""
            for each, field in (
                (request.first_window_id, "first_window_id"),
                (request.last_window_id, "last_window_id"),
            )
        )
        own, span, kept = await self._do(_planned, name, first, last)
        number = await self._do(store.same_run, own, sha256, kept.version, span)
        if number is None:
            try:
                number = await self._run(own, span, kept, sha256, file_name)
            except FileWrong as wrong:
                # Nothing of it stays, and the file itself may name members.
                await self._do(uploads.drop_chunks, own, sha256)
                return wire.refusal_message(wrong)
        run = await self._do(store.run_numbered, own, number)
        return pb.RunReconciliationResponse(run=wire.run_message(run))

    async def _run(
        self, own: Own, span: Range, kept: KeptMapping, sha256: bytes, file_name: str
    ) -> int:
        with tempfile.TemporaryDirectory(prefix="pointclear-reconciliation-") as name:
            folder = Path(name)
            job = await self._do(_gathered, folder, own, span, kept, sha256)
            found = await self._apart.reconcile(folder, job)

        def keep(connection: Any) -> int:
            number = keep_run(
                connection, own, span, kept.version, sha256, file_name, found, self._now()
            )
            uploads.drop_chunks(connection, own, sha256)
            return number

        return await self._do(keep)

    async def get_reconciliation(
        self, request: pb.GetReconciliationRequest, caller: Caller
    ) -> pb.GetReconciliationResponse:
        """A run, or the newest."""
        name = whose(request.partner_id, caller)
        number = numbered(request.run_id, "R", "run_id") if request.run_id else 0
        own = await self._do(partner_named, name)
        run = await self._do(store.run_numbered, own, number)
        return pb.GetReconciliationResponse(run=wire.run_message(run))

    async def _do(self, act: Callable[..., _T], *arguments: Any) -> _T:
        """Run a blocking function on a connection in a transaction of its own, off the loop."""
        return await in_transaction(self._engine, act, *arguments)


def _planned(connection: Any, name: str, first: str, last: str) -> tuple[Own, Range, KeptMapping]:
    own = partner_named(connection, name)
    return own, range_of(connection, own, first, last), _mapping(connection, own)


def _mapping(connection: Any, own: Own) -> KeptMapping:
    kept = uploads.newest_mapping(connection, own)
    if kept is None:
        raise Refused(
            Reason.RECONCILIATION_UNKNOWN,
            "partner_id",
            "no mapping of the file's columns is set: say first how your files are written",
        )
    return kept


def _gathered(
    connection: Any, folder: Path, own: Own, span: Range, kept: KeptMapping, sha256: bytes
) -> Job:
    """The folder with everything in it; raises Refused where the file did not come whole."""
    digest = hashlib.sha256()
    with (folder / FILE).open("wb") as file:
        for content in uploads.chunks(connection, own, sha256):
            digest.update(content)
            file.write(content)
    if digest.digest() != sha256:
        raise Refused(
            Reason.RECONCILIATION_UNKNOWN, "file_sha256", "the file of this digest is not here"
        )
    mapping = parse_mapping(kept.body)
    watched = watched_lines(store.known_breaks(connection, own))
    return gather(connection, folder, own, span, kept.body, mapping, watched)


def _digest(sha256: bytes) -> bytes:
    if len(sha256) != hashlib.sha256().digest_size:
        raise Refused(Reason.FIELD_INVALID, "file_sha256", "a digest has 32 bytes")
    return sha256
