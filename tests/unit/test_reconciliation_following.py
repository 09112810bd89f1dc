"""What becomes of breaks over runs, and what the books say of rows without a line."""

import json
from datetime import UTC, datetime
from uuid import UUID

from settlement.reconciliation.apart import Found
from settlement.reconciliation.breaks import Break, BreakState, Category
from settlement.reconciliation.differences import Difference
from settlement.reconciliation.following import Context, Elsewhere, Known, Standing, outcome
from settlement.reconciliation.keeping import body_of
from settlement.reconciliation.values import KeptBreak, Run
from settlement.reconciliation.wire import evidence_of

TRANSFER = "019cb05c-f96d-77a5-93ab-3ed7b7ea6bc1"
NOW = datetime(2017, 1, 2, tzinfo=UTC)


def stray(status: str | None = "COMMITTED") -> Difference:
    """A row without a line."""
    row = {"n": 7, "transfer_id": TRANSFER, "points": 500, "outward": False, "status": status}
    empty = ("program", "reference", "money", "fee", "tax", "rate_source", "rate_target")
    more = ("rate_number", "rate_digits", "booked_on", "member")
    return Difference("MISSING_AT_EXCHANGE", theirs=row | dict.fromkeys((*empty, *more)))


def judged(standing: Standing | None, status: str | None = "COMMITTED") -> tuple[Break, ...]:
    elsewhere = {TRANSFER: Elsewhere(standing, "usd-1", 9)} if standing else {}
    context = Context(("usd-2",), "usd-1", 6, elsewhere=elsewhere)
    return outcome(Found(1, 0, 0, (stray(status),)), context).breaks


def test_a_row_that_the_books_do_not_know_is_missing_at_the_exchange() -> None:
    (found,) = judged(None)
    assert found.category is Category.MISSING_AT_EXCHANGE


def test_a_credit_that_the_books_hold_in_doubt_is_a_status_and_evidence() -> None:
    (found,) = judged(Standing.RESERVED)
    assert found.category is Category.STATUS_MISMATCH
    assert "in doubt" in found.note
    evidence = json.loads(evidence_of(kept(found), RUN))
    assert evidence["transfer_id"] == TRANSFER
    assert evidence["figures"]["status"] == "COMMITTED"
    assert (evidence["row"], evidence["file_sha256"]) == (7, "ab" * 32)
    assert evidence_of(kept(found), RUN) == evidence_of(kept(found), RUN)


def test_a_row_without_a_status_says_that_it_was_booked() -> None:
    (found,) = judged(Standing.ABORTED, None)
    assert [(each.ours, each.theirs) for each in found.figures if each.name == "status"] == [
        ("ABORTED", "COMMITTED")
    ]
    assert evidence_of(kept(found), RUN) == b""


def test_a_row_that_says_reserved_of_what_is_reserved_is_no_break() -> None:
    assert judged(Standing.RESERVED, "RESERVED") == ()
    assert judged(Standing.HELD, "RESERVED") == ()
    assert judged(Standing.REFUSED, "ABORTED") == ()


def test_a_transfer_of_a_window_that_was_reconciled_is_a_duplicate() -> None:
    elsewhere = {TRANSFER: Elsewhere(Standing.COMMITTED, "usd-0", 9)}
    for covered, category in (
        (frozenset({"usd-0"}), Category.DUPLICATE_AT_PARTNER),
        (frozenset(), Category.TIMING),
    ):
        context = Context(("usd-2",), "usd-1", 6, covered, elsewhere=elsewhere)
        (found,) = outcome(Found(1, 0, 0, (stray(),)), context).breaks
        assert found.category is category


def test_a_row_clears_the_break_that_waits_for_it_however_old() -> None:
    facts = {"about": "line", "file_window": "usd-0"}
    waiting = Known(3, b"k" * 32, Category.MISSING_AT_PARTNER, BreakState.OPEN, "usd-0", 9, facts)
    elsewhere = {TRANSFER: Elsewhere(Standing.COMMITTED, "usd-0", 9)}
    context = Context(("usd-2",), "usd-1", 6, frozenset({"usd-0"}), (waiting,), elsewhere)
    result = outcome(Found(1, 0, 0, (stray(),)), context)
    assert result.breaks == ()
    assert [(each.number, each.category) for each in result.changes] == [(3, None)]


def test_the_same_stray_row_twice_is_two_breaks() -> None:
    context = Context(("usd-2",), "usd-1", 6)
    found = Found(2, 0, 0, (stray(), stray()))
    keys = {each.key for each in outcome(found, context).breaks}
    assert len(keys) == 2
    assert {each.key for each in outcome(found, context).breaks} == keys


RUN = Run("a", 4, "usd-2", "usd-2", b"\xab" * 32, "f", 1, 1, 0, 0, NOW, 0, {}, 1)


def kept(found: Break) -> KeptBreak:
    """As the store would give it."""
    return KeptBreak(
        1,
        "aurora",
        1,
        found.category,
        BreakState.OPEN,
        "",
        4,
        4,
        NOW,
        None,
        found.window_id,
        found.log_index,
        UUID(TRANSFER),
        json.loads(body_of(found, {})),
        "USD",
    )
