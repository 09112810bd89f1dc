"""What operators did, and what they may do."""

from datetime import datetime
from typing import Any

from exchange.outcomes import RolesChanged
from exchange.store.queries import QUERIES
from partners.actions import store as actions
from partners.actions.commands import ApproveAction, ProposeAction


def write_action(
    connection: Any, signed: ProposeAction | ApproveAction, log_index: int, recorded_at: datetime
) -> None:
    """An operator's action, or the approval of one."""
    action_id = str(signed.action.action_id)
    if isinstance(signed, ApproveAction):
        actions.QUERIES.approve(
            connection,
            action_id=action_id,
            maker=signed.maker.operator,
            checker=signed.checker.operator,
            key_id=signed.checker.key_id,
            signature=signed.checker.signature,
            log_index=log_index,
            recorded_at=recorded_at,
        )
        return
    actions.QUERIES.propose(
        connection,
        action_id=action_id,
        maker=signed.maker.operator,
        method=signed.action.method,
        payload=signed.action.payload,
        key_id=signed.maker.key_id,
        signature=signed.maker.signature,
        two_person=signed.two_person,
        log_index=log_index,
        recorded_at=recorded_at,
    )
    if signed.request is not None:
        actions.QUERIES.keep_request(connection, action_id=action_id, request=signed.request)


def write_roles(connection: Any, changed: RolesChanged, log_index: int) -> None:
    """The roles that an operator has from now on."""
    QUERIES.write_roles(
        connection,
        operator=changed.operator,
        roles=sorted(changed.roles),
        log_index=log_index,
    )
