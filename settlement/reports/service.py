"""The calls about reports of `pointclear.settlement.v1.SettlementService`. They raise Refused."""

import asyncio
import hashlib
import tempfile
from collections.abc import AsyncIterator, Callable
from itertools import count
from pathlib import Path
from typing import Any, Final, TypeVar

from sqlalchemy import Engine

from exchange.commands import Book
from exchange.fold import InvariantBroken
from partners.caller import Caller
from partners.errors import Reason, Refused
from partners.points import check_id
from partners.transaction import in_transaction
from pointclear.settlement.v1 import report_pb2 as pb
from settlement import store as books
from settlement.calls import CHUNK_BYTES_MAX, chunks_of, partner_asked_for
from settlement.course import Course
from settlement.reports import making, store
from settlement.reports.account_map import AccountMap, account_map, map_entry, maps_of
from settlement.reports.catalogue import OUTPUTS, ReportName, output_of
from settlement.reports.exporting import export, export_format
from settlement.reports.store import StoredReport

TOLD_EVERY_S: Final = 1.0

_T = TypeVar("_T")


class ReportCalls:
    """Lists, makes and gives out report files."""

    def __init__(self, engine: Engine, course: Course, audience: str) -> None:
        """`audience` is what papers name where the operator has no name of its own."""
        self._engine = engine
        self._course = course
        self._audience = audience
        # A large file takes much of a processor: one at a time leaves the rest to orders.
        self._making = asyncio.Lock()

    async def list_reports(
        self, request: pb.ListReportsRequest, caller: Caller
    ) -> pb.ListReportsResponse:
        """All that there is of a window for a partner or the operator, made or not."""
        partner_id = _whose(request.partner_id, caller)
        period = check_id(request.period, "period")

        def read(connection: Any) -> list[pb.Report]:
            return _listed(connection, period, partner_id, self._audience)

        return pb.ListReportsResponse(reports=await self._read(read))

    async def download_report(
        self, request: pb.DownloadReportRequest, caller: Caller
    ) -> AsyncIterator[pb.DownloadReportResponse]:
        """A report's file in chunks, made first where it was not."""
        partner_id = _whose(request.partner_id, caller)
        kind, format_ = output_of(request.kind, request.format)
        period = check_id(request.period, "period")
        name = await self._read(making.name_of, kind, format_, period, partner_id, request.version)
        written = [0]

        def told(lines: int) -> None:
            written[0] += lines

        async with self._making:
            work = asyncio.ensure_future(
                self._read(making.kept, name, partner_id, self._audience, told)
            )
            try:
                while not (await asyncio.wait([work], timeout=TOLD_EVERY_S))[0]:
                    yield pb.DownloadReportResponse(lines_written=written[0])
            finally:
                # A caller that goes away does not end a thread: the next one waits for it.
                await asyncio.wait([work])
        stored = work.result()
        yield pb.DownloadReportResponse(report=_message(stored, partner_id))
        async for chunk in self._chunks(stored):
            yield pb.DownloadReportResponse(chunk=chunk)

    async def export_books(
        self, request: pb.ExportBooksRequest, caller: Caller
    ) -> AsyncIterator[pb.ExportBooksResponse]:
        """Operators: the whole books in another program's format, file by file."""
        caller.require_operator()
        format_ = export_format(request.format)
        folder = await asyncio.to_thread(tempfile.TemporaryDirectory, prefix="pointclear-export-")
        try:
            async with self._making:
                work = asyncio.ensure_future(
                    asyncio.to_thread(
                        export, self._engine, format_, self._audience, Path(folder.name)
                    )
                )
                try:
                    while not (await asyncio.wait([work], timeout=TOLD_EVERY_S))[0]:
                        yield pb.ExportBooksResponse()
                finally:
                    await asyncio.wait([work])
            for path in work.result():
                with path.open("rb") as file:
                    while chunk := await asyncio.to_thread(file.read, CHUNK_BYTES_MAX):
                        yield pb.ExportBooksResponse(file_name=path.name, chunk=chunk)
        finally:
            # A crash leaves a folder among the machine's temporary files.
            await asyncio.to_thread(folder.cleanup)

    async def set_account_map(
        self, request: pb.SetAccountMapRequest, caller: Caller
    ) -> pb.SetAccountMapResponse:
        """Set which of its own accounts a partner's figures are booked to. Journals that were made
        stay as they are.
        """
        partner_id = _named(request.partner_id, caller)
        wanted = account_map((each.item, each.code, each.account) for each in request.accounts)

        def read(connection: Any) -> Book | None:
            partner = store.partner_named(connection, partner_id)
            known = maps_of(connection, partner.number)
            if known and known[-1] == wanted:
                return None
            return map_entry(partner_id, partner.number, partner.currency, len(known), wanted)

        await self._course.book_due(read)
        return pb.SetAccountMapResponse(accounts=_mappings(wanted))

    async def get_account_map(
        self, request: pb.GetAccountMapRequest, caller: Caller
    ) -> pb.GetAccountMapResponse:
        """The whole map as it stands, defaults among it."""
        partner_id = _named(request.partner_id, caller)

        def read(connection: Any) -> AccountMap:
            return making.account_map_of(connection, store.partner_named(connection, partner_id))

        return pb.GetAccountMapResponse(accounts=_mappings(await self._read(read)))

    async def _chunks(self, stored: StoredReport) -> AsyncIterator[bytes]:
        """The file's bytes; raises InvariantBroken at the end where they are not what was kept."""
        digest = hashlib.sha256()
        for place in count():
            part = await self._read(store.part, stored.name, place)
            if part is None:
                break
            digest.update(part)
            for chunk in chunks_of(part):
                yield chunk
        if digest.digest() != stored.sha256:
            raise InvariantBroken(f"{stored.name.file_name} was altered")

    async def _read(self, read: Callable[..., _T], *arguments: Any) -> _T:
        """Run a blocking function on a connection in a transaction of its own, off the loop."""
        return await in_transaction(self._engine, read, *arguments)


def _listed(connection: Any, window_id: str, partner_id: str, audience: str) -> list[pb.Report]:
    number = store.partner_named(connection, partner_id).number if partner_id else 0
    window = books.window_named(connection, window_id)
    newest = making.newest_version(connection, window_id, partner_id) if partner_id else 1
    names = [
        ReportName(kind, window_id, number, version, format_)
        for kind, output in OUTPUTS.items()
        if output.is_operators is (not partner_id) and window.closing_tree is not None
        for format_ in output.formats
        for version in (range(1, newest + 1) if output.is_versioned else (1,))
    ]
    kept = {each.name: each for each in store.reports_of(connection, window_id, number)}
    for name in names:
        if name not in kept and making.is_there(connection, name, partner_id, audience):
            kept[name] = store.found(connection, name) or StoredReport(name, b"", 0)
    return [_message(kept[name], partner_id) for name in sorted(kept, key=_place)]


def _place(name: ReportName) -> tuple[str, int, str]:
    return name.kind, name.version, name.format


def _message(report: StoredReport, partner_id: str) -> pb.Report:
    name = report.name
    return pb.Report(
        kind=name.kind,
        format=name.format,
        period=name.period,
        partner_id=partner_id,
        version=name.version,
        file_name=name.file_name,
        sha256=report.sha256,
        size=report.size,
    )


def _mappings(accounts: AccountMap) -> list[pb.AccountMapping]:
    return [
        pb.AccountMapping(item=item, code=code, account=account)
        for item, code, account in accounts.whole
    ]


def _named(partner_id: str, caller: Caller) -> str:
    """The partner whose map it is."""
    if caller.is_operator and not partner_id:
        raise Refused(Reason.FIELD_INVALID, "partner_id", "an operator names the partner")
    if not caller.is_operator and partner_id not in ("", caller.name):
        raise Refused(Reason.PARTNER_UNKNOWN, "partner_id", f"there is no partner {partner_id}")
    return check_id(partner_id, "partner_id") if caller.is_operator else caller.name


def _whose(partner_id: str, caller: Caller) -> str:
    """The partner whose reports are asked for, empty for the operator's own; others' are answered
    as if they did not exist.
    """
    if caller.is_operator and not partner_id:
        return ""
    text = "there is no such statement"
    return partner_asked_for(partner_id, caller, Reason.STATEMENT_UNKNOWN, text)
