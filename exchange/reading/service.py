"""The calls of ExchangeService that only read: a partner's transfers and position, what an order
would come to, the corridors that are open.

Every query is scoped by the caller. What is another's answers exactly like what does not exist.
"""

import asyncio
from collections.abc import Callable
from datetime import datetime
from typing import Any

from sqlalchemy import Engine

from exchange.reading import wire
from exchange.reading.listing import list_page
from exchange.reading.position import read_position
from exchange.reading.simulation import simulate
from exchange.reads import OwnEntry, held_transfers
from exchange.registry_view import RegistryView
from exchange.seal import PayloadKind
from partners.caller import Caller
from partners.errors import Reason, Refused
from partners.negotiation.store import log_moment
from partners.paging import Paged, page_end, page_of, page_size, page_token
from partners.points import POINTS_MAX, check_id
from partners.registry import Force
from pointclear.exchange.v1 import exchange_service_pb2 as pb
from pointclear.exchange.v1 import transfer_pb2


class Reading:
    """The handlers. They raise Refused; the edge maps it to the wire."""

    def __init__(self, engine: Engine, registry: RegistryView, now: Callable[[], datetime]) -> None:
        """`now` reads the host's clock."""
        self._engine = engine
        self._registry = registry
        self._now = now

    async def list_transfers(
        self, request: pb.ListTransfersRequest, caller: Caller
    ) -> pb.ListTransfersResponse:
        """The caller's transfers, newest first."""
        partner_id = caller.require_partner()
        wanted, size = request.filter, page_size(request.page_size)
        span = wire.span_of(wanted)
        listed = b"transfers" + wanted.SerializeToString(deterministic=True)
        end = page_end(caller.holder, listed, request.page_token)

        def read(entry: OwnEntry) -> pb.ListedTransfer | None:
            if entry.kind not in (PayloadKind.RECEIPT, PayloadKind.NOTICE) or entry.superseded:
                # What a partner only funds is others' transfer; what was held is shown as it ended,
                # and a reversal at its transfer.
                return None
            transfer = wire.listed_transfer(entry)
            return transfer if wire.is_wanted(transfer, partner_id, wanted) else None

        before = None if end is None else int(end)
        page = await self._read(list_page, partner_id, span, before, size, read)
        following = "" if page.end is None else page_token(caller.holder, listed, str(page.end))
        return pb.ListTransfersResponse(transfers=page.items, next_page_token=following)

    async def simulate_transfer(
        self, request: pb.SimulateTransferRequest, caller: Caller
    ) -> pb.SimulateTransferResponse:
        """What an order of the caller's, sent now, would come to."""
        partner_id = caller.require_partner()
        corridor = (
            check_id(request.source_program, "source_program"),
            check_id(request.target_program, "target_program"),
        )
        if not 0 < request.source_points <= POINTS_MAX:
            raise Refused(Reason.FIELD_INVALID, "source_points", "an amount is 1 to 2^62 points")
        registry = await self._registry.refresh()
        if registry.programs.get(request.source_program) != partner_id:
            raise Refused(
                Reason.PROGRAM_UNKNOWN, "source_program", "you have no program of that name"
            )
        points = request.source_points
        segment_id = check_id(request.segment, "segment") if request.segment else ""
        simulation = await self._read(simulate, registry, corridor, points, segment_id, self._now())
        if simulation is None:
            # The same whether there is no such program or none that the caller has terms with.
            raise Refused(
                Reason.AGREEMENT_UNKNOWN, "target_program", "no agreement to it is in force"
            )
        return wire.simulation_to_proto(simulation)

    async def get_position(
        self, request: pb.GetPositionRequest, caller: Caller
    ) -> pb.GetPositionResponse:
        """The caller's position; for an operator, the named partner's."""
        partner_id = request.partner_id or ("" if caller.is_operator else caller.name)
        check_id(partner_id, "partner_id")
        own = caller.is_operator or partner_id == caller.name
        position = await self._read(read_position, partner_id) if own else None
        if position is None:
            raise Refused(Reason.PARTNER_UNKNOWN, "partner_id", "there is no such partner")
        return pb.GetPositionResponse(position=wire.position_to_proto(position))

    async def list_held_transfers(
        self, request: pb.ListHeldTransfersRequest, caller: Caller
    ) -> pb.ListHeldTransfersResponse:
        """Operators: what waits for review, oldest first."""
        caller.require_operator()
        size = page_size(request.page_size)
        end = page_end(caller.holder, b"held", request.page_token)
        after = -1 if end is None else int(end)
        records = [
            transfer_pb2.TransferRecord.FromString(each)
            for each in await self._read(held_transfers, after, size + 1)
        ]
        following = ""
        if len(records) > size:
            following = page_token(caller.holder, b"held", str(records[size - 1].log_index))
        return pb.ListHeldTransfersResponse(transfers=records[:size], next_page_token=following)

    async def list_corridors(
        self, request: pb.ListCorridorsRequest, caller: Caller
    ) -> pb.ListCorridorsResponse:
        """The agreements in force: the caller's, or for an operator all."""
        registry = await self._registry.refresh()
        moment = await self._read(log_moment, self._now())
        shown = sorted(
            (
                force
                for force in registry.agreements.values()
                if force.covers(moment) and may_see(caller, force)
            ),
            key=corridor_name,
        )
        paged = Paged(caller.holder, b"corridors", request.page_size, request.page_token)
        page = page_of(shown, corridor_name, paged)
        return pb.ListCorridorsResponse(
            corridors=[wire.corridor_to_proto(force) for force in page.items],
            next_page_token=page.next_token,
        )

    async def _read(self, query: Callable[..., Any], *arguments: Any) -> Any:
        def read() -> Any:
            with self._engine.begin() as transaction:
                # One snapshot for all that a query reads.
                connection: Any = transaction.connection.dbapi_connection
                connection.cursor().execute(
                    "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"
                )
                return query(connection, *arguments)

        return await asyncio.to_thread(read)


def may_see(caller: Caller, force: Force) -> bool:
    """Whether terms are the caller's to see."""
    return caller.is_operator or caller.name in force.terms.signatories


def corridor_name(force: Force) -> str:
    """Source and target program: at most one version of a corridor is in force."""
    return f"{force.terms.source_program} {force.terms.target_program}"
