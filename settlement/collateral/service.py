"""The calls about collateral.

A partner's signed request is kept; two operators let it go or refuse it. Each is an entry of its
own, and of two that decide at once the log's first counts: so a repeat changes nothing, and a crash
leaves a request that is decided or is not.
"""

import asyncio
from collections.abc import Callable
from datetime import datetime
from typing import Any

from exchange.commands import Book, Fact
from partners.caller import Caller
from partners.envelope import (
    COLLATERAL_WITHDRAWAL,
    ENVELOPE_BODY,
    Envelope,
    payload_digest,
    to_json,
)
from partners.errors import Reason, Refused
from partners.wire import envelope_from_proto
from pointclear.settlement.v1 import collateral_pb2 as pb
from settlement.calls import partner_listed
from settlement.collateral.movements import (
    REQUESTED,
    Depositor,
    recall_entry,
    refusal_entry,
    withdrawal_entry,
)
from settlement.collateral.store import depositor, depositors, movements, standing, withdrawals
from settlement.collateral.wire import (
    collateral_message,
    request_from_payload,
    withdrawal_id_of,
    withdrawal_message,
)
from settlement.collateral.withdrawal import (
    Request,
    Withdrawal,
    WithdrawalState,
    check_free,
    require_state,
)
from settlement.course import Course
from settlement.facts import entries_of
from settlement.payouts.store import file_with
from settlement.signed import check_signed_by

Found = tuple[Depositor, Withdrawal]


class CollateralCalls:
    """The handlers. They raise Refused; the edge maps it to the wire."""

    def __init__(self, course: Course, audience: str, now: Callable[[], datetime]) -> None:
        self._course = course
        self._audience = audience
        self._now = now

    async def request_withdrawal(
        self, request: pb.RequestWithdrawalRequest, caller: Caller
    ) -> pb.RequestWithdrawalResponse:
        """A partner: keep its signed request. Nothing moves before two operators let it go."""
        envelope = envelope_from_proto(request.withdrawal)
        asked, entry = await self._course.read(self._request_entry, envelope, caller)
        if entry is not None:
            await self._course.book(entry)
        _, withdrawal = await self._course.read(self._named, asked.withdrawal_id)
        return pb.RequestWithdrawalResponse(withdrawal=withdrawal_message(withdrawal))

    def _request_entry(
        self, connection: Any, envelope: Envelope, caller: Caller
    ) -> tuple[Request, Book | None]:
        """What is asked for, and the entry that keeps it; None for the entry where it is kept."""
        check_signed_by(
            connection, envelope, COLLATERAL_WITHDRAWAL, caller, self._audience, self._now()
        )
        asked = request_from_payload(envelope.payload, self._audience)
        if caller.holder != f"partner/{asked.partner_id}":
            raise Refused(Reason.SIGNER_NOT_CALLER, "signatures", "the collateral is another's")
        of = depositor(connection, asked.partner_id)
        if of.currency != asked.currency:
            raise Refused(
                Reason.FIELD_INVALID, "currency", f"you settle in {of.currency}, and only so"
            )
        known = withdrawals(connection, of, self._read_payload)
        for each in known:
            if each.request.withdrawal_id == asked.withdrawal_id:
                if each.sha256 != payload_digest(envelope):
                    raise Refused(
                        Reason.MODIFIED_REQUEST,
                        "withdrawal_id",
                        "this id was used before with other content",
                    )
                return asked, None
        check_free(asked.amount, standing(connection, of).free)
        return asked, Book(
            f"collateral-withdrawal/{asked.withdrawal_id}",
            ENVELOPE_BODY,
            to_json(envelope).encode(),
            facts=(Fact(REQUESTED, of.currency, of.number, None, asked.withdrawal_id),),
        )

    async def approve_withdrawal(
        self, request: pb.ApproveWithdrawalRequest, caller: Caller
    ) -> pb.ApproveWithdrawalResponse:
        """Operators: let a withdrawal go, if the collateral covers nothing."""
        caller.require_operator()
        name = str(withdrawal_id_of(request.withdrawal_id))

        def read(connection: Any) -> Book | None:
            of, withdrawal = self._named(connection, name)
            if withdrawal.sha256 != request.sha256:
                raise Refused(
                    Reason.FIELD_INVALID, "sha256", "that is not the digest of what was asked for"
                )
            if withdrawal.state in (WithdrawalState.APPROVED, WithdrawalState.PAID):
                return None
            require_state(withdrawal, WithdrawalState.REQUESTED)
            amount = withdrawal.request.amount
            return withdrawal_entry(of, name, withdrawal.requested_index, amount)

        return pb.ApproveWithdrawalResponse(withdrawal=await self._decided(name, read))

    async def refuse_withdrawal(
        self, request: pb.RefuseWithdrawalRequest, caller: Caller
    ) -> pb.RefuseWithdrawalResponse:
        """Operators: refuse a withdrawal, or take back one that the bank has not made."""
        caller.require_operator()
        name = str(withdrawal_id_of(request.withdrawal_id))

        def read(connection: Any) -> Book | None:
            of, each = self._named(connection, name)
            if each.state is WithdrawalState.REFUSED:
                return None
            require_state(each, WithdrawalState.REQUESTED, WithdrawalState.APPROVED)
            if each.approved_index is None:
                return refusal_entry(of, name, each.requested_index)
            _check_in_no_file(connection, each)
            amount = each.request.amount
            return recall_entry(of, name, each.reference, amount, each.approved_index)

        async def decide() -> pb.Withdrawal:
            # In turn with pay-out files: what one of them tells the bank to pay is not taken back.
            async with self._course.settling():
                return await self._decided(name, read)

        # Shielded: a caller that goes away must not end the turn while its booking is queued.
        return pb.RefuseWithdrawalResponse(withdrawal=await asyncio.shield(decide()))

    async def _decided(self, name: str, read: Callable[[Any], Book | None]) -> pb.Withdrawal:
        await self._course.book_due(read)
        _, withdrawal = await self._course.read(self._named, name)
        return withdrawal_message(withdrawal)

    async def list_collateral(
        self, request: pb.ListCollateralRequest, caller: Caller
    ) -> pb.ListCollateralResponse:
        """Collateral: a partner's own, for an operator anyone's."""
        wanted = partner_listed(request.partner_id, caller)

        def read(connection: Any) -> list[pb.Collateral]:
            found = depositors(connection, wanted or None)
            if wanted and not found:
                raise Refused(Reason.PARTNER_UNKNOWN, "partner_id", f"there is no {wanted}")
            return [
                collateral_message(
                    each,
                    standing(connection, each),
                    movements(connection, each),
                    withdrawals(connection, each, self._read_payload),
                )
                for each in found
            ]

        return pb.ListCollateralResponse(collateral=await self._course.read(read))

    def _named(self, connection: Any, name: str) -> Found:
        """A withdrawal and whose it is; raises Refused(WITHDRAWAL_UNKNOWN)."""
        for entry in entries_of(connection, REQUESTED, subject=name):
            for of in depositors(connection):
                if of.number == entry.fact.partner_number:
                    for each in withdrawals(connection, of, self._read_payload):
                        if each.request.withdrawal_id == name:
                            return of, each
        raise Refused(
            Reason.WITHDRAWAL_UNKNOWN, "withdrawal_id", f"nobody has asked for a withdrawal {name}"
        )

    def _read_payload(self, payload: bytes) -> Request:
        return request_from_payload(payload, self._audience)


def _check_in_no_file(connection: Any, withdrawal: Withdrawal) -> None:
    """Raise Refused(LEG_STATE) where a pay-out file has told the bank to make a withdrawal."""
    file = file_with(connection, withdrawal.reference)
    if file is not None:
        raise Refused(
            Reason.LEG_STATE,
            "withdrawal_id",
            f"the bank was told to pay {withdrawal.reference} by {file.message_id}: only what it"
            " rejected can be taken back; see the collateral account's pay-out files",
        )
