"""What the calls of all rooms share: whose papers a caller may ask for, and how files go out."""

from collections.abc import Iterator

from partners.caller import Caller
from partners.errors import Reason, Refused
from partners.points import check_id

CHUNK_BYTES_MAX = 60 * 1024
"""Of a file, so that a message with one stays below 64 KiB."""


def partner_asked_for(partner_id: str, caller: Caller, unknown: Reason, text: str) -> str:
    """The partner whose papers are asked for: the one that an operator names, or the caller itself.
    Others' are answered by `unknown` and its text, as if they did not exist.
    """
    if caller.is_operator:
        if not partner_id:
            raise Refused(Reason.FIELD_INVALID, "partner_id", "an operator names the partner")
        return check_id(partner_id, "partner_id")
    if partner_id not in ("", caller.name):
        raise Refused(unknown, "partner_id", text)
    return caller.name


def partner_listed(partner_id: str, caller: Caller) -> str:
    """The partner whose things are listed; empty for an operator who asks for everybody's."""
    if partner_id:
        check_id(partner_id, "partner_id")
    if caller.is_operator:
        return partner_id
    if partner_id not in ("", caller.name):
        raise Refused(Reason.PARTNER_UNKNOWN, "partner_id", f"there is no {partner_id}")
    return caller.name


def chunks_of(content: bytes) -> Iterator[bytes]:
    """A file, or a part of one, as messages carry it."""
    for start in range(0, len(content), CHUNK_BYTES_MAX):
        yield content[start : start + CHUNK_BYTES_MAX]
