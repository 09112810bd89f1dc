"""The calls about partners' bank accounts.

A partner's signed event is kept first; two operators let it in; a cooling time later it is where
the partner is paid. Each is an entry of its own, so a repeat changes nothing.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from exchange.commands import Book
from partners.caller import Caller
from partners.envelope import SETTLEMENT_ACCOUNT, Envelope, payload_digest
from partners.errors import Reason, Refused
from partners.points import check_id
from partners.wire import envelope_from_proto
from pointclear.settlement.v1 import account_pb2 as pb
from settlement.accounts.account import AccountEvent
from settlement.accounts.store import Payee, approval, payees, refusal, submission, versions_of
from settlement.accounts.versions import (
    AccountVersion,
    check_approvable,
    check_next,
    check_refusable,
    state_of,
)
from settlement.accounts.wire import event_from_payload, version_message
from settlement.calls import partner_listed
from settlement.course import Course
from settlement.schemes.scheme import scheme_of
from settlement.signed import check_signed_by


class AccountCalls:
    """The handlers. They raise Refused; the edge maps it to the wire."""

    def __init__(self, course: Course, audience: str, now: Callable[[], datetime]) -> None:
        self._course = course
        self._audience = audience
        self._now = now

    async def submit_settlement_account(
        self, request: pb.SubmitSettlementAccountRequest, caller: Caller
    ) -> pb.SubmitSettlementAccountResponse:
        """A partner: keep its signed event. Nothing is paid there before it is approved."""
        envelope = envelope_from_proto(request.event)

        def read(connection: Any) -> Book | None:
            event = self._verified(connection, envelope, caller)
            payee = _payee(connection, event.partner_id)
            if payee.currency != event.currency:
                raise Refused(
                    Reason.FIELD_INVALID, "currency", f"you settle in {payee.currency}, and only so"
                )
            known = versions_of(connection, payee, self._audience)
            if any(each.sha256 == payload_digest(envelope) for each in known):
                return None
            check_next(event, known)
            return submission(event, envelope, payee.number)

        await self._course.book_due(read)
        event = event_from_payload(envelope.payload, self._audience)
        shown = await self._shown(event.partner_id, event.version)
        return pb.SubmitSettlementAccountResponse(account=shown)

    def _verified(self, connection: Any, envelope: Envelope, caller: Caller) -> AccountEvent:
        """The event in an envelope that the caller signed with a key in force; raises Refused."""
        # A key that is revoked just now is seen again when the version would take effect.
        now = self._now()
        check_signed_by(connection, envelope, SETTLEMENT_ACCOUNT, caller, self._audience, now)
        event = event_from_payload(envelope.payload, self._audience)
        if caller.holder != f"partner/{event.partner_id}":
            raise Refused(Reason.SIGNER_NOT_CALLER, "signatures", "the account is another's")
        return event

    async def approve_settlement_account(
        self, request: pb.ApproveSettlementAccountRequest, caller: Caller
    ) -> pb.ApproveSettlementAccountResponse:
        """Operators: let the newest version in; its cooling time begins."""
        caller.require_operator()

        def read(connection: Any) -> Book | None:
            payee, version, known = self._named(connection, request.partner_id, request.version)
            if version.sha256 != request.sha256:
                raise Refused(
                    Reason.FIELD_INVALID, "sha256", "that is not the digest of what was submitted"
                )
            if version.approval is not None and version.refused_at is None:
                return None
            check_approvable(version, known, self._now())
            hours = scheme_of(connection, payee.currency).account_cooling_hours
            return approval(version, payee.number, timedelta(hours=hours))

        await self._course.book_due(read)
        shown = await self._shown(request.partner_id, request.version)
        return pb.ApproveSettlementAccountResponse(account=shown)

    async def refuse_settlement_account(
        self, request: pb.RefuseSettlementAccountRequest, caller: Caller
    ) -> pb.RefuseSettlementAccountResponse:
        """Operators: stop a version that is not in effect yet."""
        caller.require_operator()

        def read(connection: Any) -> Book | None:
            payee, version, known = self._named(connection, request.partner_id, request.version)
            if version.refused_at is not None:
                return None
            check_refusable(version, known, self._now())
            return refusal(version, payee.number)

        await self._course.book_due(read)
        shown = await self._shown(request.partner_id, request.version)
        return pb.RefuseSettlementAccountResponse(account=shown)

    async def list_settlement_accounts(
        self, request: pb.ListSettlementAccountsRequest, caller: Caller
    ) -> pb.ListSettlementAccountsResponse:
        """Every version: a partner's own, for an operator anyone's."""
        wanted = partner_listed(request.partner_id, caller)

        def read(connection: Any) -> list[pb.SettlementAccountVersion]:
            found = payees(connection, wanted or None)
            if wanted and not found:
                raise Refused(Reason.PARTNER_UNKNOWN, "partner_id", f"there is no {wanted}")
            now = self._now()
            shown = []
            for payee in found:
                known = versions_of(connection, payee, self._audience)
                shown += [version_message(each, state_of(each, known, now)) for each in known]
            return shown

        return pb.ListSettlementAccountsResponse(accounts=await self._course.read(read))

    def _named(
        self, connection: Any, partner_id: str, version: int
    ) -> tuple[Payee, AccountVersion, tuple[AccountVersion, ...]]:
        """A partner, one version of its account, and all versions; raises Refused."""
        payee = _payee(connection, check_id(partner_id, "partner_id"))
        known = versions_of(connection, payee, self._audience)
        for each in known:
            if each.event.version == version:
                return payee, each, known
        raise Refused(
            Reason.FIELD_INVALID, "version", f"{partner_id} has submitted no version {version}"
        )

    async def _shown(self, partner_id: str, version: int) -> pb.SettlementAccountVersion:
        def read(connection: Any) -> pb.SettlementAccountVersion:
            _, named, known = self._named(connection, partner_id, version)
            return version_message(named, state_of(named, known, self._now()))

        return await self._course.read(read)


def _payee(connection: Any, partner_id: str) -> Payee:
    for payee in payees(connection, partner_id):
        return payee
    raise Refused(Reason.PARTNER_UNKNOWN, "partner_id", f"there is no partner {partner_id}")
