"""Reversals against a real PostgreSQL: a transfer is found as it was recorded, however it came to
be committed, whoever recorded it, and the database is the last line.
"""

from collections.abc import Callable

import psycopg2
import pytest

from exchange import reads
from exchange.batch import Decided, Ledger
from exchange.commands import Command, Conclude, DecideHeld, Verdict
from exchange.fold import fold
from exchange.ledger.postings import Balance
from exchange.metrics import Metrics
from exchange.outcomes import Reversed
from partners.agreement import Terms
from partners.errors import Reason
from partners.limits.values import CorridorLimits, PartnerLimits
from pointclear.exchange.v1.transfer_pb2 import ReversalNotice, ReversalRecord
from pointclear.partners.v1 import agreement_pb2
from settlement.checks.evidence import check_evidence
from settlement.checks.invariants import check_books
from tests import factories as make
from tests.database import Database
from tests.integration.test_ledger import a_ledger, balances, found
from tests.property.histories import RICH

MODES = ("at once", "after review", "by the target's answer")
CONFIRMED = agreement_pb2.CREDIT_MODE_CONFIRMED
TERMS = {name: make.terms_of(payload) for name, payload in RICH.items()}


def founding_with(payload: bytes) -> list[Command]:
    """What puts rich terms in force on every corridor that has them, these on theirs."""
    corridor = make.terms_of(payload).corridor
    rich = [payload if terms.corridor == corridor else RICH[n] for n, terms in TERMS.items()]
    return [command for each in rich for command in make.in_force(each)]


def committing(terms: Terms, mode: str) -> list[Command]:
    """What brings transfer 1 about."""
    points = 100 * terms.increment_source_points
    order = make.an_order(1, terms, source_points=points)
    if mode == "after review":
        review = CorridorLimits(*terms.corridor, review_above_points=1)
        release = DecideHeld(order.transfer_id, Verdict.RELEASED)
        return [make.set_limits(1, review), order, release]
    if mode == "by the target's answer":
        proof = make.proof(terms.target_partner)
        return [order, Conclude(order.transfer_id, Verdict.CREDITED, proof)]
    return [order]


def posted(of: dict[int, Balance]) -> dict[int, int]:
    return {number: balance.posted for number, balance in of.items() if balance.posted}


def reversed_in(decided: Decided) -> Reversed:
    assert isinstance(decided.result, Reversed)
    return decided.result


@pytest.mark.parametrize("name", RICH)
@pytest.mark.parametrize("mode", MODES)
def test_three_parts_by_three_processes_take_a_transfer_back_whole(
    database: Database, name: tuple[str, str, int], mode: str
) -> None:
    terms = TERMS[name]
    changes = {"credit_mode": CONFIRMED} if mode == MODES[2] else {}
    message = agreement_pb2.RateAgreement.FromString(RICH[name])
    for field, value in {"credit_mode": 1, **changes, "fee_refundable": True}.items():
        setattr(message, field, value)
    payload = message.SerializeToString(deterministic=True)
    ledger, terms = found(database), make.terms_of(payload)
    ledger.run(founding_with(payload))
    with database.connection() as connection:
        reads.QUERIES.claim_audience(connection, audience=make.AUDIENCE)
    before = posted(balances(database))
    commands = committing(terms, mode)
    for command in commands:
        (decided,) = ledger.run([command])
    assert decided.refusal is None
    assert posted(balances(database)) != before
    total = make.expected_points(terms, 100 * terms.increment_source_points)
    parts = (1, total // 3, total - 1 - total // 3)
    reversals = [
        make.reverse(number, 1, points, terms.target_partner)
        for number, points in enumerate(parts, 1)
    ]
    found_by_others = [a_ledger(database, f"process {each}").run([each])[0] for each in reversals]
    assert [decided.refusal for decided in found_by_others] == [None, None, None]
    assert posted(balances(database)) == before
    # The very figures that a fold with the transfer in its memory decides.
    state = make.a_state(*make.founding(), *founding_with(payload))
    pure = fold(state, [*commands, *reversals], make.NOW).results[-3:]
    for decided, result in zip(found_by_others, pure, strict=True):
        assert isinstance(result, Reversed)
        assert reversed_in(decided).postings == result.postings
        assert reversed_in(decided).log_index == result.log_index
    with database.connection() as connection:
        assert check_books(connection) == ()
    with database.connection() as connection:
        rules = {each.rule for each in check_evidence(connection, lambda _rows: None)}
    # The books were told of an answer here that nobody has stored.
    lacking = {"reservations_end_by_an_answer", "transfers_ended_as_was_answered"}
    assert rules == (lacking if mode == MODES[2] else set())


def test_one_more_point_is_refused_by_the_code_and_by_the_database(database: Database) -> None:
    found(database).run([make.an_order(), make.reverse(points=49)])
    (decided,) = a_ledger(database).run([make.reverse(2, points=2)])
    assert decided.refusal is not None
    assert decided.refusal.reason is Reason.ALREADY_REVERSED
    with pytest.raises(psycopg2.Error) as refused:
        database.tell("UPDATE reversed_transfer SET reversed_points = 51")
    assert refused.value.diag.constraint_name == "reversed_within_credit"


def test_the_floor_in_the_database_gives_way_by_what_was_forced_and_no_more(
    database: Database,
) -> None:
    ledger = found(database)
    ledger.run([make.an_order(1, make.terms(), source_points=10_000)])
    ledger.run([make.set_limits(1, PartnerLimits("fuel", net_debit_cap=0))])
    spent = make.an_order(2, make.terms("fuel", "grocery"), source_points=5_000)
    (decided,) = ledger.run([spent])
    assert decided.refusal is None
    assert ledger.run([make.reverse(points=5_000)])[0].refusal is None
    ((available, lowest, number),) = database.ask(
        "SELECT credits_posted - debits_posted - debits_pending, lowest, account_number"
        " FROM balance JOIN account USING (account_number) WHERE name = 'fuel.position'"
    )
    assert lowest == available < 0
    with pytest.raises(psycopg2.Error) as refused:
        database.tell(
            "UPDATE balance SET debits_posted = debits_posted + 1 WHERE account_number = %s", number
        )
    assert refused.value.diag.constraint_name == "balance_floor"
    # It comes back by what others pay it, and then its floor holds again.
    assert ledger.run([make.an_order(3, source_points=20)])[0].refusal is None
    assert ledger.run([spent_again()])[0].refusal is not None


def spent_again() -> Command:
    return make.an_order(4, make.terms("fuel", "grocery"), source_points=10)


def test_a_new_process_answers_a_repeat_with_the_very_notice_and_words(database: Database) -> None:
    ledger = found(database)
    commands: list[Command] = [make.reverse(points=7), make.reverse(2, points=70)]
    ledger.run([make.an_order()])
    first = ledger.run(commands)
    again = a_ledger(database, "another").run(commands)
    assert [each.receipt_payload for each in again] == [each.receipt_payload for each in first]
    assert [str(each.refusal) for each in again] == [str(each.refusal) for each in first]
    assert [each.receipt_kind for each in again] == [each.receipt_kind for each in first]
    (other,) = a_ledger(database).run([make.reverse(points=8)])
    assert other.refusal is not None
    assert (other.refusal.reason, other.refusal.field) == (
        Reason.MODIFIED_REQUEST,
        "target_points",
    )


def test_a_transfer_is_reversed_after_its_order_was_emptied_to_forget_a_member(
    database: Database,
) -> None:
    ledger = found(database)
    order = make.an_order()
    ledger.run([order])
    with database.connection() as connection:
        reads.QUERIES.empty_requests(connection, ids=[str(order.transfer_id)])
    (decided,) = a_ledger(database).run([make.reverse()])
    assert decided.refusal is None


def test_no_record_of_a_reversal_holds_a_reference_of_a_member_or_of_its_sender(
    database: Database,
) -> None:
    found(database).run([make.an_order(), make.reverse(points=7), make.reverse(2, points=70)])
    rows = database.ask("SELECT record FROM record WHERE kind IN (6, 7)")
    rows += database.ask("SELECT payload FROM stream_entry WHERE payload_kind = 4")
    assert len(rows) == 2 + 3
    for (content,) in rows:
        for canary in (b"canary", b"desk 3", b"till 7"):
            assert canary not in bytes(content)


def test_whoever_measures_is_told_of_reversals_and_of_what_they_forced(
    fresh_database: Callable[[], Database],
) -> None:
    database, metrics = fresh_database(), Metrics()
    found(database)
    ledger = Ledger(
        database.engine(), make.LETTERHEAD, lambda: make.NOW, make.salts(), observer=metrics
    )
    ledger.run([make.an_order()])
    ledger.run([make.set_limits(1, PartnerLimits("fuel", net_debit_cap=0))])
    ledger.run([make.an_order(2, make.terms("fuel", "grocery"), source_points=50)])
    ledger.run([make.reverse(points=40), make.reverse(2, points=40)])
    corridor = {"source_program": "grocery", "target_program": "fuel"}
    for name, labels in (
        ("pointclear_reversals_total", corridor),
        ("pointclear_refusals_recorded_total", {"reason": "ALREADY_REVERSED"}),
        ("pointclear_cap_alerts_total", {"level": "100"}),
    ):
        assert metrics.registry.get_sample_value(name, labels) == 1


def test_both_sides_are_told_the_same_record_and_its_salt(database: Database) -> None:
    found(database).run([make.an_order(), make.reverse(points=7)])
    notices = [
        ReversalNotice.FromString(bytes(payload))
        for (payload,) in database.ask("SELECT payload FROM stream_entry WHERE payload_kind = 4")
    ]
    assert {each.partner_id for each in notices} == {"grocery", "fuel"}
    ((record, salt),) = {(each.record, each.salt) for each in notices}
    assert len(salt) == 32
    assert ReversalRecord.FromString(record).reversed_points == 7
