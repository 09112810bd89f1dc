"""OperatorService: operators and their roles, and the life of partners. What changes them comes as
signed actions, and goes through the sequencer.
"""

from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from typing import Protocol

from partners.caller import Caller
from partners.certification import check_report, verify_report
from partners.commands import AddKey
from partners.envelope import KEY_EVENT, Envelope, check_shape, require_type, to_json
from partners.envelope import verify as verify_envelope
from partners.errors import Reason, Refused
from partners.key_checks import check_public_key
from partners.key_events import Registration
from partners.keys import Purpose, VerifyKey
from partners.life import LifeStep
from partners.operators.commands import ChangeRoles, MovePartner
from partners.operators.wire import operator_to_proto, report_from_payload, role_from_proto
from partners.points import check_id
from partners.registry import Registry
from partners.wire import envelope_from_proto, key_event_from_payload, partner_to_proto
from pointclear.partners.v1 import operator_service_pb2 as pb
from pointclear.partners.v1 import partners_service_pb2


class NewestRegistry(Protocol):
    """Where the newest snapshot comes from."""

    async def refresh(self) -> Registry:
        """The registry as the database has it now."""


class OperatorService:
    """The handlers. They raise Refused; the edge maps it to the wire."""

    def __init__(
        self,
        carry_out: Callable[[AddKey | ChangeRoles | MovePartner], Awaitable[object]],
        registry: NewestRegistry,
        audience: str,
        certifiers: Mapping[str, VerifyKey],
        now: Callable[[], datetime],
    ) -> None:
        """`carry_out` has the sequencer carry a command out; raises the Refused that answers it.
        `certifiers` are the keys whose certification reports count, by id.
        """
        self._carry_out = carry_out
        self._registry = registry
        self._audience = audience
        self._certifiers = certifiers
        self._now = now

    async def add_operator(
        self, request: pb.AddOperatorRequest, caller: Caller
    ) -> pb.AddOperatorResponse:
        """Add an operator with roles and a key.

        A crash between the two leaves an operator without a key, who cannot sign: sending the
        action again registers it.
        """
        cause = caller.require_action()
        name = check_id(request.operator.name, "operator.name")
        roles = frozenset(
            role_from_proto(role, "operator.roles") for role in request.operator.roles
        )
        if not roles:
            raise Refused(Reason.FIELD_INVALID, "operator.roles", "an operator has a role")
        key = operator_key(envelope_from_proto(request.key_event), name, self._audience)
        # The roles first: they are refused for an operator who is there already.
        await self._carry_out(ChangeRoles(name, str(cause), grant=roles, new=True))
        await self._carry_out(key)
        return pb.AddOperatorResponse(operator=await self._shown(name))

    async def grant_role(
        self, request: pb.GrantRoleRequest, caller: Caller
    ) -> pb.GrantRoleResponse:
        """Give a role."""
        cause = caller.require_action()
        name = check_id(request.operator, "operator")
        role = role_from_proto(request.role, "role")
        await self._carry_out(ChangeRoles(name, str(cause), grant=frozenset((role,))))
        return pb.GrantRoleResponse(operator=await self._shown(name))

    async def withdraw_role(
        self, request: pb.WithdrawRoleRequest, caller: Caller
    ) -> pb.WithdrawRoleResponse:
        """Take a role away."""
        cause = caller.require_action()
        name = check_id(request.operator, "operator")
        role = role_from_proto(request.role, "role")
        await self._carry_out(ChangeRoles(name, str(cause), withdraw=frozenset((role,))))
        return pb.WithdrawRoleResponse(operator=await self._shown(name))

    async def activate_partner(
        self, request: pb.ActivatePartnerRequest, caller: Caller
    ) -> pb.ActivatePartnerResponse:
        """A partner goes live."""
        report = ""
        if request.HasField("certification"):
            envelope = envelope_from_proto(request.certification)
            verify_report(envelope, self._certifiers)
            check_report(report_from_payload(envelope.payload), request.partner_id, self._now())
            report = to_json(envelope)
        partner = await self._moved(request.partner_id, LifeStep.ACTIVATE, caller, report)
        return pb.ActivatePartnerResponse(partner=partner)

    async def suspend_partner(
        self, request: pb.SuspendPartnerRequest, caller: Caller
    ) -> pb.SuspendPartnerResponse:
        """A live partner trades no more for now."""
        partner = await self._moved(request.partner_id, LifeStep.SUSPEND, caller)
        return pb.SuspendPartnerResponse(partner=partner)

    async def resume_partner(
        self, request: pb.ResumePartnerRequest, caller: Caller
    ) -> pb.ResumePartnerResponse:
        """A suspended partner trades again."""
        partner = await self._moved(request.partner_id, LifeStep.RESUME, caller)
        return pb.ResumePartnerResponse(partner=partner)

    async def exit_partner(
        self, request: pb.ExitPartnerRequest, caller: Caller
    ) -> pb.ExitPartnerResponse:
        """A partner leaves for good."""
        partner = await self._moved(request.partner_id, LifeStep.EXIT, caller)
        return pb.ExitPartnerResponse(partner=partner)

    async def list_operators(
        self, request: pb.ListOperatorsRequest, caller: Caller
    ) -> pb.ListOperatorsResponse:
        """All operators."""
        caller.require_operator()
        registry = await self._registry.refresh()
        return pb.ListOperatorsResponse(
            operators=[
                operator_to_proto(name, roles) for name, roles in sorted(registry.operators.items())
            ]
        )

    async def _moved(
        self, partner_id: str, step: LifeStep, caller: Caller, certification: str = ""
    ) -> partners_service_pb2.Partner:
        cause = caller.require_action()
        check_id(partner_id, "partner_id")
        await self._carry_out(MovePartner(partner_id, step, str(cause), certification))
        registry = await self._registry.refresh()
        partner = registry.partners[partner_id]
        return partner_to_proto(partner, registry.currencies[partner.currency].scale)

    async def _shown(self, name: str) -> pb.Operator:
        registry = await self._registry.refresh()
        return operator_to_proto(name, registry.operators[name])


def operator_key(envelope: Envelope, name: str, audience: str) -> AddKey:
    """The command that registers an operator's key, by an event that the key itself signed; raises
    Refused unless it proves possession.
    """
    check_shape(envelope)
    require_type(envelope, KEY_EVENT)
    event = key_event_from_payload(envelope.payload, audience)
    if (
        not isinstance(event, Registration)
        or event.holder != f"operator/{name}"
        or event.purpose is not Purpose.OPERATOR
    ):
        raise Refused(
            Reason.FIELD_INVALID,
            "key_event.holder",
            "the event registers a key of purpose OPERATOR for the operator's name",
        )
    check_public_key(event.public_key, "key_event.public_key")
    if [each.key_id for each in envelope.signatures] != [event.key_id]:
        raise Refused(Reason.POSSESSION_UNPROVEN, "signatures", "the new key signs its own event")
    verify_envelope(envelope, {event.key_id: VerifyKey.of(event.public_key)})
    return AddKey(
        event.holder,
        event.purpose.value,
        event.key_id,
        event.public_key,
        event.valid_from,
        event.valid_until,
        (),
        to_json(envelope).encode(),
    )
