"""Account numbers and what they mean. Pure.

An account number carries its unit: `account = unit << 20 | n`. Because debit and credit of a
posting must agree in `account >> 20`, a posting across units cannot be written, and no look-up is
needed to know it. `n` says what the account is:

    unit is a program's points    1 members  2 issuer  3 redeemed  4 granted

    unit is a currency            1 hub.bank.settlement  2 hub.bank.collateral
                                  3 hub.fees  4 hub.promotions  5 hub.rounding
                                  6 hub.suspense  7 hub.losses
                                  0x100 + t     hub.tax.<code> of tax number t
                                  0x1000 + 2p   position of partner number p
                                  0x1001 + 2p   collateral of partner number p
"""

from dataclasses import dataclass
from enum import IntEnum

UNIT_SHIFT = 20
_IN_UNIT = (1 << UNIT_SHIFT) - 1
_TAX_FIRST = 0x100
_PARTNER_FIRST = 0x1000
TAX_NUMBER_MAX = _PARTNER_FIRST - _TAX_FIRST - 1
PARTNER_NUMBER_MAX = (1 << UNIT_SHIFT) - _PARTNER_FIRST >> 1

HUB = 0
"""The operator's number among the partners."""


class PointsAccount(IntEnum):
    """Accounts of a points unit."""

    MEMBERS = 1
    ISSUER = 2
    REDEEMED = 3
    GRANTED = 4


class HubAccount(IntEnum):
    """The operator's accounts of a currency, taxes apart."""

    BANK_SETTLEMENT = 1
    BANK_COLLATERAL = 2
    FEES = 3
    PROMOTIONS = 4
    ROUNDING = 5
    SUSPENSE = 6
    LOSSES = 7


_HUB_NAMES = {
    HubAccount.BANK_SETTLEMENT: "hub.bank.settlement",
    HubAccount.BANK_COLLATERAL: "hub.bank.collateral",
    HubAccount.FEES: "hub.fees",
    HubAccount.PROMOTIONS: "hub.promotions",
    HubAccount.ROUNDING: "hub.rounding",
    HubAccount.SUSPENSE: "hub.suspense",
    HubAccount.LOSSES: "hub.losses",
}


@dataclass(frozen=True, slots=True)
class Account:
    """An account as it is opened."""

    number: int
    name: str
    floor: int | None = None
    """Least available amount, or none."""
    ceiling: int | None = None
    """Most that may stand to its credit, pending credits counted, or none."""


def points_account(unit: int, which: PointsAccount) -> int:
    """Number of a program's account."""
    return unit << UNIT_SHIFT | which


def hub_account(unit: int, which: HubAccount) -> int:
    """Number of an operator's account in a currency."""
    return unit << UNIT_SHIFT | which


def tax_account(unit: int, tax_number: int) -> int:
    """Number of `hub.tax.<code>` in a currency."""
    return unit << UNIT_SHIFT | (_TAX_FIRST + tax_number)


def position_account(unit: int, partner_number: int) -> int:
    """Number of a partner's position in a currency."""
    return unit << UNIT_SHIFT | (_PARTNER_FIRST + 2 * partner_number)


def collateral_account(unit: int, partner_number: int) -> int:
    """Number of a partner's collateral in a currency."""
    return position_account(unit, partner_number) + 1


def unit_of(account: int) -> int:
    """The unit in which an account counts."""
    return account >> UNIT_SHIFT


def party_of(account: int) -> int:
    """The partner number behind a currency account; `HUB` for the operator's."""
    n = account & ((1 << UNIT_SHIFT) - 1)
    return (n - _PARTNER_FIRST) // 2 if n >= _PARTNER_FIRST else HUB


def is_position(account: int) -> bool:
    """Whether a currency account is a partner's position."""
    return account & _IN_UNIT >= _PARTNER_FIRST and not account & 1


def is_collateral(account: int) -> bool:
    """Whether a currency account is a partner's collateral."""
    return account & _IN_UNIT >= _PARTNER_FIRST and bool(account & 1)


def tax_number_of(account: int) -> int:
    """The tax number of a `hub.tax.<code>` account, 0 for any other."""
    n = account & ((1 << UNIT_SHIFT) - 1)
    return n - _TAX_FIRST if _TAX_FIRST <= n < _PARTNER_FIRST else 0


def program_accounts(unit: int, program_id: str) -> tuple[Account, ...]:
    """The four accounts that a program opens with."""
    return (
        Account(points_account(unit, PointsAccount.MEMBERS), f"{program_id}.members"),
        Account(points_account(unit, PointsAccount.ISSUER), f"{program_id}.issuer"),
        Account(points_account(unit, PointsAccount.REDEEMED), f"{program_id}.redeemed", floor=0),
        Account(points_account(unit, PointsAccount.GRANTED), f"{program_id}.granted", ceiling=0),
    )


def hub_accounts(unit: int, taxes: tuple[tuple[int, str], ...]) -> tuple[Account, ...]:
    """The operator's accounts of a currency, with one for each tax given as (number, code)."""
    bounds = {
        HubAccount.BANK_SETTLEMENT: (None, 0),
        HubAccount.BANK_COLLATERAL: (None, 0),
        HubAccount.SUSPENSE: (0, None),
    }
    fixed = (
        Account(hub_account(unit, which), name, *bounds.get(which, (None, None)))
        for which, name in _HUB_NAMES.items()
    )
    return (*fixed, *(Account(tax_account(unit, t), f"hub.tax.{code}") for t, code in taxes))


def partner_accounts(
    unit: int, partner_number: int, partner_id: str, net_debit_cap: int
) -> tuple[Account, ...]:
    """A partner's position, bounded by its net debit cap, and its collateral."""
    return (
        Account(
            position_account(unit, partner_number), f"{partner_id}.position", floor=-net_debit_cap
        ),
        Account(collateral_account(unit, partner_number), f"{partner_id}.collateral", floor=0),
    )
