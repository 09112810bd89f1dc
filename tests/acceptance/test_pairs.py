"""A day that partners settle between them, by the commands that people use: the draft shows the
pairs, two brands confirm a payment, their statements verify.
"""

from tests.acceptance.coalition import CURRENCY, FIRST_DAY, check_log_and_books
from tests.acceptance.test_approval import REFUSED, WINDOW, Closed, closed

__all__ = ["closed"]


def test_partners_pay_each_other_and_confirm_it_by_their_commands(closed: Closed) -> None:
    closed.run(
        *("scheme", "set", CURRENCY),
        *("--cash-legs", "BILATERAL", "--acknowledge-minutes", "0"),
    )
    draft = closed.run("window", "draft", WINDOW)
    assert [
        (pair["partner_id"], pair["counterparty"], pair["payment"]) for pair in draft["pairs"]
    ] == [
        ("aurora", "borealis", "-1.000000"),
        ("borealis", "cirrus", "-1.000000"),
    ]
    # Over the bank goes what the operator gets.
    assert {line["partner_id"]: line["payment"] for line in draft["lines"]} == {
        "aurora": "-0.020000",
        "borealis": "-0.020000",
        "cirrus": "0.000000",
    }
    closed.run("settle", WINDOW, "--draft", draft["draft_sha256"])
    (own,) = closed.run_as("aurora", "pairs", "list")["legs"]
    assert (own["payee"], own["amount"], own["state"]) == ("borealis", "1.000000", "ASKED")
    assert len(closed.run("pairs", "list", WINDOW)["legs"]) == 2
    assert len(closed.run_as("borealis", "pairs", "list")["legs"]) == 2
    reference = own["reference"]
    closed.run_as("cirrus", "pairs", "paid", reference, status=REFUSED)
    wrong = closed.run_as("aurora", "pairs", "received", reference, status=REFUSED)
    assert "PAID" in str(wrong)
    assert closed.run_as("borealis", "pairs", "received", reference)["leg"]["state"] == "RECEIVED"
    assert closed.run_as("aurora", "pairs", "paid", reference)["leg"]["state"] == "CONFIRMED"
    assert closed.run_as("aurora", "pairs", "paid", reference)["leg"]["state"] == "CONFIRMED"

    # The bank cannot settle in their stead before it is done; an abort ends it.
    back = ("scheme", "set", CURRENCY, "--cash-legs", "MULTILATERAL")
    assert WINDOW in str(closed.run(*back, status=REFUSED))
    closed.run("window", "abort", WINDOW, "--reason", "cirrus has not been paid")
    closed.run(*back)
    states = {leg["payee"]: leg["state"] for leg in closed.run("pairs", "list", WINDOW)["legs"]}
    assert states == {"borealis": "CONFIRMED", "cirrus": "CARRIED"}
    following = f"usd-{FIRST_DAY.replace(day=2)}"
    closed.run("window", "close", following)
    draft = closed.run("window", "draft", following)
    assert draft["pairs"] == []
    assert {line["partner_id"]: line["payment"] for line in draft["lines"]} == {
        "aurora": "-0.020000",
        "borealis": "-1.020000",
        "cirrus": "1.000000",
    }
    check_log_and_books(closed.members.data_dir)
