"""How pairs of partners stand: laws of what they are asked for, what they carry, and what of it the
bank does not settle.
"""

from itertools import combinations

from hypothesis import given
from hypothesis import strategies as st

from partners.points import currency_scale
from settlement.approval.draft import Draft, draft_from
from settlement.netting import pay
from settlement.pairs.standing import PairStood, between, pair_payment
from tests import factories as make

PARTNERS = ("aurora", "borealis", "cirrus", "deneb")
CURRENCIES = st.sampled_from([currency_scale(code) for code in ("USD", "JPY", "KWD")])
AMOUNTS = st.integers(-(10**12), 10**12)


@st.composite
def pairs(draw: st.DrawFn) -> tuple[int, tuple[PairStood, ...]]:
    """A currency's minor unit, and how its pairs stand."""
    minor_unit = draw(CURRENCIES).minor_unit
    found = []
    for one, other in draw(st.sets(st.sampled_from(list(combinations(PARTNERS, 2))))):
        carried, net, unpaid, before, here = (draw(AMOUNTS) for _ in range(5))
        payment = pair_payment(carried + net - before - here, minor_unit)
        found.append(PairStood(one, other, carried, net, unpaid, before, here, payment))
    return minor_unit, tuple(found)


@given(pairs())
def test_a_pair_pays_whole_minor_units_of_what_is_due_and_carries_less_than_one_of_it(
    stood: tuple[int, tuple[PairStood, ...]],
) -> None:
    minor_unit, each_pair = stood
    for each in each_pair:
        rest = each.due - each.payment
        assert each.payment % minor_unit == 0
        assert abs(rest) < minor_unit
        assert rest * each.due >= 0
        assert each.payment * each.due >= 0
        assert each.carries_on == rest + each.disputed + each.disputed_before


@given(pairs())
def test_what_is_between_partners_sums_to_0(stood: tuple[int, tuple[PairStood, ...]]) -> None:
    assert sum(between(stood[1], name) for name in PARTNERS) == 0


@given(pairs(), st.dictionaries(st.sampled_from(PARTNERS), AMOUNTS))
def test_the_bank_settles_what_is_with_the_operator_and_nothing_else(
    stood: tuple[int, tuple[PairStood, ...]], with_operator: dict[str, int]
) -> None:
    minor_unit, each_pair = stood
    for name, owed in with_operator.items():
        withheld = between(each_pair, name)
        assert pay(owed + withheld, withheld, minor_unit).due == owed


@given(pairs())
def test_a_draft_has_its_pairs_again_and_none_is_not_empty(
    stood: tuple[int, tuple[PairStood, ...]],
) -> None:
    plain = Draft("usd-2017-01-01", {"hub": 0}, make.DAY_ONE, 0, {})
    paired = Draft("usd-2017-01-01", {"hub": 0}, make.DAY_ONE, 0, {}, stood[1], 17)
    empty = Draft("usd-2017-01-01", {"hub": 0}, make.DAY_ONE, 0, {}, (), 17)
    for draft in (plain, paired, empty):
        assert draft_from(draft.body) == draft
    assert len({plain.sha256, empty.sha256}) == 2
    assert b"pairs" not in plain.body
