"""Points, units and the names of things. Pure.

Points and money are integers. A points unit has scale 0; a settlement currency has a scale fixed
when it is first used: 6 digits for most, 4 for those whose lifetime turnover would not fit a signed
64-bit integer otherwise.
"""

import re
from dataclasses import dataclass

from iso4217 import Currency

from partners.errors import Reason, Refused

POINTS_MAX = 2**62
"""No amount of points or money in one posting is larger."""

REFERENCE_MAX = 64
"""Characters in a member reference or a partner's own reference."""

_ID = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")
_REFERENCE = re.compile(rf"[\x21-\x7e][\x20-\x7e]{{0,{REFERENCE_MAX - 1}}}")
_E_MAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")
# With a country's code; as digits are grouped in America and Europe; a mobile number of mainland
# China, where many a program has it for a member's number. Other digits may well be an account's.
_PHONE = re.compile(
    r"(tel:)?\+[0-9][0-9 ().-]{5,18}"
    r"|\([0-9]{2,5}\) ?[0-9][0-9 -]{5,9}"
    r"|[0-9]{3}(?P<mark>[ .-])[0-9]{3}(?P=mark)[0-9]{4}"
    r"|(86[ -]?)?1[3-9][0-9]([ -]?[0-9]{4}){2}"
)
_SMALL_UNIT_CURRENCIES = frozenset({"JPY", "KRW", "IDR", "VND"})


def check_id(value: str, field: str) -> str:
    """Return `value` when it is a well-formed id; raise Refused(FIELD_INVALID) naming `field`
    otherwise.
    """
    if not _ID.fullmatch(value):
        raise Refused(
            Reason.FIELD_INVALID,
            field,
            ("" if value else "it is not named: ")
            + "an id has 1 to 64 of a-z, 0-9 and -, and does not start with -",
        )
    return value


def check_reference(value: str, field: str, *, required: bool) -> str:
    """Return `value` when it is printable ASCII of at most 64 characters, and neither an e-mail
    address nor a phone number by its form; raise Refused(FIELD_INVALID) otherwise.
    """
    check_reference_form(value, field, required=required)
    for shape, name in ((_E_MAIL, "an e-mail address"), (_PHONE, "a phone number")):
        if shape.fullmatch(value):
            # The value is not repeated: an error's text is logged.
            raise Refused(
                Reason.FIELD_INVALID,
                field,
                f"a reference may not have the form of {name}; use an id that tells nobody who"
                " the person is",
            )
    return value


def check_reference_form(value: str, field: str, *, required: bool) -> str:
    """Return `value` when it is printable ASCII of at most 64 characters; raise
    Refused(FIELD_INVALID) otherwise.
    """
    if (value or required) and not _REFERENCE.fullmatch(value):
        raise Refused(
            Reason.FIELD_INVALID,
            field,
            f"a reference has 1 to {REFERENCE_MAX} printable ASCII characters",
        )
    return value


@dataclass(frozen=True, slots=True)
class CurrencyScale:
    """How a settlement currency is counted."""

    code: str
    """ISO 4217 alphabetic code."""
    scale: int
    """Digits after the point of one unit in the books."""
    minor_digits: int
    """Digits after the point of what a bank pays: 2 for USD, 0 for JPY, 3 for KWD."""

    @property
    def minor_unit(self) -> int:
        """Units of the books in the smallest amount that a bank pays."""
        return int(10 ** (self.scale - self.minor_digits))


def currency_scale(code: str, field: str = "currency") -> CurrencyScale:
    """The scale of the currency named by its ISO 4217 code; raises Refused(FIELD_INVALID) for any
    other text.
    """
    try:
        exponent: int | None = Currency(code).exponent
    except ValueError:
        exponent = None
    if exponent is None:
        raise Refused(
            Reason.FIELD_INVALID,
            field,
            f"{code!r} is not the ISO 4217 code of a currency, such as EUR",
        )
    return CurrencyScale(code, 4 if code in _SMALL_UNIT_CURRENCIES else 6, exponent)


def format_amount(units: int, scale: int) -> str:
    """Units as a decimal figure with all digits of the scale: (-98000, 6) is `-0.098000`."""
    sign = "-" if units < 0 else ""
    whole, fraction = divmod(abs(units), 10**scale)
    return f"{sign}{whole}.{fraction:0{scale}d}" if scale else f"{sign}{whole}"


def parse_amount(text: str, scale: int, field: str = "amount") -> int:
    """Units of a decimal figure such as `12.30`; raises Refused(FIELD_INVALID) when it is not exact
    at the scale.
    """
    match = re.fullmatch(r"([+-]?)([0-9]{1,18})(?:\.([0-9]+))?", text)
    fraction = (match.group(3) or "") if match else ""
    if match is None or len(fraction.rstrip("0")) > scale:
        raise Refused(
            Reason.FIELD_INVALID,
            field,
            f"{text!r} is not a figure such as 1234.50, with a point, at most {scale} decimals and"
            " nothing between thousands"
            if scale
            else f"{text!r} is not a whole number such as 1234",
        )
    units: int = int(match.group(2)) * 10**scale + int(fraction[:scale].ljust(scale, "0") or "0")
    return -units if match.group(1) == "-" else units
