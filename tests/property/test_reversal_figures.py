"""What is given back of a transfer in parts is the transfer, to the last unit."""

from collections import Counter
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from exchange.ledger.postings import Code, Posting
from exchange.reversal import Portion, between, dealt, portion_of
from exchange.reversal_postings import reversal_postings
from exchange.transfer_postings import transfer_postings
from partners.conversion import Conversion, convert
from tests import factories as make
from tests.property.histories import FIRST, TERMS

RICH = [terms for (_, _, version), terms in TERMS.items() if version != 2]
"""Fees of either bearer, given back and not; funders of every kind; prices of one and of 1,000."""


@st.composite
def wholes(draw: st.DrawFn) -> tuple[int, Portion]:
    """Some transfer's figures, and under which of the terms."""
    at = draw(st.integers(0, len(RICH) - 1))
    terms = RICH[at]
    points = draw(st.integers(1, 3_000)) * terms.increment_source_points
    conversion = convert(
        terms,
        points,
        600,
        draw(st.sampled_from([0, 1_300])) if terms.value_tax_code else 0,
        segment_id=draw(st.sampled_from(["", *(each.segment_id for each in terms.segments)])),
        promotions=terms.promotions if draw(st.booleans()) else terms.promotions[:1],
    )
    return at, Portion(points, conversion)


@st.composite
def partials(draw: st.DrawFn, n: int) -> list[int]:
    """How many are taken back in all after each of some reversals; the last takes all."""
    return [0, *sorted(draw(st.sets(st.integers(1, n), max_size=8)) - {n}), n]


def figures(portion: Portion) -> list[int]:
    made: Conversion = portion.conversion
    bonuses = [n for each in made.bonuses for n in (each.points, each.value, *each.shares)]
    money = [made.value, made.value_tax, made.fee, made.tax]
    return [portion.source_points, portion.target_points, made.paid_points, *money, *bonuses]


def moved(postings: tuple[Posting, ...]) -> Counter[tuple[Code, int, int]]:
    sums = Counter[tuple[Code, int, int]]()
    for each in postings:
        sums[each.code, each.debit, each.credit] += each.amount
    return sums


@given(wholes(), st.booleans(), st.data())
def test_parts_that_sum_to_all_give_back_exactly_the_whole(
    drawn: tuple[int, Portion], fee_refundable: bool, data: st.DataObject
) -> None:
    _, whole = drawn
    to_date = [
        portion_of(whole, k, fee_refundable=fee_refundable)
        for k in data.draw(partials(whole.target_points))
    ]
    booked = [figures(between(a, b)) for a, b in pairwise(to_date)]
    expected = figures(whole)
    if not fee_refundable:
        expected[5:7] = [0, 0]
    assert [sum(column) for column in zip(*booked, strict=True)] == expected


@given(wholes(), st.booleans(), st.data())
def test_no_reversal_books_a_negative_figure(
    drawn: tuple[int, Portion], fee_refundable: bool, data: st.DataObject
) -> None:
    _, whole = drawn
    for before, after in pairwise(data.draw(partials(whole.target_points))):
        portion = between(
            portion_of(whole, before, fee_refundable=fee_refundable),
            portion_of(whole, after, fee_refundable=fee_refundable),
        )
        assert min(figures(portion)) >= 0
        assert portion.target_points == after - before
        for bonus in portion.conversion.bonuses:
            assert sum(bonus.shares) == bonus.value


@given(wholes(), st.data())
def test_source_points_and_value_to_date_are_the_floors_of_their_parts(
    drawn: tuple[int, Portion], data: st.DataObject
) -> None:
    at, whole = drawn
    k, n = data.draw(st.integers(0, whole.target_points)), whole.target_points
    portion = portion_of(whole, k, fee_refundable=True)
    price = RICH[at].price
    assert portion.source_points == whole.source_points * k // n
    assert portion.conversion.value == portion.conversion.paid_points * price.units // price.points
    # What was paid for comes back first: never less than its part, and less than a point more.
    assert 0 <= portion.conversion.paid_points * n - whole.conversion.paid_points * k < n


@given(wholes(), st.data())
def test_the_postings_of_all_reversals_are_the_transfers_the_other_way_round(
    drawn: tuple[int, Portion], data: st.DataObject
) -> None:
    at, whole = drawn
    registry, terms = FIRST.registry, RICH[at]
    to_date = [
        portion_of(whole, k, fee_refundable=True) for k in data.draw(partials(whole.target_points))
    ]
    booked = [
        each
        for before, after in pairwise(to_date)
        for each in reversal_postings(registry, terms, between(before, after))
    ]
    there = moved(transfer_postings(registry, terms, whole.source_points, whole.conversion))
    back = {
        (Code[f"REV_{code.name}"], credit, debit): amount
        for (code, debit, credit), amount in there.items()
    }
    assert moved(tuple(booked)) == back


@given(st.lists(st.integers(0, 50), min_size=1, max_size=6), st.data())
def test_what_is_dealt_out_grows_with_the_units_and_all_units_give_the_parts(
    parts: list[int], data: st.DataObject
) -> None:
    total = sum(parts)
    a, b = sorted(data.draw(st.tuples(st.integers(0, total), st.integers(0, total))))
    earlier, later = dealt(parts, a), dealt(parts, b)
    assert (sum(earlier), sum(later)) == (a, b)
    assert all(0 <= x <= y <= part for x, y, part in zip(earlier, later, parts, strict=True))
    assert dealt(parts, total) == tuple(parts)


def test_a_worked_example_in_three_parts() -> None:
    # 1,000 points become 500 worth 9.800000, fee 0.098000, tax 0.005880: the page on the books.
    terms = make.terms(fee_refundable=True)
    whole = Portion(1_000, convert(terms, 1_000, 600))
    shown = []
    for before, after in pairwise([0, 1, 167, 500]):
        portion = between(
            portion_of(whole, before, fee_refundable=True),
            portion_of(whole, after, fee_refundable=True),
        )
        made = portion.conversion
        shown.append((portion.source_points, made.value, made.fee, made.tax))
    assert shown == [
        (2, 19_600, 196, 12),
        (332, 3_253_600, 32_536, 1_952),
        (666, 6_526_800, 65_268, 3_916),
    ]
