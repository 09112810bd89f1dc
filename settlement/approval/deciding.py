"""What an acknowledgement, a dispute, its withdrawal and an unwind would book: read from the books,
decided, and nothing written.
"""

import re
from collections.abc import Iterable
from typing import Any

from exchange.commands import Book
from partners.envelope import Envelope, to_json
from partners.errors import Reason, Refused
from settlement import facts, store
from settlement.approval.acceptance import ACCEPTED, ACKNOWLEDGED, acknowledgement_entry
from settlement.approval.accepting import partners_with
from settlement.approval.store import disputed_line, open_withholdings
from settlement.approval.unwinding import unwind_of
from settlement.approval.wire import Acknowledged, Disputed
from settlement.approval.withholding import (
    END_KIND,
    KIND,
    DisputedLine,
    Withholding,
    end_entry,
    withholding_entry,
    withholding_from,
)
from settlement.pairs.store import approved_draft
from settlement.windows import SettlementWindow, WindowState

_SUBJECT = re.compile(r"[a-z0-9/-]{1,200}")


def acknowledgement_of(connection: Any, said: Acknowledged, envelope: Envelope) -> Book | None:
    """What books a counter-signature; None where the partner has signed before."""
    window = store.window_named(connection, said.window_id)
    if store.statement_payload(connection, said.window_id, said.partner_id) is None:
        raise Refused(
            Reason.STATEMENT_UNKNOWN, "window_id", f"there is no such statement of {said.window_id}"
        )
    digest = store.statement_digest(connection, said.window_id, said.partner_id)
    partner = store.partner_named(connection, window, said.partner_id)
    if partner.number in partners_with(connection, window, ACKNOWLEDGED):
        return None
    if digest != said.statement_sha256:
        raise Refused(
            Reason.FIELD_INVALID,
            "statement_sha256",
            "that is not the digest of the newest version of the statement: fetch it again",
        )
    return acknowledgement_entry(window, partner.number, said.partner_id, to_json(envelope))


def dispute_of(connection: Any, said: Disputed, envelope: Envelope) -> Book | None:
    """What books a dispute; None for a repeat."""
    repeated = store.entry_body(connection, said.subject)
    if repeated is not None:
        booked = facts.entries_of(connection, KIND, subject=said.subject)
        held = withholding_from(said.subject, booked[0].body, 0)
        if held.partner_id != said.partner_id or {each.line_id for each in held.lines} != {
            str(each) for each in said.line_ids
        }:
            raise Refused(
                Reason.MODIFIED_REQUEST, "dispute_id", "this id has disputed something else"
            )
        return None
    currency = store.currency_of(connection, said.partner_id)
    open_ones = open_withholdings(connection, currency)
    lines = tuple(
        disputable(connection, str(each), said.partner_id, open_ones) for each in said.line_ids
    )
    number = store.partner_number(connection, said.partner_id)
    held = Withholding(said.subject, currency, said.partner_id, said.reason, said.comment, lines)
    return withholding_entry(held, number, to_json(envelope))


def disputable(
    connection: Any, line_id: str, partner_id: str, open_ones: Iterable[Withholding]
) -> DisputedLine:
    """A line that this partner may dispute now; raises Refused."""
    found = disputed_line(connection, line_id)
    # Another's line is answered as one that does not exist.
    if found is None or partner_id not in found[1].amounts:
        raise Refused(
            Reason.TRANSFER_UNKNOWN, "line_ids", f"you have no line {line_id} with money in it"
        )
    line = found[1]
    if any(each.withholds(line) for each in open_ones):
        raise Refused(Reason.ALREADY_EXISTS, "line_ids", f"{line_id} is withheld already")
    window = store.window_named(connection, line.window_id)
    number = store.partner_number(connection, partner_id)
    if window.state is WindowState.ABORTED or number in partners_with(connection, window, ACCEPTED):
        raise Refused(
            Reason.WINDOW_STATE,
            "line_ids",
            f"the statement of {line.window_id} counts as accepted: ask the operator for an"
            " adjustment, or the other brand for a reversal",
        )
    return line


def withdrawal_of(connection: Any, said: Disputed, envelope: Envelope) -> Book | None:
    """What books that a dispute is withdrawn; None where it has ended."""
    held = held_under(connection, said.subject)
    if held.partner_id != said.partner_id:
        raise unknown(said.subject)
    if not is_open(connection, held):
        return None
    return end_entry(held, "WITHDRAWN", "", to_json(envelope))


def taken_out(connection: Any, window_id: str, partner_id: str) -> tuple[Withholding, Book | None]:
    """What takes a partner out of a window; what books it, None for a repeat; raises Refused."""
    window: SettlementWindow = store.window_named(connection, window_id)
    if window.state is not WindowState.PENDING_SETTLEMENT:
        raise Refused(
            Reason.WINDOW_STATE,
            "window_id",
            f"{window_id} is {window.state}: a partner is taken out of what is stated and not"
            " settled",
        )
    check_unwindable(connection, window_id)
    partner = store.partner_named(connection, window, partner_id)
    names = {each.number: each.partner_id for each in store.partners_of(connection, window)}
    open_ones = open_withholdings(connection, window.currency.code)
    sums = store.window_sums(connection, window)
    held = unwind_of(window, partner.number, names, sums, open_ones)
    if store.entry_body(connection, held.subject) is not None:
        # What was withheld besides may have changed since.
        return held_under(connection, held.subject), None
    return held, withholding_entry(held, partner.number)


def check_unwindable(connection: Any, window_id: str) -> None:
    """Raise Refused(WINDOW_STATE) where partners pay each other: nobody is paid from another's
    money there, so there is nobody to take out.
    """
    draft = approved_draft(connection, window_id)
    if draft is not None and draft.pairs is not None:
        raise Refused(
            Reason.WINDOW_STATE,
            "window_id",
            f"the partners of {window_id} pay each other: abort it, and pairs carry what is not"
            " confirmed",
        )


def held_under(connection: Any, subject: str) -> Withholding:
    found = (
        facts.entries_of(connection, KIND, subject=subject) if _SUBJECT.fullmatch(subject) else ()
    )
    if not found:
        raise unknown(subject)
    return withholding_from(subject, found[0].body, found[0].log_index)


def unknown(subject: str) -> Refused:
    return Refused(Reason.DISPUTE_UNKNOWN, "subject", f"there is no dispute {subject}")


def is_open(connection: Any, held: Withholding) -> bool:
    return not facts.entries_of(connection, END_KIND, subject=held.subject)
