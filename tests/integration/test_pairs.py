"""Partners that pay each other: what pairs are asked for, both confirmations, disputes, aborts and
crashes, against a real database with three brands.
"""

import asyncio
import hashlib
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from uuid import UUID

import pytest
from uuid_utils import uuid7

from exchange.outcomes import Recorded
from partners.caller import Caller
from partners.commands import AddKey, AddPartner
from partners.envelope import PAYMENT_CONFIRMATION, STATEMENT_ACKNOWLEDGEMENT, sign
from partners.errors import Reason, Refused
from partners.keys import Purpose, SeedSigner
from partners.limits.values import Headroom, PartnerLimits
from partners.wire import envelope_to_proto, time_to_proto
from pointclear.partners.v1 import agreement_pb2
from pointclear.settlement.v1 import (
    approval_pb2,
    overdue_pb2,
    pair_pb2,
    report_pb2,
    scheme_pb2,
    statement_pb2,
)
from pointclear.settlement.v1 import settlement_service_pb2 as pb
from settlement.schemes.scheme import CashLegs, Scheme
from settlement.schemes.wire import scheme_to_proto
from settlement.wire import statement_payload
from tests import factories as make
from tests.integration.test_approval import (
    SETTLED,
    abort,
    acknowledge,
    dispute,
    first_transfer,
    later,
)
from tests.integration.test_exports import exported, faults
from tests.integration.test_settlement_currencies import YEN, join, settle, statement
from tests.integration.test_settlement_currencies import trade as trade_yen
from tests.integration.test_settlement_cycle import (
    AUDIENCE,
    CNY,
    FIRST,
    OPERATOR,
    OWN,
    Coalition,
    Crash,
    agreement,
    coalition,
    order,
    put_in_force,
    server,
)

__all__ = ["coalition", "server"]

WINDOW = f"cny-{FIRST}"
SECOND, THIRD = FIRST + timedelta(days=1), FIRST + timedelta(days=2)
NAMES = ("aurora", "borealis", "cirrus")
NOT_CALLER = (Reason.SIGNER_NOT_CALLER, "partner_id")
PAIR_LEG = pair_pb2.PairLegState


def set_scheme(coalition: Coalition, cash_legs: CashLegs, **changes: object) -> None:
    """Set the scheme of the currency by the call."""
    scheme = replace(Scheme("CNY"), cash_legs=cash_legs, **changes)  # type: ignore[arg-type]
    request = scheme_pb2.SetSchemeRequest(
        change_id=UUID(str(uuid7())).bytes, scheme=scheme_to_proto(scheme)
    )
    asyncio.run(coalition.service.set_scheme(request, OPERATOR))


@pytest.fixture
def three(coalition: Coalition) -> Coalition:
    """A third brand, into whose points both others' turn."""
    now, day = datetime.now(UTC), timedelta(days=1)
    key = OWN["cirrus"] = SeedSigner(bytes([6]) * 32)
    coalition.run(AddPartner("cirrus", "Cirrus", ("cirrus-points",), "CNY", 1000 * CNY, b"{}"))
    coalition.run(
        AddKey(
            *("partner/cirrus", Purpose.AGREEMENTS, key.key_id, key.public_key),
            *(now - day, now + day, (), b"{}"),
        )
    )
    for source, rate, price in (("borealis", (1, 1), 10_000), ("cirrus", (1, 1), 7_003)):
        target = NAMES[(NAMES.index(source) + 1) % 3]
        put_in_force(coalition, agreement(source, target, rate, price))
    set_scheme(coalition, CashLegs.BILATERAL)
    return coalition


def trade(coalition: Coalition) -> Recorded:
    """In a circle, with something between each two."""
    made = coalition.transfer("aurora", 1000)
    coalition.transfer("borealis", 200)
    coalition.run(order("borealis", "cirrus", 300, 300))
    coalition.run(order("cirrus", "aurora", 101, 101))
    return made


def a_day(coalition: Coalition, day: date = FIRST) -> Recorded:
    if day == FIRST:
        coalition.open()
    made = trade(coalition)
    coalition.close(day)
    return made


def legs(
    coalition: Coalition, caller: Caller = OPERATOR, window_id: str = WINDOW
) -> dict[tuple[str, str], pair_pb2.PairLeg]:
    request = pair_pb2.ListPairLegsRequest(window_id=window_id)
    found = asyncio.run(coalition.service.list_pair_legs(request, caller)).legs
    return {(each.payer, each.payee): each for each in found}


def confirm(
    coalition: Coalition,
    leg: pair_pb2.PairLeg,
    who: str,
    *,
    amount: int = 0,
    side: "pair_pb2.PaymentSide.ValueType" = pair_pb2.PAYMENT_SIDE_UNSPECIFIED,
    caller: str = "",
) -> pair_pb2.PairLeg:
    own = pair_pb2.PAYMENT_SIDE_PAID if who == leg.payer else pair_pb2.PAYMENT_SIDE_RECEIVED
    payload = pair_pb2.PaymentConfirmation(
        audience=AUDIENCE,
        partner_id=who,
        window_id=leg.window_id,
        reference=leg.reference,
        side=side or own,
        currency="CNY",
        amount=amount or leg.amount,
        issued_at=time_to_proto(datetime.now(UTC)),
    ).SerializeToString(deterministic=True)
    envelope = sign(OWN[caller or who], PAYMENT_CONFIRMATION, payload)
    request = pair_pb2.ConfirmPaymentRequest(confirmation=envelope_to_proto(envelope))
    by = Caller("partner", caller or who)
    answer: pair_pb2.ConfirmPaymentResponse = asyncio.run(
        coalition.service.confirm_payment(request, by)
    )
    return answer.leg


def confirm_all(coalition: Coalition, window_id: str = WINDOW) -> None:
    for leg in legs(coalition, window_id=window_id).values():
        for who in (leg.payer, leg.payee):
            confirm(coalition, leg, who)


def settle_at_the_bank(coalition: Coalition, day: date = FIRST) -> None:
    for _ in range(2):
        coalition.pay(coalition.settle(day).legs)
    coalition.settle(day)


def test_a_day_is_settled_between_partners_and_the_operator_gets_its_fees_over_the_bank(
    three: Coalition,
) -> None:
    a_day(three)
    draft = asyncio.run(
        three.service.get_draft(approval_pb2.GetDraftRequest(window_id=WINDOW), OPERATOR)
    )
    pairs = {(each.partner_id, each.counterparty): each for each in draft.pairs}
    # 9.80 − 3.61 from aurora to borealis, 3.00 from borealis to cirrus, 0.707303 to aurora.
    assert pairs["aurora", "borealis"].net == -6_190_000
    assert pairs["borealis", "cirrus"].net == -3_000_000
    assert (pairs["aurora", "cirrus"].net, pairs["aurora", "cirrus"].payment) == (707_303, 700_000)
    assert pairs["aurora", "cirrus"].carries_on == 7_303
    assert sum(line.withheld for line in draft.lines) == 0
    assert all(-200_000 < line.payment < 0 for line in draft.lines)
    three.settle()
    asked = legs(three)
    assert {pair: leg.amount for pair, leg in asked.items()} == {
        ("aurora", "borealis"): 6_190_000,
        ("borealis", "cirrus"): 3_000_000,
        ("cirrus", "aurora"): 700_000,
    }
    assert set(legs(three, Caller("partner", "cirrus"))) == {
        ("borealis", "cirrus"),
        ("cirrus", "aurora"),
    }
    before = three.position("aurora"), three.position("borealis")
    first = asked["aurora", "borealis"]
    assert confirm(three, first, "aurora").state == PAIR_LEG.PAIR_LEG_STATE_PAID
    assert (three.position("aurora"), three.position("borealis")) == before
    assert confirm(three, first, "borealis").state == PAIR_LEG.PAIR_LEG_STATE_CONFIRMED
    moved = three.position("aurora"), three.position("borealis")
    assert moved != before
    records = three.records()
    assert confirm(three, first, "aurora").state == PAIR_LEG.PAIR_LEG_STATE_CONFIRMED
    assert confirm(three, first, "borealis").state == PAIR_LEG.PAIR_LEG_STATE_CONFIRMED
    assert (three.records(), three.position("aurora")) == (records, moved[0])
    assert not three.findings()

    # The other way round: the payee first. Then the bank has to show the fees.
    second = asked["borealis", "cirrus"]
    assert confirm(three, second, "cirrus").state == PAIR_LEG.PAIR_LEG_STATE_RECEIVED
    assert confirm(three, second, "borealis").state == PAIR_LEG.PAIR_LEG_STATE_CONFIRMED
    settle_at_the_bank(three)
    assert three.settle().window.state != SETTLED
    for who in ("cirrus", "aurora"):
        confirm(three, asked["cirrus", "aurora"], who)
    assert three.settle().window.state == SETTLED
    assert not three.findings()

    # What pairs carry comes back the next day, and what was paid is on the statements.
    a_day(three, SECOND)
    three.settle(SECOND)
    again = legs(three, window_id=f"cny-{SECOND}")
    # 2 × 0.707303 − 0.70
    assert again["cirrus", "aurora"].amount == 710_000
    stated = three.statement("aurora", SECOND)
    assert stated.restated == 6_190_000 - 700_000
    assert not three.findings()


def test_what_the_operator_funds_goes_over_the_bank_beside_what_partners_pay_each_other(
    three: Coalition,
) -> None:
    now, day = datetime.now(UTC), timedelta(days=1)
    bonus = agreement_pb2.Promotion(
        promotion_id="spring",
        bonus_basis_points=2_000,
        effective_from=time_to_proto(now - day),
        effective_until=time_to_proto(now + day),
        budget_points=100,
        funders=[agreement_pb2.Funder(funder="hub", share_basis_points=10_000)],
    )
    put_in_force(three, agreement("aurora", "cirrus", (2, 1), 7_003, promotions=(bonus,)))
    three.open()
    three.run(order("aurora", "cirrus", 1000, 600))
    three.close(FIRST)
    draft = asyncio.run(
        three.service.get_draft(approval_pb2.GetDraftRequest(window_id=WINDOW), OPERATOR)
    )
    # 500 points between the two; 100 that the operator owes cirrus, up to the fen as all who pay.
    assert [(each.partner_id, each.net) for each in draft.pairs] == [("aurora", -3_501_500)]
    assert (draft.own.net, draft.own.payment) == (-700_300, -710_000)
    answer = three.settle()
    assert {pair: leg.amount for pair, leg in legs(three).items()} == {
        ("aurora", "cirrus"): 3_500_000
    }
    # What the operator owes, aurora's fee and its tax, and what cirrus gets of the operator.
    asked = {leg.partner_id: (leg.direction, leg.amount) for leg in answer.legs}
    assert asked == {
        "hub": (pb.LEG_DIRECTION_PAY_IN, 710_000),
        "aurora": (pb.LEG_DIRECTION_PAY_IN, 40_000),
        "cirrus": (pb.LEG_DIRECTION_PAY_OUT, 700_000),
    }
    confirm_all(three)
    assert three.settle().window.state != SETTLED
    settle_at_the_bank(three)
    assert three.settle().window.state == SETTLED
    assert not three.findings()


def test_what_pairs_and_the_bank_are_asked_for_is_what_positions_owe(three: Coalition) -> None:
    a_day(three)
    three.settle()
    confirm_all(three)
    settle_at_the_bank(three)
    for name in NAMES:
        # Below a minor unit for each of its pairs and the bank.
        assert abs(float(three.position(name))) < 0.03
    assert not three.findings()


def test_a_disputed_line_comes_off_its_pair_and_not_off_the_bank(three: Coalition) -> None:
    set_scheme(three, CashLegs.BILATERAL, acknowledge_minutes=60)
    made = a_day(three)
    three.settle()
    assert legs(three) == {}
    fees = three.statement("aurora").payment
    shown = dispute(three, "borealis", (made.order.transfer_id,))
    for name in NAMES:
        acknowledge(three, name)
    # 9.80 is in dispute: what is left is 3.61 the other way.
    assert legs(three)["borealis", "aurora"].amount == 3_610_000
    assert (three.statement("aurora").version, three.statement("aurora").payment) == (1, fees)
    confirm_all(three)
    settle_at_the_bank(three)
    assert three.settle().window.state == SETTLED
    assert not three.findings()

    # While it lasts nobody is asked for it; when it is decided the pair is.
    three.close(SECOND)
    three.settle(SECOND)
    for name in NAMES:
        acknowledge_day(three, name, SECOND)
    assert ("aurora", "borealis") not in legs(three, window_id=f"cny-{SECOND}")
    end = approval_pb2.EndDisputeRequest(
        subject=shown.subject, outcome=approval_pb2.DISPUTE_OUTCOME_REJECTED, text="it was credited"
    )
    asyncio.run(three.service.end_dispute(end, OPERATOR))
    set_scheme(three, CashLegs.BILATERAL)
    three.close(THIRD)
    three.settle(THIRD)
    assert legs(three, window_id=f"cny-{THIRD}")["aurora", "borealis"].amount == 9_800_000
    assert not three.findings()


def acknowledge_day(coalition: Coalition, name: str, day: date) -> None:
    digest = hashlib.sha256(statement_payload(coalition.statement(name, day))).digest()
    payload = statement_pb2.StatementAcknowledgement(
        audience=AUDIENCE,
        partner_id=name,
        window_id=f"cny-{day}",
        statement_sha256=digest,
        issued_at_us=1,
    ).SerializeToString(deterministic=True)
    envelope = sign(OWN[name], STATEMENT_ACKNOWLEDGEMENT, payload)
    request = approval_pb2.AcknowledgeStatementRequest(acknowledgement=envelope_to_proto(envelope))
    asyncio.run(coalition.service.acknowledge_statement(request, Caller("partner", name)))


def test_an_abort_hands_to_the_pairs_what_both_have_not_confirmed(three: Coalition) -> None:
    a_day(three)
    three.settle()
    asked = legs(three)
    for who in ("borealis", "cirrus"):
        confirm(three, asked["borealis", "cirrus"], who)
    confirm(three, asked["aurora", "borealis"], "aurora")
    abort(three)
    assert {pair: leg.state for pair, leg in legs(three).items()} == {
        ("aurora", "borealis"): PAIR_LEG.PAIR_LEG_STATE_CARRIED,
        ("borealis", "cirrus"): PAIR_LEG.PAIR_LEG_STATE_CONFIRMED,
        ("cirrus", "aurora"): PAIR_LEG.PAIR_LEG_STATE_CARRIED,
    }
    with pytest.raises(Refused) as late:
        confirm(three, asked["aurora", "borealis"], "borealis")
    assert late.value.reason is Reason.LEG_STATE
    assert not three.findings()
    three.close(SECOND)
    three.settle(SECOND)
    assert {pair: leg.amount for pair, leg in legs(three, window_id=f"cny-{SECOND}").items()} == {
        ("aurora", "borealis"): 6_190_000,
        ("cirrus", "aurora"): 700_000,
    }
    confirm_all(three, f"cny-{SECOND}")
    settle_at_the_bank(three, SECOND)
    assert three.settle(SECOND).window.state == SETTLED
    assert not three.findings()


def test_a_later_window_asks_for_nothing_that_an_earlier_one_asks_for(three: Coalition) -> None:
    a_day(three)
    three.settle()
    a_day(three, SECOND)
    three.settle(SECOND)
    for window_id in (WINDOW, f"cny-{SECOND}"):
        assert legs(three, window_id=window_id)["aurora", "borealis"].amount == 6_190_000
    assert len(legs(three, window_id="")) == 3
    confirm_all(three, f"cny-{SECOND}")
    confirm_all(three)
    for day in (FIRST, SECOND):
        settle_at_the_bank(three, day)
        assert three.settle(day).window.state == SETTLED
    assert not three.findings()


@pytest.mark.parametrize("order_of", [list, reversed], ids=["payer first", "payee first"])
def test_every_crash_between_confirmations_is_resumed_to_the_same_end(
    three: Coalition, order_of: Callable[[tuple[str, str]], Iterable[str]]
) -> None:
    a_day(three)
    for crash_after in range(60):
        three.submitted, three.crash_after = 0, crash_after
        try:
            three.settle()
            for leg in legs(three).values():
                for who in order_of((leg.payer, leg.payee)):
                    confirm(three, leg, who)
        except Crash:
            continue
        break
    else:
        pytest.fail("it never came to an end")
    three.crash_after = None
    settle_at_the_bank(three)
    assert three.settle().window.state == SETTLED
    assert not three.findings()


def test_only_its_parties_confirm_a_leg_each_its_own_side_and_whole(three: Coalition) -> None:
    a_day(three)
    three.settle()
    leg = legs(three)["aurora", "borealis"]
    received = pair_pb2.PAYMENT_SIDE_RECEIVED
    wrong: tuple[tuple[Callable[[], object], Reason, str], ...] = (
        (lambda: confirm(three, leg, "cirrus"), Reason.LEG_STATE, "reference"),
        (lambda: confirm(three, leg, "aurora", amount=1), Reason.FIELD_INVALID, "amount"),
        (lambda: confirm(three, leg, "aurora", side=received), Reason.FIELD_INVALID, "side"),
        (lambda: confirm(three, leg, "aurora", caller="cirrus"), *NOT_CALLER),
    )
    for attempt, reason, field in wrong:
        with pytest.raises(Refused) as raised:
            attempt()
        assert (raised.value.reason, raised.value.field) == (reason, field)


def test_the_bank_settles_again_when_pairs_have_ended_and_gets_what_they_carried(
    three: Coalition,
) -> None:
    a_day(three)
    three.settle()
    with pytest.raises(Refused) as early:
        set_scheme(three, CashLegs.MULTILATERAL)
    assert (early.value.reason, early.value.field) == (Reason.WINDOW_STATE, "scheme.cash_legs")
    confirm_all(three)
    settle_at_the_bank(three)
    set_scheme(three, CashLegs.MULTILATERAL)
    a_day(three, SECOND)
    three.settle(SECOND)
    stated = three.statement("aurora", SECOND)
    assert stated.withheld == 0
    assert legs(three, window_id=f"cny-{SECOND}") == {}
    settle_at_the_bank(three, SECOND)
    assert three.settle(SECOND).window.state == SETTLED
    # And back: pairs begin anew, without what the bank has settled.
    set_scheme(three, CashLegs.BILATERAL)
    a_day(three, THIRD)
    three.settle(THIRD)
    assert legs(three, window_id=f"cny-{THIRD}")["cirrus", "aurora"].amount == 700_000
    assert not three.findings()


def test_a_line_that_the_bank_withheld_stays_withheld_beside_what_pairs_pay(
    coalition: Coalition,
) -> None:
    made = first_transfer(coalition)
    shown = dispute(coalition, "borealis", (made.order.transfer_id,))
    coalition.settle()
    set_scheme(coalition, CashLegs.BILATERAL)
    coalition.transfer("aurora", 1000)
    coalition.close(SECOND)
    settle_at_the_bank(coalition)
    coalition.settle(SECOND)
    second = f"cny-{SECOND}"
    assert legs(coalition, window_id=second)["aurora", "borealis"].amount == 9_800_000
    # Both transfers' value, the one in dispute and the one that the pair pays.
    assert coalition.statement("aurora", SECOND).withheld == -19_600_000
    end = approval_pb2.EndDisputeRequest(
        subject=shown.subject, outcome=approval_pb2.DISPUTE_OUTCOME_REJECTED, text="it was credited"
    )
    asyncio.run(coalition.service.end_dispute(end, OPERATOR))
    confirm_all(coalition, second)
    settle_at_the_bank(coalition, SECOND)
    coalition.close(THIRD)
    coalition.settle(THIRD)
    # What the bank had withheld, the bank settles.
    assert coalition.statement("aurora", THIRD).payment // CNY == -10
    assert legs(coalition, window_id=f"cny-{THIRD}") == {}
    assert not coalition.findings()


@pytest.mark.parametrize("ends", ["settled", "aborted"])
def test_credits_that_wait_are_used_up_by_what_another_partner_pays(
    three: Coalition, ends: str
) -> None:
    waits = PartnerLimits("borealis", net_debit_cap=CNY, headroom=Headroom.WHEN_SETTLED)
    three.run(make.set_limits(1, waits))
    a_day(three)
    three.settle()
    leg = legs(three)["aurora", "borealis"]
    for who in ("borealis", "aurora"):
        confirm(three, leg, who)
    assert not three.findings()
    if ends == "aborted":
        abort(three)
    else:
        confirm_all(three)
        settle_at_the_bank(three)
        assert three.settle().window.state == SETTLED
    assert not three.findings()


def test_reports_and_exports_of_days_with_such_payments_add_up(three: Coalition) -> None:
    a_day(three)
    three.settle()
    confirm_all(three)
    settle_at_the_bank(three)
    a_day(three, SECOND)
    three.settle(SECOND)

    async def download(period: str, report: report_pb2.Report, caller: Caller) -> bytes:
        request = report_pb2.DownloadReportRequest(
            period=period, kind=report.kind, format=report.format
        )
        steps = [each async for each in three.service.download_report(request, caller)]
        return b"".join(each.chunk for each in steps if each.HasField("chunk"))

    for period in (WINDOW, f"cny-{SECOND}"):
        for caller in (OPERATOR, *(Caller("partner", name) for name in NAMES)):
            request = report_pb2.ListReportsRequest(period=period)
            found = asyncio.run(three.service.list_reports(request, caller)).reports
            assert found
            for report in found:
                assert asyncio.run(download(period, report, caller))
    text = exported(three, "beancount")["books.beancount"].decode()
    assert faults(text) == []
    assert exported(three, "json")
    assert exported(three, "parquet")
    assert not three.findings()


def test_nobody_is_taken_out_where_partners_pay_each_other(three: Coalition) -> None:
    a_day(three)
    three.settle()
    request = approval_pb2.UnwindPartnerRequest(window_id=WINDOW, partner_id="aurora")
    with pytest.raises(Refused) as refused:
        asyncio.run(three.service.unwind_partner(request, OPERATOR))
    assert refused.value.reason is Reason.WINDOW_STATE
    report = overdue_pb2.GetUnwindReportRequest(window_id=WINDOW, partner_id="aurora")
    with pytest.raises(Refused) as unreported:
        asyncio.run(three.service.get_unwind_report(report, OPERATOR))
    assert unreported.value.reason is Reason.WINDOW_STATE
    # So it is not proposed either, however late the operator's fees are.
    later(three, 60 * 24 * 30)
    asked = overdue_pb2.ListOverdueRequest(currency="CNY")
    late = asyncio.run(three.service.list_overdue(asked, OPERATOR)).payments
    steps = {overdue_pb2.OverdueStep.Name(step) for each in late for step in each.steps}
    assert len(late) == len(NAMES)
    assert "OVERDUE_STEP_HOLD" in steps
    assert "OVERDUE_STEP_UNWIND" not in steps


def test_a_currency_beside_it_is_settled_over_the_bank(three: Coalition) -> None:
    join(three, YEN)
    a_day(three)
    trade_yen(three, YEN)
    three.settle()
    answer = settle(three, YEN)
    assert len(answer.legs) == 2
    assert statement(three, YEN, YEN.source).withheld == 0
    assert len(legs(three)) == 3
    assert answer.window.state != pb.WINDOW_STATE_SETTLED
    assert not three.findings()
