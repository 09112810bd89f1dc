"""Papers are set the same way every time, and what people write into them stays text."""

from datetime import date

import pypdfium2
import pytest

from partners.points import currency_scale
from settlement.reports.typesetting import TEMPLATES, count, figure, typeset

DAY = date(2026, 11, 20)
TEMPLATE = TEMPLATES / "specimen.typ"


def text_of(paper: bytes) -> list[str]:
    """The text of each page."""
    with pypdfium2.PdfDocument(paper) as document:
        return [page.get_textpage().get_text_bounded() for page in document]


def specimen(name: str = "曙光航空", rows: int = 3) -> dict[str, object]:
    currency = currency_scale("CNY")
    return {
        "name": name,
        "rows": [
            {"text": f"row {n}", "amount": figure(-n * 1234567, currency)} for n in range(rows)
        ],
    }


def test_the_same_data_give_the_same_bytes() -> None:
    assert typeset(TEMPLATE, specimen(), DAY) == typeset(TEMPLATE, specimen(), DAY)


def test_another_date_gives_another_paper() -> None:
    assert typeset(TEMPLATE, specimen(), DAY) != typeset(TEMPLATE, specimen(), date(2026, 11, 21))


def test_chinese_names_are_text() -> None:
    assert "曙光航空" in text_of(typeset(TEMPLATE, specimen(), DAY))[0]


def test_a_name_is_never_markup() -> None:
    name = '#panic("x") *bold* $x$ = <label> @ref'
    assert name in text_of(typeset(TEMPLATE, specimen(name), DAY))[0]


def test_a_long_table_has_its_head_on_every_page_and_pages_are_numbered() -> None:
    pages = text_of(typeset(TEMPLATE, specimen(rows=200), DAY))
    assert len(pages) > 3
    for number, page in enumerate(pages, 1):
        assert "Amount" in page
        assert f"Page {number} of {len(pages)}" in page


@pytest.mark.parametrize(
    ("code", "units", "shown", "beyond"),
    [
        ("CNY", -6293880123, "−6,293.88", "0123"),
        ("CNY", 5, "0.00", "0005"),
        ("JPY", 123456789, "12,345", ".6789"),
        ("JPY", -1, "−0", ".0001"),
        ("KWD", 1234567891, "1,234.567", "891"),
    ],
)
def test_figures_part_at_the_minor_unit(code: str, units: int, shown: str, beyond: str) -> None:
    assert figure(units, currency_scale(code)) == {"figure": shown, "beyond": beyond}


def test_counts_are_grouped() -> None:
    assert [count(1234567), count(-1000), count(0)] == ["1,234,567", "−1,000", "0"]
