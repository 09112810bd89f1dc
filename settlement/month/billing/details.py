"""Billing details: who a party is on the documents of a month. Pure.

The rules:

- Details are recorded whole, by two operators, and never edited: each version is an entry, and
  holds for documents that are issued on its day or later, but for none before it was recorded.
- Of several, the one of the latest day holds, and of one day the newest. So what was announced for
  the first of a month holds from then on, whatever was corrected before that day.
- Days are of UTC, as the date of a document is.
- A document keeps the details that it was issued with: its paper never changes.

Source: Council Directive 2006/112/EC, Art. 226 (3) to (5): full names, addresses, and the numbers
by which the parties are registered for tax.
"""

import json
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import date, datetime
from typing import Any

from exchange.json_body import json_body
from partners.agreement import HUB
from partners.errors import Reason, Refused
from partners.points import check_id
from settlement.accounts.account import NAME_MAX, Address, check_address, check_text
from settlement.month.billing.tax_numbers import check_tax_number

KIND = "billing-details"

_COUNTRY = re.compile(r"[A-Z]{2}")


@dataclass(frozen=True, slots=True)
class BillingDetails:
    """Who a party is for tax law."""

    name: str
    """The full legal name."""
    address: Address
    tax_number: str = ""
    """By which it is registered; empty where it is not."""
    tax_country: str = ""
    """ISO 3166-1 alpha-2 of the country that gave the number; empty: that of the address."""

    @property
    def registered_in(self) -> str:
        """The country that gave the number."""
        return self.tax_country or self.address.country


@dataclass(frozen=True, slots=True)
class DetailsChange:
    """What two operators record of a party."""

    party: str
    """A partner's id, or `hub`."""
    details: BillingDetails
    effective_from: date | None = None
    """The first day of issue for which it is meant; None for at once."""

    @property
    def body(self) -> bytes:
        """The one form of its entry."""
        day = self.effective_from.isoformat() if self.effective_from else ""
        return json_body({"party": self.party, "effective_from": day, **asdict(self.details)})


@dataclass(frozen=True, slots=True)
class DetailsVersion:
    """A change as it stands in the log."""

    change: DetailsChange
    recorded_at: datetime
    log_index: int

    @property
    def holds_from(self) -> date:
        """The first day of issue for which it holds."""
        recorded = self.recorded_at.date()
        return max(self.change.effective_from or recorded, recorded)


def change_from(body: bytes) -> DetailsChange:
    """What an entry of ours records."""
    values = json.loads(body)
    party, day = values.pop("party"), values.pop("effective_from")
    effective_from = date.fromisoformat(day) if day else None
    return DetailsChange(party, details_from(values), effective_from)


def details_from(values: dict[str, Any]) -> BillingDetails:
    """Details from the JSON of an entry."""
    return BillingDetails(**{**values, "address": Address(**values["address"])})


def versions_on(day: date, versions: Iterable[DetailsVersion]) -> dict[str, DetailsVersion]:
    """What holds for documents that are issued on a day, by party."""
    held = [each for each in versions if each.holds_from <= day]
    held.sort(key=lambda each: (each.holds_from, each.log_index))
    return {each.change.party: each for each in held}


def check_change(change: DetailsChange) -> None:
    """Raise Refused(FIELD_INVALID) naming the field unless such details can stand on a document."""
    if change.party != HUB:
        check_id(change.party, "party")
    details = change.details
    check_text(details.name, "details.name", NAME_MAX, required=True)
    check_address(details.address, "details.address")
    if details.tax_country and not details.tax_number:
        raise Refused(
            Reason.FIELD_INVALID, "details.tax_number", "name the number that the country gave"
        )
    if details.tax_country and not _COUNTRY.fullmatch(details.tax_country):
        raise Refused(
            Reason.FIELD_INVALID,
            "details.tax_country",
            "a country is named by two capital letters, such as DE",
        )
    if details.tax_number:
        check_tax_number(details.tax_number, details.registered_in, "details.tax_number")
