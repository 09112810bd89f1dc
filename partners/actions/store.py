"""Reads actions from the database and keeps the answers to them. SQL is in `actions.sql`.

All functions take a psycopg2 connection in a transaction.
"""

import json
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from partners.envelope import OPERATOR_ACTION, Envelope, Signature
from partners.errors import Reason, Refused
from partners.queries import load_queries
from partners.store import utc

QUERIES = load_queries(Path(__file__).with_name("actions.sql"))


@dataclass(frozen=True, slots=True)
class StoredAction:
    """An action and what became of it."""

    action_id: UUID
    envelope: Envelope
    """With the checker's signature too, once it is approved."""
    two_person: bool
    log_index: int
    recorded_at: datetime
    checker: str
    """Empty where nobody has approved it."""
    approval_log_index: int
    approved_at: datetime | None
    ended_at: datetime | None
    response: bytes
    refusal: Refused | None
    request: bytes | None
    """None where it is not kept."""

    @property
    def is_approved(self) -> bool:
        """Whether it has the signatures that it needs."""
        return not self.two_person or self.approved_at is not None


def action(connection: Any, action_id: UUID) -> StoredAction | None:
    """One action, or None."""
    found = _actions(connection, str(action_id), -1, False, 1)
    return found[0] if found else None


def actions_after(
    connection: Any, log_index: int, actions_max: int, *, waiting_only: bool
) -> tuple[StoredAction, ...]:
    """The next actions after a log index, in the order of the log."""
    return _actions(connection, None, log_index, waiting_only, actions_max)


def keep_outcome(
    connection: Any, action_id: UUID, ended_at: datetime, response: bytes, refusal: Refused | None
) -> None:
    """Keep what an action came to; the first that was kept stands.

    A crash before the commit leaves the action approved: sending it again carries it out again,
    which changes nothing, and comes here once more.
    """
    QUERIES.end_action(
        connection,
        action_id=str(action_id),
        ended_at=ended_at,
        response=None if refusal else response,
        refused_reason=refusal.reason.value if refusal else None,
        refused_field=refusal.field if refusal else None,
        refused_text=refusal.text if refusal else None,
        refused_metadata=json.dumps(dict(refusal.metadata)) if refusal else None,
    )


def _actions(
    connection: Any, action_id: str | None, after: int, waiting_only: bool, actions_max: int
) -> tuple[StoredAction, ...]:
    rows = QUERIES.actions(
        connection,
        action_id=action_id,
        after_log_index=after,
        waiting_only=waiting_only,
        actions_max=actions_max,
    )
    return tuple(_stored(row) for row in rows)


def _stored(row: Any) -> StoredAction:
    action_id, payload, key_id, signature, two_person, log_index, recorded_at = row[:7]
    checker, checker_key, checked, approval_index, approved_at = row[7:12]
    ended_at, response, reason, field, text, metadata, request = row[12:]
    signatures = [Signature(key_id, bytes(signature))]
    if checker:
        signatures.append(Signature(checker_key, bytes(checked)))
    return StoredAction(
        UUID(action_id),
        Envelope(OPERATOR_ACTION, bytes(payload), tuple(signatures)),
        two_person,
        log_index,
        utc(recorded_at),
        checker or "",
        approval_index or 0,
        utc(approved_at) if approved_at else None,
        utc(ended_at) if ended_at else None,
        bytes(response or b""),
        Refused(Reason(reason), field, text, json.loads(metadata or "{}")) if reason else None,
        None if request is None else bytes(request),
    )
