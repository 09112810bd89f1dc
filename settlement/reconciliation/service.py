"""The calls about reconciliation of `pointclear.settlement.v1.SettlementService`. They raise
Refused.

The order of effects of a run:

    parts kept → a folder with the file and our lines → a process apart, which reads them
    → run and breaks kept, the parts gone

A crash before the last leaves the parts, by which the same call begins anew; the folder is a
temporary one. A file that is refused leaves nothing at all.
"""

import hashlib
import re
import tempfile
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Engine

from partners.caller import Caller
from partners.errors import Reason, Refused
from partners.paging import page_end, page_size, page_token
from partners.points import check_id
from partners.transaction import in_transaction
from partners.wire import time_to_proto
from pointclear.settlement.v1 import reconciliation_pb2 as pb
from settlement.calls import partner_asked_for
from settlement.reconciliation import store, wire, workflow
from settlement.reconciliation.apart import FILE, Job
from settlement.reconciliation.faults import FileWrong
from settlement.reconciliation.following import watched_lines
from settlement.reconciliation.gathering import Own, Range, gather, partner_named, range_of
from settlement.reconciliation.mapping_document import parse_mapping
from settlement.reconciliation.process import Apart
from settlement.reconciliation.values import KeptBreak, KeptMapping
from settlement.reconciliation.workflow import Step

CHUNK_BYTES_MAX = 960 * 1024
"""Of a part, so that a message with one stays below a mebibyte."""
FILE_BYTES_MAX = 512 * 1024 * 1024
NAME_MAX = 200

_T = TypeVar("_T")


class ReconciliationService:
    """The handlers."""

    def __init__(self, engine: Engine, now: Callable[[], datetime]) -> None:
        self._engine = engine
        self._now = now
        self._apart = Apart()

    # Mappings

    async def set_column_mapping(
        self, request: pb.SetColumnMappingRequest, caller: Caller
    ) -> pb.SetColumnMappingResponse:
        """A partner: how its own files are written."""
        name = caller.require_partner()
        parse_mapping(request.mapping)

        def keep(connection: Any) -> int:
            own = partner_named(connection, name)
            return store.keep_mapping(connection, own, request.mapping, self._now())

        return pb.SetColumnMappingResponse(version=await self._do(keep))

    async def get_column_mapping(
        self, request: pb.GetColumnMappingRequest, caller: Caller
    ) -> pb.GetColumnMappingResponse:
        """As it was set."""
        name = _whose(request.partner_id, caller)

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
            return store.keep_chunk(
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
                await self._do(store.drop_chunks, own, sha256)
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
            number = store.keep_run(
                connection, own, span, kept.version, sha256, file_name, found, self._now()
            )
            store.drop_chunks(connection, own, sha256)
            return number

        return await self._do(keep)

    async def get_reconciliation(
        self, request: pb.GetReconciliationRequest, caller: Caller
    ) -> pb.GetReconciliationResponse:
        """A run, or the newest."""
        name = _whose(request.partner_id, caller)
        number = _number(request.run_id, "R", "run_id") if request.run_id else 0
        own = await self._do(partner_named, name)
        run = await self._do(store.run_numbered, own, number)
        return pb.GetReconciliationResponse(run=wire.run_message(run))

    # Breaks

    async def list_breaks(
        self, request: pb.ListBreaksRequest, caller: Caller
    ) -> pb.ListBreaksResponse:
        """Some breaks; operators see every partner's."""
        size = page_size(request.page_size)
        everyone = caller.is_operator and not request.partner_id
        name = "" if everyone else _whose(request.partner_id, caller)
        if everyone and request.run_id:
            raise Refused(Reason.FIELD_INVALID, "partner_id", "a run is one partner's")
        run = _number(request.run_id, "R", "run_id") if request.run_id else 0
        try:
            category = wire.category_name(request.category)
        except ValueError:
            raise Refused(Reason.FIELD_INVALID, "category", "there is no such category") from None
        listed = f"breaks {name} {run} {category} {request.open_only}".encode()
        end = page_end(caller.holder, listed, request.page_token)
        partner, _, number = (end or "0 0").partition(" ")

        def read(connection: Any) -> tuple[KeptBreak, ...]:
            own = 0 if everyone else partner_named(connection, name).number
            if run:
                store.run_numbered(connection, partner_named(connection, name), run)
            return store.breaks_page(
                connection,
                own,
                run,
                category,
                (int(partner), int(number)),
                size + 1,
                open_only=request.open_only,
            )

        found = await self._do(read)
        following = ""
        if len(found) > size:
            last = found[size - 1]
            following = page_token(caller.holder, listed, f"{last.partner_number} {last.number}")
        return pb.ListBreaksResponse(
            breaks=map(wire.break_message, found[:size]), next_page_token=following
        )

    async def get_break(self, request: pb.GetBreakRequest, caller: Caller) -> pb.GetBreakResponse:
        """One break with its history, and evidence where it is some."""
        name = _whose(request.partner_id, caller)
        number = _number(request.break_id, "B", "break_id")

        def read(connection: Any) -> pb.GetBreakResponse:
            own = partner_named(connection, name)
            found = store.break_numbered(connection, own, number)
            run = store.run_numbered(connection, own, found.newest_run)
            return pb.GetBreakResponse(
                reconciliation_break=wire.break_message(found),
                events=wire.events_messages(store.events_of(connection, own, number)),
                evidence=wire.evidence_of(found, run),
            )

        return await self._do(read)

    async def assign_break(
        self, request: pb.AssignBreakRequest, caller: Caller
    ) -> pb.AssignBreakResponse:
        """Say who looks after a break."""
        found = await self._step(request, caller, workflow.assign, request.owner)
        return pb.AssignBreakResponse(reconciliation_break=wire.break_message(found))

    async def comment_break(
        self, request: pb.CommentBreakRequest, caller: Caller
    ) -> pb.CommentBreakResponse:
        """Add a comment to a break."""
        found = await self._step(request, caller, workflow.comment, request.text)
        return pb.CommentBreakResponse(reconciliation_break=wire.break_message(found))

    async def resolve_break(
        self, request: pb.ResolveBreakRequest, caller: Caller
    ) -> pb.ResolveBreakResponse:
        """End a break, or keep it as explained."""

        def resolve(connection: Any, step: Step) -> KeptBreak:
            return workflow.resolve(
                connection, step, request.text, request.journal, explained=request.explained
            )

        found = await self._step(request, caller, resolve)
        return pb.ResolveBreakResponse(reconciliation_break=wire.break_message(found))

    async def write_off_break(
        self, request: pb.WriteOffBreakRequest, caller: Caller
    ) -> pb.WriteOffBreakResponse:
        """Operators, two of them: leave a break as it is."""
        caller.require_action()
        found = await self._step(request, caller, workflow.write_off, request.text, request.journal)
        return pb.WriteOffBreakResponse(reconciliation_break=wire.break_message(found))

    async def _step(
        self, request: Any, caller: Caller, act: Callable[..., KeptBreak], *arguments: Any
    ) -> KeptBreak:
        name = _whose(request.partner_id, caller)
        number = _number(request.break_id, "B", "break_id")

        def carry_out(connection: Any) -> KeptBreak:
            own = partner_named(connection, name)
            step = Step(own, number, caller.holder, self._now())
            return act(connection, step, *arguments)

        return await self._do(carry_out)

    async def _do(self, act: Callable[..., _T], *arguments: Any) -> _T:
        """Run a blocking function on a connection in a transaction of its own, off the loop."""
        return await in_transaction(self._engine, act, *arguments)


def _planned(connection: Any, name: str, first: str, last: str) -> tuple[Own, Range, KeptMapping]:
    own = partner_named(connection, name)
    return own, range_of(connection, own, first, last), _mapping(connection, own)


def _mapping(connection: Any, own: Own) -> KeptMapping:
    kept = store.newest_mapping(connection, own)
    if kept is None:
        raise Refused(
            Reason.RECONCILIATION_UNKNOWN, "partner_id", "no mapping of the file's columns is set"
        )
    return kept


def _gathered(
    connection: Any, folder: Path, own: Own, span: Range, kept: KeptMapping, sha256: bytes
) -> Job:
    """The folder with everything in it; raises Refused where the file did not come whole."""
    digest = hashlib.sha256()
    with (folder / FILE).open("wb") as file:
        for content in store.chunks(connection, own, sha256):
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


def _number(name: str, letter: str, field: str) -> int:
    """The number in a name such as `R3`."""
    match = re.fullmatch(rf"{letter}([1-9]\d{{0,8}})", name)
    if match is None:
        raise Refused(Reason.FIELD_INVALID, field, f"give it as {letter} and a number")
    return int(match.group(1))


def _whose(partner_id: str, caller: Caller) -> str:
    """The partner in question; others are answered as if they had nothing."""
    text = "there is no such thing"
    return partner_asked_for(partner_id, caller, Reason.RECONCILIATION_UNKNOWN, text)
