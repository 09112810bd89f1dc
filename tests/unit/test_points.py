"""Ids, references, and figures that are exact."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from partners.errors import Reason, Refused
from partners.points import check_id, check_reference, currency_scale, format_amount, parse_amount


@pytest.mark.parametrize("name", ["a", "0", "grocery-points-2", "a" * 64, "a--", "9-9"])
def test_an_id_has_1_to_64_of_small_letters_digits_and_dashes(name: str) -> None:
    assert check_id(name, "field") == name


T17 = ["", "-a", "A", "a_b", "a.b", "a b", "a\n", "a\0", "'; --", "a" * 65, "ａ", "\u202ea", "à"]


@pytest.mark.parametrize("name", [*T17, "a" * 10_000])
def test_t17_anything_else_is_no_id(name: str) -> None:
    with pytest.raises(Refused) as refused:
        check_id(name, "target_program")
    assert (refused.value.reason, refused.value.field) == (Reason.FIELD_INVALID, "target_program")


@pytest.mark.parametrize("text", ["7", "till 7", "=1+1", "~" * 64, "a b c"])
def test_a_reference_is_printable_ascii(text: str) -> None:
    assert check_reference(text, "source_member", required=True) == text


@pytest.mark.parametrize("text", [" leading", "a\n", "\t", "é", "a" * 65, "\x7f", "a\u202e"])
@pytest.mark.parametrize("required", [True, False])
def test_t17_anything_else_is_no_reference(text: str, required: bool) -> None:
    with pytest.raises(Refused) as refused:
        check_reference(text, "source_member", required=required)
    assert refused.value.reason is Reason.FIELD_INVALID
    assert text not in str(refused.value), "a reference never stands in a refusal"


@pytest.mark.parametrize(
    "text",
    [
        "ann@example.org",
        "a.b+c@mail.example.co.uk",
        "+14155550123",
        "+44 20 7946 0958",
        "tel:+49-30-901820",
        "(415) 555-0123",
        "(030) 901820",
        "415-555-0123",
        "415.555.0123",
        "13800138000",
        "138 0013 8000",
        "8613800138000",
    ],
)
def test_t35_a_reference_that_tells_who_the_person_is_is_refused(text: str) -> None:
    with pytest.raises(Refused, match="source_member") as refused:
        check_reference(text, "source_member", required=True)
    assert refused.value.reason is Reason.FIELD_INVALID
    assert text not in str(refused.value)


@pytest.mark.parametrize(
    "text",
    [
        *("2375", "A-1001", "4711-0815", "0000123456", "1234567890123", "12800138000"),
        *("6011 1234 5678 9012", "@home", "till-7/000123", "M13800138000", "138001380001"),
    ],
)
def test_t35_a_number_that_may_be_an_accounts_is_taken(text: str) -> None:
    assert check_reference(text, "source_member", required=True) == text


def test_only_a_reference_that_is_required_may_not_be_empty() -> None:
    assert check_reference("", "partner_reference", required=False) == ""
    with pytest.raises(Refused, match="source_member"):
        check_reference("", "source_member", required=True)


@pytest.mark.parametrize(
    ("code", "scale", "minor_unit"),
    [
        ("CNY", 6, 10_000),
        ("USD", 6, 10_000),
        ("JPY", 4, 10_000),
        ("KRW", 4, 10_000),
        ("VND", 4, 10_000),
        ("IDR", 4, 100),
        ("KWD", 6, 1_000),
    ],
)
def test_a_currency_has_six_decimals_or_four_where_its_units_are_small(
    code: str, scale: int, minor_unit: int
) -> None:
    found = currency_scale(code)
    assert (found.code, found.scale, found.minor_unit) == (code, scale, minor_unit)


@pytest.mark.parametrize("code", ["", "usd", "EURO", "XXX", "XAU", "ＵＳＤ", "US"])
def test_what_is_no_currency_that_banks_pay_is_refused(code: str) -> None:
    with pytest.raises(Refused) as refused:
        currency_scale(code, "currency")
    assert (refused.value.reason, refused.value.field) == (Reason.FIELD_INVALID, "currency")


@pytest.mark.parametrize(
    ("units", "scale", "text"),
    [
        (-98_000, 6, "-0.098000"),
        (9_800_000, 6, "9.800000"),
        (0, 6, "0.000000"),
        (-1, 4, "-0.0001"),
        (1_000, 0, "1000"),
        (-5, 0, "-5"),
        (2**62, 6, "4611686018427.387904"),
    ],
)
def test_a_figure_shows_all_digits_of_its_scale(units: int, scale: int, text: str) -> None:
    assert format_amount(units, scale) == text


@given(st.integers(-(10**17), 10**17), st.integers(0, 6))
def test_a_figure_is_read_back_as_it_was_written(units: int, scale: int) -> None:
    assert parse_amount(format_amount(units, scale), scale) == units


@pytest.mark.parametrize(
    ("text", "units"), [("12.3", 12_300_000), ("+1", 1_000_000), ("0.1000000", 100_000)]
)
def test_a_figure_may_be_written_shorter_or_with_zeros_at_its_end(text: str, units: int) -> None:
    assert parse_amount(text, 6) == units


@pytest.mark.parametrize(
    "text",
    [
        "",
        "-",
        ".5",
        "1.",
        "1,5",
        "1,234.50",
        "1.234,50",
        "1e3",
        " 1",
        "1\n",
        "0.0000001",
        "--1",
        "1.2.3",
        "١",
        "１",
        "nan",
    ],
)
def test_what_is_not_exact_at_the_scale_is_no_figure(text: str) -> None:
    with pytest.raises(Refused) as refused:
        parse_amount(text, 6, "amount")
    assert (refused.value.reason, refused.value.field) == (Reason.FIELD_INVALID, "amount")
