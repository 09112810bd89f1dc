"""Taking a partner out of a window: what is withheld between each pair is its net, once."""

from datetime import date

import pytest

from exchange.ledger.postings import Code
from partners.points import currency_scale
from settlement.approval.unwinding import unwind_of, withheld_from
from settlement.approval.withholding import DisputedLine, Withholding, withheld
from settlement.windows import SettlementWindow, TreeHead, WindowState, WindowSum

A, B, C = 1, 2, 3
NAMES = {A: "a", B: "b", C: "c"}
WINDOW = SettlementWindow(
    1,
    "cny-2026-01-05",
    currency_scale("CNY"),
    4,
    date(2026, 1, 5),
    WindowState.PENDING_SETTLEMENT,
    TreeHead(10, bytes(32)),
    TreeHead(20, bytes(32)),
)


def pay(payer: int, payee: int, amount: int, code: Code = Code.VALUE) -> tuple[WindowSum, ...]:
    return (
        WindowSum(payer, payee, code, 0, -amount),
        WindowSum(payee, payer, code, 0, amount),
    )


SUMS = (
    *pay(A, B, 100),
    *pay(C, A, 30),
    *pay(B, C, 7),
    *pay(A, 0, 5, Code.FEE),
    *pay(A, 0, 50, Code.PAY_IN),
)


def dispute(reason: str = "MONEY", by: str = "b", **amounts: int) -> Withholding:
    line = DisputedLine("line", 12, WINDOW.window_id, 1, amounts)
    return Withholding(f"dispute/{by}", "CNY", by, reason, "", (line,))


def amounts_of(held: Withholding) -> dict[str, int]:
    return held.amounts(20)


def test_the_nets_with_partners_are_withheld_and_those_with_the_operator_are_not() -> None:
    held = unwind_of(WINDOW, A, NAMES, SUMS)
    assert amounts_of(held) == {"a": -70, "b": 100, "c": -30}
    assert sum(amounts_of(held).values()) == 0


def test_what_is_in_dispute_is_withheld_once() -> None:
    disputed = dispute(a=-40, b=40)
    held = unwind_of(WINDOW, A, NAMES, SUMS, [disputed])
    assert amounts_of(held) == {"a": -30, "b": 60, "c": -30}
    assert withheld([disputed, held], 20) == {"a": -70, "b": 100, "c": -30}


def test_two_that_are_taken_out_have_what_is_between_them_withheld_once() -> None:
    first = unwind_of(WINDOW, A, NAMES, SUMS)
    second = unwind_of(WINDOW, B, NAMES, SUMS, [first])
    assert amounts_of(second) == {"b": -7, "c": 7}
    assert amounts_of(unwind_of(WINDOW, A, NAMES, SUMS, [first])) == amounts_of(first)


@pytest.mark.parametrize(
    ("partner", "found"),
    [("a", {"b": -10}), ("c", {"b": -2}), ("b", {"a": 10, "c": 2}), ("d", {})],
)
def test_a_line_with_a_funder_has_the_target_in_its_middle(
    partner: str, found: dict[str, int]
) -> None:
    # The source a and the funder c pay the target b.
    held = dispute(a=-10, b=12, c=-2)
    assert withheld_from(partner, held, held.lines[0]) == found
    back = dispute(a=10, b=-12, c=2)
    turned = {name: -amount for name, amount in found.items()}
    assert withheld_from(partner, back, back.lines[0]) == turned


def test_a_line_of_who_was_taken_out_is_not_disputed_besides() -> None:
    taken_out = unwind_of(WINDOW, A, NAMES, SUMS)
    assert taken_out.withholds(DisputedLine("x", 12, WINDOW.window_id, 1, {"a": -1, "b": 1}))
    assert not taken_out.withholds(DisputedLine("x", 12, WINDOW.window_id, 1, {"b": -1, "c": 1}))
    assert not taken_out.withholds(DisputedLine("x", 30, "cny-2026-01-06", 2, {"a": -1, "b": 1}))
