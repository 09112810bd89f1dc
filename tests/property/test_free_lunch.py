"""No set of terms that is let through can be farmed, and no harmless one is refused."""

from dataclasses import replace
from datetime import datetime, timedelta
from fractions import Fraction
from itertools import permutations

from hypothesis import given
from hypothesis import strategies as st

from partners.agreement import HUB, Funder, Promotion, Segment, Terms
from partners.conversion import target_points
from partners.free_lunch import Loop, find_loop, worths_of
from partners.multipliers import Multiplier, multipliers_of
from tests import factories as make

PROGRAMS = ("grocery", "fuel", "deli")
HOURS = st.integers(0, 6).map(lambda hours: make.NOW + timedelta(hours=hours))


@st.composite
def some_promotion(draw: st.DrawFn, name: str) -> Promotion:
    """A bonus for some of the hours."""
    begins, ends = sorted((draw(HOURS), draw(HOURS) + timedelta(minutes=30)))
    bonus = draw(st.sampled_from([500, 3_333, 5_000]))
    return Promotion(name, bonus, begins, ends, 10**6, (Funder(HUB, 10_000),))


@st.composite
def some_terms(draw: st.DrawFn) -> Terms:
    """Terms of small figures, so that every amount can be tried."""
    source, target = draw(st.permutations(PROGRAMS))[:2]
    units = draw(st.integers(1, 6))
    blocks = draw(st.integers(1, 2))
    least = draw(st.integers(1, 3))
    bare = make.terms(
        source,
        target,
        rate=(units, draw(st.integers(1, 6))),
        minimum_source_points=least,
        maximum_source_points=max(least, units * blocks * draw(st.integers(1, 8))),
        increment_source_points=units * blocks,
    )
    return replace(
        bare,
        segments=tuple(
            Segment(f"tier-{number}", draw(st.integers(3, 6)), 3)
            for number in range(draw(st.integers(0, 2)))
        ),
        promotions=tuple(
            draw(some_promotion(f"bonus-{number}")) for number in range(draw(st.integers(0, 2)))
        ),
    )


def farmed(terms: list[Terms], instant: datetime, most: int = 24) -> bool:
    """Whether some amount can be converted round and round at an instant until it has grown: every
    amount that can be had from it is tried, by the exchange's own conversion, in every segment,
    with all promotions that run.
    """
    for program in PROGRAMS:
        for start in range(1, most + 1):
            seen = {(program, start)}
            waiting = [(program, start)]
            while waiting:
                at, points = waiting.pop()
                if at == program and points > start:
                    return True
                for each in terms:
                    for spent in range(1, points + 1 if each.source_program == at else 1):
                        got = converted(each, spent, instant)
                        # What is not converted is left out: it could only be missed.
                        if 0 < got <= 4 * most and (each.target_program, got) not in seen:
                            seen.add((each.target_program, got))
                            waiting.append((each.target_program, got))
    return False


def converted(terms: Terms, points: int, instant: datetime) -> int:
    """The points that a legal amount becomes in the segment that gives most; 0 for any other."""
    if not terms.minimum_source_points <= points <= terms.maximum_source_points:
        return 0
    if points % terms.increment_source_points:
        return 0
    running = terms.promotions_at(instant)
    segments = ("", *(each.segment_id for each in terms.segments))
    return max(target_points(terms, points, each, running) for each in segments)


@given(st.lists(some_terms(), min_size=2, max_size=6))
def test_t13_terms_without_a_loop_cannot_be_farmed_by_any_legal_amounts(terms: list[Terms]) -> None:
    steps = [each for one in terms for each in multipliers_of(one, make.NOW, None)]
    loop = find_loop(steps, make.NOW)
    for instant in sorted({each.begins for each in steps}):
        if loop is None or instant < loop.begins:
            assert not farmed(terms, instant)


@given(some_terms(), HOURS, st.integers(1, 60))
def test_no_legal_amount_gives_more_than_its_multiplier_of_that_time(
    terms: Terms, instant: datetime, points: int
) -> None:
    (now,) = (
        each
        for each in multipliers_of(terms, make.NOW, None)
        if each.begins <= instant and (each.ends is None or instant < each.ends)
    )
    assert converted(terms, points, instant) <= now.factor * points


@st.composite
def timed_multipliers(draw: st.DrawFn) -> Multiplier:
    """Among four programs, at factors and times that are few, so that they meet."""
    source, target = draw(st.permutations("abcd"))[:2]
    begins, other = draw(HOURS), draw(HOURS)
    ends = draw(st.sampled_from([None, max(begins, other) + timedelta(minutes=30)]))
    factor = Fraction(draw(st.integers(1, 6)), draw(st.integers(1, 6)))
    return Multiplier(source, target, factor, begins, ends, "some terms")


def multiplies(steps: list[Multiplier], instant: datetime) -> bool:
    """Whether a cycle of the steps in force gains, by trying every cycle."""
    factors: dict[tuple[str, str], Fraction] = {}
    for each in steps:
        if each.begins <= instant and (each.ends is None or instant < each.ends):
            pair = (each.source, each.target)
            factors[pair] = max(factors.get(pair, each.factor), each.factor)
    for length in range(2, 5):
        for cycle in permutations("abcd", length):
            product = Fraction(1)
            for pair in zip(cycle, (*cycle[1:], cycle[0]), strict=True):
                product *= factors.get(pair, Fraction(0))
            if product > 1:
                return True
    return False


@given(st.lists(timed_multipliers(), max_size=14), HOURS)
def test_t13_a_loop_is_found_if_and_only_if_some_cycle_gains_at_some_instant(
    steps: list[Multiplier], since: datetime
) -> None:
    instants = sorted({since} | {each.begins for each in steps if each.begins > since})
    gaining = [instant for instant in instants if multiplies(steps, instant)]
    loop = find_loop(steps, since)
    assert (loop is not None) == bool(gaining)
    if loop is None:
        return
    assert loop.product > 1
    assert max(loop.begins, since) == gaining[0]
    assert loop.ends is None or loop.ends > gaining[0]
    assert set(loop.steps) <= set(steps)
    assert [each.target for each in loop.steps] == list(loop.programs[1:])
    assert find_loop(reversed(steps), since) == loop


@given(st.lists(timed_multipliers(), max_size=14))
def test_worths_are_a_proof_or_there_is_a_loop(steps: list[Multiplier]) -> None:
    found = worths_of(steps)
    if isinstance(found, Loop):
        assert found.product > 1
    else:
        assert all(each.factor * found[each.target] <= found[each.source] for each in steps)
