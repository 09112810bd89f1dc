"""The terms of one corridor, and what they make of an amount. Pure.

Rules kept here:

- A rate is a pair of integers. Points convert in whole blocks, so conversion itself never rounds.
- Value is exact: target points times price. The fee rounds up to the next unit of the currency's
  scale (a floored one would reward splitting); the tax on it rounds half-even, once per transfer.
- Terms under which the largest transfer would not fit 2⁶² are refused before anyone can be bound by
  them.
"""

from dataclasses import dataclass

from partners.errors import Reason, Refused
from partners.points import POINTS_MAX, check_id, currency_scale

BASIS_POINTS = 10_000
"""Basis points in the whole."""


@dataclass(frozen=True, slots=True)
class BlockRate:
    """`source_units` points of the source give `target_units` points of the target."""

    source_units: int
    target_units: int


@dataclass(frozen=True, slots=True)
class Terms:
    """One version of a rate agreement, as both brands signed it."""

    agreement_id: str
    version: int
    source_partner: str
    target_partner: str
    source_program: str
    target_program: str
    rate: BlockRate
    minimum_source_points: int
    maximum_source_points: int
    increment_source_points: int
    currency: str
    """ISO 4217 code of the settlement currency."""
    price_per_target_point: int
    """In units of the currency's scale."""
    fee_basis_points: int
    """Of the value; borne by the source."""
    tax_code: str
    """Names the tax on the fee."""
    sha256: bytes
    """Digest of the signed payload."""


@dataclass(frozen=True, slots=True)
class Conversion:
    """What one transfer comes to under its terms. Money is in units of the currency's scale."""

    target_points: int
    value: int
    fee: int
    tax: int


def check_terms(terms: Terms) -> None:
    """Raise Refused(TERMS_INVALID or FIELD_INVALID), naming the term, unless the terms can be
    honoured exactly.
    """
    for field in (
        "agreement_id",
        "source_partner",
        "target_partner",
        "source_program",
        "target_program",
        "tax_code",
    ):
        check_id(getattr(terms, field), field)
    currency_scale(terms.currency, "settlement_currency")
    rate, largest = terms.rate, terms.maximum_source_points
    for broken, field, text in (
        (terms.version < 1, "version", "versions count from 1"),
        (
            terms.source_partner == terms.target_partner,
            "target_partner",
            "an agreement is between two partners",
        ),
        (rate.source_units < 1 or rate.target_units < 1, "block_rate", "both sides are at least 1"),
        (
            terms.increment_source_points < 1
            or terms.increment_source_points % max(rate.source_units, 1) != 0,
            "increment_source_points",
            "the increment is a whole number of blocks",
        ),
        (
            terms.minimum_source_points < 1,
            "minimum_source_points",
            "the minimum is at least 1",
        ),
        (
            not terms.minimum_source_points <= largest <= POINTS_MAX,
            "maximum_source_points",
            "the maximum is at least the minimum and at most 2^62",
        ),
        (
            largest - largest % max(terms.increment_source_points, 1) < terms.minimum_source_points,
            "maximum_source_points",
            "no whole number of increments lies between minimum and maximum",
        ),
        (
            terms.price_per_target_point < 1,
            "price_per_target_point",
            "the price is at least 1 unit",
        ),
        (
            not 0 <= terms.fee_basis_points <= BASIS_POINTS,
            "fee_basis_points",
            "the fee is 0 to 10,000 basis points",
        ),
    ):
        if broken:
            raise Refused(Reason.TERMS_INVALID, field, text)
    most_target_points = largest // rate.source_units * rate.target_units
    # Fee and tax are at most the value each, so no single posting exceeds 2^62.
    if (
        most_target_points > POINTS_MAX
        or most_target_points * terms.price_per_target_point > POINTS_MAX
    ):
        raise Refused(
            Reason.TERMS_INVALID, "maximum_source_points", "maximum times price exceeds 2^62 units"
        )


def convert(terms: Terms, source_points: int, tax_basis_points: int) -> Conversion:
    """What `source_points` become under `terms`, with the tax rate in force now.

    Raises Refused(INCREMENT) when the points are no whole number of increments. Limits are judged
    elsewhere.
    """
    if source_points % terms.increment_source_points:
        raise Refused(
            Reason.INCREMENT,
            "source_points",
            f"{source_points} is not a multiple of {terms.increment_source_points}",
            {"incrementPoints": str(terms.increment_source_points)},
        )
    target_points = source_points // terms.rate.source_units * terms.rate.target_units
    value = target_points * terms.price_per_target_point
    fee = -(-value * terms.fee_basis_points // BASIS_POINTS)
    return Conversion(target_points, value, fee, half_even(fee * tax_basis_points, BASIS_POINTS))


def half_even(numerator: int, denominator: int) -> int:
    """`numerator / denominator` (the latter positive), rounded to the nearest integer, ties to the
    even one.
    """
    quotient, remainder = divmod(numerator, denominator)
    twice = 2 * remainder
    return quotient + (1 if twice > denominator or (twice == denominator and quotient % 2) else 0)
