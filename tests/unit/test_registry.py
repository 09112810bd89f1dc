"""Snapshots, and what in them is in force when."""

from dataclasses import replace
from datetime import timedelta

import pytest

from partners.keys import Purpose
from partners.registry import Force, RegisteredKey, same_corridor
from tests import factories as make

KEY = RegisteredKey(
    "0" * 32,
    "partner/grocery",
    Purpose.ORDERS,
    bytes(32),
    valid_from=make.NOW,
    valid_until=make.NOW + timedelta(days=1),
    registered_index=5,
    revoked_index=9,
)
SECOND = timedelta(seconds=1)


@pytest.mark.parametrize(("index", "good"), [(4, False), (5, False), (6, True), (8, True)])
def test_a_key_is_good_from_the_index_after_its_registration(index: int, good: bool) -> None:
    assert KEY.in_force(index, make.NOW) is good


@pytest.mark.parametrize(("index", "good"), [(8, True), (9, False), (10, False)])
def test_t05_for_revocation_the_log_index_is_the_clock(index: int, good: bool) -> None:
    assert KEY.in_force(index, make.NOW) is good
    assert KEY.in_force(index, make.NOW - SECOND) is False
    assert replace(KEY, revoked_index=None).in_force(index, make.NOW) is True


def test_a_key_is_good_from_the_first_moment_of_its_range_until_before_the_last() -> None:
    assert not KEY.in_force(6, make.NOW - SECOND)
    assert KEY.in_force(6, make.NOW)
    assert KEY.in_force(6, KEY.valid_until - SECOND)
    assert not KEY.in_force(6, KEY.valid_until)


def test_a_version_that_comes_into_force_ends_the_one_before_at_that_moment() -> None:
    first = Force(make.TERMS, make.NOW)
    second = Force(make.terms(version=2), make.NOW + SECOND)
    other = Force(make.terms("fuel", "grocery"), make.NOW)
    registry = make.a_registry(*make.founding(agreements=[]))
    for force in (first, other, second):
        registry = registry.with_force(force)
    ended = registry.agreements["grocery-fuel", 1]
    assert ended.effective_until == second.effective_from
    assert ended.covers(make.NOW)
    assert not ended.covers(second.effective_from)
    assert registry.agreements["grocery-fuel", 2].covers(second.effective_from)
    assert registry.agreements["fuel-grocery", 1] == other


def test_another_agreement_of_the_same_corridor_ends_the_one_in_force_too() -> None:
    registry = make.a_registry(*make.founding(agreements=[])).with_force(
        Force(make.TERMS, make.NOW)
    )
    renamed = make.terms(agreement_id="renamed")
    registry = registry.with_force(Force(renamed, make.NOW + SECOND))
    assert registry.agreements["grocery-fuel", 1].effective_until == make.NOW + SECOND


def test_a_corridor_is_a_pair_of_programs_in_one_direction() -> None:
    assert same_corridor(make.TERMS, make.terms(version=2, agreement_id="other"))
    assert not same_corridor(make.TERMS, make.terms("fuel", "grocery"))
    assert not same_corridor(make.TERMS, make.terms("grocery", "deli"))


def test_a_new_snapshot_leaves_the_old_one_as_it_was() -> None:
    before = make.a_registry()
    copy = replace(before, keys=dict(before.keys), agreements=dict(before.agreements))
    before.with_key(KEY)
    before.with_force(Force(make.terms(version=2), make.NOW))
    assert before == copy


def test_a_program_leads_to_its_brand_and_its_unit() -> None:
    registry = make.a_registry()
    assert registry.partner_of_program("fuel").partner_id == "fuel"
    assert registry.points_unit("fuel").name == "PTS:fuel"
    assert registry.points_unit("fuel").scale == 0
