"""The calls about balances: the exchange signs what the books say, the partner signs the same
bytes. They raise Refused.
"""

import asyncio
from dataclasses import replace
from typing import Any

from partners import envelope as dsse
from partners.caller import Caller
from partners.envelope import BALANCE_CONFIRMATION, Envelope, from_json
from partners.errors import Reason, Refused
from partners.key_events import EXCHANGE
from partners.keys import Purpose
from partners.points import check_id
from partners.signers import Signers
from partners.store import utc
from partners.wire import envelope_from_proto, envelope_to_proto, time_to_proto
from pointclear.settlement.v1 import month_pb2 as pb
from settlement import store as windows_store
from settlement.course import Course
from settlement.facts import Entry
from settlement.month import store, wire
from settlement.month.balances import Balance, balance_of, confirmation_entry, confirmed_by
from settlement.month.period import Period
from settlement.signed import check_signed_by


class ConfirmingCalls:
    """The handlers."""

    def __init__(self, course: Course, audience: str, signers: Signers) -> None:
        """`signers` holds the exchange's keys for statements."""
        self._course = course
        self._audience = audience
        self._signers = signers

    async def get_balance_confirmation(
        self, request: pb.GetBalanceConfirmationRequest, caller: Caller
    ) -> pb.GetBalanceConfirmationResponse:
        """What the books say of a partner at the end of a month, signed."""
        partner_id = _whose(request.partner_id, caller)
        month = Period.of_month(request.month, "month")
        confirmed = await self._course.read(confirmation_of, partner_id, month)
        if confirmed is not None:
            return pb.GetBalanceConfirmationResponse(
                confirmation=envelope_to_proto(from_json(confirmed.body.decode())),
                is_confirmed=True,
                confirmed_at=time_to_proto(utc(confirmed.recorded_at)),
            )
        balance = await self._course.read(balance_of, partner_id, month)
        key_id = await self._course.signing_key_id()
        signed = await self._signed(wire.balance_payload(balance, self._audience, key_id), key_id)
        return pb.GetBalanceConfirmationResponse(confirmation=envelope_to_proto(signed))

    async def confirm_balance(
        self, request: pb.ConfirmBalanceRequest, caller: Caller
    ) -> pb.ConfirmBalanceResponse:
        """A partner: sign the exchange's own bytes."""
        if caller.is_operator:
            raise Refused(Reason.NOT_A_PARTY, "", "a balance is its partner's to confirm")
        envelope = envelope_from_proto(request.confirmation)
        named, key_id = await self._course.read(self._verified, envelope, caller)
        month = Period.of_month(named, "month")
        balance = await self._course.read(balance_of, caller.name, month)
        if wire.balance_payload(balance, self._audience, key_id) != envelope.payload:
            raise Refused(
                Reason.FIELD_INVALID,
                "confirmation",
                "that is not what the exchange states: sign the bytes that it gave you",
            )
        return await self._booked(balance, envelope, key_id)

    async def _booked(
        self, balance: Balance, envelope: Envelope, key_id: str
    ) -> pb.ConfirmBalanceResponse:
        """Book the confirmation, unless the partner has confirmed the month before."""
        month = Period.of_month(balance.month)
        confirmed = await self._course.read(confirmation_of, balance.partner_id, month)
        if confirmed is None:
            number = await self._course.read(store.number_of, balance.currency, balance.partner_id)
            signed = await self._signed(envelope.payload, key_id)
            whole = replace(signed, signatures=(*signed.signatures, *envelope.signatures))
            booked = await self._course.book(confirmation_entry(balance, number, whole))
            return pb.ConfirmBalanceResponse(log_index=booked.log_index)
        return pb.ConfirmBalanceResponse(log_index=confirmed.log_index)

    def _verified(self, connection: Any, envelope: Envelope, caller: Caller) -> tuple[str, str]:
        """The month, and the exchange's key, of a payload that the caller signed with a key in
        force.
        """
        registry = check_signed_by(
            connection, envelope, BALANCE_CONFIRMATION, caller, self._audience, self._course.now()
        )
        month, key_id = wire.stated_balance(envelope.payload)
        own = registry.keys.get(key_id)
        if own is None or (own.holder, own.purpose) != (EXCHANGE, Purpose.STATEMENTS):
            raise Refused(
                Reason.FIELD_INVALID, "signing_key_id", "that is no key of the exchange's"
            )
        return month, key_id

    async def _signed(self, payload: bytes, key_id: str) -> Envelope:
        signer = self._signers.named(Purpose.STATEMENTS, key_id)
        return await asyncio.to_thread(dsse.sign, signer, BALANCE_CONFIRMATION, payload)


def confirmation_of(connection: Any, partner_id: str, month: Period) -> Entry | None:
    """A partner's confirmation of a month, where it has confirmed."""
    currency = windows_store.currency_of(connection, partner_id)
    number = store.number_of(connection, currency, partner_id)
    return confirmed_by(connection, currency, month).get(number)


def _whose(partner_id: str, caller: Caller) -> str:
    if caller.is_operator:
        return check_id(partner_id, "partner_id")
    if partner_id not in ("", caller.name):
        raise Refused(Reason.PARTNER_UNKNOWN, "partner_id", "there is no such partner")
    return caller.name
