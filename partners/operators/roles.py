"""What an operator may do. Pure.

Source: docs/operations, "Operators and roles".
"""

from enum import StrEnum

from partners.errors import Reason, Refused


class Role(StrEnum):
    """One part of an operator's duties. Any role lets its holder read."""

    OPERATOR = "operator"
    """Partners, keys, windows, switches, other operators."""
    RATES = "rates"
    """Rates and prices."""
    FINANCE_MAKER = "finance-maker"
    """Prepares what moves money or caps."""
    FINANCE_CHECKER = "finance-checker"
    """Approves what a finance maker prepared."""
    AUDITOR = "auditor"
    """Reads everything, changes nothing."""


ALL_ROLES = frozenset(Role)


def require_role(role: Role, roles: frozenset[Role], whose: str = "you") -> None:
    """Raise Refused(ROLE_MISSING), naming the role, unless it is among these."""
    if role not in roles:
        raise Refused(
            Reason.ROLE_MISSING,
            "",
            f"this takes the role {role}, which was not given to {whose}",
            {"role": role.value},
        )
