"""The calls of those whom a statement concerns: the statement, and the lines that it counts. They
raise Refused.
"""

import asyncio
from collections.abc import AsyncIterator
from itertools import count
from typing import Any

from partners import envelope as dsse
from partners.caller import Caller
from partners.errors import Reason, Refused
from partners.keys import Purpose
from partners.points import check_id
from partners.signers import Signers
from partners.wire import envelope_to_proto
from pointclear.settlement.v1 import settlement_service_pb2 as pb
from settlement import store, wire
from settlement.calls import chunks_of, partner_asked_for
from settlement.course import Course
from settlement.lines.store import StoredLineFile, line_file_of


class StatementCalls:
    """The handlers."""

    def __init__(self, course: Course, signers: Signers) -> None:
        """`signers` holds the exchange's keys for statements."""
        self._course = course
        self._signers = signers

    async def get_statement(
        self, request: pb.GetStatementRequest, caller: Caller
    ) -> pb.GetStatementResponse:
        """A partner's statement, signed from its stored payload."""
        partner_id = _whose(request.partner_id, caller)
        check_id(request.window_id, "window_id")
        payload = await self._course.read(
            store.statement_payload, request.window_id, partner_id, request.version
        )
        if payload is None:
            raise _statement_unknown(request.window_id)
        named = wire.parse_statement(payload).signing_key_id
        signer = self._signers.named(Purpose.STATEMENTS, named)
        envelope = await asyncio.to_thread(dsse.sign, signer, dsse.SETTLEMENT_STATEMENT, payload)
        return pb.GetStatementResponse(statement=envelope_to_proto(envelope))

    async def download_line_file(
        self, request: pb.DownloadLineFileRequest, caller: Caller
    ) -> AsyncIterator[pb.DownloadLineFileResponse]:
        """The line file of a statement, in chunks."""
        partner_id = _whose(request.partner_id, caller)
        check_id(request.window_id, "window_id")
        stored = await self._course.read(self._stated_line_file, request.window_id, partner_id)
        # Each part is read by itself: a slow caller holds no transaction open.
        for part in count():
            content = await self._course.read(stored.part, part)
            if content is None:
                return
            for chunk in chunks_of(content):
                yield pb.DownloadLineFileResponse(chunk=chunk)

    @staticmethod
    def _stated_line_file(connection: Any, window_id: str, partner_id: str) -> StoredLineFile:
        # A file that no statement names yet is not shown: a crash may have left it.
        stated = store.statement_payload(connection, window_id, partner_id)
        stored = line_file_of(connection, window_id, partner_id) if stated else None
        if stored is None:
            raise _statement_unknown(window_id)
        return stored


def _whose(partner_id: str, caller: Caller) -> str:
    text = "there is no such statement"
    return partner_asked_for(partner_id, caller, Reason.STATEMENT_UNKNOWN, text)


def _statement_unknown(window_id: str) -> Refused:
    return Refused(
        Reason.STATEMENT_UNKNOWN, "window_id", f"there is no such statement of {window_id}"
    )
