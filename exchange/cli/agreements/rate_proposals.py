"""Files of terms from prices or values of points. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import permutations

from exchange.cli.agreements.rate_sets import FILES_ONLY, checked_terms
from exchange.cli.output import json_text
from partners.agreement import BlockRate, Terms
from partners.derived_rates import derived_rate
from partners.errors import Reason, Refused
from partners.points import POINTS_MAX, check_id, currency_scale, format_amount, parse_amount

ANY_TIME = datetime(2000, 1, 1, tzinfo=UTC)
"""When terms are said to be issued that are only checked."""


@dataclass(frozen=True, slots=True)
class Member:
    """A program, its brand, and what its point is worth."""

    partner: str
    program: str
    value: int
    """In the smallest step of the unit in which it was told."""


@dataclass(frozen=True, slots=True)
class Common:
    """What all the proposals have in common."""

    currency: str
    maximum: int
    """Source points."""
    fee_basis_points: int
    tax_code: str
    version: int
    spread_basis_points: int
    block: int | None
    """Source points; None for the least that make a rate exact."""


def parse_member(text: str, scale: int) -> Member:
    """`grocery/grocery-points=0.0196`; the value to so many decimals. Raises
    Refused(FIELD_INVALID).
    """
    name, equals, value = text.partition("=")
    partner, slash, program = name.partition("/")
    if not equals or not slash:
        raise Refused(
            Reason.FIELD_INVALID, "", f"{text!r} is not PARTNER/PROGRAM=VALUE, such as a/miles=0.01"
        )
    check_id(partner, "partner")
    check_id(program, "program")
    return Member(partner, program, parse_amount(value, scale, program))


def proposal_files(
    priced: Sequence[tuple[Member, int]], common: Common
) -> dict[str, tuple[Terms, bytes]]:
    """By file name, the terms of every corridor between programs of different brands; each program
    comes with the price of its point in units of the currency's scale.

    Raises Refused for a program that is named twice, and for terms that nobody could be bound by.
    """
    if len({member.program for member, _ in priced}) < len(priced):
        raise Refused(Reason.FIELD_INVALID, "program", "a program is named once")
    files = {}
    scale = currency_scale(common.currency).scale
    for (source, _), (target, price) in permutations(priced, 2):
        if source.partner == target.partner:
            continue
        rate = derived_rate(source.value, target.value, common.spread_basis_points, common.block)
        name = f"{source.program}-{target.program}"
        check_id(name, "agreement_id")
        values = {
            "agreement_id": name,
            "version": common.version,
            "source_partner": source.partner,
            "target_partner": target.partner,
            "source_program": source.program,
            "target_program": target.program,
            "rate": pair(rate, name),
            "maximum_source_points": common.maximum,
            "currency": common.currency,
            "price_per_target_point": format_amount(price, scale),
            "fee_basis_points": common.fee_basis_points,
            "tax_code": common.tax_code,
        }
        files[f"{name}.json"] = (checked_terms(values, FILES_ONLY, ANY_TIME), json_text(values))
    return files


def pair(rate: BlockRate, name: str) -> str:
    """A rate as files have it; raises Refused(TERMS_INVALID) for one of too many digits."""
    if max(rate.source_units, rate.target_units) > POINTS_MAX:
        raise Refused(
            Reason.TERMS_INVALID,
            "block_rate",
            f"the exact rate of {name} has too many digits; name a block size",
        )
    return f"{rate.source_units}:{rate.target_units}"
