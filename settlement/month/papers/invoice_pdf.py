"""An invoice or a credit note as a paper. Pure but for the typesetter.

It shows what the entry in the log says and nothing else, and its date is the log's: the same bytes
come out whenever it is asked for. With the parties' billing details it has what tax law asks of an
invoice; without, it is the paper that it was before there were any.

Source: Council Directive 2006/112/EC, Art. 226: date of issue and of supply, number, names,
addresses and tax numbers, nature and extent, taxable amount, rate and tax, and "Self-billing" where
the customer issues it.
"""

import hashlib
from pathlib import Path
from typing import Any

from partners.agreement import HUB
from partners.points import CurrencyScale, currency_scale
from settlement.month.billing.details import BillingDetails
from settlement.month.billing.lacking import charges_tax
from settlement.month.billing.tax_numbers import label_of
from settlement.month.invoices import Document, DocumentKind, document_body, entry_key
from settlement.month.invoicing import Mode
from settlement.month.period import Period
from settlement.month.store import Issued
from settlement.month.supplies import Item, SupplyType
from settlement.reports.typesetting import count, figure, typeset

TEMPLATE = Path(__file__).with_name("invoice.typ")
SUPPLIES = {
    SupplyType.VALUE: "Points honoured for the customer",
    SupplyType.FEE: "Clearing of transfers of points",
    SupplyType.PROMOTION: "Bonus points honoured for the customer",
}
NO_MONEY = "Nothing is to be paid on this paper: it is settled by the statements of its windows."
BRITISH_SELF_BILLING = "The VAT shown is your output tax due to HMRC."
"""What a self-billed invoice must say to a supplier who is registered in the United Kingdom.

Source: HMRC, VAT Notice 700/62.
"""
WINDOWS_NAMED_MAX = 4
"""Windows that are named one by one."""

Cells = dict[str, Any]


def invoice_pdf(issued: Issued) -> bytes:
    """The document as PDF."""
    document = issued.document
    currency = currency_scale(document.currency)
    is_note = document.kind is DocumentKind.CREDIT_NOTE
    data = {
        "title": _title(document),
        "heading": "What is credited" if is_note else "What was supplied",
        "issuer": _issuer(document),
        "name": document.customer_name,
        "mark": document.name,
        # A self-billed document is not from its supplier; before there were details it said so.
        "sides": ["Supplier", "Customer"] if _for_tax(document) else ["From", "To"],
        "supplier_name": document.supplier_name,
        "supplier_lines": _party_lines(document.supplier_details),
        "customer_name": document.customer_name,
        "customer_lines": _party_lines(document.customer_details),
        "period": _period(document),
        "supply": SUPPLIES[document.pair.type],
        "particulars": _particulars(document),
        "currency": document.currency,
        "total_text": "Total credited" if is_note else "Total",
        "total": figure(document.total, currency),
        "how_paid": NO_MONEY,
        "lines": [_line(each, currency) for each in document.items],
        "sums": _sums(document, currency),
        "proof": _proof(issued),
        "notes": _notes(document),
    }
    return typeset(TEMPLATE, data, issued.issued_at.date())


def _title(document: Document) -> str:
    title = "Credit note" if document.kind is DocumentKind.CREDIT_NOTE else "Invoice"
    return f"Self-billed {title.lower()}" if document.mode is Mode.SELF_BILLED else title


def _issuer(document: Document) -> str:
    by_customer = document.mode is Mode.SELF_BILLED
    return document.customer_name if by_customer else document.supplier_name


def _for_tax(document: Document) -> bool:
    """Whether anything is known of its parties but their names."""
    return bool(document.supplier_details or document.customer_details)


def _party_lines(details: BillingDetails | None) -> list[str]:
    """A party's address and number, one below the other."""
    if details is None:
        return []
    address = details.address
    lines = [
        f"{address.street} {address.building}".strip(),
        f"{f'{address.postcode} {address.town}'.strip()}, {address.country}",
    ]
    if details.tax_number:
        lines.append(f"{label_of(details.registered_in)} {details.tax_number}")
    return [each for each in lines if each]


def _period(document: Document) -> list[str]:
    """When it was supplied. A credit note's lines say what months they take back."""
    if document.kind is DocumentKind.CREDIT_NOTE or not _for_tax(document):
        return ["Month", document.month]
    month = Period.of_month(document.month)
    return ["Supplied", f"{month.first} to {month.last}"]


def _particulars(document: Document) -> list[list[str]]:
    facts = []
    if document.corrects:
        facts.append(["Corrects", ", ".join(document.corrects)])
    if document.mode is Mode.SELF_BILLED:
        how = "by the customer, under"
        if _for_tax(document):
            how = "issued by the customer in the supplier's name, under the agreement"
        facts.append(["Self-billing", f"{how} {document.agreement}"])
        supplier = document.supplier_details
        if supplier and supplier.registered_in == "GB" and charges_tax(document):
            facts.append(["Note to the supplier", BRITISH_SELF_BILLING])
    elif document.agreement:
        facts.append(["Under", document.agreement])
    return facts


def _line(item: Item, currency: CurrencyScale) -> Cells:
    title = item.title
    reversed_ = ", reversed" if title.is_reversed else ""
    details = [title.agreement_id]
    if title.promotion_id:
        details.append(f"promotion {title.promotion_id}")
    if title.corrects:
        details.append(f"supplied in {title.corrects}")
    return {
        "text": f"{title.source_program} → {title.target_program}{reversed_}",
        "detail": ", ".join(details),
        "count": count(item.count),
        "points": count(item.points) if item.points else "",
        "tax": f"{title.tax_code}, {_percent(title.tax_basis_points)}" if title.tax_code else "",
        "net": figure(item.net, currency),
        "tax_amount": figure(item.tax, currency),
    }


def _percent(basis_points: int) -> str:
    whole, rest = divmod(basis_points, 100)
    return f"{whole}.{rest:02d} %" if rest else f"{whole} %"


def _sums(document: Document, currency: CurrencyScale) -> list[Cells]:
    def row(text: str, units: int) -> Cells:
        return {"text": text, "amount": figure(units, currency)}

    rows = [row("Net", document.net)]
    for each in document.taxes:
        base = figure(each.net, currency)
        name = f"Tax {each.tax_code}, {_percent(each.basis_points)}"
        rows.append(row(f"{name} of {base['figure']}{base['beyond']}", each.tax))
    # What bears no tax is said as what bears some is, as soon as the paper is to stand for tax.
    untaxed = sum(each.net for each in document.items if not each.title.tax_code)
    if untaxed and _for_tax(document):
        base = figure(untaxed, currency)
        rows.append(row(f"No tax, of {base['figure']}{base['beyond']}", 0))
    if document.rounding:
        rows.append(row("Of it, rounding to whole minor units", document.rounding))
    return rows


def _proof(issued: Issued) -> list[list[str]]:
    document = issued.document
    return [
        ["Settlement windows", _windows(document.windows)],
        ["Entry of the log", f"{entry_key(document.invoice_id)}, leaf {issued.log_index}"],
        ["Its body, SHA-256", hashlib.sha256(document_body(document)).hexdigest()],
    ]


def _windows(windows: tuple[str, ...]) -> str:
    if len(windows) <= WINDOWS_NAMED_MAX:
        return ", ".join(windows)
    return f"{windows[0]} to {windows[-1]}, {len(windows)} in all"


def _notes(document: Document) -> list[str]:
    notes = [
        "Its lines sum the lines of both parties' settlement statements of these windows. The paler"
        " digits are kept in the books."
    ]
    if document.pair.supplier == HUB:
        notes.append(
            "Net and each tax are rounded to whole minor units; the difference is booked on the"
            " customer's position, and its next statement shows it."
        )
    return notes
