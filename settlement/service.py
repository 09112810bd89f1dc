"""SettlementService: windows, statements, legs and bank files.

The order of effects of a settlement:

    line files and legs kept → each statement booked → the window stated → pay-ins recorded
    → a bank file booked whole, which confirms legs → pay-outs recorded that it covers
    → a bank file that confirms those → the window settled

Each arrow is a transaction of its own, and each step is repeated harmlessly: after a crash
anywhere, the same call picks up where the log ends.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from datetime import date
from typing import Any, TypeVar

from sqlalchemy import Engine

from exchange.commands import Book, Booked, CloseWindow, Command, OpenWindow, Repeated, Result
from exchange.fold import window_id as window_id_of
from partners import envelope as dsse
from partners.caller import Caller
from partners.errors import PointclearError, Reason, Refused
from partners.keys import Purpose, Signer
from partners.wire import envelope_to_proto
from pointclear.settlement.v1 import settlement_service_pb2 as pb
from settlement import settling, store, wire
from settlement.bank import BankStatement, check_account, match, parse_bank_file
from settlement.stating import state_window
from settlement.windows import LegState, SettlementWindow, WindowState

CHUNK_BYTES_MAX = 60 * 1024
"""Of a line file, so that a message with one stays below 64 KiB."""
PAGE_DEFAULT = 100
PAGE_MAX = 500

_T = TypeVar("_T")


class SettlementService:
    """The calls of `pointclear.settlement.v1.SettlementService`. They raise Refused."""

    def __init__(
        self,
        engine: Engine,
        submit: Callable[[Command], Awaitable[Result]],
        audience: str,
        signers: Mapping[Purpose, Signer],
    ) -> None:
        """`submit` hands a command to the sequencer; `signers` holds the exchange's key for
        statements.
        """
        self._engine = engine
        self._submit = submit
        self._audience = audience
        self._signer = signers[Purpose.STATEMENTS]
        self._turn = asyncio.Lock()

    # Windows

    async def open_window(
        self, request: pb.OpenWindowRequest, caller: Caller
    ) -> pb.OpenWindowResponse:
        """Open the first window of a currency."""
        caller.require_operator()
        day = _date(request.business_date, "business_date")
        await self._book(OpenWindow(request.currency, day))
        name = window_id_of(request.currency, day)
        return pb.OpenWindowResponse(window=await self._message(name))

    async def close_window(
        self, request: pb.CloseWindowRequest, caller: Caller
    ) -> pb.CloseWindowResponse:
        """Close a window and open the next."""
        caller.require_operator()
        following = request.next_business_date
        day = _date(following, "next_business_date") if following else None
        await self._book(CloseWindow(request.window_id, day))
        window = await self._read(store.window_named, request.window_id)
        opened = await self._read(store.window_after, window)
        return pb.CloseWindowResponse(
            window=await self._message(window.window_id),
            next_window=await self._message(opened.window_id),
        )

    async def list_windows(
        self, request: pb.ListWindowsRequest, caller: Caller
    ) -> pb.ListWindowsResponse:
        """The newest windows; a partner sees those of its currency, with its own net only."""
        if request.page_size < 0:
            raise Refused(Reason.FIELD_INVALID, "page_size", "a page size is not negative")
        windows_max = min(request.page_size or PAGE_DEFAULT, PAGE_MAX)

        def read(connection: Any) -> list[pb.Window]:
            currency = None if caller.is_operator else store.currency_of(connection, caller.name)
            windows = store.newest_windows(connection, currency, windows_max)
            nets = store.net_positions(connection, windows)
            return [
                wire.window_message(
                    window,
                    [
                        each
                        for each in nets.get(window.number, ())
                        if caller.is_operator or each.party == caller.name
                    ],
                )
                for window in windows
            ]

        return pb.ListWindowsResponse(windows=await self._read(read))

    # Settlement

    async def settle_window(
        self, request: pb.SettleWindowRequest, caller: Caller
    ) -> pb.SettleWindowResponse:
        """State a closed window, record the legs that can be recorded, settle it when all are
        confirmed.
        """
        caller.require_operator()
        # Shielded: a caller that goes away must not end the turn while its bookings are queued.
        return await asyncio.shield(self._settle(request.window_id))

    async def _settle(self, window_id: str) -> pb.SettleWindowResponse:
        async with self._settling():
            window = await self._read(store.window_named, window_id)
            if window.state is WindowState.OPEN:
                settling.check_stateable(window, None)
            if window.state is WindowState.CLOSED:
                await self._state(window)
                window = await self._read(store.window_named, window_id)
            if window.state is WindowState.PENDING_SETTLEMENT:
                await self._square_up(window)
            legs = await self._read(store.legs, window)
            return pb.SettleWindowResponse(
                window=await self._message(window.window_id), legs=map(wire.leg_message, legs)
            )

    async def _state(self, window: SettlementWindow) -> None:
        payloads = await self._read(state_window, window, self._audience, self._signer.key_id)
        # A crash between two statements leaves some booked; the next run books the rest, with the
        # same bytes.
        await all_of(
            self._book(settling.statement_entry(window.window_id, partner_id, payload))
            for partner_id, payload in payloads.items()
        )
        await self._book(settling.stated_entry(window, payloads))

    async def _square_up(self, window: SettlementWindow) -> None:
        """Record the legs that can be recorded, and settle the window when all are confirmed."""
        legs = await self._read(store.legs, window)
        balances = await self._read(store.bank_balances, window.unit)
        recordable = settling.legs_to_record(legs, balances.payable)
        # Handed over together, so that the sequencer can book them as one batch; each is decided on
        # its own.
        await all_of(
            self._record_leg(settling.leg_entry(leg, window.currency.code, window.unit))
            for leg in recordable
        )
        if all(leg.state is LegState.CONFIRMED for leg in legs):
            await self._book(settling.settled_entry(window, legs))

    async def _record_leg(self, entry: Book) -> None:
        try:
            await self._book(entry)
        except Refused as refusal:
            # The position has no room for the pay-out yet, so it waits. Nothing was written.
            if refusal.reason is not Reason.LIMIT_EXCEEDED:
                raise

    async def import_bank_file(
        self, request: pb.ImportBankFileRequest, caller: Caller
    ) -> pb.ImportBankFileResponse:
        """Book a bank file, all of it or nothing, then whatever its money makes possible."""
        caller.require_operator()
        return await asyncio.shield(self._take_in(request.currency, request.content))

    async def _take_in(self, currency: str, content: bytes) -> pb.ImportBankFileResponse:
        statement = parse_bank_file(content)
        async with self._settling():
            matched = unmatched = 0
            known = await self._is_imported(statement, currency, content)
            if not known:
                matched, unmatched = await self._import(statement, currency, content)
            # Also after a repeat: a crash after the file was booked may have left this undone.
            for window in await self._read(store.pending_windows, currency):
                await self._square_up(window)
        return pb.ImportBankFileResponse(
            matched=matched,
            unmatched=unmatched,
            repeated_entries=len(statement.entries) if known else 0,
        )

    async def _is_imported(self, statement: BankStatement, currency: str, content: bytes) -> bool:
        """Whether this very file was imported; raises Refused for another one with its statement
        id.
        """
        stored = await self._read(store.bank_file, currency, statement.statement_id)
        if stored is not None and stored != content:
            raise Refused(
                Reason.BANK_FILE_REFUSED,
                "statement_id",
                f"{statement.statement_id} was imported before with other content",
            )
        return stored is not None

    async def _import(
        self, statement: BankStatement, currency: str, content: bytes
    ) -> tuple[int, int]:
        def read(connection: Any) -> Book:
            unit = store.unit_of(connection, currency)
            mirror_posted = store.bank_balances(connection, unit).mirror_posted
            check_account(statement, currency, mirror_posted)
            matching = match(statement.entries, store.pending_legs(connection, currency))
            counts.append((len(matching.confirmed), len(matching.unmatched)))
            return settling.bank_file_entry(statement, content, matching, unit)

        counts: list[tuple[int, int]] = []
        await self._book(await self._read(read))
        return counts[0]

    # Statements

    async def get_statement(
        self, request: pb.GetStatementRequest, caller: Caller
    ) -> pb.GetStatementResponse:
        """A partner's statement, signed from its stored payload."""
        partner_id = _whose(request.partner_id, caller)
        payload = await self._read(store.statement_payload, request.window_id, partner_id)
        if payload is None:
            raise _statement_unknown(request.window_id)
        named = wire.parse_statement(payload).signing_key_id
        if named != self._signer.key_id:
            raise PointclearError(
                f"the statement names key {named}, which this server does not hold"
            )
        envelope = await asyncio.to_thread(
            dsse.sign, self._signer, dsse.SETTLEMENT_STATEMENT, payload
        )
        return pb.GetStatementResponse(statement=envelope_to_proto(envelope))

    async def download_line_file(
        self, request: pb.DownloadLineFileRequest, caller: Caller
    ) -> AsyncIterator[pb.DownloadLineFileResponse]:
        """The line file of a statement, in chunks."""
        partner_id = _whose(request.partner_id, caller)
        content = await self._read(self._stated_line_file, request.window_id, partner_id)
        for start in range(0, len(content), CHUNK_BYTES_MAX):
            yield pb.DownloadLineFileResponse(chunk=content[start : start + CHUNK_BYTES_MAX])

    @staticmethod
    def _stated_line_file(connection: Any, window_id: str, partner_id: str) -> bytes:
        # A file that no statement names yet is not shown: a crash may have left it.
        stated = store.statement_payload(connection, window_id, partner_id)
        content = store.stored_line_file(connection, window_id, partner_id) if stated else None
        if content is None:
            raise _statement_unknown(window_id)
        return content

    # What all of them do

    async def _read(self, read: Callable[..., _T], *arguments: Any) -> _T:
        """Run a blocking function on a connection in a transaction of its own, off the loop."""

        def in_transaction() -> _T:
            with self._engine.begin() as transaction:
                return read(transaction.connection.dbapi_connection, *arguments)

        return await asyncio.to_thread(in_transaction)

    async def _message(self, window_id: str) -> pb.Window:
        """A window as an operator sees it."""

        def read(connection: Any) -> pb.Window:
            window = store.window_named(connection, window_id)
            nets = store.net_positions(connection, [window])
            return wire.window_message(window, nets.get(window.number, ()))

        return await self._read(read)

    async def _book(self, command: Command) -> Booked | Repeated:
        """Submit a command; raises the Refused that answers it."""
        result = await self._submit(command)
        if isinstance(result, Refused):
            raise result
        assert isinstance(result, Booked | Repeated), "settlement submits no orders"
        return result

    @asynccontextmanager
    async def _settling(self) -> AsyncIterator[None]:
        """One settlement at a time, over all processes on this database.

        Between reading what is due and booking it nobody else may book the same. A process that
        dies leaves no lock behind: the database releases it with the connection.
        """
        async with self._turn:
            connection = await asyncio.to_thread(self._engine.connect)
            try:
                raw = connection.connection.dbapi_connection
                await asyncio.to_thread(store.take_turn, raw)
                yield
            finally:
                # Going back to the pool ends the transaction, and with it the turn.
                await asyncio.to_thread(connection.close)


async def all_of(steps: Iterable[Awaitable[object]]) -> None:
    """Start the steps in their order and wait for all; raises what the first that failed raised."""
    ended = await asyncio.gather(*steps, return_exceptions=True)
    for each in ended:
        if isinstance(each, BaseException):
            raise each


def _date(text: str, field: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise Refused(
            Reason.FIELD_INVALID, field, f"{text!r} is not a date such as 2017-01-31"
        ) from None


def _whose(partner_id: str, caller: Caller) -> str:
    """The partner whose papers are asked for; others' are answered as if they did not exist."""
    if caller.is_operator:
        if not partner_id:
            raise Refused(Reason.FIELD_INVALID, "partner_id", "an operator names the partner")
        return partner_id
    if partner_id not in ("", caller.name):
        raise Refused(Reason.STATEMENT_UNKNOWN, "partner_id", "there is no such statement")
    return caller.name


def _statement_unknown(window_id: str) -> Refused:
    return Refused(
        Reason.STATEMENT_UNKNOWN, "window_id", f"there is no such statement of {window_id}"
    )
