"""What both parts of the calls about reconciliation are asked by: whose, and which by its name."""

import re

from partners.caller import Caller
from partners.errors import Reason, Refused
from settlement.calls import partner_asked_for


def numbered(name: str, letter: str, field: str) -> int:
    """The number in a name such as `R3`."""
    match = re.fullmatch(rf"{letter}([1-9]\d{{0,8}})", name)
    if match is None:
        raise Refused(Reason.FIELD_INVALID, field, f"give it as {letter} and a number")
    return int(match.group(1))


def whose(partner_id: str, caller: Caller) -> str:
    """The partner in question; others are answered as if they had nothing."""
    text = "there is no such thing"
    return partner_asked_for(partner_id, caller, Reason.RECONCILIATION_UNKNOWN, text)
