"""Who invoices what: the recorded agreements on it. Pure.

Nobody's invoice is written in its name unless that was recorded. Where nothing is recorded, the
operator issues invoices for its own fees, and nothing else is invoiced here: brands then do so
among themselves, from the lines.
"""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from exchange.json_body import json_body
from partners.agreement import HUB
from partners.errors import Reason, Refused
from partners.points import check_id
from settlement.month.supplies import Pair, SupplyType

KIND = "invoicing"
EVERYBODY = "*"
"""As the customer: all those for whom nothing of their own is recorded."""
SERIES_OF = {SupplyType.VALUE: "VAL", SupplyType.FEE: "FEE", SupplyType.PROMOTION: "PRO"}
"""Where none is named."""
CREDIT_SUFFIX = "-CN"
"""Credit notes are a series of their own."""

_SERIES = re.compile(r"[A-Z0-9](?:[A-Z0-9-]{0,14}[A-Z0-9])?")
_AGREEMENT = re.compile(r"[\x21-\x7e][\x20-\x7e]{0,63}")


class Mode(StrEnum):
    """How a supply is invoiced."""

    SUPPLIER = "SUPPLIER"
    """In the supplier's name and series."""
    SELF_BILLED = "SELF_BILLED"
    """By the customer, in a series of its own, under an agreement with the supplier."""
    NONE = "NONE"
    """Not here."""


@dataclass(frozen=True, slots=True)
class Invoicing:
    """How one pair invoices one type of supply."""

    supplier: str
    customer: str
    """A partner's id, `hub`, or `EVERYBODY`."""
    type: SupplyType
    mode: Mode
    agreement: str = ""
    """The id of the agreement under which it is so; needed where the customer bills itself."""
    series: str = ""

    @property
    def subject(self) -> str:
        """What it is recorded under."""
        return f"{self.supplier}/{self.customer}/{self.type}"

    @property
    def body(self) -> bytes:
        """The one form of its entry."""
        values = {
            "agreement": self.agreement,
            "customer": self.customer,
            "mode": self.mode,
            "series": self.series,
            "supplier": self.supplier,
            "type": self.type,
        }
        return json_body(values)

    def issuer(self, pair: Pair) -> str:
        """In whose series a document of this pair is numbered."""
        return pair.customer if self.mode is Mode.SELF_BILLED else pair.supplier

    def series_of(self, pair: Pair, *, credits: bool) -> str:
        """The series of a pair's invoices, or of its credit notes."""
        own = self.series or SERIES_OF[pair.type]
        # A customer may bill itself for several suppliers, and issue invoices of its own.
        name = own if self.series or self.mode is not Mode.SELF_BILLED else f"SB-{own}"
        return name + CREDIT_SUFFIX if credits else name


def invoicing_from(body: bytes) -> Invoicing:
    """What an entry of ours records."""
    values = json.loads(body)
    return Invoicing(
        values["supplier"],
        values["customer"],
        SupplyType(values["type"]),
        Mode(values["mode"]),
        values["agreement"],
        values["series"],
    )


def invoicing_of(pair: Pair, recorded: Iterable[Invoicing]) -> Invoicing:
    """What holds for a pair; of several that were recorded, the newest, which comes last."""
    newest = {each.subject: each for each in recorded}
    for customer in (pair.customer, EVERYBODY):
        found = newest.get(f"{pair.supplier}/{customer}/{pair.type}")
        if found is not None:
            return found
    own_fee = pair.type is SupplyType.FEE and pair.supplier == HUB
    return Invoicing(
        pair.supplier, pair.customer, pair.type, Mode.SUPPLIER if own_fee else Mode.NONE
    )


def check_invoicing(invoicing: Invoicing) -> None:
    """Raise Refused(FIELD_INVALID) naming the field unless such a thing can be recorded."""
    check_id(invoicing.supplier, "supplier")
    if invoicing.customer != EVERYBODY:
        check_id(invoicing.customer, "customer")
    if invoicing.supplier == invoicing.customer:
        raise _invalid("customer", "nobody supplies itself")
    if (invoicing.type is SupplyType.FEE) != (invoicing.supplier == HUB):
        raise _invalid("supplier", f"fees are the operator's supply ({HUB}), and its only one")
    if invoicing.customer == HUB and invoicing.type is not SupplyType.PROMOTION:
        raise _invalid("customer", "the operator buys nothing but bonuses that it funds")
    if invoicing.mode is Mode.SELF_BILLED and not invoicing.agreement:
        raise _invalid("agreement", "name the agreement by which the customer bills itself")
    if invoicing.agreement and not _AGREEMENT.fullmatch(invoicing.agreement):
        raise _invalid("agreement", "an agreement's id has up to 64 printable characters")
    if invoicing.series and not _SERIES.fullmatch(invoicing.series):
        raise _invalid("series", "a series has 1 to 16 of A-Z, 0-9 and -, no - first or last")
    if invoicing.series.endswith(CREDIT_SUFFIX):
        raise _invalid("series", f"{CREDIT_SUFFIX} at the end is for the series of credit notes")


def _invalid(field: str, text: str) -> Refused:
    return Refused(Reason.FIELD_INVALID, field, text)
