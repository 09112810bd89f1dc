"""A confirmation as JSON, for brands whose system speaks HTTP. Pure.

The members are those of the `CreditConfirmation` message. Ids of instructions are UUIDs in lower
case, digests hex digits, times RFC 3339. Points are decimal digits in a string: most readers of
JSON hold a number as a float, which has no more than 53 bits.

A member that is not listed is refused, and so is a name that occurs twice: what a brand says is
kept as evidence, and nothing may come along with it.
"""

import json
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, TypeVar
from uuid import UUID

from partners.confirmations.confirmation import Confirmation, NoAnswer
from partners.points import POINTS_MAX
from partners.program_port import CreditOutcome, DeclineReason, Fault, InstructionKind

JSON_BYTES_MAX = 16 * 1024
"""No answer of a brand is larger."""

_REQUIRED = frozenset(
    ("audience", "partner_id", "instruction_id", "kind", "program", "outcome", "decided_at")
)
_OPTIONAL = frozenset(("points", "reason", "program_reference", "fulfilment_sha256"))
_POINTS = re.compile(r"0|[1-9][0-9]{0,18}")
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?(Z|[+-]\d\d:\d\d)")

_Name = TypeVar("_Name", bound=StrEnum)


def to_json(value: Mapping[str, object]) -> bytes:
    """An object on one line, in ASCII."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=True).encode()


def confirmation_json(said: Confirmation) -> bytes:
    """What a brand answers with; members that say nothing are left out."""
    members: dict[str, object] = {
        "audience": said.audience,
        "partner_id": said.partner_id,
        "instruction_id": str(said.instruction_id),
        "kind": said.kind,
        "program": said.program,
        "outcome": said.outcome,
        "decided_at": time_text(said.decided_at),
    }
    if said.outcome is CreditOutcome.DONE:
        members["points"] = str(said.points)
    if said.reason is not None:
        members["reason"] = said.reason
    if said.program_reference:
        members["program_reference"] = said.program_reference
    if said.fulfilment_sha256:
        members["fulfilment_sha256"] = said.fulfilment_sha256.hex()
    return to_json(members)


def confirmation_from_json(body: bytes) -> Confirmation:
    """What verified bytes say; raises NoAnswer for what is no confirmation."""
    members = members_of(body, _REQUIRED, _OPTIONAL)
    return Confirmation(
        text_of(members, "audience"),
        text_of(members, "partner_id"),
        _read(members, "instruction_id", _UUID, UUID, Fault.INSTRUCTION_WRONG),
        name_of(members, "kind", InstructionKind, Fault.INSTRUCTION_WRONG),
        text_of(members, "program"),
        name_of(members, "outcome", CreditOutcome, Fault.OUTCOME_UNKNOWN),
        _read(members, "decided_at", _TIME, _time, Fault.MALFORMED),
        points_of(members) if "points" in members else 0,
        (
            name_of(members, "reason", DeclineReason, Fault.REASON_WRONG)
            if "reason" in members
            else None
        ),
        text_of(members, "program_reference") if "program_reference" in members else "",
        (
            _read(members, "fulfilment_sha256", _SHA256, bytes.fromhex, Fault.FULFILMENT_WRONG)
            if "fulfilment_sha256" in members
            else b""
        ),
    )


def members_of(
    body: bytes, required: frozenset[str], optional: frozenset[str] = frozenset()
) -> Mapping[str, object]:
    """The members of an object that has all of `required` and no others than these and `optional`;
    raises NoAnswer(MALFORMED).
    """
    if len(body) > JSON_BYTES_MAX:
        raise NoAnswer(Fault.MALFORMED, "", f"more than {JSON_BYTES_MAX} bytes")
    try:
        document = json.loads(body.decode("utf-8"), object_pairs_hook=_each_name_once)
    except (ValueError, RecursionError):
        raise NoAnswer(Fault.MALFORMED, "", "this is not JSON with each name once") from None
    if not isinstance(document, dict):
        raise NoAnswer(Fault.MALFORMED, "", "this is no JSON object")
    if missing := required - document.keys():
        raise NoAnswer(Fault.MALFORMED, min(missing), "is missing")
    if document.keys() - required - optional:
        # Not named: it is the brand's text, and may be anything.
        raise NoAnswer(Fault.MALFORMED, "", "there is a member that this answer does not have")
    return document


def text_of(members: Mapping[str, object], name: str, fault: Fault = Fault.MALFORMED) -> str:
    """A string member; raises NoAnswer."""
    value = members[name]
    if not isinstance(value, str):
        raise NoAnswer(fault, name, "is not a string")
    return value


def name_of(members: Mapping[str, object], name: str, kind: type[_Name], fault: Fault) -> _Name:
    """A member whose value is one of a list; raises NoAnswer(fault)."""
    known = kind.__members__.get(text_of(members, name, fault))
    if known is None:
        raise NoAnswer(fault, name, f"is not one of {', '.join(kind)}")
    return known


def points_of(members: Mapping[str, object], name: str = "points") -> int:
    """Points, not negative; raises NoAnswer(POINTS_WRONG)."""
    points = _read(members, name, _POINTS, int, Fault.POINTS_WRONG)
    if points > POINTS_MAX:
        raise NoAnswer(Fault.POINTS_WRONG, name, f"is more than {POINTS_MAX}")
    return points


def time_text(moment: datetime) -> str:
    """RFC 3339 in UTC."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


_Value = TypeVar("_Value")


def _read(
    members: Mapping[str, object],
    name: str,
    form: re.Pattern[str],
    read: Callable[[str], _Value],
    fault: Fault,
) -> _Value:
    text = text_of(members, name, fault)
    try:
        if not form.fullmatch(text):
            raise ValueError
        return read(text)
    except (ValueError, OverflowError):  # Of the right form, yet no such day or hour.
        raise NoAnswer(fault, name, "does not have its form") from None


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


def _each_name_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):
        raise ValueError("a name occurs twice")
    return members
