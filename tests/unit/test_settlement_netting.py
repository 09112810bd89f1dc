"""Netting: the worked example of the books, and the laws of rounding a payment."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stdnum import iso11649

from exchange.fold import InvariantBroken
from exchange.ledger.accounts import PARTNER_NUMBER_MAX
from exchange.ledger.postings import Code
from partners.points import format_amount
from settlement.netting import Figures, figures, nets, pay
from settlement.references import leg_reference
from settlement.windows import WindowSum

A, B, HUB = 1, 2, 0
CENT = 10_000
TAX_CODES = {0: "none", 1: "vat6"}


def pair(payer: int, payee: int, code: Code, amount: int, tax: int = 0) -> tuple[WindowSum, ...]:
    return (
        WindowSum(payer, payee, code, tax, -amount),
        WindowSum(payee, payer, code, tax, amount),
    )


EXAMPLE = (
    *pair(A, B, Code.VALUE, 9_800_000 - 3_610_000),
    *pair(A, HUB, Code.FEE, 98_000),
    *pair(A, HUB, Code.TAX, 5_880, 1),
    *pair(B, HUB, Code.FEE, 36_100),
    *pair(B, HUB, Code.TAX, 2_166, 1),
)
"""1,000 A → 500 B at ¥0.0196 and 200 B → 380 A at ¥0.0095, fee 1 %, VAT 6 % on it."""


def test_the_worked_example_of_the_books() -> None:
    assert nets(EXAMPLE) == {HUB: 142_146, A: -6_293_880, B: 6_151_734}
    a, b = figures(EXAMPLE, A, 3_610_000, TAX_CODES), figures(EXAMPLE, B, 9_800_000, TAX_CODES)
    assert a == Figures(-9_800_000, 3_610_000, -98_000, (("vat6", -5_880),), 0, 0, 0)
    assert b == Figures(-3_610_000, 9_800_000, -36_100, (("vat6", -2_166),), 0, 0, 0)
    paid, received = pay(a.net, 0, CENT), pay(b.net, 0, CENT)
    assert format_amount(paid.payment, 6) == "-6.300000"
    assert format_amount(paid.carried_forward, 6) == "0.006120"
    assert format_amount(received.payment, 6) == "6.150000"
    assert format_amount(received.carried_forward, 6) == "0.001734"
    assert format_amount(-a.fees - b.fees, 6) == "0.134100"
    assert format_amount(-a.taxes[0][1] - b.taxes[0][1], 6) == "0.008046"
    assert format_amount(-paid.payment - received.payment, 6) == "0.150000"


def test_payments_are_no_part_of_a_net() -> None:
    sums = (*EXAMPLE, *pair(HUB, A, Code.PAY_IN, 6_300_000), *pair(B, HUB, Code.PAY_OUT, 10_000))
    assert nets(sums) == nets(EXAMPLE)
    assert figures(sums, A, 3_610_000, TAX_CODES).payments_since == 6_300_000
    assert figures(sums, B, 9_800_000, TAX_CODES).payments_since == -10_000


def test_nets_that_do_not_sum_to_zero_stop_the_step() -> None:
    with pytest.raises(InvariantBroken):
        nets(EXAMPLE[:-1])


def test_a_pair_that_does_not_mirror_stops_the_step_even_when_the_total_is_zero() -> None:
    sums = (WindowSum(A, B, Code.VALUE, 0, -5), WindowSum(B, HUB, Code.VALUE, 0, 5))
    with pytest.raises(InvariantBroken):
        nets(sums)


def test_a_code_without_a_line_on_the_statement_stops_the_step() -> None:
    with pytest.raises(InvariantBroken, match="RETIRE"):
        figures(pair(A, HUB, Code.RETIRE, 1), A, 0, TAX_CODES)


@given(
    st.integers(-(10**15), 10**15), st.integers(-(10**15), 10**15), st.sampled_from([1, 10, CENT])
)
def test_what_is_due_is_paid_down_to_a_whole_minor_unit_and_the_rest_is_carried(
    brought_forward: int, net: int, minor_unit: int
) -> None:
    split = pay(brought_forward + net, 0, minor_unit)
    assert split.payment % minor_unit == 0
    assert 0 <= split.carried_forward < minor_unit
    assert split.payment + split.carried_forward == split.due == brought_forward + net


@given(st.lists(st.integers(-(10**12), 10**12), max_size=30))
def test_pay_ins_always_cover_pay_outs_when_the_operator_is_owed_nothing_or_more(
    partners: list[int],
) -> None:
    excess = max(sum(partners), 0)
    due = [*partners, -excess]
    assert sum(pay(each, 0, CENT).payment for each in due) <= 0


@given(
    st.integers(1, 2**31 - 1),
    st.integers(1, PARTNER_NUMBER_MAX),
    st.integers(1, 2**31 - 1),
    st.integers(1, PARTNER_NUMBER_MAX),
)
def test_a_reference_is_valid_and_names_one_leg(w: int, p: int, x: int, q: int) -> None:
    reference = leg_reference(w, p)
    assert iso11649.validate(reference) == reference
    assert len(reference) <= 25
    assert (reference == leg_reference(x, q)) == ((w, p) == (x, q))


@given(st.integers(-(10**12), 10**12), st.integers(-(10**12), 10**12), st.sampled_from([1, 10**4]))
def test_what_is_withheld_is_neither_paid_nor_lost(standing: int, withheld: int, unit: int) -> None:
    split = pay(standing, withheld, unit)
    assert split.due == standing - withheld
    assert 0 <= split.due - split.payment < unit
    assert split.payment + split.carried_forward == standing


@pytest.mark.parametrize(
    ("standing", "payment"), [(4_990_000, 0), (5_000_000, 5_000_000), (-4_990_000, -4_990_000)]
)
def test_only_a_pay_out_waits_for_the_minimum(standing: int, payment: int) -> None:
    split = pay(standing, 0, CENT, minimum_payout=5_000_000)
    assert (split.payment, split.carried_forward) == (payment, standing - payment)
