"""A pay-in that does not come, against a real database: reminders, a draw on collateral that the
bank confirms, and that nobody is paid from another's money. Threat 32.
"""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from prometheus_client import CollectorRegistry

from partners.caller import Caller
from partners.errors import Reason, Refused
from pointclear.settlement.v1 import overdue_pb2
from pointclear.settlement.v1 import settlement_service_pb2 as pb
from settlement.bank_simulator import PaymentRequest, bank_day
from settlement.course import Course
from settlement.overdue.reminding import OverdueMetrics, Reminding
from settlement.references import collateral_reference, draw_reference, leg_reference
from settlement.service import SettlementService
from tests.integration.test_settlement_cycle import (
    AUDIENCE,
    FIRST,
    OPERATOR,
    SIGNERS,
    Coalition,
    coalition,
    server,
    worked_example,
)

__all__ = ["coalition", "server"]

WINDOW = f"cny-{FIRST}"
AURORA, BOREALIS = 1, 2
COLLATERAL = "pointclear-collateral-cny"


def later() -> datetime:
    """Long after every due date."""
    return datetime.now(UTC) + timedelta(days=30)


@pytest.fixture
def late(coalition: Coalition) -> Iterator[Coalition]:
    """Stated, and nothing is paid when everything is due."""
    worked_example(coalition)
    coalition.settle()
    coalition.service = SettlementService(
        coalition.engine, coalition.submit, AUDIENCE, SIGNERS, later
    )
    yield coalition
    assert not coalition.findings()


def overdue(late: Coalition, caller: Caller = OPERATOR) -> list[overdue_pb2.OverduePayment]:
    """What is overdue."""
    asked = overdue_pb2.ListOverdueRequest(currency="CNY")
    return list(asyncio.run(late.service.list_overdue(asked, caller)).payments)


def draw(late: Coalition, reference: str) -> overdue_pb2.DrawCollateralResponse:
    """Draw on the collateral for a leg."""
    asked = overdue_pb2.DrawCollateralRequest(window_id=WINDOW, reference=reference)
    answer: overdue_pb2.DrawCollateralResponse = asyncio.run(
        late.service.draw_collateral(asked, OPERATOR)
    )
    return answer


def collateral_file(
    name: str, opening: str, amount: str, reference: str, out: bool = False
) -> bytes:
    """A bank file of the collateral account with one payment."""
    paid = PaymentRequest("PAY_OUT" if out else "PAY_IN", Decimal(amount), reference, "somebody")
    day = bank_day(name, "CNY", FIRST, Decimal(opening), [paid], account=COLLATERAL)
    return day.content


def test_t32_what_does_not_come_in_is_not_paid_out(late: Coalition) -> None:
    (missing,) = overdue(late)
    assert (missing.partner_id, missing.amount) == ("aurora", 6_300_000)
    assert list(missing.steps) == [
        overdue_pb2.OVERDUE_STEP_REMIND,
        overdue_pb2.OVERDUE_STEP_HOLD,
        overdue_pb2.OVERDUE_STEP_UNWIND,
    ]
    legs = {each.partner_id: each.state for each in late.settle().legs}
    assert legs["borealis"] == pb.LEG_STATE_WAITING, "its money has not come in"
    assert overdue(late, Caller("partner", "borealis")) == []
    assert overdue(late, Caller("partner", "aurora")) == [missing]


def test_a_partner_is_reminded_once_and_what_is_overdue_is_shown(late: Coalition) -> None:
    registry = CollectorRegistry()
    course = Course(late.engine, late.submit, AUDIENCE, SIGNERS, later)
    at_work = Reminding(course, later, OverdueMetrics(registry))
    for _ in range(2):
        asyncio.run(at_work.look())
    before = late.records()
    asyncio.run(at_work.look())
    assert late.records() == before
    (missing,) = overdue(late)
    assert missing.HasField("reminded_at")
    labels = {"currency": "CNY"}
    assert registry.get_sample_value("pointclear_overdue_payments", labels) == 1
    unwind = {**labels, "step": "UNWIND"}
    assert registry.get_sample_value("pointclear_overdue_steps", unwind) == 1


def test_a_draw_pays_a_leg_whole_and_the_banks_files_confirm_both_sides(late: Coalition) -> None:
    leg = leg_reference(1, AURORA)
    with pytest.raises(Refused) as refused:
        draw(late, leg)
    assert refused.value.reason is Reason.LEG_STATE
    assert refused.value.metadata == {"lacksUnits": "6300000"}

    top_up = collateral_file("C1", "0.00", "10.00", collateral_reference(AURORA))
    late.import_file(top_up)
    assert overdue_pb2.OVERDUE_STEP_DRAW in overdue(late)[0].steps
    drawn = draw(late, leg)
    assert (drawn.draw_reference, drawn.amount) == (draw_reference(1, AURORA), 6_300_000)
    records = late.records()
    assert draw(late, leg) == drawn
    assert late.records() == records
    (waiting,) = overdue(late)
    assert (waiting.drawn, waiting.collateral) == (True, 3_700_000)
    assert late.position("aurora") == "-6.293880", "it moves when the money does"
    assert not late.findings()

    # The transfer leaves one account and arrives on the other, with one reference.
    late.import_file(collateral_file("C2", "10.00", "6.30", drawn.draw_reference, out=True))
    assert late.position("aurora") == "-6.293880"
    arrived = PaymentRequest("PAY_IN", Decimal("6.30"), drawn.draw_reference, "aurora")
    late.import_file(bank_day("S1", "CNY", FIRST, Decimal("0.00"), [arrived]).content)
    assert late.position("aurora") == "0.006120"
    assert overdue(late) == []
    legs = {each.partner_id: each.state for each in late.settle().legs}
    assert legs == {"aurora": pb.LEG_STATE_CONFIRMED, "borealis": pb.LEG_STATE_PENDING}
    assert not late.findings()
    paid = PaymentRequest("PAY_OUT", Decimal("6.15"), leg_reference(1, BOREALIS), "borealis")
    late.import_file(bank_day("S2", "CNY", FIRST, Decimal("6.30"), [paid]).content)
    assert late.settle().window.state == pb.WINDOW_STATE_SETTLED


def test_what_a_partner_pays_after_its_collateral_was_drawn_lies_in_suspense(
    late: Coalition,
) -> None:
    leg = leg_reference(1, AURORA)
    late.import_file(collateral_file("C1", "0.00", "10.00", collateral_reference(AURORA)))
    draw(late, leg)
    paid = PaymentRequest("PAY_IN", Decimal("6.30"), leg, "aurora")
    late.import_file(bank_day("S1", "CNY", FIRST, Decimal("0.00"), [paid]).content)
    assert late.position("aurora") == "-6.293880"
    assert overdue(late)[0].drawn


def test_nothing_is_drawn_that_can_still_be_paid_in_time(coalition: Coalition) -> None:
    worked_example(coalition)
    coalition.settle()
    coalition.import_file(collateral_file("C1", "0.00", "10.00", collateral_reference(AURORA)))
    for reference in (leg_reference(1, AURORA), leg_reference(1, BOREALIS), "RF00"):
        with pytest.raises(Refused) as refused:
            draw(coalition, reference)
        assert refused.value.reason is Reason.LEG_STATE


@pytest.mark.parametrize("missing", ["aurora", "borealis"])
def test_t32_the_report_of_an_unwind_sums_to_0(late: Coalition, missing: str) -> None:
    asked = overdue_pb2.GetUnwindReportRequest(window_id=WINDOW, partner_id=missing)
    report = asyncio.run(late.service.get_unwind_report(asked, OPERATOR))
    assert report.withheld_total == 0
    assert report.pay_outs <= report.pay_ins
    parties = {each.partner_id: each for each in report.parties}
    # What is left is what each owes the operator.
    assert parties["aurora"].due_after == -98_000 - 5_880
    assert parties["borealis"].due_after == -36_100 - 2_166
    assert parties["aurora"].withheld == -6_190_000
