"""Account numbers carry their unit, and say what they are."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.ledger.accounts import (
    HUB,
    PARTNER_NUMBER_MAX,
    TAX_NUMBER_MAX,
    HubAccount,
    PointsAccount,
    collateral_account,
    hub_account,
    hub_accounts,
    partner_accounts,
    party_of,
    points_account,
    position_account,
    program_accounts,
    tax_account,
    tax_number_of,
    unit_of,
)

UNITS = st.integers(1, 2**31 - 1)
PARTNERS = st.integers(1, PARTNER_NUMBER_MAX - 1)
TAXES = st.integers(0, TAX_NUMBER_MAX)


@given(UNITS, PARTNERS, TAXES)
def test_every_account_of_a_unit_carries_it(unit: int, partner: int, tax: int) -> None:
    accounts = [
        *(points_account(unit, which) for which in PointsAccount),
        *(hub_account(unit, which) for which in HubAccount),
        tax_account(unit, tax),
        position_account(unit, partner),
        collateral_account(unit, partner),
    ]
    assert {unit_of(account) for account in accounts} == {unit}
    assert max(accounts) < 2**63


@given(UNITS, PARTNERS, TAXES)
def test_the_party_and_the_tax_behind_an_account_are_read_from_its_number(
    unit: int, partner: int, tax: int
) -> None:
    assert party_of(position_account(unit, partner)) == partner
    assert party_of(collateral_account(unit, partner)) == partner
    assert tax_number_of(position_account(unit, partner)) == 0
    assert party_of(tax_account(unit, tax)) == HUB
    assert tax_number_of(tax_account(unit, tax)) == tax
    for which in HubAccount:
        assert (party_of(hub_account(unit, which)), tax_number_of(hub_account(unit, which))) == (
            HUB,
            0,
        )


@given(st.sets(PARTNERS, min_size=2, max_size=5), st.sets(TAXES, min_size=2, max_size=5))
def test_no_two_accounts_of_a_currency_share_a_number(partners: set[int], taxes: set[int]) -> None:
    accounts = list(hub_accounts(7, tuple((tax, f"t{tax}") for tax in taxes)))
    for partner in partners:
        accounts += partner_accounts(7, partner, f"p{partner}", 100)
    assert len({account.number for account in accounts}) == len(accounts)
    assert len({account.name for account in accounts}) == len(accounts)


def test_a_program_opens_with_four_accounts_of_which_two_are_bounded() -> None:
    bounds = {a.name: (a.floor, a.ceiling) for a in program_accounts(3, "fuel")}
    assert bounds == {
        "fuel.members": (None, None),
        "fuel.issuer": (None, None),
        "fuel.redeemed": (0, None),
        "fuel.granted": (None, 0),
    }


def test_the_hubs_bank_mirrors_have_a_ceiling_and_its_suspense_a_floor() -> None:
    bounds = {a.name: (a.floor, a.ceiling) for a in hub_accounts(3, ((1, "vat6"),))}
    assert bounds == {
        "hub.bank.settlement": (None, 0),
        "hub.bank.collateral": (None, 0),
        "hub.fees": (None, None),
        "hub.promotions": (None, None),
        "hub.rounding": (None, None),
        "hub.suspense": (0, None),
        "hub.losses": (None, None),
        "hub.tax.vat6": (None, None),
    }


@pytest.mark.parametrize("cap", [0, 150])
def test_a_position_may_fall_to_its_cap_and_collateral_to_nothing(cap: int) -> None:
    bounds = {a.name: (a.floor, a.ceiling) for a in partner_accounts(3, 1, "fuel", cap)}
    assert bounds == {"fuel.position": (-cap, None), "fuel.collateral": (0, None)}
