"""Which of a partner's own accounts each figure of its statements is booked to. Pure.

A map is an entry of kind `account-map` with a JSON body; the newest of a partner holds. What it
does not name keeps the default account, so that a journal can always be written. A tax code may
have an account of its own.
"""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Final

from exchange.commands import Book, Fact
from exchange.json_body import JSON_BODY, json_body
from partners.errors import Reason, Refused
from settlement.facts import entries_of
from settlement.reports.items import Item

KIND: Final = "account-map"
ACCOUNT_CHARS_MAX: Final = 64
MAPPINGS_MAX: Final = 200
_ACCOUNT = re.compile(rf"[^\x00-\x1f\x7f]{{1,{ACCOUNT_CHARS_MAX}}}")


class Own(StrEnum):
    """What a journal books against, beside the figures of the net."""

    POSITION = "position"
    """What the coalition owes the partner, or it the coalition."""
    PAYMENT = "payment"
    """What a statement asks for, until the partner's own bank account shows it."""
    COLLATERAL = "collateral"
    COLLATERAL_PAYMENT = "collateral-payment"
    """What went into collateral or came back, until its own bank account shows it."""


DEFAULTS: Mapping[str, str] = MappingProxyType(
    {
        Own.POSITION: "1310",
        Own.PAYMENT: "1320",
        Own.COLLATERAL: "1330",
        Own.COLLATERAL_PAYMENT: "1340",
        Item.OUTGOING_VALUE_TAX: "1410",
        Item.FEE_TAX: "1420",
        Item.INCOMING_VALUE_TAX: "2410",
        Item.INCOMING_VALUE: "4010",
        Item.PROMOTIONS_RECEIVED: "4110",
        Item.OUTGOING_VALUE: "5010",
        Item.FEES: "6010",
        Item.PROMOTIONS_PAID: "6110",
        Item.ADJUSTMENTS: "6910",
    }
)
"""A chart of nobody's: enough to look at a journal before a map is set."""


@dataclass(frozen=True, slots=True)
class AccountMap:
    """A partner's accounts by figure and tax code; the code is empty for all that have none."""

    accounts: Mapping[tuple[str, str], str]

    def account(self, item: str, code: str = "") -> str:
        """Where a figure is booked."""
        own = self.accounts.get((item, code)) or self.accounts.get((item, ""))
        return own or DEFAULTS[item]

    @property
    def whole(self) -> tuple[tuple[str, str, str], ...]:
        """Figure, tax code and account of everything, defaults among it."""
        named = {(item, ""): account for item, account in DEFAULTS.items()} | dict(self.accounts)
        return tuple((item, code, account) for (item, code), account in sorted(named.items()))


NOTHING_MAPPED: Final = AccountMap(MappingProxyType({}))


def account_map(mappings: Iterable[tuple[str, str, str]]) -> AccountMap:
    """A map of figure, tax code and account; raises Refused(FIELD_INVALID)."""
    accounts: dict[tuple[str, str], str] = {}
    for item, code, account in mappings:
        if item not in DEFAULTS:
            raise _wrong(f"{item!r} is none of {', '.join(DEFAULTS)}")
        if not _ACCOUNT.fullmatch(account):
            raise _wrong(f"an account of {item} has 1 to {ACCOUNT_CHARS_MAX} printable characters")
        if (item, code) in accounts:
            raise _wrong(f"{item} {code}".rstrip() + " has two accounts; give it one")
        accounts[item, code] = account
    if len(accounts) > MAPPINGS_MAX:
        raise _wrong(f"a map has at most {MAPPINGS_MAX} accounts")
    return AccountMap(accounts)


def map_entry(
    partner_id: str, partner_number: int, currency: str, set_before: int, accounts: AccountMap
) -> Book:
    """Sets a partner's map; `set_before` is how many there were."""
    body = {
        "accounts": [[*names, account] for names, account in sorted(accounts.accounts.items())],
        "partner_id": partner_id,
    }
    return Book(
        f"{KIND}/{partner_id}/{set_before + 1}",
        JSON_BODY,
        json_body(body),
        facts=(Fact(KIND, currency, partner_number, subject=partner_id),),
    )


def maps_of(connection: Any, partner_number: int) -> tuple[AccountMap, ...]:
    """Every map that a partner ever had, the newest last."""
    found = entries_of(connection, KIND, partner_number=partner_number)
    return tuple(
        account_map(tuple(each) for each in json.loads(entry.body)["accounts"]) for entry in found
    )


def _wrong(text: str) -> Refused:
    return Refused(Reason.FIELD_INVALID, "accounts", text)
