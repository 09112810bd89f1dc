"""The call that exports what an auditor needs of a time."""

import asyncio
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

from sqlalchemy import Engine

from partners.caller import Caller
from partners.errors import Reason, Refused
from partners.signers import Signers
from pointclear.settlement.v1 import month_pb2 as pb
from settlement.calls import CHUNK_BYTES_MAX
from settlement.month.audit.export import export_audit
from settlement.month.period import parse_day

DAYS_MAX = 3_700
"""Ten years."""
TOLD_EVERY_S = 1.0


class AuditCalls:
    """The handler."""

    def __init__(self, engine: Engine, audience: str, signers: Signers) -> None:
        """`signers` holds the exchange's keys for receipts and statements."""
        self._engine = engine
        self._audience = audience
        self._signers = signers
        # It takes much of a processor: one at a time leaves the rest to orders.
        self._making = asyncio.Lock()

    async def export_audit(
        self, request: pb.ExportAuditRequest, caller: Caller
    ) -> AsyncIterator[pb.ExportAuditResponse]:
        """Operators: the files one after the other, the manifest last. Empty messages say that they
        are still being made.
        """
        caller.require_operator()
        first = parse_day(request.first_day, "first_day")
        last = parse_day(request.last_day, "last_day")
        if not 0 <= (last - first).days < DAYS_MAX:
            raise Refused(
                Reason.FIELD_INVALID, "last_day", "it is before the first day, or years after it"
            )
        folder = await asyncio.to_thread(tempfile.TemporaryDirectory, prefix="pointclear-audit-")
        try:
            home = Path(folder.name)
            asked = (self._engine, self._signers, self._audience, first, last, home)
            async with self._making:
                work = asyncio.ensure_future(asyncio.to_thread(export_audit, *asked))
                try:
                    while not (await asyncio.wait([work], timeout=TOLD_EVERY_S))[0]:
                        yield pb.ExportAuditResponse()
                finally:
                    await asyncio.wait([work])
            for path in work.result():
                name = path.relative_to(home).as_posix()
                # Also of an empty file: it is in the manifest.
                yield pb.ExportAuditResponse(path=name)
                with path.open("rb") as file:
                    while chunk := await asyncio.to_thread(file.read, CHUNK_BYTES_MAX):
                        yield pb.ExportAuditResponse(path=name, chunk=chunk)
        finally:
            # A crash leaves a folder among the machine's temporary files.
            await asyncio.to_thread(folder.cleanup)
