"""The postings of a transfer that nobody has to confirm. Pure.

Money follows the points: the source pays the target for what its members gave up. A bonus is paid
for by its funders, each straight to the target; the target's own share is a memo, so nothing moves.
What comes to nothing makes no posting.
"""

from collections.abc import Iterator

from exchange.ledger.accounts import (
    HubAccount,
    PointsAccount,
    hub_account,
    points_account,
    position_account,
    tax_account,
)
from exchange.ledger.postings import Code, Posting
from partners.agreement import HUB, Bearer, Terms
from partners.conversion import Conversion
from partners.registry import Registry

Row = tuple[Code, int, int, int]
"""Code, debit account, credit account and amount."""


def transfer_postings(
    registry: Registry, terms: Terms, source_points: int, conversion: Conversion
) -> tuple[Posting, ...]:
    """Points out, points in and bonuses; value and its tax, promotions, fee and its tax."""
    rows = (
        *_points(registry, terms, source_points, conversion),
        *_value(registry, terms, conversion),
        *_promotions(registry, terms, conversion),
        *_fee(registry, terms, conversion),
    )
    return tuple(Posting(*row) for row in rows if row[3])


def money_unit(registry: Registry, terms: Terms) -> int:
    """Number of the unit in which a corridor settles."""
    return registry.units[terms.currency].number


def payer_account(registry: Registry, terms: Terms) -> int:
    """The position of the source, which pays for a transfer."""
    return position_account(
        money_unit(registry, terms), registry.partners[terms.source_partner].number
    )


def payee_account(registry: Registry, terms: Terms) -> int:
    """The position of the target."""
    return position_account(
        money_unit(registry, terms), registry.partners[terms.target_partner].number
    )


def funder_account(registry: Registry, terms: Terms, funder: str) -> int:
    """What pays a funder's share."""
    money = money_unit(registry, terms)
    if funder == HUB:
        return hub_account(money, HubAccount.PROMOTIONS)
    return position_account(money, registry.partners[funder].number)


def _points(
    registry: Registry, terms: Terms, source_points: int, conversion: Conversion
) -> Iterator[Row]:
    out = registry.points_unit(terms.source_program).number
    granted = registry.points_unit(terms.target_program).number
    issued = points_account(granted, PointsAccount.GRANTED)
    members = points_account(granted, PointsAccount.MEMBERS)
    yield (
        Code.OUT,
        points_account(out, PointsAccount.MEMBERS),
        points_account(out, PointsAccount.REDEEMED),
        source_points,
    )
    yield Code.IN, issued, members, conversion.paid_points
    for bonus in conversion.bonuses:
        yield Code.BONUS_IN, issued, members, bonus.points


def _value(registry: Registry, terms: Terms, conversion: Conversion) -> Iterator[Row]:
    payer, payee = payer_account(registry, terms), payee_account(registry, terms)
    yield Code.VALUE, payer, payee, conversion.value
    yield Code.VALUE_TAX, payer, payee, conversion.value_tax


def _promotions(registry: Registry, terms: Terms, conversion: Conversion) -> Iterator[Row]:
    for bonus in conversion.bonuses:
        for funder, amount in zip(bonus.promotion.funders, bonus.shares, strict=True):
            if funder.name != terms.target_partner:
                payer = funder_account(registry, terms, funder.name)
                yield Code.PROMO, payer, payee_account(registry, terms), amount


def _fee(registry: Registry, terms: Terms, conversion: Conversion) -> Iterator[Row]:
    money = money_unit(registry, terms)
    by_source = terms.fee.bearer is Bearer.SOURCE
    bearer = payer_account(registry, terms) if by_source else payee_account(registry, terms)
    tax = tax_account(money, registry.taxes[terms.fee.tax_code].number)
    yield Code.FEE, bearer, hub_account(money, HubAccount.FEES), conversion.fee
    yield Code.TAX, bearer, tax, conversion.tax
