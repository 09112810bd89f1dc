"""Cells of a partner's file as queries read them: numbers, rates, dates and words. Pure.

Each function gives a DuckDB expression over a cell; what does not fit is NULL, so that a cell that
is not empty and gives NULL is a fault.
"""

import re
from collections.abc import Mapping

from settlement.reconciliation.mapping import ColumnMapping
from settlement.reconciliation.reading import literal

CHARACTERS_MAX = 30
"""Of a number: 18 digits, with something between the thousands."""
_RUN_BY_SPREADSHEETS = "'=', '+', '-', '@', chr(9), chr(13), ''''"


def whole(cell: str, mapping: ColumnMapping) -> str:
    """Points: a whole number; decimals may follow where all are 0."""
    return _number(cell, mapping, r"0{1,6}")


def amount(cell: str, mapping: ColumnMapping, scale: int, digits: int = 18) -> str:
    """Money, a decimal of a currency's scale with so many digits."""
    figure = f"TRY_CAST({{}} AS DECIMAL({digits}, {scale}))"
    return _number(cell, mapping, rf"\d{{1,{scale}}}" if scale else "0{1,6}", figure)


def _number(cell: str, mapping: ColumnMapping, decimals: str, figure: str = "") -> str:
    mark, group = re.escape(mapping.decimal), re.escape(mapping.group)
    digits = rf"(\d{{1,3}}({group}\d{{3}})+|\d+)" if group else r"\d+"
    style = literal(rf"[+-]?{digits}({mark}{decimals})?")
    bare = f"replace({cell}, {literal(mapping.group)}, '')" if group else cell
    if figure:
        has_mark = mapping.decimal != "."
        plain = f"replace({bare}, {literal(mapping.decimal)}, '.')" if has_mark else bare
        figure = figure.format(plain)
    else:
        figure = f"TRY_CAST(split_part({bare}, {literal(mapping.decimal)}, 1) AS BIGINT)"
    return (
        f"CASE WHEN length({cell}) <= {CHARACTERS_MAX} AND regexp_full_match({cell}, {style})"
        f" THEN {figure} END"
    )


def decimals_of(cell: str, mapping: ColumnMapping) -> str:
    """How many digits stand behind the mark."""
    mark = literal(mapping.decimal)
    return (
        f"CASE WHEN contains({cell}, {mark}) THEN length(split_part({cell}, {mark}, 2)) ELSE 0 END"
    )


PAIR = literal(r"\d{1,9} *[:/] *\d{1,9}")


def is_pair(cell: str) -> str:
    """Whether a rate is two numbers."""
    return f"regexp_full_match({cell}, {PAIR})"


def pair_part(cell: str, place: int) -> str:
    """The source units (1) or target units (2) of a rate of two numbers."""
    part = f"trim(split_part(replace({cell}, '/', ':'), ':', {place}))"
    return f"CASE WHEN {is_pair(cell)} THEN TRY_CAST({part} AS BIGINT) END"


def rate_number(cell: str, mapping: ColumnMapping) -> str:
    """A rate of one number, without its mark; NULL for one of two."""
    mark = re.escape(mapping.decimal)
    style = literal(rf"\d{{1,9}}({mark}\d{{1,8}})?")
    return (
        f"CASE WHEN regexp_full_match({cell}, {style})"
        f" THEN TRY_CAST(replace({cell}, {literal(mapping.decimal)}, '') AS BIGINT) END"
    )


def moment(cell: str, mapping: ColumnMapping) -> str:
    """A date or time, as a clock in the mapping's zone shows it."""
    parsed = f"try_strptime({cell}, {literal(mapping.date_format)})"
    if "%z" in mapping.date_format.replace("%%", ""):
        return f"timezone({literal(mapping.zone)}, {parsed})"
    return parsed


def word(cell: str, words: Mapping[str, str]) -> str:
    """What a word means."""
    cases = " ".join(
        f"WHEN {literal(each)} THEN {literal(str(meaning))}" for each, meaning in words.items()
    )
    return f"CASE {cell} {cases} END" if cases else "NULL::VARCHAR"


def unprotected(cell: str) -> str:
    """A text without the apostrophe that keeps spreadsheets from running it (`partners.cells`)."""
    return (
        f"CASE WHEN starts_with({cell}, '''') AND substr({cell}, 2, 1) IN ({_RUN_BY_SPREADSHEETS})"
        f" THEN substr({cell}, 2) ELSE {cell} END"
    )
