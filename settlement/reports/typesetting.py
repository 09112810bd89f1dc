"""Sets a paper: a Typst template and its data become a PDF.

Rules kept here:

- The same template and data give the same bytes: the date is the paper's own, fonts come from a
  package and never from the machine, and nothing is fetched.
- Data reach the template as JSON, whose texts Typst shows as they are: a partner's name is never
  markup.
- The PDF is PDF/A-2a (ISO 19005-2): it holds its fonts, and its text can be searched and read out.

A template begins with `#import "/reports/templates/house.typ": *` (the root is the folder
`settlement`), reads `data`, and sets its body in `paper(title, ...)`: see `house.typ`. Amounts are
`figure`s; `house.typ` sets them with `amount`, aligned at the point.
"""

import json
from collections.abc import Mapping
from datetime import date
from importlib.resources import files
from pathlib import Path
from typing import Any

import typst

from partners.points import CurrencyScale

TEMPLATES = Path(__file__).with_name("templates")
_ROOT = Path(__file__).parents[1]
_FONTS = Path(str(files("manimgx_fonts_cjk")))
_EPOCH = date(1970, 1, 1)
_DAY_S = 86_400

Figure = dict[str, str]
"""An amount in three parts, so that the eye finds the minor units: sign and digits that a bank
pays, and those beyond them that only the books count.
"""


def typeset(template: Path, data: Mapping[str, Any], day: date) -> bytes:
    """The PDF of a template under `settlement/`; `day` is the paper's date.

    `data` must be JSON. What is wrong with a template raises typst.TypstError: it is a fault of
    ours.
    """
    # `house.typ` dates the document by it, so that no template can forget to.
    inputs = {"data": json.dumps({**data, "paper_date": day.isoformat()}, ensure_ascii=False)}
    return typst.compile(
        template,
        root=_ROOT,
        font_paths=[_FONTS],
        ignore_system_fonts=True,
        sys_inputs=inputs,
        pdf_standards=["a-2a"],
        timestamp=(day - _EPOCH).days * _DAY_S,
    )


def figure(units: int, currency: CurrencyScale) -> Figure:
    """An amount for `amount` in `house.typ`: -6293880000 of a currency with 6 digits is
    `−6,293.88` and `0000`.
    """
    sign = "−" if units < 0 else ""
    whole, fraction = divmod(abs(units), int(10**currency.scale))
    digits = f"{fraction:0{currency.scale}d}"
    paid, beyond = digits[: currency.minor_digits], digits[currency.minor_digits :]
    point = "." if currency.minor_digits else ""
    return {
        "figure": f"{sign}{whole:,}{point}{paid}",
        "beyond": beyond if currency.minor_digits else f".{beyond}",
    }


def count(number: int) -> str:
    """A whole number as people read it: 1234567 is `1,234,567`."""
    return f"{number:,}".replace("-", "−")
