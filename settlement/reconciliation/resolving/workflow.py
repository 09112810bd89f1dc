"""What people do about breaks: who looks after one, what is said of it, how it ends.

Each step is one event and where the break stands after it, in one transaction. A step that was done
already and changes nothing leaves no second event, so a repeat is harmless.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from partners.errors import Reason, Refused
from settlement.reconciliation import store
from settlement.reconciliation.breaks import BreakState
from settlement.reconciliation.gathering import QUERIES, Own
from settlement.reconciliation.values import KeptBreak

TEXT_MAX = 2000
"""Characters of a comment or a reason."""
OWNER_MAX = 100


@dataclass(frozen=True, slots=True)
class Step:
    """Who does what to which break, and when."""

    own: Own
    number: int
    actor: str
    now: datetime


def assign(connection: Any, step: Step, owner: str) -> KeptBreak:
    """Say who looks after a break."""
    owner = _text(owner, "owner", OWNER_MAX, may_be_empty=True)
    found = _taken(connection, step)
    if found.owner != owner:
        QUERIES.assign_break(
            connection, partner_number=step.own.number, break_number=step.number, owner=owner
        )
        _tell(connection, step, "ASSIGNED", owner or "nobody")
    return store.break_numbered(connection, step.own, step.number)


def comment(connection: Any, step: Step, text: str) -> KeptBreak:
    """Say something about a break, closed or not."""
    text = _text(text, "text", TEXT_MAX)
    _taken(connection, step)
    _tell(connection, step, "COMMENTED", text)
    return store.break_numbered(connection, step.own, step.number)


def resolve(connection: Any, step: Step, text: str, journal: str, *, explained: bool) -> KeptBreak:
    """End a break as resolved, or keep it as explained. Raises Refused(BREAK_STATE) for a closed
    one.
    """
    state = BreakState.EXPLAINED if explained else BreakState.RESOLVED
    return _end(connection, step, state, text, journal)


def write_off(connection: Any, step: Step, text: str, journal: str) -> KeptBreak:
    """Leave a break as it is, for good. Raises Refused(BREAK_STATE) for a closed one."""
    return _end(connection, step, BreakState.WRITTEN_OFF, text, journal)


def _end(connection: Any, step: Step, state: BreakState, text: str, journal: str) -> KeptBreak:
    text = _text(text, "text", TEXT_MAX)
    found = _taken(connection, step)
    if journal and not store.is_entry(connection, journal):
        raise Refused(Reason.FIELD_INVALID, "journal", "no entry of this key is booked")
    if found.state is not state:
        if found.state.is_closed:
            raise Refused(
                Reason.BREAK_STATE, "break_id", f"the break is {found.state} and cannot be {state}"
            )
        QUERIES.move_break(
            connection,
            partner_number=step.own.number,
            break_number=step.number,
            state=state.value,
            category=None,
            now=step.now,
        )
        _tell(connection, step, state.value, text, journal)
    return store.break_numbered(connection, step.own, step.number)


def _taken(connection: Any, step: Step) -> KeptBreak:
    """The break, which nobody else changes until this transaction ends."""
    QUERIES.take_turn(connection, partner_number=step.own.number)
    return store.break_numbered(connection, step.own, step.number)


def _tell(connection: Any, step: Step, kind: str, text: str, journal: str = "") -> None:
    events = store.events_of(connection, step.own, step.number)
    newest = events[-1]
    if (newest.actor, newest.kind, newest.text) == (step.actor, kind, text):
        return
    QUERIES.keep_event(
        connection,
        partner_number=step.own.number,
        break_number=step.number,
        now=step.now,
        actor=step.actor,
        kind=kind,
        text=text,
        journal=journal,
    )


def _text(text: str, field: str, characters_max: int, *, may_be_empty: bool = False) -> str:
    text = text.strip()
    if len(text) > characters_max or not (text or may_be_empty):
        raise Refused(Reason.FIELD_INVALID, field, f"1 to {characters_max:,} characters are due")
    if any(not each.isprintable() and each not in "\n\t" for each in text):
        raise Refused(Reason.FIELD_INVALID, field, "control characters have no place here")
    return text
