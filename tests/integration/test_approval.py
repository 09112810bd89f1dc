"""Between a closed window and its payments: drafts, the clock, counter-signatures, disputes, aborts
and unwinds, against a real database.
"""

import asyncio
import hashlib
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from uuid_utils import uuid7

from exchange.commands import Book, Fact
from exchange.outcomes import Recorded
from partners.caller import Caller
from partners.envelope import DISPUTE, STATEMENT_ACKNOWLEDGEMENT, sign
from partners.errors import Reason, Refused
from partners.wire import envelope_to_proto
from pointclear.settlement.v1 import approval_pb2 as pb
from pointclear.settlement.v1 import overdue_pb2, settlement_service_pb2, statement_pb2
from settlement.schemes.scheme import KIND, Scheme, scheme_body
from settlement.service import SettlementService
from settlement.wire import statement_payload
from tests.integration.test_settlement_cycle import (
    AUDIENCE,
    FIRST,
    OPERATOR,
    OWN,
    SIGNERS,
    Coalition,
    coalition,
    server,
    worked_example,
)

__all__ = ["coalition", "server"]

WINDOW = f"cny-{FIRST}"
SECOND = FIRST + timedelta(days=1)
HOUR = 60
SETTLED = settlement_service_pb2.WINDOW_STATE_SETTLED
PENDING = settlement_service_pb2.WINDOW_STATE_PENDING_SETTLEMENT


def scheme(coalition: Coalition, **changes: object) -> None:
    """Set the scheme of the currency."""
    body = scheme_body(replace(Scheme("CNY"), **changes))  # type: ignore[arg-type]
    coalition.run(Book("scheme/CNY/1", "application/json", body, facts=(Fact(KIND, "CNY"),)))


def later(coalition: Coalition, minutes: int) -> None:
    """Let the service's clock show a later time."""
    coalition.service = SettlementService(
        coalition.engine,
        coalition.submit,
        AUDIENCE,
        SIGNERS,
        lambda: datetime.now(UTC) + timedelta(minutes=minutes),
    )


def acknowledge(coalition: Coalition, partner: str) -> None:
    stated = coalition.statement(partner)
    payload = statement_pb2.StatementAcknowledgement(
        audience=AUDIENCE,
        partner_id=partner,
        window_id=WINDOW,
        statement_sha256=hashlib.sha256(statement_payload(stated)).digest(),
        issued_at_us=1,
    ).SerializeToString(deterministic=True)
    envelope = sign(OWN[partner], STATEMENT_ACKNOWLEDGEMENT, payload)
    request = pb.AcknowledgeStatementRequest(acknowledgement=envelope_to_proto(envelope))
    asyncio.run(coalition.service.acknowledge_statement(request, Caller("partner", partner)))


def dispute(
    coalition: Coalition,
    partner: str,
    lines: tuple[UUID, ...],
    name: UUID | None = None,
    *,
    withdrawn: bool = False,
    signer: str = "",
) -> pb.Dispute:
    payload = statement_pb2.LineDispute(
        audience=AUDIENCE,
        dispute_id=(name or UUID(str(uuid7()))).bytes,
        partner_id=partner,
        line_ids=[each.bytes for each in lines],
        reason=statement_pb2.DISPUTE_REASON_NOT_CREDITED,
        comment="the member has nothing",
        is_withdrawn=withdrawn,
        issued_at_us=1,
    ).SerializeToString(deterministic=True)
    envelope = sign(OWN[signer or partner], DISPUTE, payload)
    request = pb.DisputeLinesRequest(dispute=envelope_to_proto(envelope))
    answer: pb.DisputeLinesResponse = asyncio.run(
        coalition.service.dispute_lines(request, Caller("partner", signer or partner))
    )
    return answer.dispute


def legs(coalition: Coalition, *, waiting: bool = False) -> list[tuple[str, int, str]]:
    """Each leg's partner, amount and state."""
    names = settlement_service_pb2.LegState.Name
    return [
        (leg.partner_id, leg.amount, names(leg.state).removeprefix("LEG_STATE_"))
        for leg in coalition.settle().legs
    ]


def first_transfer(coalition: Coalition) -> Recorded:
    """The worked example's first transfer, 9.80 from aurora to borealis, and one against it."""
    coalition.open()
    made = coalition.transfer("aurora", 1000)
    coalition.transfer("borealis", 200)
    coalition.close(FIRST)
    return made


# The draft


def test_a_draft_that_was_looked_at_is_what_is_approved(coalition: Coalition) -> None:
    made = first_transfer(coalition)
    request = pb.GetDraftRequest(window_id=WINDOW)
    draft = asyncio.run(coalition.service.get_draft(request, OPERATOR))
    assert [(line.partner_id, line.net, line.payment) for line in draft.lines] == [
        ("aurora", -6_293_880, -6_300_000),
        ("borealis", 6_151_734, 6_150_000),
    ]
    dispute(coalition, "borealis", (made.order.transfer_id,))
    settle = settlement_service_pb2.SettleWindowRequest(
        window_id=WINDOW, draft_sha256=draft.draft_sha256
    )
    with pytest.raises(Refused) as changed:
        asyncio.run(coalition.service.settle_window(settle, OPERATOR))
    assert (changed.value.reason, changed.value.field) == (Reason.FIELD_INVALID, "draft_sha256")
    settle.draft_sha256 = asyncio.run(coalition.service.get_draft(request, OPERATOR)).draft_sha256
    asyncio.run(coalition.service.settle_window(settle, OPERATOR))
    with pytest.raises(Refused) as stated:
        asyncio.run(coalition.service.get_draft(request, OPERATOR))
    assert stated.value.reason is Reason.WINDOW_STATE


# The clock


def test_nothing_is_asked_for_before_everybody_has_accepted(coalition: Coalition) -> None:
    worked_example(coalition)
    scheme(coalition, acknowledge_minutes=HOUR)
    assert {state for *_, state in legs(coalition)} == {"WAITING"}
    acknowledge(coalition, "aurora")
    acknowledge(coalition, "aurora")
    assert {state for *_, state in legs(coalition)} == {"WAITING"}
    acknowledge(coalition, "borealis")
    assert ("aurora", 6_300_000, "PENDING") in legs(coalition)
    assert not coalition.findings()


def test_silence_accepts_when_the_clock_has_run_out(coalition: Coalition) -> None:
    worked_example(coalition)
    scheme(coalition, acknowledge_minutes=HOUR)
    coalition.settle()
    later(coalition, HOUR - 1)
    assert {state for *_, state in legs(coalition)} == {"WAITING"}
    later(coalition, HOUR)
    assert ("aurora", 6_300_000, "PENDING") in legs(coalition)
    request = pb.GetApprovalRequest(window_id=WINDOW)
    shown = asyncio.run(coalition.service.get_approval(request, Caller("partner", "aurora")))
    assert shown.is_payable
    assert [
        (each.partner_id, each.is_acknowledged, each.is_accepted) for each in shown.statements
    ] == [("aurora", False, True)]


def test_an_acceptance_confirms_the_windows_points(coalition: Coalition) -> None:
    worked_example(coalition)
    coalition.settle()
    with coalition.engine.connect() as connection:
        rows = connection.exec_driver_sql(
            "SELECT a.name, b.credits_posted - b.debits_posted FROM balance AS b"
            " JOIN account AS a USING (account_number) WHERE a.name LIKE '%%-points.%%'"
        )
        points = {str(row[0]): int(row[1]) for row in rows}
    assert points["aurora-points.redeemed"] == points["borealis-points.granted"] == 0
    assert points["aurora-points.issuer"] == 1000 - 380
    assert points["borealis-points.issuer"] == 200 - 500


# Disputes


def test_a_disputed_line_is_withheld_on_both_sides_and_stays_on_the_positions(
    coalition: Coalition,
) -> None:
    scheme(coalition, acknowledge_minutes=HOUR)
    made = first_transfer(coalition)
    coalition.settle()
    shown = dispute(coalition, "borealis", (made.order.transfer_id,))
    (own,) = shown.lines[0].amounts
    assert (own.partner_id, own.amount) == ("borealis", 9_800_000)
    acknowledge(coalition, "aurora")
    acknowledge(coalition, "borealis")
    a, b = coalition.statement("aurora"), coalition.statement("borealis")
    assert (a.version, a.withheld, a.due, a.payment) == (2, -9_800_000, 3_506_120, 3_500_000)
    assert (b.version, b.withheld, b.due, b.payment) == (2, 9_800_000, -3_648_266, -3_650_000)
    assert a.carried_forward == a.net - a.payment
    assert a.supersedes_sha256
    found = [each for each in legs(coalition) if each[2] != "CANCELLED"]
    assert found == [("aurora", 3_500_000, "WAITING"), ("borealis", 3_650_000, "PENDING")]
    coalition.pay(coalition.settle().legs)
    coalition.pay(coalition.settle().legs)
    assert coalition.settle().window.state == SETTLED
    assert not coalition.findings()

    # It is decided: the next statement asks for what stood over.
    end = pb.EndDisputeRequest(
        subject=shown.subject, outcome=pb.DISPUTE_OUTCOME_REJECTED, text="it was credited"
    )
    assert asyncio.run(coalition.service.end_dispute(end, OPERATOR)).dispute.is_ended
    coalition.close(SECOND)
    later(coalition, 0)
    coalition.settle(SECOND)
    after = coalition.statement("aurora", SECOND)
    assert (after.brought_forward, after.withheld) == (a.carried_forward, 0)
    assert after.payment == -9_800_000
    assert not coalition.findings()


def test_a_withdrawn_dispute_withholds_nothing(coalition: Coalition) -> None:
    made = first_transfer(coalition)
    name = UUID(str(uuid7()))
    dispute(coalition, "aurora", (made.order.transfer_id,), name)
    repeated = dispute(coalition, "aurora", (made.order.transfer_id,), name)
    assert not repeated.is_ended
    assert dispute(coalition, "aurora", (), name, withdrawn=True).is_ended
    coalition.settle()
    assert coalition.statement("aurora").withheld == 0


@pytest.mark.parametrize(
    ("partner", "signer", "reason"),
    [
        ("aurora", "borealis", Reason.SIGNER_NOT_CALLER),
        ("nobody", "borealis", Reason.SIGNER_NOT_CALLER),
    ],
)
def test_nobody_disputes_for_another(
    coalition: Coalition, partner: str, signer: str, reason: Reason
) -> None:
    made = first_transfer(coalition)
    with pytest.raises(Refused) as refused:
        dispute(coalition, partner, (made.order.transfer_id,), signer=signer)
    assert refused.value.reason is reason


def test_what_is_accepted_or_unknown_or_in_dispute_is_not_disputed(coalition: Coalition) -> None:
    made = first_transfer(coalition)
    with pytest.raises(Refused) as unknown:
        dispute(coalition, "aurora", (UUID(str(uuid7())),))
    assert unknown.value.reason is Reason.TRANSFER_UNKNOWN
    dispute(coalition, "aurora", (made.order.transfer_id,))
    with pytest.raises(Refused) as twice:
        dispute(coalition, "borealis", (made.order.transfer_id,))
    assert twice.value.reason is Reason.ALREADY_EXISTS
    coalition.settle()
    with pytest.raises(Refused) as late:
        dispute(coalition, "borealis", (coalition_line(coalition),))
    assert late.value.reason is Reason.WINDOW_STATE


def coalition_line(coalition: Coalition) -> UUID:
    """The second transfer's id."""
    with coalition.engine.connect() as connection:
        return UUID(
            str(
                connection.exec_driver_sql(
                    "SELECT transfer_id FROM record WHERE kind = 1 ORDER BY log_index DESC LIMIT 1"
                ).scalar_one()
            )
        )


# Aborts and unwinds


def abort(coalition: Coalition) -> None:
    request = pb.AbortWindowRequest(window_id=WINDOW, reason="the bank is closed")
    asyncio.run(coalition.service.abort_window(request, OPERATOR))


def test_an_aborted_window_is_handed_to_the_next_settlement(coalition: Coalition) -> None:
    worked_example(coalition)
    first = coalition.settle()
    coalition.close(SECOND)
    coalition.settle(SECOND)
    abort(coalition)
    abort(coalition)
    a = coalition.statement("aurora")
    assert (a.version, a.aborted, a.payment, a.carried_forward) == (2, True, 0, -6_293_880)
    assert {leg.state for leg in first.legs} != set()
    assert not coalition.findings()
    coalition.close(SECOND + timedelta(days=1))
    coalition.settle(SECOND + timedelta(days=1))
    third = coalition.statement("aurora", SECOND + timedelta(days=1))
    # What the second statement had not known of comes as restated.
    assert (third.brought_forward, third.restated) == (6_120, -6_300_000)
    assert third.payment == -6_300_000
    assert not coalition.findings()


def test_an_abort_keeps_what_was_paid(coalition: Coalition) -> None:
    worked_example(coalition)
    coalition.pay(coalition.settle().legs)
    abort(coalition)
    a, b = coalition.statement("aurora"), coalition.statement("borealis")
    assert (a.payment, a.carried_forward) == (-6_300_000, 6_120)
    assert (b.payment, b.carried_forward) == (0, 6_151_734)
    assert not coalition.findings()


def test_t32_a_partner_that_does_not_pay_is_taken_out_and_nobody_pays_for_it(
    coalition: Coalition,
) -> None:
    worked_example(coalition)
    coalition.settle()
    request = pb.UnwindPartnerRequest(window_id=WINDOW, partner_id="aurora")
    held = asyncio.run(coalition.service.unwind_partner(request, OPERATOR)).dispute
    amounts = {each.partner_id: each.amount for line in held.lines for each in line.amounts}
    assert amounts == {"aurora": -6_190_000, "borealis": 6_190_000}
    assert sum(amounts.values()) == 0
    b = coalition.statement("borealis")
    assert (b.version, b.withheld, b.due) == (2, 6_190_000, -38_266)
    assert "aurora" in b.reason
    assert not coalition.findings()
    repeated = asyncio.run(coalition.service.unwind_partner(request, OPERATOR)).dispute
    assert repeated == held
    assert coalition.statement("borealis").version == 2


def test_t32_the_report_of_an_unwind_is_what_it_comes_to_where_a_dispute_was_decided_since(
    coalition: Coalition,
) -> None:
    scheme(coalition, acknowledge_minutes=HOUR)
    made = first_transfer(coalition)
    coalition.settle()
    shown = dispute(coalition, "borealis", (made.order.transfer_id,))
    coalition.settle()
    end = pb.EndDisputeRequest(subject=shown.subject, outcome=pb.DISPUTE_OUTCOME_REJECTED)
    asyncio.run(coalition.service.end_dispute(end, OPERATOR))
    asked = overdue_pb2.GetUnwindReportRequest(window_id=WINDOW, partner_id="aurora")
    report = asyncio.run(coalition.service.get_unwind_report(asked, OPERATOR))
    request = pb.UnwindPartnerRequest(window_id=WINDOW, partner_id="aurora")
    asyncio.run(coalition.service.unwind_partner(request, OPERATOR))
    for each in report.parties:
        stated = coalition.statement(each.partner_id)
        assert (each.due_after, each.payment_after) == (stated.due, stated.payment)
    again = asyncio.run(coalition.service.get_unwind_report(asked, OPERATOR))
    assert [each.due_after for each in again.parties] == [each.due_after for each in report.parties]


def test_every_crash_of_an_abort_is_resumed_to_the_same_end(coalition: Coalition) -> None:
    from tests.integration.test_settlement_cycle import Crash

    worked_example(coalition)
    coalition.settle()
    for crash_after in range(20):
        coalition.submitted, coalition.crash_after = 0, crash_after
        try:
            abort(coalition)
        except Crash:
            continue
        break
    else:
        pytest.fail("it never came to an end")
    coalition.crash_after = None
    assert coalition.statement("aurora").version == coalition.statement("borealis").version == 2
    assert not coalition.findings()
