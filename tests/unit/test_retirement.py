"""RETIRE and ISSUE, and reversals of points that were retired and issued before."""

import pytest

from exchange.commands import Book, CloseWindow, Command
from exchange.fold import Folded, State, fold
from exchange.ledger.accounts import PointsAccount, points_account
from exchange.ledger.postings import Code, Posting
from exchange.outcomes import Reversed
from settlement.approval.retirement import Holdings, retire_and_issue
from tests import factories as make

UNIT = 7


def names(postings: tuple[Posting, ...]) -> list[tuple[str, str, str, int]]:
    """Code, accounts within the unit and amount."""
    mask = (1 << 20) - 1
    return [
        (
            each.code.name,
            PointsAccount(each.debit & mask).name,
            PointsAccount(each.credit & mask).name,
            each.amount,
        )
        for each in postings
    ]


def test_what_no_other_window_counts_is_retired_and_issued() -> None:
    postings = retire_and_issue([Holdings(UNIT, 1_000, 380, 200, 80)])
    assert names(postings) == [
        ("RETIRE", "REDEEMED", "ISSUER", 800),
        ("ISSUE", "ISSUER", "GRANTED", 300),
    ]


@pytest.mark.parametrize(
    ("redeemed", "waiting", "retired"),
    [
        (0, 0, 0),
        (0, -30, 0),
        (10, -20, 10),
        (10, 10, 0),
        (10, 11, 0),
        (10, 9, 1),
    ],
)
def test_never_more_goes_on_than_there_is_and_never_less_than_nothing(
    redeemed: int, waiting: int, retired: int
) -> None:
    postings = retire_and_issue([Holdings(UNIT, redeemed, redeemed, waiting, waiting)])
    assert sum(each.amount for each in postings if each.code is Code.RETIRE) == retired
    assert sum(each.amount for each in postings if each.code is Code.ISSUE) == retired


# Reversals


def done(state: State, *commands: Command) -> Folded:
    return fold(state, commands, make.NOW)


def points(state: State, brand: str) -> dict[str, int]:
    """What is posted on a program's four accounts."""
    unit = state.registry.points_unit(brand).number
    return {
        which.name.lower(): state.balances[points_account(unit, which)].posted
        for which in PointsAccount
    }


def acknowledged(state: State, brand: str, waiting_out: int = 0, waiting_in: int = 0) -> Book:
    """What the brand's acknowledgement of its windows books."""
    unit = state.registry.points_unit(brand).number
    held = points(state, brand)
    holdings = Holdings(unit, held["redeemed"], -held["granted"], waiting_out, waiting_in)
    postings = retire_and_issue([holdings])
    key = f"acknowledged/{brand}/{state.next_index}"
    return Book(key, "application/json", b"{}", postings, make.CURRENCY)


TRANSFERRED = done(make.a_state(), make.an_order()).state
"""100 grocery points became 50 fuel points."""
CONFIRMED = done(
    TRANSFERRED, acknowledged(TRANSFERRED, "grocery"), acknowledged(TRANSFERRED, "fuel")
).state


def test_acknowledged_points_go_on_to_the_issuer() -> None:
    assert points(CONFIRMED, "grocery") == {
        "members": -100,
        "issuer": 100,
        "redeemed": 0,
        "granted": 0,
    }
    assert points(CONFIRMED, "fuel") == {"members": 50, "issuer": -50, "redeemed": 0, "granted": 0}


def test_a_reversal_of_acknowledged_points_first_takes_them_back_from_the_issuer() -> None:
    folded = done(CONFIRMED, make.reverse(points=20))
    (booked,) = folded.outcomes
    assert isinstance(booked, Reversed)
    assert booked.refusal is None
    assert [each.code.name for each in booked.postings] == [
        *("REV_OUT", "REV_IN", "REV_VALUE"),
        *("RETIRE", "ISSUE"),
    ]
    assert names(booked.postings[3:]) == [
        ("RETIRE", "ISSUER", "REDEEMED", 40),
        ("ISSUE", "GRANTED", "ISSUER", 20),
    ]
    assert points(folded.state, "grocery") == {
        "members": -60,
        "issuer": 60,
        "redeemed": 0,
        "granted": 0,
    }
    assert points(folded.state, "fuel")["granted"] == 0


def test_only_what_is_short_is_taken_back_from_the_issuer() -> None:
    again = done(CONFIRMED, make.an_order(2, source_points=30)).state
    state = done(again, make.reverse(points=50)).state
    assert points(state, "grocery") == {
        "members": -30,
        "issuer": 30,
        "redeemed": 0,
        "granted": 0,
    }
    assert points(state, "fuel") == {"members": 15, "issuer": -15, "redeemed": 0, "granted": 0}


def test_what_a_reversal_took_back_is_confirmed_again_where_later_points_make_up_for_it() -> None:
    # 100 retired, all reversed in the next window, where 30 more are surrendered.
    closed = done(CONFIRMED, CloseWindow(make.WINDOW, None)).state
    state = done(closed, make.reverse(points=50), make.an_order(2, source_points=30)).state
    assert points(state, "grocery")["redeemed"] == 30
    # The window counts 30 - 100; it confirms what is there.
    confirmed = done(state, acknowledged(state, "grocery")).state
    assert points(confirmed, "grocery") == {
        "members": -30,
        "issuer": 30,
        "redeemed": 0,
        "granted": 0,
    }
