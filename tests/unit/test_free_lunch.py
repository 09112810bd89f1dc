"""The search for a cycle of conversions that multiplies points."""

import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from itertools import pairwise, permutations

import pytest

from partners.agreement import HUB, Funder, Promotion, Segment
from partners.free_lunch import Loop, find_loop, gains, in_order, worths_of
from partners.multipliers import Multiplier, multipliers_of
from tests import factories as make

DAY = datetime(2026, 7, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
HAIR = 1 + Fraction(1, 10**9)
"""What a planted loop gains."""


def step(
    source: str,
    target: str,
    factor: Fraction | int,
    begins: datetime = DAY,
    ends: datetime | None = None,
) -> Multiplier:
    """A multiplier, in force from the first of the month unless told."""
    return Multiplier(source, target, Fraction(factor), begins, ends, f"{source}-{target}")


def coalition(programs: int, seed: int = 1, spread: Fraction = Fraction(1)) -> list[Multiplier]:
    """All corridors between programs whose points have a value each."""
    dice = random.Random(seed)
    names = [f"program-{number:03}" for number in range(programs)]
    values = {name: Fraction(dice.randint(1, 10**6), 10**6) for name in names}
    return [
        step(one, other, values[one] / values[other] * spread)
        for one, other in permutations(names, 2)
    ]


def planted(
    steps: list[Multiplier],
    length: int,
    product: Fraction,
    seed: int,
    spread: Fraction = Fraction(1),
) -> Loop:
    """A loop through the steps, changed in place so that its product is this one: its first step
    has it all, and the others none of the spread that the rest has.
    """
    dice = random.Random(seed)
    names = dice.sample(sorted({each.source for each in steps}), length)
    places = {(each.source, each.target): place for place, each in enumerate(steps)}
    path = [places[pair] for pair in zip(names, (*names[1:], names[0]), strict=True)]
    rest = Fraction(1)
    for place in path[1:]:
        steps[place] = replace(steps[place], factor=steps[place].factor / spread)
        rest *= steps[place].factor
    steps[path[0]] = replace(steps[path[0]], factor=product / rest, label="planted")
    return Loop(tuple(steps[place] for place in path))


@pytest.mark.parametrize("length", range(2, 7))
@pytest.mark.parametrize("gain", [Fraction(1, 10**9), Fraction(1, 10**18), Fraction(1, 10**40)])
def test_t13_a_planted_loop_is_found_however_little_it_gains(length: int, gain: Fraction) -> None:
    steps = coalition(12, seed=length, spread=Fraction(1))
    # Every other loop has a product of exactly 1, as the loops of one value per program have.
    assert find_loop(steps, DAY) is None
    planted(steps, length, 1 + gain, seed=length)
    loop = find_loop(steps, DAY)
    assert loop is not None
    assert loop.product == 1 + gain
    assert "planted" in {each.label for each in loop.steps}


@pytest.mark.parametrize("length", range(2, 7))
def test_t13_a_planted_loop_is_found_whose_steps_meet_for_one_hour_only(length: int) -> None:
    spread = Fraction(9, 10)
    steps = coalition(12, length, spread)
    loop = planted(steps, length, HAIR, length, spread)
    # One step after the other begins; the first ends an hour after the last has begun.
    last = DAY + length * HOUR
    on_loop = {
        each: replace(
            each,
            begins=DAY + (place + 1) * HOUR,
            ends=last + HOUR if place == 0 else last + 9 * HOUR,
        )
        for place, each in enumerate(loop.steps)
    }
    timed = [on_loop.get(each, each) for each in steps]
    found = find_loop(timed, DAY)
    assert found is not None
    assert set(found.steps) == set(on_loop.values())
    assert (found.product, found.begins, found.ends) == (HAIR, last, last + HOUR)
    # Ending as the last begins, they never meet.
    first = next(each for each in timed if each.ends == last + HOUR)
    assert find_loop(
        [replace(each, ends=last) if each is first else each for each in timed], DAY
    ) is (None)
    # Nor does it matter what was before now.
    assert find_loop(timed, last + HOUR) is None


def test_a_product_of_exactly_one_is_no_loop_and_a_spread_makes_none() -> None:
    for spread in (Fraction(1), Fraction(999, 1000), 1 - Fraction(1, 10**15)):
        assert find_loop(coalition(30, spread=spread), DAY) is None


def test_the_earliest_loop_is_named_and_no_program_of_it_can_be_left_out() -> None:
    steps = [
        step("a", "b", 2, DAY + 5 * HOUR),
        step("b", "a", 1),
        step("c", "d", 3, DAY + HOUR),
        step("d", "e", 1),
        step("e", "c", Fraction(1, 2)),
        # A shorter way round than by way of e.
        step("d", "c", Fraction(2, 5)),
    ]
    loop = find_loop(steps, DAY)
    assert loop is not None
    assert (loop.programs, loop.product, loop.begins, loop.ends) == (
        ("c", "d", "c"),
        Fraction(6, 5),
        DAY + HOUR,
        None,
    )


def test_of_two_terms_on_one_corridor_the_better_counts_while_it_is_in_force() -> None:
    bonus = step("a", "b", Fraction(3, 2), DAY + HOUR, DAY + 2 * HOUR)
    base = [step("a", "b", 1), step("b", "a", Fraction(9, 10))]
    assert find_loop(base, DAY) is None
    loop = find_loop([*base, bonus], DAY)
    assert loop is not None
    assert (loop.product, loop.begins, loop.ends) == (
        Fraction(27, 20),
        bonus.begins,
        bonus.ends,
    )
    assert find_loop([*base, bonus], DAY + 2 * HOUR) is None


def test_terms_that_follow_each_other_make_no_loop() -> None:
    change = DAY + HOUR
    steps = [
        step("a", "b", 2, ends=change),
        step("a", "b", Fraction(1, 2), change),
        step("b", "a", Fraction(1, 2), ends=change),
        step("b", "a", 2, change),
    ]
    assert isinstance(worths_of(steps), Loop)
    assert find_loop(steps, DAY) is None


def test_a_program_that_converts_into_itself_is_a_loop_of_one() -> None:
    loop = find_loop([step("a", "a", HAIR)], DAY)
    assert loop is not None
    assert loop.programs == ("a", "a")
    assert find_loop([step("a", "a", 1)], DAY) is None


def test_worths_prove_that_nothing_gains() -> None:
    steps = coalition(8, spread=Fraction(99, 100))
    worths = worths_of(steps)
    assert not isinstance(worths, Loop)
    assert all(each.factor * worths[each.target] <= worths[each.source] for each in steps)
    assert not any(gains(each, worths) for each in steps)
    one = steps[0]
    assert gains(replace(one, factor=worths[one.source] / worths[one.target] * HAIR), worths)
    assert not gains(replace(one, factor=worths[one.source] / worths[one.target]), worths)
    assert gains(step("nobody", one.target, 1), worths)


def test_nothing_at_all_has_no_loop() -> None:
    assert find_loop([], DAY) is None
    assert worths_of([]) == {}


def test_what_has_ended_is_left_out_and_the_order_does_not_matter() -> None:
    steps = coalition(5)
    over = step("a", "b", 9, ends=DAY)
    assert in_order([over, *reversed(steps)], DAY) == in_order(steps, DAY)


def test_a_long_chain_of_huge_rates_is_still_decided_exactly() -> None:
    # Worths of some 150,000 bits: the floats' margin does not hold for them.
    programs = [f"program-{number:04}" for number in range(2_400)]
    chain = [step(one, other, Fraction(2**62, 1)) for one, other in pairwise(programs)]
    back = Fraction(1, 2 ** (62 * (len(programs) - 1)))
    assert find_loop([*chain, step(programs[-1], programs[0], back)], DAY) is None
    loop = find_loop([*chain, step(programs[-1], programs[0], back * HAIR)], DAY)
    assert loop is not None
    assert (loop.product, len(loop.steps)) == (HAIR, len(programs))


def test_the_best_segment_counts_and_each_promotion_while_it_runs() -> None:
    funders = (Funder(HUB, 10_000),)
    terms = replace(
        make.TERMS,
        segments=(Segment("silver", 5, 4), Segment("gold", 3, 2)),
        promotions=(
            Promotion("spring", 1_000, DAY - HOUR, DAY + 2 * HOUR, 100, funders),
            Promotion("rush", 2_500, DAY + HOUR, DAY + 9 * HOUR, 100, funders),
        ),
    )
    gold = "grocery-fuel version 1, segment gold"
    found = [
        (each.begins, each.ends, each.factor, each.label)
        for each in multipliers_of(terms, DAY, DAY + 5 * HOUR)
    ]
    assert found == [
        (DAY, DAY + HOUR, Fraction(16, 20), f"{gold}, promotion spring"),
        (
            DAY + HOUR,
            DAY + 2 * HOUR,
            Fraction(185, 200),
            f"{gold}, promotion spring, promotion rush",
        ),
        (DAY + 2 * HOUR, DAY + 5 * HOUR, Fraction(175, 200), f"{gold}, promotion rush"),
    ]
    assert multipliers_of(terms, DAY, None)[-1] == Multiplier(
        "grocery", "fuel", Fraction(3, 4), DAY + 9 * HOUR, None, gold
    )


def test_the_multiplier_of_bare_terms_is_what_a_block_gives() -> None:
    (only,) = multipliers_of(make.terms("fuel", "deli"), DAY, None)
    assert only == Multiplier("fuel", "deli", Fraction(19, 10), DAY, None, "fuel-deli version 1")
