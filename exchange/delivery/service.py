"""The calls of ExchangeService about instructions to programs: brands that fetch and answer them,
operators who see what waits and end what nobody answers.
"""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from uuid import UUID

from exchange.delivery import wire
from exchange.delivery.courier import Courier
from exchange.delivery.saga import Claimed
from exchange.delivery.sql_store import SqlDeliveryStore
from exchange.registry_view import RegistryView
from partners.caller import Caller
from partners.confirmations.confirmation import Asked, NoAnswer
from partners.confirmations.verification import verified_answer
from partners.confirmations.wire import confirmation_from_payload
from partners.errors import Reason, Refused
from partners.paging import page_end, page_size, page_token
from partners.points import check_id
from partners.program_port import Credit, CreditOutcome, DeclineReason, Evidence, ProgramAnswer
from partners.program_port import InstructionKind as Kind
from partners.wire import envelope_from_proto, time_to_proto, uuid7
from pointclear.exchange.v1 import exchange_service_pb2 as pb
from pointclear.exchange.v1 import transfer_pb2

EVIDENCE_BYTES_MAX = 4096
_MEDIA_TYPE = re.compile(r"[a-z]+/[a-z0-9.+-]{1,100}")


class Delivering:
    """The handlers. They raise Refused; the edge maps it to the wire."""

    def __init__(
        self,
        store: SqlDeliveryStore,
        courier: Courier,
        registry: RegistryView,
        audience: str,
        now: Callable[[], datetime],
    ) -> None:
        self._store = store
        self._courier = courier
        self._registry = registry
        self._audience = audience
        self._now = now

    async def pull_credits(
        self, request: pb.PullCreditsRequest, caller: Caller
    ) -> pb.PullCreditsResponse:
        """What there is to do for one of the caller's programs."""
        partner_id = caller.require_partner()
        program = check_id(request.program, "program")
        registry = await self._registry.refresh()
        if registry.programs.get(program) != partner_id:
            raise Refused(Reason.PROGRAM_UNKNOWN, "program", "you have no program of that name")
        route = registry.route_of(program)
        if not route.is_pulled:
            raise Refused(
                Reason.FIELD_INVALID, "program", f"its route is {route.kind}: the exchange calls it"
            )
        most = page_size(request.page_size)
        claimed = await self._store.claim(program, most, route.lease)
        self._courier.watcher.handed_out(program, len(claimed))
        lease_until = time_to_proto((self._now() + route.lease).astimezone(UTC))
        return pb.PullCreditsResponse(
            instructions=[wire.pulled(each, self._audience, lease_until) for each in claimed]
        )

    async def confirm_credit(
        self, request: pb.ConfirmCreditRequest, caller: Caller
    ) -> pb.ConfirmCreditResponse:
        """A brand's answer to an instruction."""
        partner_id = caller.require_partner()
        envelope = envelope_from_proto(request.confirmation)
        try:
            said = confirmation_from_payload(envelope.payload)
        except NoAnswer as fault:
            raise fault.refusal() from None
        claimed = await self._store.find((said.instruction_id, said.kind))
        registry = await self._registry.refresh()
        if claimed is None or registry.programs[claimed.instruction.program] != partner_id:
            raise unknown()
        asked = Asked(
            self._audience,
            partner_id,
            claimed.instruction.program,
            *claimed.key,
            claimed.instruction.points,
            looked_up=said.kind is Kind.CREDIT,
        )
        try:
            answer = verified_answer(
                envelope, asked, registry.keys.get, self._now(), request.fulfilment
            )
        except NoAnswer as fault:
            raise fault.refusal() from None
        refusal = await self._courier.take(claimed, answer)
        if refusal is not None:
            raise refusal
        return pb.ConfirmCreditResponse(state=await self.state_of(*claimed.key))

    async def list_deliveries(
        self, request: pb.ListDeliveriesRequest, caller: Caller
    ) -> pb.ListDeliveriesResponse:
        """Operators: what waits, the oldest first."""
        caller.require_operator()
        program = check_id(request.program, "program") if request.program else ""
        size = page_size(request.page_size)
        listed = f"deliveries {program} {request.in_doubt}".encode()
        end = page_end(caller.holder, listed, request.page_token)
        after = -1 if end is None else int(end)
        rows = await self._store.waiting(program, request.in_doubt, after, size + 1)
        following = ""
        if len(rows) > size:
            following = page_token(caller.holder, listed, str(rows[size - 1].log_index))
        return pb.ListDeliveriesResponse(
            deliveries=[wire.delivery_to_proto(each) for each in rows[:size]],
            next_page_token=following,
        )

    async def resolve_transfer(
        self, request: pb.ResolveTransferRequest, caller: Caller
    ) -> pb.ResolveTransferResponse:
        """Operators: end a reserved transfer by evidence that two have seen; or have a committed
        one booked back whose credit was not given.
        """
        caller.require_operator()
        transfer_id = uuid7(request.transfer_id, "transfer_id")
        if not 1 <= len(request.evidence) <= EVIDENCE_BYTES_MAX:
            raise Refused(
                Reason.FIELD_INVALID, "evidence", f"evidence has 1 to {EVIDENCE_BYTES_MAX:,} bytes"
            )
        if not _MEDIA_TYPE.fullmatch(request.evidence_type):
            raise Refused(Reason.FIELD_INVALID, "evidence_type", "give it as a media type")
        claimed = await self._store.find((transfer_id, Kind.CREDIT))
        if claimed is None or not isinstance(claimed.instruction, Credit):
            raise unknown()
        answer = resolution(claimed, request)
        if not await self._store.answered(claimed.key, answer):
            raise decided()
        # A crash here leaves the evidence, and whoever sweeps ends the transfer by it; where an
        # unsigned answer counted already, the operators' repeat ends it.
        refusal = await self._courier.book(claimed.answered(answer))
        if refusal is not None:
            raise refusal
        committed = request.credited or claimed.instruction.committed
        state = "COMMITTED" if committed else "ABORTED"
        return pb.ResolveTransferResponse(
            state=transfer_pb2.TransferState.Value(f"TRANSFER_STATE_{state}")
        )

    async def state_of(
        self, instruction_id: UUID, kind: Kind = Kind.CREDIT
    ) -> pb.DeliveryState.ValueType:
        """How far an instruction has come."""
        stands = await self._store.state_of((instruction_id, kind))
        return pb.DeliveryState.Value(f"DELIVERY_STATE_{stands}")

    async def fulfilment_for(self, transfer_id: UUID, partner_id: str) -> bytes:
        """What was given in place of points, sealed, where the partner is the source."""
        return await self._store.fulfilment(transfer_id, partner_id)


def resolution(claimed: Claimed, request: pb.ResolveTransferRequest) -> ProgramAnswer:
    """What the operators say in the program's place."""
    evidence = Evidence(request.evidence_type, request.evidence, "", b"")
    if request.credited:
        points = claimed.instruction.points
        return ProgramAnswer(CreditOutcome.DONE, points, evidence=evidence)
    return ProgramAnswer(CreditOutcome.DECLINED, reason=DeclineReason.OTHER, evidence=evidence)


def unknown() -> Refused:
    """The same for what does not exist and for what is another's."""
    return Refused(Reason.TRANSFER_UNKNOWN, "transfer_id", "there is no such instruction")


def decided() -> Refused:
    """Of what cannot be decided again."""
    return Refused(Reason.TRANSFER_STATE, "transfer_id", "the transfer was decided before")
