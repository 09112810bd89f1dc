"""WatchTransfers: a partner's stream from any position on, and then each entry as it is committed.

- A page at a time comes from the database, and the next is read when the one before has been taken:
  a slow reader is held by gRPC's flow control and costs one page of memory, and few pages are read
  at once, however many catch up.
- A response comes at least once a heartbeat, so that its reader can tell silence from death.
- A partner has a bounded number of watches on one server.
- Nothing is kept of a watch: after a crash its reader names the last position that it has.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Engine

from exchange import reads
from exchange.signing import sign_entry
from exchange.watching.ends import StreamEnds
from exchange.wire.entries import entry_to_proto
from partners.caller import Caller
from partners.errors import Reason, Refused
from partners.signers import Signers
from pointclear.exchange.v1 import exchange_service_pb2 as pb

PAGE = 100
"""Entries in one response at most."""
PAGES_AT_ONCE = 2
"""Pages that are read at the same time for all watches: other calls need the database too."""
HEARTBEAT_S = 15
HEARTBEAT_MAX_S = 60


class Watching:
    """The handler. It raises Refused; the edge maps it to the wire."""

    def __init__(
        self,
        engine: Engine,
        signers: Signers,
        per_partner: int,
        told: Callable[[int], None] = lambda _watches: None,
    ) -> None:
        """`signers` holds the keys for receipts; `told` learns how many watches are open."""
        self._engine = engine
        self._signers = signers
        self._per_partner = per_partner
        self._told = told
        self._ends = StreamEnds(self._read_ends)
        self._open: Counter[str] = Counter()
        self._reading = asyncio.Semaphore(PAGES_AT_ONCE)
        self._stopped = False

    def stop(self) -> None:
        """End all watches with TRY_LATER. Call on the loop's thread."""
        self._stopped = True
        self._ends.close(_stopping())

    async def watch_transfers(
        self, request: pb.WatchTransfersRequest, caller: Caller
    ) -> AsyncIterator[pb.WatchTransfersResponse]:
        """The caller's stream, without end."""
        partner_id, after = caller.require_partner(), request.after_stream_seq
        if after < 0:
            raise Refused(Reason.FIELD_INVALID, "after_stream_seq", "positions are not negative")
        heartbeat_s = request.heartbeat_seconds or HEARTBEAT_S
        if not 1 <= heartbeat_s <= HEARTBEAT_MAX_S:
            raise Refused(
                Reason.FIELD_INVALID, "heartbeat_seconds", f"it is 1 to {HEARTBEAT_MAX_S} s"
            )
        with self._place(partner_id):
            while True:
                page = await self._page(partner_id, after)
                yield page
                if page.entries:
                    after = page.entries[-1].stream_seq
                    if after < page.last_stream_seq:
                        continue
                while not await self._ends.beyond(partner_id, after, heartbeat_s):
                    yield pb.WatchTransfersResponse(last_stream_seq=page.last_stream_seq)

    def _read_ends(self, partner_ids: Sequence[str]) -> Mapping[str, int]:
        with self._engine.begin() as transaction:
            return reads.stream_ends(transaction.connection.dbapi_connection, partner_ids)

    @contextmanager
    def _place(self, partner_id: str) -> Iterator[None]:
        if self._open[partner_id] >= self._per_partner:
            raise Refused(
                Reason.WATCHES_EXCEEDED,
                "",
                f"{self._per_partner} watches of yours are open on this server",
                {"watches": str(self._per_partner)},
            )
        self._open[partner_id] += 1
        self._told(self._open.total())
        try:
            yield
        finally:
            self._open[partner_id] -= 1
            self._told(self._open.total())

    async def _page(self, partner_id: str, after: int) -> pb.WatchTransfersResponse:
        """The next entries; with none, how far the stream has come."""

        def read() -> pb.WatchTransfersResponse:
            with self._engine.begin() as transaction:
                connection: Any = transaction.connection.dbapi_connection
                entries, last = reads.own_stream(connection, partner_id, after, PAGE)
            signed = [
                entry_to_proto(each, sign_entry(self._signers, each.kind, each.payload))
                for each in entries
            ]
            return pb.WatchTransfersResponse(entries=signed, last_stream_seq=last)

        async with self._reading:
            if self._stopped:
                raise _stopping()
            return await asyncio.to_thread(read)


def _stopping() -> Refused:
    return Refused(Reason.TRY_LATER, "", "this server is stopping: go on after your last position")
