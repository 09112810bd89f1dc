"""Who pays whom where partners pay each other: laws of dues, payments and carries by pair."""

from itertools import combinations

from hypothesis import given
from hypothesis import strategies as st

from exchange.ledger.accounts import HUB
from exchange.ledger.postings import Balance, Code, post, window_steps
from partners.points import currency_scale
from settlement.bilateral import multilateral, pair_dues, pair_legs, pair_posting
from settlement.netting import nets
from settlement.windows import WindowSum

PARTIES = (HUB, 1, 2, 3, 4)
CODES = (Code.VALUE, Code.FEE, Code.PROMO, Code.REV_VALUE, Code.ADJUSTMENT)
CURRENCIES = st.sampled_from([currency_scale(code) for code in ("USD", "JPY", "KWD", "CNY")])
UNIT = 7


def mirrored(party: int, counterparty: int, code: Code, amount: int) -> tuple[WindowSum, ...]:
    """Both views of what was counted between two parties."""
    return (
        WindowSum(party, counterparty, code, 0, amount),
        WindowSum(counterparty, party, code, 0, -amount),
    )


@st.composite
def window(draw: st.DrawFn) -> tuple[WindowSum, ...]:
    """The sums of one window."""
    counted = draw(
        st.lists(
            st.tuples(
                st.sampled_from(list(combinations(PARTIES, 2))),
                st.sampled_from(CODES),
                st.integers(-(10**12), 10**12).filter(bool),
            ),
            max_size=12,
        )
    )
    return tuple(
        each
        for (one, other), code, amount in counted
        for each in mirrored(one, other, code, amount)
    )


@given(window())
def test_the_sum_of_bilateral_dues_is_the_multilateral_net(sums: tuple[WindowSum, ...]) -> None:
    owed = multilateral(pair_dues(sums))
    assert {party: net for party, net in nets(sums).items() if net} == {
        party: due for party, due in owed.items() if due
    }
    assert sum(owed.values()) == 0


@given(window(), CURRENCIES)
def test_the_debtor_of_a_pair_pays_whole_minor_units_and_never_more_than_it_owes(
    sums: tuple[WindowSum, ...], currency: object
) -> None:
    minor = currency.minor_unit  # type: ignore[attr-defined]
    dues = pair_dues(sums)
    legs = pair_legs(dues, minor)
    assert len({frozenset((each.payer, each.payee)) for each in legs}) == len(legs)
    for each in legs:
        assert dues[each.payee, each.payer] == each.due > 0
        assert each.payment % minor == 0
        assert 0 <= each.carried < minor


@given(st.lists(st.tuples(window(), st.booleans()), max_size=6), CURRENCIES)
def test_over_many_windows_what_is_paid_and_what_pairs_carry_is_all_that_was_netted(
    windows: list[tuple[tuple[WindowSum, ...], bool]], currency: object
) -> None:
    minor = currency.minor_unit  # type: ignore[attr-defined]
    sums: list[WindowSum] = []
    netted: list[WindowSum] = []
    paid: dict[tuple[int, int], int] = {}
    for counted, pays in windows:
        sums += counted
        netted += counted
        # Who does not pay owes it still, in the next window.
        for each in pair_legs(pair_dues(sums), minor) if pays else ():
            if each.payment:
                sums += mirrored(each.payee, each.payer, Code.PAY_OUT, -each.payment)
                pair = (each.payee, each.payer)
                paid[pair] = paid.get(pair, 0) + each.payment
    left, whole = pair_dues(sums), pair_dues(netted)
    for pair, due in whole.items():
        back = (pair[1], pair[0])
        assert left[pair] == due - paid.get(pair, 0) + paid.get(back, 0)
    if windows and windows[-1][1]:
        assert all(abs(due) < minor for due in left.values())


@given(window(), CURRENCIES)
def test_a_payment_between_partners_brings_both_nearer_to_0_and_moves_nothing_of_the_operators(
    sums: tuple[WindowSum, ...], currency: object
) -> None:
    minor = currency.minor_unit  # type: ignore[attr-defined]
    for leg in pair_legs(pair_dues(sums), minor):
        if HUB in (leg.payer, leg.payee) or not leg.payment:
            continue
        posting = pair_posting(leg, UNIT)
        balances = {
            posting.credit: Balance(debits_posted=leg.due),
            posting.debit: Balance(credits_posted=leg.due),
        }
        post(balances, (posting,))
        assert balances[posting.credit].posted == -leg.carried
        assert balances[posting.debit].posted == leg.carried
        assert {cell.party: by for cell, by in window_steps(posting)} == {  # type: ignore[union-attr]
            leg.payer: leg.payment,
            leg.payee: -leg.payment,
        }
