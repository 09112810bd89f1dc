"""What one envelope, or one public key file, proves by itself. Pure.

Says of each what could not be looked at: a receipt alone shows nothing about the stream around it.
"""

from exchange.cli.checks.archive import Report
from exchange.cli.checks.entry import NAMES, check_entry
from exchange.cli.checks.stated_lines import check_line_file
from exchange.cli.checks.statement import check_statement
from exchange.cli.checks.verification import (
    ORDERS,
    Broken,
    Fault,
    KeySet,
    check_order,
    compare,
    open_envelope,
    public_key_of,
)
from partners.envelope import SETTLEMENT_STATEMENT
from partners.keys import key_id_of


def check_document(
    place: str, text: str, keys: KeySet, line_place: str = "", line_file: bytes | None = None
) -> Report:
    """One envelope by itself: an order, a receipt, a notice, a statement and its lines."""
    try:
        kind = open_envelope(place, text, keys).payload_type
        if kind in ORDERS:
            revoked_index = check_order(place, text, keys).revoked_index
            if revoked_index is None:
                return Report(checked={"orders": 1})
            unseen = f"whether {place} came before its key was revoked at {revoked_index}"
            return Report(checked={"orders": 1}, not_checked=(f"{unseen}: its receipt says so",))
        if kind != SETTLEMENT_STATEMENT:
            entry = check_entry(place, text, keys)
            name = f"{NAMES[entry.role]}s"
            return Report(checked={name: 1}, not_checked=(f"the stream around {place}",))
        statement = check_statement(place, text, keys)
    except Broken as broken:
        return Report(broken.faults)
    unproven = (statement.unproven,) if statement.unproven else ()
    if line_file is None:
        around = (f"the line file and the stream of {place}", *unproven)
        return Report(checked={"statements": 1}, not_checked=around)
    lines, faults = check_line_file(statement, line_place, line_file)
    around = (f"the stream of {place}", *unproven)
    return Report(faults, {"statements": 1, "lines": len(lines or ())}, around)


def check_pem(place: str, key_id: str, content: bytes, keys: KeySet) -> tuple[Fault, ...]:
    """Whether a PEM file for other people's tools holds the very key that its name says."""
    if key_id not in keys:
        return (Fault(place, "is of a key that is not among the keys"),)
    try:
        found = key_id_of(public_key_of(content))
    except ValueError as error:
        return (Fault(place, f"is no Ed25519 public key ({error})"),)
    return tuple(compare(place, "key id", key_id, found))
