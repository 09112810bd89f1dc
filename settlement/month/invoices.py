"""Invoices and credit notes as values, and as the bodies of their entries. Pure.

The rules:

- One document of a kind for each month, currency, pair and type of supply. A reversal in the month
  of its transfer is a line of the invoice; a later one is a line of the credit note of its own
  month, which names the invoices that it corrects. Amounts on a credit note are positive.
- A document's number is its place in the series of its issuer, from 1, and part of its entry's key,
  `invoice/<issuer>/<series>/<n>`: the sequencer lets no number be given twice.
- It holds the billing details of both parties as they were when it was issued, where any were
  recorded; and its body is without them where none were, as all bodies were before there were any.
- Lines and sums have all digits of the books. The operator's own documents are due in minor units:
  its net and each tax are rounded half-even, and the difference is booked (INVOICE_ROUNDING)
  between the partner's position and `hub.rounding`, so that position and invoice agree. What brands
  supply each other is settled by statements to the last digit and rounded nowhere.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum

from exchange.json_body import json_body
from partners.agreement import HUB
from settlement.month.billing.details import BillingDetails, details_from
from settlement.month.invoicing import Invoicing, Mode
from settlement.month.supplies import Item, Pair, SupplyType, Title

_DETAILS = ("supplier_details", "customer_details")


class DocumentKind(StrEnum):
    """What a document is."""

    INVOICE = "INVOICE"
    CREDIT_NOTE = "CREDIT_NOTE"


@dataclass(frozen=True, slots=True)
class TaxSum:
    """A document's tax of one code and rate. Units of the currency's scale."""

    tax_code: str
    basis_points: int
    net: int
    """What is taxed."""
    tax: int


@dataclass(frozen=True, slots=True)
class Document:
    """An invoice or a credit note. Units of the currency's scale, never negative in sum."""

    kind: DocumentKind
    month: str
    currency: str
    scale: int
    pair: Pair
    supplier_name: str
    customer_name: str
    mode: Mode
    agreement: str
    issuer: str
    series: str
    items: tuple[Item, ...]
    corrects: tuple[str, ...]
    """The invoices that a credit note corrects, by name."""
    net: int
    """Of all lines, as `taxes` and `tax`: rounded where the operator supplies."""
    taxes: tuple[TaxSum, ...]
    tax: int
    rounding: int
    """What rounding added to the lines' sum."""
    windows: tuple[str, ...]
    number: int = 0
    """In its series; 0 where it has none yet."""
    supplier_details: BillingDetails | None = None
    """Who the supplier was for tax law when it was issued; None where that was not recorded."""
    customer_details: BillingDetails | None = None

    @property
    def total(self) -> int:
        """Net and tax."""
        return self.net + self.tax

    @property
    def exact(self) -> int:
        """What its lines come to."""
        return self.total - self.rounding

    @property
    def name(self) -> str:
        """What people call it: `FEE-000001`."""
        return f"{self.series}-{self.number:06d}"

    @property
    def invoice_id(self) -> str:
        """Which one it is among all issuers'."""
        return f"{self.issuer}/{self.series}/{self.number}"

    @property
    def line(self) -> str:
        """The series in which it is numbered, among all issuers'."""
        return f"{self.issuer}/{self.series}"

    @property
    def subject(self) -> str:
        """What it is about: there is one of each."""
        if self.kind is DocumentKind.INVOICE:
            # Whatever its mode: what is agreed on while a month is invoiced makes no second one.
            return invoice_subject(self.month, self.pair)
        return f"{invoice_subject(self.month, self.pair)}/{self.kind}/{self.mode}"

    @property
    def is_something(self) -> bool:
        """Whether there is anything to state."""
        return bool(self.net or self.tax or self.rounding)


def invoice_subject(month: str, pair: Pair) -> str:
    """What an invoice is found by."""
    return f"{month}/{pair.supplier}/{pair.customer}/{pair.type}"


def entry_key(invoice_id: str) -> str:
    """The key of a document's entry."""
    return f"invoice/{invoice_id}"


@dataclass(frozen=True, slots=True)
class Head:
    """What all documents of a month have in common."""

    month: str
    currency: str
    scale: int
    minor_unit: int
    names: Mapping[str, str]
    """Of partners and `hub`, where their details do not state another."""
    windows: tuple[str, ...]
    details: Mapping[str, BillingDetails] = field(default_factory=dict)
    """Of partners and `hub`, as far as they were recorded."""

    def name_of(self, party: str) -> str:
        """What a party's documents call it."""
        return self.details[party].name if party in self.details else self.names[party]


def invoice_of(
    pair: Pair, items: Iterable[Item], invoicing: Invoicing, head: Head
) -> Document | None:
    """The invoice for a pair's supplies of the month, without a number; None where they come to
    nothing.
    """
    own = [each for each in items if not each.title.corrects]
    made = _document(DocumentKind.INVOICE, pair, own, invoicing, head)
    return made if made.is_something else None


def credit_notes_of(
    pair: Pair,
    items: Iterable[Item],
    corrected: Mapping[str, Document],
    invoicing: Invoicing,
    head: Head,
) -> tuple[Document, ...]:
    """The credit notes for what the month took back of earlier ones, without numbers.

    `corrected` holds the pair's invoices by their months. A credit note is issued as what it
    corrects was: where a month had no invoice there is nothing to correct, and what was agreed
    since changes nothing. So there is one for each mode that these invoices have.
    """
    by_mode: dict[Mode, list[Item]] = {}
    for item in items:
        if item.title.corrects in corrected:
            by_mode.setdefault(corrected[item.title.corrects].mode, []).append(_negated(item))
    notes = []
    for mode, taken_back in by_mode.items():
        months = sorted({each.title.corrects for each in taken_back})
        newest = corrected[months[-1]]
        under = invoicing
        if mode is not invoicing.mode:
            parties = (pair.supplier, pair.customer, pair.type)
            under = Invoicing(*parties, mode, newest.agreement, newest.series)
        note = _document(DocumentKind.CREDIT_NOTE, pair, taken_back, under, head)
        if note.is_something:
            notes.append(replace(note, corrects=tuple(corrected[each].name for each in months)))
    return tuple(notes)


def _document(
    kind: DocumentKind, pair: Pair, items: list[Item], invoicing: Invoicing, head: Head
) -> Document:
    items.sort(key=lambda each: _order(each.title))
    net, tax_sums = sum(each.net for each in items), _tax_sums(items)
    exact = net + sum(each.tax for each in tax_sums)
    if pair.supplier == HUB:
        minor = head.minor_unit
        net = half_even(net, minor)
        tax_sums = tuple(replace(each, tax=half_even(each.tax, minor)) for each in tax_sums)
    tax = sum(each.tax for each in tax_sums)
    return Document(
        kind,
        head.month,
        head.currency,
        head.scale,
        pair,
        head.name_of(pair.supplier),
        head.name_of(pair.customer),
        invoicing.mode,
        invoicing.agreement,
        invoicing.issuer(pair),
        invoicing.series_of(pair, credits=kind is DocumentKind.CREDIT_NOTE),
        tuple(items),
        (),
        net,
        tax_sums,
        tax,
        net + tax - exact,
        head.windows,
        supplier_details=head.details.get(pair.supplier),
        customer_details=head.details.get(pair.customer),
    )


def half_even(amount: int, unit: int) -> int:
    """The nearest whole number of `unit`s; of two, the even one."""
    whole, rest = divmod(amount, unit)
    up = 2 * rest > unit or (2 * rest == unit and whole % 2 == 1)
    return (whole + up) * unit


def _tax_sums(items: Iterable[Item]) -> tuple[TaxSum, ...]:
    sums: dict[tuple[str, int], tuple[int, int]] = {}
    for item in items:
        if item.title.tax_code:
            key = (item.title.tax_code, item.title.tax_basis_points)
            net, tax = sums.get(key, (0, 0))
            sums[key] = (net + item.net, tax + item.tax)
    return tuple(TaxSum(*key, *sums[key]) for key in sorted(sums))


def _negated(item: Item) -> Item:
    return replace(item, points=-item.points, net=-item.net, tax=-item.tax)


def _order(title: Title) -> tuple[str | int | bool, ...]:
    return (
        title.source_program,
        title.target_program,
        title.agreement_id,
        title.promotion_id,
        title.tax_code,
        title.tax_basis_points,
        title.corrects,
        title.is_reversed,
    )


def document_body(document: Document) -> bytes:
    """The one form of a document."""
    values = asdict(document)
    for name in _DETAILS:
        if values[name] is None:
            del values[name]
    return json_body(values)


def document_from(body: bytes) -> Document:
    """A document from its entry."""
    values = json.loads(body)
    pair = values.pop("pair")
    items = [Item(**{**each, "title": Title(**each["title"])}) for each in values.pop("items")]
    details = {name: details_from(values.pop(name)) for name in _DETAILS if name in values}
    return Document(
        **{
            **values,
            **details,
            "kind": DocumentKind(values["kind"]),
            "mode": Mode(values["mode"]),
            "pair": Pair(pair["supplier"], pair["customer"], SupplyType(pair["type"])),
            "items": tuple(items),
            "corrects": tuple(values["corrects"]),
            "taxes": tuple(TaxSum(**each) for each in values["taxes"]),
            "windows": tuple(values["windows"]),
        }
    )
