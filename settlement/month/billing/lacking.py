"""What documents lack that tax law asks for. Pure.

Whoever is not registered for tax must not show any on an invoice (such as Art. 27 of the Swiss VAT
Act), and owes what it shows (Council Directive 2006/112/EC, Art. 203). What is issued here is never
replaced. So a document that charges tax is not issued without its supplier's registration number,
nor without both parties' names and addresses. Any other is: the law may ask nothing of it.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from partners.errors import Reason, Refused
from settlement.month.invoices import Document

NAMED_MAX = 20
"""Parties that a refusal names one by one."""


class Missing(StrEnum):
    """What is not recorded, in the words of a refusal."""

    DETAILS = "billing details"
    TAX_NUMBER = "tax number"


@dataclass(frozen=True, slots=True, order=True)
class Lack:
    """What a document lacks of a party."""

    party: str
    missing: Missing


def lacks_of(document: Document) -> Iterator[Lack]:
    """What a document lacks."""
    if document.supplier_details is None:
        yield Lack(document.pair.supplier, Missing.DETAILS)
    elif charges_tax(document) and not document.supplier_details.tax_number:
        yield Lack(document.pair.supplier, Missing.TAX_NUMBER)
    if document.customer_details is None:
        yield Lack(document.pair.customer, Missing.DETAILS)


def charges_tax(document: Document) -> bool:
    """Whether a document shows tax at a rate, even where it comes to less than a minor unit."""
    return any(each.tax or each.basis_points for each in document.taxes)


def forbidding(documents: Iterable[Document]) -> tuple[Lack, ...]:
    """What keeps documents from being issued, by party."""
    taxed = [each for each in documents if charges_tax(each)]
    return tuple(sorted({lack for each in taxed for lack in lacks_of(each)}))


def check_issuable(documents: Iterable[Document]) -> None:
    """Raise Refused(PERIOD_STATE) where a document must not be issued as it is."""
    found = forbidding(documents)
    if found:
        raise Refused(
            Reason.PERIOD_STATE,
            "month",
            f"documents that charge tax lack {lacks_text(found)}: record them (`pointclear invoice"
            " details set`), or that these supplies are not invoiced here",
            {"parties": ",".join(sorted({each.party for each in found})[:NAMED_MAX])},
        )


def lacks_text(lacks: Iterable[Lack]) -> str:
    """What is lacking of whom, in words."""
    parties: dict[Missing, list[str]] = {}
    for each in lacks:
        parties.setdefault(each.missing, []).append(each.party)
    return " and ".join(
        f"the {missing} of {', '.join(found[:NAMED_MAX])}"
        + (f" and {len(found) - NAMED_MAX} more" if len(found) > NAMED_MAX else "")
        for missing, found in parties.items()
    )


def parties_without_details(documents: Iterable[Document]) -> tuple[str, ...]:
    """Whose billing details documents are without, in alphabetical order."""
    return tuple(
        sorted(
            {
                lack.party
                for each in documents
                for lack in lacks_of(each)
                if lack.missing is Missing.DETAILS
            }
        )
    )
