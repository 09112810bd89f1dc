"""Thousands of courses from seeds, each of which keeps every law.

One of them again, with its trace: `POINTCLEAR_SEED=4711 pytest tests/simulation/test_courses.py`.
More of them: `POINTCLEAR_SEEDS=100000 pytest …`.
"""

import os
from dataclasses import replace

import pytest

from tests.simulation.laws import broken_laws, broken_within
from tests.simulation.plan import CONFIRMED, PROMISED, Ordered, Plan, Reversing, plan_of
from tests.simulation.schedule import MINUTE, SECOND
from tests.simulation.world import World

SEEDS = int(os.environ.get("POINTCLEAR_SEEDS", "3000"))
ONE = os.environ.get("POINTCLEAR_SEED")
CHUNKS = 10
TRACE_MAX = 300
"""Lines of a trace that are shown: what never comes to rest has thousands."""


def broken(plan: Plan) -> list[str]:
    """The laws that a plan's course breaks."""
    world = World(plan)
    try:
        world.run()
    except Exception as error:
        return [f"{type(error).__name__}: {error}"]
    return list(broken_laws(world))


def check(plan: Plan) -> None:
    """Fail with the smallest plan that was found to break a law, and its trace."""
    if not broken(plan):
        return
    least = plan
    shrunk = True
    while shrunk:
        shrunk = False
        for smaller in least.smaller():
            if broken(smaller):
                least, shrunk = smaller, True
                break
    lines: list[str] = []
    world = World(least, tell=lines.append)
    try:
        world.run()
        laws = list(broken_laws(world))
    except Exception as error:
        laws = [f"{type(error).__name__}: {error}"]
    again = f"POINTCLEAR_SEED={plan.seed} pytest tests/simulation/test_courses.py"
    pytest.fail(
        "\n".join([*laws, "", str(least), "", *lines[:TRACE_MAX], "", again]), pytrace=False
    )


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_every_course_comes_to_rest_with_both_sides_alike(chunk: int) -> None:
    if ONE is not None:
        return check(plan_of(int(ONE)))
    for seed in range(chunk, SEEDS, CHUNKS):
        check(plan_of(seed))


@pytest.mark.parametrize("lies", [30, 500])
def test_a_brand_that_signs_the_opposite_is_held_to_its_first_word(lies: int) -> None:
    contradicted = 0
    for seed in range(SEEDS // 15):
        world = World(replace(plan_of(seed), lies=lies))
        world.run()
        assert not list(broken_within(world)), f"seed {seed}, lies {lies}"
        contradicted += bool(world.contradictions)
    assert contradicted, "nobody noticed"


FIXED = Plan(
    0,
    (
        Ordered(1, "fuel", CONFIRMED, 1, 0),
        Ordered(2, "fuel", PROMISED, 1, 0),
        Ordered(3, "deli", CONFIRMED, 2, SECOND),
        Ordered(4, "deli", PROMISED, 2, SECOND),
        Ordered(5, "deli", CONFIRMED, 1, SECOND, cancel_at=2 * SECOND),
    ),
    (
        Reversing(1, 50, by_source=True, at=MINUTE),
        Reversing(3, 100, by_source=False, at=MINUTE),
        Reversing(4, 20, by_source=True, at=MINUTE),
    ),
)


@pytest.mark.parametrize("processes", [1, 2])
def test_a_crash_at_any_effect_loses_nothing(processes: int) -> None:
    plan = replace(FIXED, processes=processes)
    calm = World(plan)
    calm.run()
    assert not list(broken_laws(calm))
    for effect in range(1, calm.effects + 1):
        check(replace(plan, crash_at=effect))
