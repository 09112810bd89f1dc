"""What a promotion grants is what its funders pay for, and never more than its budget."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from exchange.commands import Command
from exchange.fold import State, fold
from exchange.ledger.postings import Code
from exchange.outcomes import Recorded, Reversed
from exchange.promotions import PromotionKey
from partners.agreement import HUB
from tests import factories as make
from tests.property.histories import FIRST, RICH, TERMS, held_by, histories, orders

CROWDS = st.lists(orders(), min_size=8, max_size=40)
BUDGETS = {
    (*TERMS[name].name, each.promotion_id): each.budget_points
    for name in RICH
    for each in TERMS[name].promotions
}


def granted_in(outcomes: tuple[object, ...]) -> Counter[PromotionKey]:
    """The bonus points of these outcomes, by promotion, less those that were taken back."""
    found: Counter[PromotionKey] = Counter()
    for each in outcomes:
        if isinstance(each, Recorded) and each.conversion and each.terms:
            for bonus in each.conversion.bonuses:
                found[(*each.terms.name, bonus.promotion.promotion_id)] += bonus.points
        if isinstance(each, Reversed) and each.portion and each.original and each.original.terms:
            for bonus in each.portion.conversion.bonuses:
                key = (*each.original.terms.name, bonus.promotion.promotion_id)
                found[key] -= bonus.points
    return found


def waiting_in(state: State) -> Counter[PromotionKey]:
    """What transfers hold that wait for a review or for their target's answer, by promotion."""
    found: Counter[PromotionKey] = Counter()
    for each in (*state.held.values(), *state.reserved.values()):
        if each.verdict is not None:
            continue
        order = each.order
        name = (order.agreement_id, order.agreement_version)
        if order.quote_id is not None:
            name = state.quotes[order.quote_id].terms.name
        bonuses = [posting for posting in each.postings if posting.code is Code.BONUS_IN]
        for promotion, posting in zip(each.promotions, bonuses, strict=True):
            found[(*name, promotion)] += posting.amount
    return found


@given(st.one_of(histories(), CROWDS))
def test_t14_no_budget_is_overrun_and_each_is_used_by_what_was_granted(
    commands: list[Command],
) -> None:
    folded = fold(FIRST, commands, make.NOW)
    granted = granted_in(folded.outcomes)
    held = held_by(folded.state.quotes) + waiting_in(folded.state)
    for key, points in folded.state.promotion_points.items():
        assert points == granted[key] + held[key]
    for key, budget in BUDGETS.items():
        assert granted[key] + held[key] <= budget


@given(st.one_of(histories(), CROWDS))
def test_a_transfer_posts_what_it_grants_and_what_each_party_pays_for_it(
    commands: list[Command],
) -> None:
    for each in fold(FIRST, commands, make.NOW).outcomes:
        if not isinstance(each, Recorded) or each.conversion is None or each.terms is None:
            continue
        posted: Counter[Code] = Counter()
        for posting in each.postings:
            posted[posting.code] += posting.amount
        made = each.conversion
        assert posted[Code.IN] + posted[Code.BONUS_IN] == each.order.target_points
        assert posted[Code.VALUE] == made.value
        memo = sum(
            amount
            for bonus in made.bonuses
            for funder, amount in zip(bonus.promotion.funders, bonus.shares, strict=True)
            if funder.name == each.terms.target_partner
        )
        assert posted[Code.PROMO] + memo == sum(bonus.value for bonus in made.bonuses)
        assert HUB not in each.funders
