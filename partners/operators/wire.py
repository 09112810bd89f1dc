"""Between the wire's messages and operators as values."""

from collections.abc import Iterable

from partners.errors import Reason, Refused
from partners.operators.roles import Role
from pointclear.partners.v1 import operator_service_pb2 as pb


def role_from_proto(role: pb.Role.ValueType, field: str) -> Role:
    """The role; raises Refused(FIELD_INVALID) when it is not stated."""
    name = pb.Role.Name(role).removeprefix("ROLE_") if role in pb.Role.values() else ""
    if name not in Role.__members__:
        raise Refused(Reason.FIELD_INVALID, field, "the role is not stated")
    return Role[name]


def operator_to_proto(name: str, roles: Iterable[Role]) -> pb.Operator:
    """An operator as the wire shows it, roles in the order of their declaration."""
    held = frozenset(roles)
    shown = [pb.Role.Value(f"ROLE_{role.name}") for role in Role if role in held]
    return pb.Operator(name=name, roles=shown)
