"""Postings and the counters that they move."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.ledger.accounts import HubAccount, hub_account, position_account, tax_account
from exchange.ledger.postings import (
    COUNTER_MAX,
    Balance,
    Code,
    CounterFull,
    MoneyCell,
    OutOfBounds,
    Phase,
    PointsCell,
    Posting,
    PostingRef,
    credited,
    debited,
    post,
    window_steps,
)

A, B = position_account(1, 1), position_account(1, 2)
FEES, BANK = hub_account(1, HubAccount.FEES), hub_account(1, HubAccount.BANK_SETTLEMENT)
HOLD = PostingRef(5, 0)


@pytest.mark.parametrize(
    ("debit", "credit", "amount", "phase", "resolves"),
    [
        (A, B, 0, Phase.POSTED, None),
        (A, B, -1, Phase.PENDING, None),
        (A, A, 1, Phase.POSTED, None),
        (A, position_account(2, 1), 1, Phase.POSTED, None),
        (A, B, 1, Phase.POSTED, HOLD),
        (A, B, 1, Phase.CONFIRMS, None),
        (A, B, 1, Phase.VOIDS, None),
    ],
)
def test_a_posting_that_the_database_would_refuse_cannot_be_made(
    debit: int, credit: int, amount: int, phase: Phase, resolves: PostingRef | None
) -> None:
    with pytest.raises(AssertionError):
        Posting(Code.VALUE, debit, credit, amount, phase, resolves)


def counters(balance: Balance) -> tuple[int, int, int, int]:
    return (
        balance.debits_pending,
        balance.debits_posted,
        balance.credits_pending,
        balance.credits_posted,
    )


@pytest.mark.parametrize(
    ("phase", "of_debit", "of_credit"),
    [
        (Phase.POSTED, (10, 13, 30, 40), (10, 10, 30, 43)),
        (Phase.PENDING, (13, 10, 30, 40), (10, 10, 33, 40)),
        (Phase.CONFIRMS, (7, 13, 30, 40), (10, 10, 27, 43)),
        (Phase.VOIDS, (7, 10, 30, 40), (10, 10, 27, 40)),
    ],
)
def test_each_phase_moves_its_counters(
    phase: Phase, of_debit: tuple[int, ...], of_credit: tuple[int, ...]
) -> None:
    balance = Balance(10, 10, 30, 40, floor=-9, ceiling=99)
    assert counters(debited(balance, 3, phase)) == of_debit
    assert counters(credited(balance, 3, phase)) == of_credit
    assert (debited(balance, 3, phase).floor, credited(balance, 3, phase).ceiling) == (-9, 99)


def test_a_hold_counts_against_its_payer_at_once_and_for_its_payee_when_it_is_posted() -> None:
    balances = {A: Balance(floor=-10), B: Balance(floor=0)}
    post(balances, (Posting(Code.VALUE, A, B, 10, Phase.PENDING),))
    assert (balances[A].available, balances[A].posted) == (-10, 0)
    assert (balances[B].available, balances[B].posted) == (0, 0)
    with pytest.raises(OutOfBounds):
        post(balances, (Posting(Code.VALUE, A, B, 1, Phase.PENDING),))
    with pytest.raises(OutOfBounds):
        post(balances, (Posting(Code.VALUE, B, A, 1),))
    post(balances, (Posting(Code.VALUE, A, B, 10, Phase.CONFIRMS, HOLD),))
    assert counters(balances[A]) == (0, 10, 0, 0)
    assert balances[B].available == 10


def test_a_hold_that_is_voided_leaves_nothing() -> None:
    balances = {A: Balance(floor=-10), B: Balance(floor=0)}
    before = dict(balances)
    post(balances, (Posting(Code.VALUE, A, B, 10, Phase.PENDING),))
    post(balances, (Posting(Code.VALUE, A, B, 10, Phase.VOIDS, HOLD),))
    assert balances == before


def test_a_ceiling_counts_promised_credits_and_not_promised_debits() -> None:
    balances = {A: Balance(floor=-10), BANK: Balance(ceiling=0)}
    post(balances, (Posting(Code.PAY_IN, BANK, A, 7, Phase.PENDING),))
    with pytest.raises(OutOfBounds) as refused:
        post(balances, (Posting(Code.PAY_OUT, A, BANK, 1, Phase.PENDING),))
    assert refused.value.account == BANK
    post(balances, (Posting(Code.PAY_IN, BANK, A, 7, Phase.CONFIRMS, HOLD),))
    post(balances, (Posting(Code.PAY_OUT, A, BANK, 7, Phase.PENDING),))


def test_an_entry_is_judged_as_a_whole_and_posted_as_a_whole_or_not_at_all() -> None:
    balances = {A: Balance(floor=0), B: Balance(floor=0), FEES: Balance()}
    there_and_back = (Posting(Code.VALUE, A, B, 5), Posting(Code.VALUE, B, A, 5))
    post(balances, there_and_back)
    assert (balances[A].posted, balances[A].debits_posted) == (0, 5)
    before = dict(balances)
    with pytest.raises(OutOfBounds) as refused:
        post(balances, (Posting(Code.FEE, FEES, B, 5), Posting(Code.VALUE, A, B, 1)))
    assert refused.value.account == A
    assert balances == before


def test_a_counter_takes_what_the_database_can_add_and_not_a_unit_more() -> None:
    balances = {A: Balance(), B: Balance(), FEES: Balance()}
    post(balances, (Posting(Code.VALUE, A, B, COUNTER_MAX),))
    before = dict(balances)
    with pytest.raises(CounterFull) as refused:
        post(balances, (Posting(Code.VALUE, FEES, B, 1),))
    assert refused.value.account == B
    assert balances == before
    assert 2 * COUNTER_MAX < 2**63


@given(st.integers(1, 10**9), st.sampled_from(list(Phase)))
def test_what_one_side_gets_the_other_gives(amount: int, phase: Phase) -> None:
    resolves = HOLD if phase in (Phase.CONFIRMS, Phase.VOIDS) else None
    held = Balance(debits_pending=10**9, credits_pending=10**9)
    balances = {A: held, B: held}
    post(balances, (Posting(Code.VALUE, A, B, amount, phase, resolves),))
    assert balances[A].posted + balances[B].posted == 0
    assert balances[A].debits_pending == balances[B].credits_pending


def test_money_between_two_parties_counts_for_both_with_opposite_signs() -> None:
    assert window_steps(Posting(Code.VALUE, A, B, 9)) == (
        (MoneyCell(1, 2, Code.VALUE), -9),
        (MoneyCell(2, 1, Code.VALUE), 9),
    )
    assert window_steps(Posting(Code.TAX, A, tax_account(1, 3), 9)) == (
        (MoneyCell(1, 0, Code.TAX, 3), -9),
        (MoneyCell(0, 1, Code.TAX, 3), 9),
    )


def test_points_count_once_under_their_code() -> None:
    assert window_steps(Posting(Code.OUT, 2 << 20 | 1, 2 << 20 | 3, 9)) == (
        (PointsCell(2, Code.OUT), 9),
    )


@pytest.mark.parametrize(
    "posting",
    [
        Posting(Code.VALUE, A, B, 9, Phase.PENDING),
        Posting(Code.VALUE, A, B, 9, Phase.VOIDS, HOLD),
        Posting(Code.ADJUSTMENT, FEES, hub_account(1, HubAccount.ROUNDING), 9),
        Posting(Code.DRAW, A + 1, A, 9),
        Posting(Code.RETIRE, 2 << 20 | 3, 2 << 20 | 2, 9),
    ],
)
def test_what_is_not_posted_or_stays_with_one_party_counts_in_no_window(posting: Posting) -> None:
    assert window_steps(posting) == ()


def test_the_numbers_of_codes_are_stored_and_never_change() -> None:
    assert [code.value for code in Code] == list(range(1, 27))
    assert {code: Code[code].value for code in ("OUT", "VALUE", "TAX", "PAY_IN", "DRAW")} == {
        "OUT": 1,
        "VALUE": 4,
        "TAX": 8,
        "PAY_IN": 18,
        "DRAW": 20,
    }


def test_an_account_outside_its_bounds_may_come_back_and_go_no_further() -> None:
    # A cap that was lowered below what is owed stops new debits and nothing else.
    owing = Balance(debits_posted=100, floor=-50)
    balances = {A: owing, B: Balance(floor=-50)}
    post(balances, (Posting(Code.PAY_IN, B, A, 30),))
    assert balances[A].available == -70
    with pytest.raises(OutOfBounds) as refused:
        post(balances, (Posting(Code.VALUE, A, B, 1),))
    assert refused.value.account == A


def test_a_bank_account_above_its_ceiling_takes_pay_ins() -> None:
    balances = {BANK: Balance(credits_posted=100, ceiling=0), A: Balance()}
    post(balances, (Posting(Code.PAY_IN, BANK, A, 30),))
    with pytest.raises(OutOfBounds):
        post(balances, (Posting(Code.PAY_OUT, A, BANK, 1),))
