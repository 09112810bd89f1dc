"""The calls between a closed window and its payments: drafts, counter-signatures, disputes, aborts
and unwinds.

A dispute and an acceptance take the settlement's turn, so that one of them is first.
"""

import asyncio
from collections.abc import Callable
from datetime import datetime
from typing import Any
from uuid import UUID

from exchange.seal import PayloadKind
from exchange.signing import sign_entry
from partners.actions.verification import check_free_text
from partners.caller import Caller
from partners.envelope import (
    DISPUTE,
    STATEMENT_ACKNOWLEDGEMENT,
    Envelope,
)
from partners.errors import Reason, Refused
from partners.points import check_id, currency_scale
from partners.signers import Signers
from partners.wire import envelope_from_proto, envelope_to_proto, time_to_proto
from pointclear.settlement.v1 import approval_pb2 as pb
from settlement import facts, store
from settlement.approval.acceptance import ACCEPTED, ACKNOWLEDGED
from settlement.approval.accepting import clock, partners_with, payable
from settlement.approval.deciding import (
    acknowledgement_of,
    dispute_of,
    held_under,
    is_open,
    taken_out,
    unknown,
    withdrawal_of,
)
from settlement.approval.store import papers_of_line
from settlement.approval.wire import (
    acknowledged_from,
    dispute_message,
    disputed_from,
    draft_message,
)
from settlement.approval.withholding import (
    END_KIND,
    KIND,
    UNWIND,
    end_entry,
    withholding_from,
)
from settlement.course import Course
from settlement.signed import check_signed_by


class ApprovalCalls:
    """The handlers. They raise Refused; the edge maps it to the wire."""

    def __init__(
        self, course: Course, audience: str, signers: Signers, now: Callable[[], datetime]
    ) -> None:
        """`signers` holds the exchange's keys for receipts."""
        self._course = course
        self._audience = audience
        self._signers = signers
        self._now = now

    async def get_draft(self, request: pb.GetDraftRequest, caller: Caller) -> pb.GetDraftResponse:
        """How a closed window would be stated."""
        caller.require_operator()
        check_id(request.window_id, "window_id")
        return draft_message(*await self._course.draft(request.window_id))

    async def acknowledge_statement(
        self, request: pb.AcknowledgeStatementRequest, caller: Caller
    ) -> pb.AcknowledgeStatementResponse:
        """A partner counter-signs its statement."""
        envelope = envelope_from_proto(request.acknowledgement)
        await self._course.read(self._check_signed, envelope, STATEMENT_ACKNOWLEDGEMENT, caller)
        said = acknowledged_from(envelope.payload, self._audience)
        _check_own(said.partner_id, caller)

        async def acknowledge() -> None:
            async with self._course.settling():
                await self._course.book_due(acknowledgement_of, said, envelope)
            window = await self._course.read(store.window_named, said.window_id)
            await self._course.advance(window.currency.code)

        # Shielded: a caller that goes away must not end the turn while its bookings are queued.
        await asyncio.shield(acknowledge())
        return pb.AcknowledgeStatementResponse()

    async def dispute_lines(
        self, request: pb.DisputeLinesRequest, caller: Caller
    ) -> pb.DisputeLinesResponse:
        """A partner disputes lines, or withdraws a dispute of its own."""
        envelope = envelope_from_proto(request.dispute)
        await self._course.read(self._check_signed, envelope, DISPUTE, caller)
        said = disputed_from(envelope.payload, self._audience)
        _check_own(said.partner_id, caller)
        due = withdrawal_of if said.is_withdrawn else dispute_of
        await self._course.book_due_in_turn(due, said, envelope)
        return pb.DisputeLinesResponse(dispute=await self._shown(said.subject, caller))

    async def list_disputes(
        self, request: pb.ListDisputesRequest, caller: Caller
    ) -> pb.ListDisputesResponse:
        """What is withheld: all for an operator, what concerns it for a partner."""
        if request.currency:
            currency_scale(request.currency)

        def read(connection: Any) -> list[pb.Dispute]:
            currency = request.currency
            if not caller.is_operator:
                currency = store.currency_of(connection, caller.name)
            ended = {
                each.fact.subject
                for each in facts.entries_of(connection, END_KIND, currency=currency or None)
            }
            found = facts.entries_of(connection, KIND, currency=currency or None)
            return [
                dispute_message(held, each, _only(caller), is_ended=held.subject in ended)
                for each in found
                for held in (withholding_from(each.fact.subject, each.body, each.log_index),)
                if caller.is_operator or caller.name in held.parties
                if request.with_ended or held.subject not in ended
            ]

        return pb.ListDisputesResponse(disputes=await self._course.read(read))

    async def get_dispute(
        self, request: pb.GetDisputeRequest, caller: Caller
    ) -> pb.GetDisputeResponse:
        """One dispute with the receipts of its lines, a partner's own ones only."""

        def read(connection: Any) -> list[pb.DisputedPaper]:
            held = held_under(connection, request.subject)
            if not caller.is_operator and caller.name not in held.parties:
                raise unknown(request.subject)
            return [
                pb.DisputedPaper(
                    line_id=UUID(line.line_id).bytes,
                    partner_id=partner,
                    stream_seq=seq,
                    envelope=envelope_to_proto(
                        sign_entry(self._signers, PayloadKind(kind), payload)
                    ),
                )
                for line in held.lines
                if held.reason != UNWIND
                for partner, seq, kind, payload in papers_of_line(connection, line.line_id)
                if _only(caller) in ("", partner)
            ]

        papers = await self._course.read(read)
        return pb.GetDisputeResponse(
            dispute=await self._shown(request.subject, caller), papers=papers
        )

    async def end_dispute(
        self, request: pb.EndDisputeRequest, caller: Caller
    ) -> pb.EndDisputeResponse:
        """Two operators: decide a dispute, or give back what an unwind took out."""
        caller.require_operator()
        check_free_text(request.text, "text")
        if not request.outcome or request.outcome not in pb.DisputeOutcome.values():
            raise Refused(Reason.FIELD_INVALID, "outcome", "say how it is decided")
        outcome = pb.DisputeOutcome.Name(request.outcome).removeprefix("DISPUTE_OUTCOME_")

        async def end() -> None:
            async with self._course.settling():
                held = await self._course.read(held_under, request.subject)
                if await self._course.read(is_open, held):
                    await self._course.book(end_entry(held, outcome, request.text))

        await asyncio.shield(end())
        return pb.EndDisputeResponse(dispute=await self._shown(request.subject, caller))

    async def get_approval(
        self, request: pb.GetApprovalRequest, caller: Caller
    ) -> pb.GetApprovalResponse:
        """How far each statement of a window has come."""
        check_id(request.window_id, "window_id")

        def read(connection: Any) -> pb.GetApprovalResponse:
            window = store.window_named(connection, request.window_id)
            if not window.state.is_stated:
                return pb.GetApprovalResponse()
            acknowledged = partners_with(connection, window, ACKNOWLEDGED)
            accepted = partners_with(connection, window, ACCEPTED)
            statements = []
            for partner in store.partners_of(connection, window):
                stated = store.statement_of(connection, window.window_id, partner.partner_id)
                if stated is not None and _only(caller) in ("", partner.partner_id):
                    statements.append(
                        pb.StatementApproval(
                            partner_id=partner.partner_id,
                            version=stated.version,
                            is_acknowledged=partner.number in acknowledged,
                            is_accepted=partner.number in accepted,
                            withheld=stated.withheld,
                        )
                    )
            return pb.GetApprovalResponse(
                statements=statements,
                clock_ends_at=time_to_proto(clock(connection, window).ends_at),
                is_payable=payable(connection, window),
            )

        return await self._course.read(read)

    async def abort_window(
        self, request: pb.AbortWindowRequest, caller: Caller
    ) -> pb.AbortWindowResponse:
        """Two operators: hand what is not paid to the next settlement."""
        caller.require_operator()
        check_id(request.window_id, "window_id")
        check_free_text(request.reason, "reason")
        await asyncio.shield(self._course.abort(request.window_id, request.reason or "aborted"))
        return pb.AbortWindowResponse()

    async def unwind_partner(
        self, request: pb.UnwindPartnerRequest, caller: Caller
    ) -> pb.UnwindPartnerResponse:
        """Two operators: take a partner that does not pay out of a window."""
        caller.require_operator()
        check_id(request.window_id, "window_id")
        check_id(request.partner_id, "partner_id")

        async def unwind() -> str:
            async with self._course.settling():
                held, entry = await self._course.read(
                    taken_out, request.window_id, request.partner_id
                )
                if entry is not None:
                    await self._course.book(entry)
            # A crash here leaves the withholding: repeating the call states again.
            reason = f"{request.partner_id} was taken out: it has not paid"
            await self._course.restate(request.window_id, reason)
            return held.subject

        subject = await asyncio.shield(unwind())
        return pb.UnwindPartnerResponse(dispute=await self._shown(subject, caller))

    def _check_signed(
        self, connection: Any, envelope: Envelope, payload_type: str, caller: Caller
    ) -> None:
        check_signed_by(connection, envelope, payload_type, caller, self._audience, self._now())

    async def _shown(self, subject: str, caller: Caller) -> pb.Dispute:
        def read(connection: Any) -> pb.Dispute:
            held = held_under(connection, subject)
            (entry, *_) = facts.entries_of(connection, KIND, subject=subject)
            is_ended = not is_open(connection, held)
            return dispute_message(held, entry, _only(caller), is_ended=is_ended)

        return await self._course.read(read)


def _only(caller: Caller) -> str:
    """Whose figures a caller sees; empty for all."""
    return "" if caller.is_operator else caller.name


def _check_own(partner_id: str, caller: Caller) -> None:
    if caller.holder != f"partner/{partner_id}":
        raise Refused(Reason.SIGNER_NOT_CALLER, "partner_id", "you sign for yourself only")
