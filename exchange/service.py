"""ExchangeService: what partner systems call. It admits orders, hands them to the sequencer, and
gives a partner the proofs in its stream. What only reads, and proves nothing, is `reading`'s; a
stream as it grows is `watching`'s.
"""

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Engine

from exchange import reads
from exchange.admission import admit, admit_reversal
from exchange.commands import Command, DecideHeld, Order, Verdict
from exchange.delivery.service import Delivering
from exchange.outcomes import Recorded
from exchange.quotes.wire import ask_from_proto
from exchange.reading.service import Reading
from exchange.reads import OwnEntry
from exchange.registry_view import RegistryView
from exchange.replies import RecordedRefusal
from exchange.sequencer import Reply
from exchange.signing import sign_entry
from exchange.watching.service import Watching
from exchange.wire.entries import entry_to_proto
from exchange.wire.refusals import refusal_to_proto
from partners.caller import Caller
from partners.envelope import Envelope
from partners.errors import Reason, Refused
from partners.paging import page_size
from partners.signers import Signers
from partners.transaction import in_transaction
from partners.wire import envelope_from_proto, envelope_to_proto, uuid7
from pointclear.exchange.v1 import exchange_service_pb2 as pb
from pointclear.exchange.v1 import transfer_pb2

ORDERS_MAX = 500
"""Orders in one batch call."""
ADMIT_INLINE = 4
"""More orders than this are verified off the event loop."""

Submit = Callable[[Sequence[Command]], "list[asyncio.Future[Reply]]"]
Admitted = Order | Refused


class ExchangeService:
    """The handlers. They raise Refused; the edge maps it to the wire."""

    def __init__(
        self,
        engine: Engine,
        submit: Submit,
        registry: RegistryView,
        audience: str,
        signers: Signers,
        stored_from: datetime,
        now: Callable[[], datetime],
        watching: Watching,
        delivering: Delivering,
    ) -> None:
        """`signers` holds the keys for receipts; `stored_from` is the first moment whose ids are
        stored.
        """
        reading = Reading(engine, registry, now)
        self.list_transfers = reading.list_transfers
        self.simulate_transfer = reading.simulate_transfer
        self.get_position = reading.get_position
        self.list_corridors = reading.list_corridors
        self.list_held_transfers = reading.list_held_transfers
        self.watch_transfers = watching.watch_transfers
        self.pull_credits = delivering.pull_credits
        self.confirm_credit = delivering.confirm_credit
        self.list_deliveries = delivering.list_deliveries
        self.resolve_transfer = delivering.resolve_transfer
        self._delivering = delivering
        self._engine = engine
        self._submit = submit
        self._registry = registry
        self._audience = audience
        self._signers = signers
        self._stored_from = stored_from
        self._now = now

    async def create_transfer(
        self, request: pb.CreateTransferRequest, caller: Caller
    ) -> pb.CreateTransferResponse:
        """One order: its receipt, or the refusal with its receipt where that was recorded."""
        (admitted,) = await self._admit([envelope_from_proto(request.order)], caller)
        if isinstance(admitted, Refused):
            raise admitted
        reply = await self._submit([admitted])[0]
        if reply.refusal is not None:
            raise RecordedRefusal.of(reply.refusal, reply.receipt)
        assert reply.receipt is not None, "a committed order has a receipt"
        return pb.CreateTransferResponse(receipt=envelope_to_proto(reply.receipt))

    async def batch_create_transfers(
        self, request: pb.BatchCreateTransfersRequest, caller: Caller
    ) -> pb.BatchCreateTransfersResponse:
        """Up to 500 orders; one result each, in their order."""
        if not 1 <= len(request.orders) <= ORDERS_MAX:
            raise Refused(Reason.FIELD_INVALID, "orders", f"a batch has 1 to {ORDERS_MAX} orders")
        admitted = await self._admit([envelope_from_proto(each) for each in request.orders], caller)
        futures = iter(self._submit([each for each in admitted if isinstance(each, Order)]))
        replies = [
            Reply(each, each) if isinstance(each, Refused) else await next(futures)
            for each in admitted
        ]
        return pb.BatchCreateTransfersResponse(results=[result_to_proto(each) for each in replies])

    async def create_quote(
        self, request: pb.CreateQuoteRequest, caller: Caller
    ) -> pb.CreateQuoteResponse:
        """An offer for one of the caller's programs; nothing is owed for it."""
        asked = ask_from_proto(request, caller.require_partner())
        reply = await self._submit([asked])[0]
        if reply.refusal is not None:
            raise reply.refusal
        assert reply.quote is not None, "an offer that was made is signed"
        return pb.CreateQuoteResponse(quote=envelope_to_proto(reply.quote))

    async def get_transfer(
        self, request: pb.GetTransferRequest, caller: Caller
    ) -> pb.GetTransferResponse:
        """One transfer from the caller's side; TRANSFER_UNKNOWN for everybody else's."""
        partner_id = caller.require_partner()
        transfer_id = uuid7(request.transfer_id, "transfer_id")
        found = await self._read(reads.own_transfer, partner_id, transfer_id)
        if found is None:
            raise Refused(Reason.TRANSFER_UNKNOWN, "transfer_id", "there is no such transfer")
        record = transfer_pb2.TransferRecord.FromString(found.record)
        return pb.GetTransferResponse(
            state=record.state,
            reason=record.reason,
            entry=self._stream_entry(found),
            delivery=await self._delivering.state_of(transfer_id),
            # Before the points are surrendered for good nobody gets what they were given for.
            fulfilment=await self._delivering.fulfilment_for(transfer_id, partner_id)
            if record.state == transfer_pb2.TRANSFER_STATE_COMMITTED
            else b"",
            reversed_points=found.reversed_points,
        )

    async def release_transfer(
        self, request: pb.ReleaseTransferRequest, caller: Caller
    ) -> pb.ReleaseTransferResponse:
        """Operators: let a held transfer take place."""
        caller.require_operator()
        state = await self._decide(request.transfer_id, Verdict.RELEASED)
        return pb.ReleaseTransferResponse(state=state)

    async def refuse_transfer(
        self, request: pb.RefuseTransferRequest, caller: Caller
    ) -> pb.RefuseTransferResponse:
        """Operators: void a held transfer."""
        caller.require_operator()
        state = await self._decide(request.transfer_id, Verdict.REFUSED)
        return pb.RefuseTransferResponse(state=state)

    async def cancel_transfer(
        self, request: pb.CancelTransferRequest, caller: Caller
    ) -> pb.CancelTransferResponse:
        """The sender: void a transfer of its own that is held, or reserved and not sent."""
        partner_id = caller.require_partner()
        state = await self._decide(request.transfer_id, Verdict.CANCELLED, partner_id)
        return pb.CancelTransferResponse(state=state)

    async def reverse_transfer(
        self, request: pb.ReverseTransferRequest, caller: Caller
    ) -> pb.ReverseTransferResponse:
        """The target of a transfer: book what it has taken back of it."""
        partner_id = caller.require_partner()
        envelope = envelope_from_proto(request.reversal)
        await self._registry.know(each.key_id for each in envelope.signatures)
        order = admit_reversal(
            envelope,
            partner_id,
            self._registry.current,
            self._audience,
            self._stored_from,
            self._now(),
        )
        reply = await self._submit([order])[0]
        if reply.refusal is not None:
            raise RecordedRefusal.of(reply.refusal, reply.receipt)
        assert reply.receipt is not None, "a reversal that was booked has a notice"
        return pb.ReverseTransferResponse(notice=envelope_to_proto(reply.receipt))

    async def _decide(
        self, raw_id: bytes, verdict: Verdict, partner_id: str = ""
    ) -> transfer_pb2.TransferState.ValueType:
        """How the transfer stands after the verdict, now or when it was first given."""
        transfer_id = uuid7(raw_id, "transfer_id")
        reply = await self._submit([DecideHeld(transfer_id, verdict, partner_id)])[0]
        if isinstance(reply.result, Refused):
            raise reply.result
        if isinstance(reply.result, Recorded):
            return transfer_pb2.TransferState.Value(f"TRANSFER_STATE_{reply.result.state}")
        record = await self._read(reads.newest_record, transfer_id)
        return transfer_pb2.TransferRecord.FromString(record).state

    async def list_receipts(
        self, request: pb.ListReceiptsRequest, caller: Caller
    ) -> pb.ListReceiptsResponse:
        """The caller's stream, a page at a time."""
        partner_id = caller.require_partner()
        if request.after_stream_seq < 0:
            raise Refused(Reason.FIELD_INVALID, "after_stream_seq", "positions are not negative")
        size = page_size(request.page_size)
        entries, last = await self._read(
            reads.own_stream, partner_id, request.after_stream_seq, size
        )
        return pb.ListReceiptsResponse(
            entries=[self._stream_entry(each) for each in entries], last_stream_seq=last
        )

    async def _admit(self, envelopes: Sequence[Envelope], caller: Caller) -> list[Admitted]:
        partner_id = caller.require_partner()
        await self._registry.know(
            key_id for each in envelopes for key_id in (s.key_id for s in each.signatures)
        )
        registry, now = self._registry.current, self._now()

        def admit_all() -> list[Admitted]:
            return [
                _attempt(admit, each, partner_id, registry, self._audience, self._stored_from, now)
                for each in envelopes
            ]

        # Verification releases the GIL, but for one order the way to a thread and back costs as
        # much.
        return admit_all() if len(envelopes) <= ADMIT_INLINE else await asyncio.to_thread(admit_all)

    async def _read(self, query: Callable[..., Any], *arguments: Any) -> Any:
        return await in_transaction(self._engine, query, *arguments)

    def _stream_entry(self, entry: OwnEntry) -> pb.StreamEntry:
        return entry_to_proto(entry, sign_entry(self._signers, entry.kind, entry.payload))


def _attempt(check: Callable[..., Order], *arguments: Any) -> Admitted:
    try:
        return check(*arguments)
    except Refused as refusal:
        return refusal


def result_to_proto(reply: Reply) -> pb.TransferResult:
    """An item of a batch's answer."""
    if reply.refusal is not None:
        return pb.TransferResult(refusal=refusal_to_proto(reply.refusal, reply.receipt))
    assert reply.receipt is not None, "a committed order has a receipt"
    return pb.TransferResult(receipt=envelope_to_proto(reply.receipt))
