"""Reversals in the fold: what is booked, what is refused in which order, and what gives way."""

from collections import Counter
from datetime import timedelta
from typing import Any

import pytest

from exchange.cap_alerts import PAST_CAP
from exchange.commands import CloseWindow, Command, Conclude, Verdict
from exchange.fold import Folded, State, fold
from exchange.ledger.accounts import PointsAccount, points_account, position_account
from exchange.ledger.postings import Code
from exchange.outcomes import Recorded, Repeated, Reversed
from partners.errors import Reason, Refused
from partners.limits.values import CorridorLimits, PartnerLimits, PartnerSwitches
from partners.wire import time_to_proto
from tests import factories as make
from tests.property.histories import FIRST, RICH, TERMS

WHOLE = 50
"""Target points of the usual order: 100 from grocery to fuel."""
SPRING = TERMS["deli", "fuel", 3]
"""A bonus that three pay for, and a tax on the value; fuel is the target."""


def done(state: State, *commands: Command) -> Folded:
    return fold(state, commands, make.NOW)


def reversal(folded: Folded) -> Reversed:
    """The last result, which is a recorded reversal order."""
    result = folded.results[-1]
    assert isinstance(result, Reversed)
    return result


def position(state: State, brand: str) -> int:
    money = state.registry.units[make.CURRENCY].number
    return state.balances[position_account(money, state.registry.partners[brand].number)].posted


def members(state: State, brand: str) -> int:
    unit = state.registry.points_unit(brand).number
    return state.balances[points_account(unit, PointsAccount.MEMBERS)].posted


STATE = make.a_state()
TRANSFERRED = done(STATE, make.an_order()).state


def test_a_whole_reversal_leaves_what_was_there_before_but_for_a_fee_that_is_kept() -> None:
    folded = done(TRANSFERRED, make.reverse())
    booked = reversal(folded)
    assert booked.refusal is None
    assert [(each.code, each.amount) for each in booked.postings] == [
        (Code.REV_OUT, 100),
        (Code.REV_IN, WHOLE),
        (Code.REV_VALUE, WHOLE * 19_600),
    ]
    after = folded.state
    assert (members(after, "grocery"), members(after, "fuel")) == (0, 0)
    assert position(after, "fuel") == 0
    # Fee and tax are not refundable under these terms.
    assert position(after, "grocery") == -9_800 - 588


def test_a_reversal_in_the_same_batch_as_its_transfer_finds_it() -> None:
    folded = done(STATE, make.an_order(), make.reverse(points=20), make.reverse(2, points=30))
    assert [each.reason for each in folded.results if isinstance(each, Reversed)] == [None, None]
    assert members(folded.state, "fuel") == 0


def test_of_two_that_take_the_last_points_the_second_is_refused_and_told_what_is_left() -> None:
    folded = done(TRANSFERRED, make.reverse(points=30), make.reverse(2, points=21))
    refusal = reversal(folded).refusal
    assert refusal is not None
    assert (refusal.reason, refusal.field) == (Reason.ALREADY_REVERSED, "target_points")
    assert refusal.metadata == {"leftPoints": "20"}
    assert reversal(done(folded.state, make.reverse(3, points=20))).refusal is None


def test_a_bonus_goes_back_to_its_funders_and_to_its_budget() -> None:
    order = make.an_order(1, SPRING, source_points=100)
    before = FIRST
    transferred = done(before, order)
    (made,) = transferred.results
    assert isinstance(made, Recorded)
    assert made.conversion is not None
    total = made.conversion.target_points
    state = transferred.state
    for number, points in enumerate((1, total // 3, total - 1 - total // 3), 1):
        folded = done(state, make.reverse(number, 1, points))
        assert reversal(folded).refusal is None
        state = folded.state
    fee = made.conversion.fee + made.conversion.tax
    assert {brand: position(state, brand) - position(before, brand) for brand in make.BRANDS} == {
        "grocery": 0,
        "fuel": 0,
        "deli": -fee,
    }
    assert state.promotion_points == before.promotion_points
    assert transferred.state.promotion_points != before.promotion_points


def test_source_target_and_funders_are_told_and_nobody_else() -> None:
    transferred = done(FIRST, make.an_order(1, SPRING, source_points=100)).state
    assert reversal(done(transferred, make.reverse(1, 1, 40))).parties == (
        "deli",
        "fuel",
        "grocery",
    )
    assert reversal(done(transferred, make.reverse(1, 1, 40_000))).parties == ("fuel",)
    assert reversal(done(TRANSFERRED, make.reverse())).parties == ("grocery", "fuel")


# What gives way


def test_no_cap_refuses_a_reversal_and_it_is_told_each_time_that_it_goes_further() -> None:
    poor = done(TRANSFERRED, make.set_limits(1, PartnerLimits("fuel", net_debit_cap=1))).state
    # Fuel spends nearly all that it is owed.
    spent = done(poor, make.an_order(9, make.terms("fuel", "grocery"), source_points=50)).state
    assert position(spent, "fuel") > 0
    folded = done(
        spent, make.reverse(points=25), make.reverse(2, points=10), make.reverse(3, points=15)
    )
    assert position(folded.state, "fuel") < -1
    fuel = folded.state.registry.partners["fuel"].number
    levels = [(each.partner_number, each.level) for each in folded.alerts]
    assert set(levels) == {(fuel, PAST_CAP)}
    assert levels
    # Nothing more passes in that direction until it is back.
    refused = done(folded.state, make.an_order(10, make.terms("fuel", "grocery")))
    (result,) = refused.results
    assert isinstance(result, Recorded)
    assert result.reason is Reason.NET_DEBIT_CAP_EXCEEDED


def test_a_cap_of_nothing_gives_way_too() -> None:
    prepaid = done(TRANSFERRED, make.set_limits(1, PartnerLimits("fuel", net_debit_cap=0))).state
    under = make.terms("fuel", "grocery")
    spending = [make.an_order(n, under, source_points=10) for n in range(20, 28)]
    spent = done(prepaid, *spending).state
    folded = done(spent, make.reverse())
    assert position(folded.state, "fuel") < 0
    assert [each.level for each in folded.alerts] == [PAST_CAP]


@pytest.mark.parametrize(
    "restraint",
    [
        make.set_switches(1, PartnerSwitches("fuel", sending_stopped=True)),
        make.set_switches(1, PartnerSwitches("grocery", settlement_on_hold=True)),
        make.set_limits(1, CorridorLimits("grocery", "fuel", source_points_per_day=1)),
        make.activate(make.AGREEMENTS["grocery", "fuel", 2]),
    ],
)
def test_no_switch_no_limit_and_no_new_terms_refuse_it(restraint: Command) -> None:
    folded = done(done(TRANSFERRED, restraint).state, make.reverse())
    assert reversal(folded).refusal is None
    assert Counter(each.code for each in reversal(folded).postings)[Code.REV_VALUE] == 1


def test_it_lands_in_the_window_that_is_open_whichever_counted_the_transfer() -> None:
    closed = done(TRANSFERRED, CloseWindow(make.WINDOW, None)).state
    booked = reversal(done(closed, make.reverse()))
    assert booked.window is not None
    assert booked.window.window_id == make.NEXT_WINDOW


# Refusals


def first_refused(state: State, *arguments: Any, **changes: Any) -> tuple[Reason, str]:
    refusal = reversal(done(state, make.reverse(*arguments, **changes))).refusal
    assert refusal is not None
    return refusal.reason, refusal.field


def test_the_first_check_that_fails_answers() -> None:
    held = done(
        TRANSFERRED,
        make.set_limits(1, CorridorLimits("grocery", "fuel", review_above_points=1)),
        make.an_order(2),
        make.an_order(3, source_points=101),
    ).state
    early = {
        "issued_at": time_to_proto(make.NOW + timedelta(minutes=5)),
        "expires_at": time_to_proto(make.NOW + timedelta(minutes=6)),
    }
    late = {"expires_at": time_to_proto(make.NOW)}
    unknown = (Reason.TRANSFER_UNKNOWN, "transfer_id")
    assert first_refused(held, 1, 99, 1, "fuel", **early) == (
        Reason.ORDER_FROM_FUTURE,
        "issued_at",
    )
    assert first_refused(held, 1, 99, 1, "fuel", **late) == (Reason.ORDER_EXPIRED, "expires_at")
    assert first_refused(held, 1, 99) == unknown
    assert first_refused(held, 1, 1, 1, "deli") == unknown
    # Of what was held or refused the target was never told.
    assert first_refused(held, 1, 2) == unknown
    assert first_refused(held, 1, 3) == unknown
    assert first_refused(held, 1, 2, 1, "grocery") == (Reason.TRANSFER_STATE, "transfer_id")
    assert first_refused(held, 1, 3, 1, "grocery") == (Reason.TRANSFER_STATE, "transfer_id")
    assert first_refused(held, 1, 1, 1, "grocery") == (Reason.TARGET_REVERSES, "partner_id")
    assert first_refused(held, 1, 1, 51) == (Reason.ALREADY_REVERSED, "target_points")


def test_what_waits_for_the_targets_answer_is_reversed_once_it_is_credited() -> None:
    under = TERMS["grocery", "deli", 3]
    order = make.an_order(1, under, source_points=200)
    reserved = done(FIRST, order).state
    assert first_refused(reserved, 1, 1, 1, "deli") == (Reason.TRANSFER_STATE, "transfer_id")
    assert first_refused(reserved, 1, 1, 1, "grocery") == (Reason.TRANSFER_STATE, "transfer_id")
    credited = Conclude(order.transfer_id, Verdict.CREDITED, make.proof("deli"))
    folded = done(reserved, credited, make.reverse(1, 1, order.target_points, "deli"))
    assert reversal(folded).refusal is None
    assert members(folded.state, "deli") == 0
    declined = Conclude(order.transfer_id, Verdict.DECLINED, make.proof("deli"))
    voided = done(reserved, declined).state
    assert first_refused(voided, 1, 1, 1, "grocery") == (Reason.TRANSFER_STATE, "transfer_id")


def test_without_an_open_window_it_is_refused() -> None:
    closed = {name: each for name, each in TRANSFERRED.windows.items() if each.state != "OPEN"}
    without = State(
        **{name: getattr(TRANSFERRED, name) for name in TRANSFERRED.__slots__} | {"windows": closed}
    )
    assert first_refused(without) == (Reason.WINDOW_STATE, "")


def test_a_key_that_is_not_in_force_records_nothing() -> None:
    folded = done(TRANSFERRED, make.reverse(key_id="0" * 32))
    (refusal,) = folded.results
    assert isinstance(refusal, Refused)
    assert refusal.reason is Reason.KEY_NOT_IN_FORCE
    assert folded.outcomes == ()


def test_terms_that_were_altered_book_nothing() -> None:
    altered = State(
        **{name: getattr(TRANSFERRED, name) for name in TRANSFERRED.__slots__}
        | {"registry": TRANSFERRED.registry.with_altered([("grocery-fuel", 1)])}
    )
    assert first_refused(altered) == (Reason.AGREEMENT_ALTERED, "agreement_id")


# Repeats


def test_a_repeat_is_answered_with_what_was_answered_first() -> None:
    first = done(TRANSFERRED, make.reverse(points=50))
    again = done(first.state, make.reverse(points=50))
    assert again.results == (Repeated(reversal(first).log_index, "fuel"),)
    assert again.state == first.state


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"target_points": 7}, "target_points"),
        ({"transfer_id": make.transfer_id(5).bytes}, "transfer_id"),
        ({"partner_reference": "x"}, "partner_reference"),
    ],
)
def test_other_content_under_the_same_id_is_told_the_first_difference(
    changes: dict[str, Any], field: str
) -> None:
    first = done(TRANSFERRED, make.reverse()).state
    (refusal,) = done(first, make.reverse(**changes)).results
    assert isinstance(refusal, Refused)
    assert (refusal.reason, refusal.field) == (Reason.MODIFIED_REQUEST, field)


def test_an_id_stands_for_a_transfer_or_for_a_reversal_and_never_for_both() -> None:
    own_id = make.transfer_id(1).bytes
    (refusal,) = done(TRANSFERRED, make.reverse(reversal_id=own_id)).results
    assert isinstance(refusal, Refused)
    assert (refusal.reason, refusal.field) == (Reason.MODIFIED_REQUEST, "reversal_id")
    reversed_ = done(TRANSFERRED, make.reverse()).state
    under_it = make.an_order(transfer_id=make.reversal_id(1).bytes)
    (refusal,) = done(reversed_, under_it).results
    assert isinstance(refusal, Refused)
    assert (refusal.reason, refusal.field) == (Reason.MODIFIED_REQUEST, "transfer_id")


def test_rich_terms_are_here_so_that_every_posting_is_reversed_somewhere() -> None:
    codes = set[Code]()
    for number, payload in enumerate(RICH.values(), 1):
        under = make.terms_of(payload)
        points = 100 * under.increment_source_points
        transferred = done(FIRST, make.an_order(number, under, source_points=points))
        (made,) = transferred.results
        if isinstance(made, Recorded) and made.conversion is not None:
            total, target = made.conversion.target_points, under.target_program
            folded = done(transferred.state, make.reverse(number, number, total, target))
            assert reversal(folded).refusal is None
            codes |= {each.code for each in reversal(folded).postings}
    assert codes == {code for code in Code if code.name.startswith("REV_")}
