"""Activation refuses a loop of rates through the front door, and names it."""

from collections.abc import Iterator
from datetime import UTC, datetime
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


def test_t13_a_loop_that_gains_a_billionth_is_refused_with_loop_product_and_interval(
    members: Coalition,
) -> None:
    activation = sign_terms(members, "aurora", "cirrus", 2, **rate(EVEN + 2))
    before = datetime.now(UTC)
    with connection(members.data_dir) as database:
        rows = contents(database)
        refusal = refused(members.operator.partners.ActivateAgreement, activation)
        assert written(rows, contents(database)) == {}
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
