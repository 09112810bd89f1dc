"""The options on the values of `Reason`: the same rules as the code's, and true of the code."""

import ast
from collections import defaultdict
from pathlib import Path

import pytest

from partners.errors import RULES, Reason, Retry, Rule
from pointclear.common.v1 import refusal_pb2 as pb

ROOT = Path(__file__).parents[2]
OPTIONS = {
    value.name.removeprefix("REASON_"): value.GetOptions().Extensions[pb.reason_rule]
    for value in pb.Reason.DESCRIPTOR.values
    if value.number
}
ANY = ["*"]


def fields_named() -> dict[str, set[str | None]]:
    """The fields that the code names when it refuses, by reason; None for one that it works out."""
    found: dict[str, set[str | None]] = defaultdict(set)
    for package in ("partners", "exchange", "settlement"):
        for path in (ROOT / package).rglob("*.py"):
            if ROOT / "exchange/cli" in path.parents:
                continue
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Call) and node.args and is_reason(node.args[0]):
                    reason = ast.unparse(node.args[0]).removeprefix("Reason.")
                    field = node.args[1] if len(node.args) > 1 else None
                    literal = isinstance(field, ast.Constant)
                    found[reason].add(str(field.value) if literal else None)  # type: ignore[union-attr]
    return found


def is_reason(node: ast.expr) -> bool:
    """Whether an expression is `Reason.SOMETHING`."""
    return isinstance(node, ast.Attribute) and ast.unparse(node.value) == "Reason"


FIELDS = fields_named()


def test_the_options_are_exactly_the_codes_own_rules() -> None:
    assert {
        Reason[name]: Rule(
            option.code,
            Retry[pb.RetryClass.Name(option.retry).removeprefix("RETRY_CLASS_")],
            option.remedy,
        )
        for name, option in OPTIONS.items()
    } == RULES


def test_every_reason_has_one_place_in_one_stage() -> None:
    places = defaultdict(list)
    for option in OPTIONS.values():
        places[option.stage].append(option.place)
    assert pb.CHECK_STAGE_UNSPECIFIED not in places
    for taken in places.values():
        assert sorted(taken) == list(range(1, len(taken) + 1))


def test_no_reason_whose_refusal_is_recorded_may_be_sent_again_with_the_same_id() -> None:
    recorded = [each for each in OPTIONS.values() if each.stage == pb.CHECK_STAGE_RECORDED]
    assert recorded
    assert all(each.retry != pb.RETRY_CLASS_SAME_ID for each in recorded)


def test_the_reserved_reasons_are_those_that_no_code_gives() -> None:
    reserved = {n for n, option in OPTIONS.items() if option.stage == pb.CHECK_STAGE_RESERVED}
    code = "".join(
        path.read_text(encoding="utf-8")
        for package in ("partners", "exchange", "settlement")
        for path in (ROOT / package).rglob("*.py")
        if path != ROOT / "partners/errors.py" and ROOT / "exchange/cli" not in path.parents
    )
    assert reserved == {each.name for each in Reason if f"Reason.{each.name}" not in code}


@pytest.mark.parametrize("reason", sorted(FIELDS))
def test_the_code_names_no_field_that_the_options_leave_out(reason: str) -> None:
    fields = list(OPTIONS[reason].fields)
    if fields != ANY:
        assert FIELDS[reason] - {"", None} <= set(fields)


def test_the_page_is_in_the_order_of_checks_and_names_every_reason() -> None:
    page = (ROOT / "docs/errors.md").read_text(encoding="utf-8")
    shown = [line.split("`")[1] for line in page.splitlines() if line.startswith("| `")]
    ordered = sorted(OPTIONS, key=lambda name: (OPTIONS[name].stage, OPTIONS[name].place))
    assert shown == ordered
