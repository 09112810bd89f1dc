"""Activation refuses a loop of rates through the front door, and names it."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from fractions import Fraction

import pytest

from partners.errors import Reason
from pointclear.partners.v1 import agreement_pb2
from pointclear.partners.v1 import partners_service_pb2 as partners_pb
from tests.acceptance.coalition import (
    BLOCK,
    BLOCK_GIVES,
    Coalition,
    agree,
    coalition,
    make_data_dir,
    refused,
    sign_terms,
)
from tests.processes import Server, connection, contents, folder, written

FINE = 10**9
"""Source points of a block so large that its rate is exact to a billionth."""
EVEN = FINE * BLOCK // BLOCK_GIVES


@pytest.fixture(scope="module")
def members() -> Iterator[Coalition]:
    """Three brands with every corridor at 50 : 25."""
    with (
        folder() as home,
        Server(make_data_dir(home)) as server,
        coalition(server, home) as founded,
    ):
        yield founded


def rate(target_units: int) -> dict[str, object]:
    """Changes of terms: the rate, and limits that fit its large block."""
    return {
        "block_rate": agreement_pb2.BlockRate(source_units=FINE, target_units=target_units),
        "minimum_source_points": FINE,
        "maximum_source_points": FINE,
        "increment_source_points": FINE,
        "price_per_target_point": 1,
    }


def test_t13_a_bonus_and_a_tier_that_gain_for_one_hour_only_are_refused_with_that_hour(
    members: Coalition,
) -> None:
    # Half of a half, times 3 for gold members, and for one hour of next week 102 % on top.
    day = datetime.now(UTC).replace(microsecond=0) + timedelta(days=7)
    hour = (day, day + timedelta(hours=1))
    promotion = agreement_pb2.Promotion(
        promotion_id="rush-hour",
        bonus_basis_points=10_200,
        budget_points=1_000,
        funders=[agreement_pb2.Funder(funder="borealis", share_basis_points=10_000)],
    )
    promotion.effective_from.FromDatetime(hour[0])
    promotion.effective_until.FromDatetime(hour[1])
    gold = agreement_pb2.Segment(
        segment_id="gold", multiplier_numerator=3, multiplier_denominator=1
    )
    activation = sign_terms(
        members, "borealis", "aurora", 2, segments=[gold], promotions=[promotion]
    )
    refusal = refused(members.operator.partners.ActivateAgreement, activation)
    assert refusal.reason is Reason.FREE_LUNCH
    assert refusal.metadata == {
        "loop": "aurora > borealis > aurora",
        "product": "201/200",
        "begins": hour[0].isoformat(),
        "ends": hour[1].isoformat(),
        "agreements": (
            "aurora-borealis version 1,"
            " borealis-aurora version 2, segment gold, promotion rush-hour"
        ),
    }
    # Without the bonus the tier gains nothing.
    agree(members, "borealis", "aurora", 3, segments=[gold])
    agree(members, "borealis", "aurora", 4)


def test_t13_a_loop_that_gains_a_billionth_is_refused_with_loop_product_and_interval(
    members: Coalition,
) -> None:
    activation = sign_terms(members, "aurora", "cirrus", 2, **rate(EVEN + 2))
    before = datetime.now(UTC)
    with connection(members.data_dir) as database:
        rows = contents(database)
        refusal = refused(members.operator.partners.ActivateAgreement, activation)
        # The operator's signed action and what came of it are kept, and nothing else is written.
        assert not any("agreement" in name for name in written(rows, contents(database)))
    assert (refusal.code, refusal.reason, refusal.field) == (
        "FAILED_PRECONDITION",
        Reason.FREE_LUNCH,
        "agreement",
    )
    begins = datetime.fromisoformat(refusal.metadata.pop("begins"))
    assert before <= begins <= datetime.now(UTC)
    assert refusal.metadata == {
        "loop": "aurora > cirrus > aurora",
        "product": str(1 + Fraction(1, 10**9)),
        "ends": "open",
        "agreements": "aurora-cirrus version 2, cirrus-aurora version 1",
    }
    # A product of exactly 1 gains nothing.
    agree(members, "aurora", "cirrus", 3, **rate(EVEN))


def test_t13_a_loop_of_three_programs_is_found_where_no_pair_gains(members: Coalition) -> None:
    agree(members, "borealis", "cirrus", 2, **rate(EVEN))
    # cirrus gives half an aurora, and each aurora a little more than one borealis.
    activation = sign_terms(members, "aurora", "borealis", 2, **rate(FINE + 1))
    refusal = refused(members.operator.partners.ActivateAgreement, activation)
    assert refusal.reason is Reason.FREE_LUNCH
    assert refusal.metadata["loop"] == "aurora > borealis > cirrus > aurora"
    assert refusal.metadata["product"] == str(1 + Fraction(1, FINE))
    (stored,) = (
        each
        for each in members.operator.partners.ListAgreements(
            partners_pb.ListAgreementsRequest()
        ).agreements
        if (each.agreement_id, each.version) == ("aurora-borealis", 2)
    )
    assert stored.state == partners_pb.AGREEMENT_STATE_SIGNED
