"""Array literals say what the lists say, read back by the driver's own parser of arrays."""

from datetime import UTC, datetime
from typing import Any

import psycopg2.extensions as driver
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.ledger.array_literal import array_literal

AWKWARD = st.text(st.sampled_from('"\\{},NUL '), max_size=8)


def read_back(parser: Any, literal: str) -> list[Any]:
    values: list[Any] = parser(literal, None)
    return values


@given(
    st.lists(st.none() | AWKWARD | st.text(st.characters(codec="utf-8", exclude_characters="\0")))
)
def test_texts_come_back_as_they_were(texts: list[str | None]) -> None:
    assert read_back(driver.UNICODEARRAY, array_literal(texts)) == texts


@given(st.lists(st.none() | st.binary(max_size=40)))
def test_byte_strings_come_back_as_they_were(values: list[bytes | None]) -> None:
    read = read_back(driver.BINARYARRAY, array_literal(values))
    assert [None if each is None else bytes(each) for each in read] == values


@given(st.lists(st.none() | st.integers(-(2**63), 2**63 - 1)))
def test_integers_come_back_as_they_were(numbers: list[int | None]) -> None:
    assert read_back(driver.INTEGERARRAY, array_literal(numbers)) == numbers


def test_a_time_is_written_with_its_offset() -> None:
    moment = datetime(2026, 7, 15, 12, 0, 0, 250_000, tzinfo=UTC)
    assert array_literal([moment]) == '{"2026-07-15T12:00:00.250000+00:00"}'


def test_a_value_of_another_type_is_refused() -> None:
    with pytest.raises(KeyError):
        array_literal([1.5])
