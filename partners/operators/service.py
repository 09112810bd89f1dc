"""OperatorService: operators and their roles. What changes them comes as signed actions, and goes
through the sequencer.
"""

from collections.abc import Awaitable, Callable
from typing import Protocol

from partners.caller import Caller
from partners.commands import AddKey
from partners.envelope import KEY_EVENT, Envelope, check_shape, require_type, to_json
from partners.envelope import verify as verify_envelope
from partners.errors import Reason, Refused
from partners.key_checks import check_public_key
from partners.key_events import Registration
from partners.keys import Purpose, VerifyKey
from partners.operators.commands import ChangeRoles
from partners.operators.wire import operator_to_proto, role_from_proto
from partners.points import check_id
from partners.registry import Registry
from partners.wire import envelope_from_proto, key_event_from_payload
from pointclear.partners.v1 import operator_service_pb2 as pb


class NewestRegistry(Protocol):
    """Where the newest snapshot comes from."""

    async def refresh(self) -> Registry:
        """The registry as the database has it now."""


class OperatorService:
    """The handlers. They raise Refused; the edge maps it to the wire."""

    def __init__(
        self,
        carry_out: Callable[[AddKey | ChangeRoles], Awaitable[object]],
        registry: NewestRegistry,
        audience: str,
    ) -> None:
        """`carry_out` has the sequencer carry a command out; raises the Refused that answers it."""
        self._carry_out = carry_out
        self._registry = registry
        self._audience = audience

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
