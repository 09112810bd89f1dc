"""Whether terms can be honoured exactly: what is refused before anyone can be bound by it. Pure.

Rules kept here, besides the bounds of each field:

- Some amount is legal, and every legal amount comes to whole units of the currency.
- The largest transfer, with its best segment and all promotions that ever run at once, fits 2⁶² in
  every one of its postings.
- Nothing promises what it never gives: a segment or a promotion adds a point to some legal amount.
- Whoever pays for a promotion signs: terms have at most as many signatories as an envelope has
  room for. At most 4 promotions run at once, so that the receipt of a transfer fits 4,096 bytes.

Every refusal names the term: `promotions[1].effective_until`.
"""

from collections.abc import Iterator
from datetime import datetime
from fractions import Fraction

from partners.agreement import BASIS_POINTS, Expiry, ExpiryRule, Fee, Promotion, Terms
from partners.conversion import base_points, bonus_points, convert, uplift_points
from partners.envelope import SIGNATURES_MAX
from partners.errors import Reason, Refused
from partners.points import POINTS_MAX, check_id, currency_scale

SEGMENTS_MAX = 16
PROMOTIONS_MAX = 16
PROMOTIONS_AT_ONCE_MAX = 4
FUNDERS_MAX = 4
DENOMINATOR_MAX = 10_000
"""Of a segment's multiplier."""
MULTIPLIER_MAX = 100
"""Times the points that a segment gives."""
BONUS_MAX = 100_000
"""Basis points of a promotion's bonus: ten times the points."""
DAYS_MAX = 36_500
PRICED_POINTS = (1, 1_000)

Broken = tuple[bool, str, str]
"""Whether a rule is broken, the term's name, and the rule in words."""


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
    ):
        check_id(getattr(terms, field), field)
    currency_scale(terms.currency, "settlement_currency")
    for code, field in ((terms.fee.tax_code, "tax_code"), (terms.value_tax_code, "value_tax_code")):
        if code or field == "tax_code":
            check_id(code, field)
    # Each group may take for granted what those before it have found to hold.
    for rules in (_amounts, _money, _segments, _promotions, _rest, _whole, _largest):
        for broken, field, text in rules(terms):
            if broken:
                raise Refused(Reason.TERMS_INVALID, field, text)


def _amounts(terms: Terms) -> Iterator[Broken]:
    rate, most = terms.rate, terms.maximum_source_points
    least, step = terms.minimum_source_points, terms.increment_source_points
    yield terms.version < 1, "version", "versions count from 1"
    yield (
        terms.source_partner == terms.target_partner,
        "target_partner",
        "an agreement is between two partners",
    )
    yield (
        rate.source_units < 1 or rate.target_units < 1,
        "block_rate",
        "both sides are at least 1",
    )
    yield (
        step < 1 or step % max(rate.source_units, 1) != 0,
        "increment_source_points",
        "the increment is a whole number of blocks",
    )
    yield least < 1, "minimum_source_points", "the minimum is at least 1"
    yield (
        not least <= most <= POINTS_MAX,
        "maximum_source_points",
        "the maximum is at least the minimum and at most 2^62",
    )
    yield (
        most - most % max(step, 1) < least,
        "maximum_source_points",
        "no whole number of increments lies between minimum and maximum",
    )


def _money(terms: Terms) -> Iterator[Broken]:
    per_thousand = terms.price.points != 1
    yield (
        terms.price.units < 1 or terms.price.points not in PRICED_POINTS,
        "price_per_thousand_target_points" if per_thousand else "price_per_target_point",
        "the price is at least 1 unit",
    )
    fee: Fee = terms.fee
    yield (
        not 0 <= fee.basis_points <= BASIS_POINTS,
        "fee_basis_points",
        "the fee is 0 to 10,000 basis points",
    )
    for amount, field in (
        (fee.per_target_point, "fee_per_target_point"),
        (fee.fixed, "fee_fixed"),
        (fee.minimum, "fee_minimum"),
        (fee.maximum, "fee_maximum"),
    ):
        yield not 0 <= amount <= POINTS_MAX, field, "an amount is 0 to 2^62 units"
    yield (
        0 < fee.maximum < fee.minimum,
        "fee_maximum",
        "the fee's maximum is at least its minimum, or 0 for none",
    )


def _segments(terms: Terms) -> Iterator[Broken]:
    names = [each.segment_id for each in terms.segments]
    yield len(names) > SEGMENTS_MAX, "segments", f"there are at most {SEGMENTS_MAX} segments"
    yield len(set(names)) < len(names), "segments", "a segment is named once"
    for at, each in enumerate(terms.segments):
        check_id(each.segment_id, f"segments[{at}].segment_id")
        yield (
            not 1 <= each.denominator <= DENOMINATOR_MAX,
            f"segments[{at}].multiplier_denominator",
            f"a denominator is 1 to {DENOMINATOR_MAX:,}",
        )
        yield (
            not each.denominator <= each.numerator <= MULTIPLIER_MAX * each.denominator,
            f"segments[{at}].multiplier_numerator",
            f"a multiplier is 1 to {MULTIPLIER_MAX}",
        )
        yield (
            each.numerator > each.denominator
            and uplift_points(base_points(terms, _largest_amount(terms)), each) == 0,
            f"segments[{at}].multiplier_numerator",
            "the multiplier adds no point to any amount",
        )


def _promotions(terms: Terms) -> Iterator[Broken]:
    names = [each.promotion_id for each in terms.promotions]
    yield (
        len(names) > PROMOTIONS_MAX,
        "promotions",
        f"there are at most {PROMOTIONS_MAX} promotions",
    )
    yield len(set(names)) < len(names), "promotions", "a promotion is named once"
    for at, each in enumerate(terms.promotions):
        yield from _promotion(terms, f"promotions[{at}]", each)
    most = max(
        (len(terms.promotions_at(each.effective_from)) for each in terms.promotions), default=0
    )
    yield (
        most > PROMOTIONS_AT_ONCE_MAX,
        "promotions",
        f"at most {PROMOTIONS_AT_ONCE_MAX} promotions run at one time",
    )
    yield (
        len(terms.signatories) > SIGNATURES_MAX,
        "promotions",
        f"at most {SIGNATURES_MAX - 2} other partners fund promotions: all of them sign",
    )


def _promotion(terms: Terms, path: str, promotion: Promotion) -> Iterator[Broken]:
    check_id(promotion.promotion_id, f"{path}.promotion_id")
    yield (
        not 1 <= promotion.bonus_basis_points <= BONUS_MAX,
        f"{path}.bonus_basis_points",
        f"a bonus is 1 to {BONUS_MAX:,} basis points",
    )
    yield (
        promotion.effective_until <= promotion.effective_from,
        f"{path}.effective_until",
        "the promotion ends before it starts",
    )
    yield (
        not 1 <= promotion.budget_points <= POINTS_MAX,
        f"{path}.budget_points",
        "a budget is 1 to 2^62 points",
    )
    yield (
        bonus_points(promotion, base_points(terms, _largest_amount(terms))) == 0,
        f"{path}.bonus_basis_points",
        "the bonus adds no point to any amount",
    )
    names = [each.name for each in promotion.funders]
    yield (
        not 1 <= len(names) <= FUNDERS_MAX,
        f"{path}.funders",
        f"a promotion has 1 to {FUNDERS_MAX} funders",
    )
    yield len(set(names)) < len(names), f"{path}.funders", "a funder is named once"
    for at, each in enumerate(promotion.funders):
        check_id(each.name, f"{path}.funders[{at}].funder")
        yield (
            each.share_basis_points < 1,
            f"{path}.funders[{at}].share_basis_points",
            "a share is at least 1 basis point",
        )
    whole = sum(each.share_basis_points for each in promotion.funders)
    yield (
        whole != BASIS_POINTS,
        f"{path}.funders",
        f"the shares sum to {whole:,} basis points, not to 10,000",
    )


def _rest(terms: Terms) -> Iterator[Broken]:
    limits, expiry = terms.member_limits, terms.expiry
    yield (
        limits.transfers_per_day < 0,
        "member_limits.transfers_per_day",
        "a limit is at least 1, or 0 for none",
    )
    yield (
        not 0 <= limits.source_points_per_day <= POINTS_MAX,
        "member_limits.source_points_per_day",
        "a limit is 1 to 2^62 points, or 0 for none",
    )
    yield (
        0 < limits.source_points_per_day < terms.minimum_source_points,
        "member_limits.source_points_per_day",
        "no transfer fits: the limit is below the least points of one",
    )
    yield (
        _expiry_broken(expiry),
        "expiry_days",
        "FIXED_DAYS has 1 to 36,500 days, no other rule any",
    )
    yield (
        not 0 <= terms.notice_days <= DAYS_MAX,
        "notice_days",
        f"a notice is of 0 to {DAYS_MAX:,} days",
    )


def _expiry_broken(expiry: Expiry) -> bool:
    if expiry.rule is ExpiryRule.FIXED_DAYS:
        return not 1 <= expiry.days <= DAYS_MAX
    return expiry.days != 0


def _whole(terms: Terms) -> Iterator[Broken]:
    """A price per thousand gives whole units for each legal amount, bonuses too."""
    block = Fraction(terms.rate.target_units, terms.rate.source_units)
    rates = [
        ("price_per_thousand_target_points", "the price", block),
        *(
            (f"segments[{at}]", "the price", block * Fraction(each.numerator, each.denominator))
            for at, each in enumerate(terms.segments)
        ),
        *(
            (
                f"promotions[{at}]",
                "the bonus",
                block * Fraction(each.bonus_basis_points, BASIS_POINTS),
            )
            for at, each in enumerate(terms.promotions)
        ),
    ]
    for field, what, points_per_point in rates:
        yield (
            not _always_whole(terms, points_per_point),
            field,
            f"{what} does not come to whole units for every amount: price single points, or change "
            "the increment",
        )


def _always_whole(terms: Terms, points_per_point: Fraction) -> bool:
    """Whether price × ⌊amount × points per point⌋ is whole units for each legal amount.

    The floors of q+1 amounts in a row, where q is the denominator of the points that an increment
    gives, step by both neighbours of that fraction. Where all of them have a divisor it is 1, or q
    is, so looking at q+1 amounts is looking at all.
    """
    price, step = terms.price, terms.increment_source_points
    if price.units % price.points == 0:
        return True
    per_step = points_per_point * step
    first = -(-terms.minimum_source_points // step)
    last = min(terms.maximum_source_points // step, first + per_step.denominator)
    return all(
        price.units * (per_step.numerator * n // per_step.denominator) % price.points == 0
        for n in range(first, last + 1)
    )


def _largest(terms: Terms) -> Iterator[Broken]:
    largest = _largest_amount(terms)
    for instant in (None, *(each.effective_from for each in terms.promotions)):
        for segment_id in ("", *(each.segment_id for each in terms.segments)):
            yield (
                _exceeds(terms, largest, segment_id, instant),
                "maximum_source_points",
                "maximum times price exceeds 2^62 units",
            )


def _exceeds(terms: Terms, amount: int, segment_id: str, instant: datetime | None) -> bool:
    """Whether a posting of this transfer is beyond what the books count, at the highest tax."""
    running = terms.promotions_at(instant) if instant else ()
    made = convert(
        terms, amount, BASIS_POINTS, BASIS_POINTS, segment_id=segment_id, promotions=running
    )
    promoted = sum(each.value for each in made.bonuses)
    return max(made.target_points, made.value, made.fee, promoted) > POINTS_MAX


def _largest_amount(terms: Terms) -> int:
    """The most source points that these terms allow in one transfer."""
    most = terms.maximum_source_points
    return most - most % terms.increment_source_points
