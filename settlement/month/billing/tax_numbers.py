"""Tax registration numbers: which are well-formed, and what papers call them. Pure.

Where a country's form is in the table, a number has it, check digits included; elsewhere it is a
short printable text. Whether a number is somebody's is for the country's register to say (for the
European Union: VIES).

Source: Council Directive 2006/112/EC, Art. 215 (the prefix, EL for Greece; XI for Northern Ireland
by the Withdrawal Agreement); forms and check digits by python-stdnum.
"""

from collections.abc import Callable
from dataclasses import dataclass

from stdnum.au import abn
from stdnum.ch import vat as swiss
from stdnum.cn import uscc
from stdnum.eu import vat as european
from stdnum.gb import vat as british
from stdnum.in_ import gstin
from stdnum.no import mva

from partners.errors import Reason, Refused

TAX_NUMBER_MAX = 35

_PREFIXES = {"GR": "EL"}
"""Where it is not the country's code."""


@dataclass(frozen=True, slots=True)
class Form:
    """A country's numbers."""

    label: str
    """What papers call it."""
    example: str
    is_valid: Callable[[str], bool]


_FORMS = {
    "AU": Form("ABN", "51 824 753 556", abn.is_valid),
    "CH": Form("VAT number", "CHE-107.787.577 MWST", swiss.is_valid),
    "CN": Form("统一社会信用代码", "91110000600037341L", uscc.is_valid),
    "GB": Form("VAT number", "GB980780684", british.is_valid),
    "IN": Form("GSTIN", "27AAPFU0939F1ZV", gstin.is_valid),
    "NO": Form("VAT number", "NO 995 525 828 MVA", mva.is_valid),
}
EUROPEAN = frozenset(each.upper() for each in european.MEMBER_STATES)


def check_tax_number(number: str, country: str, field: str) -> None:
    """Raise Refused(FIELD_INVALID) unless a country could have given such a number."""
    if (
        not 1 <= len(number) <= TAX_NUMBER_MAX
        or not number.isprintable()
        or number != number.strip()
    ):
        raise Refused(
            Reason.FIELD_INVALID,
            field,
            f"a tax number has at most {TAX_NUMBER_MAX} printable characters",
        )
    if country in EUROPEAN:
        prefix = _PREFIXES.get(country, country)
        if number[:2].upper() != prefix or not european.is_valid(number):
            raise Refused(
                Reason.FIELD_INVALID,
                field,
                f"this is no VAT number of {country}: it begins with {prefix}; check its digits",
            )
    elif country in _FORMS and not _FORMS[country].is_valid(number):
        raise Refused(
            Reason.FIELD_INVALID,
            field,
            f"{country} gives no such number: check its digits, and write it as"
            f" {_FORMS[country].example}",
        )


def label_of(country: str) -> str:
    """What a paper calls the tax numbers of a country."""
    if country in EUROPEAN:
        return "VAT number"
    return _FORMS[country].label if country in _FORMS else "Tax number"
