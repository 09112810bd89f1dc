"""What a month's supplies are invoiced with. Pure.

Each supply is on its document, or among what is not invoiced here, to the last unit; so documents,
credit notes deducted, and the rest are the lines of the month's statements.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from exchange.fold import InvariantBroken
from settlement.month.invoices import (
    Document,
    DocumentKind,
    Head,
    credit_notes_of,
    invoice_of,
    invoice_subject,
)
from settlement.month.invoicing import Invoicing, Mode, invoicing_of
from settlement.month.supplies import Item, Pair, Supplies


@dataclass(frozen=True, slots=True)
class NotInvoiced:
    """A supply for which nothing is issued here. Units of the currency's scale."""

    pair: Pair
    net: int
    tax: int


@dataclass(frozen=True, slots=True)
class Planning:
    """One month being worked out."""

    head: Head
    supplies: Supplies
    recorded: tuple[Invoicing, ...]
    """About invoicing, oldest first."""
    about: Callable[[str], Document | None]
    """The document of a subject, where one was issued."""

    def plan(self) -> tuple[tuple[Document, ...], tuple[NotInvoiced, ...]]:
        """The documents, those that were issued with their numbers; and what there is none for.

        Raises InvariantBroken where a document was issued that would be another one now.
        """
        documents: list[Document] = []
        rests: list[NotInvoiced] = []
        for pair in sorted(self.supplies, key=_order):
            items = tuple(self.supplies[pair].values())
            made = tuple(self._documents_of(pair, items))
            documents += made
            rest = _rest(pair, items, made)
            if rest.net or rest.tax:
                rests.append(rest)
        return tuple(documents), tuple(rests)

    def _documents_of(self, pair: Pair, items: tuple[Item, ...]) -> Iterator[Document]:
        invoicing = invoicing_of(pair, self.recorded)
        invoice = invoice_of(pair, items, invoicing, self.head)
        if invoice is not None:
            standing = self._standing(invoice)
            if standing is not None or invoicing.mode is not Mode.NONE:
                yield standing or invoice
        months = {each.title.corrects for each in items} - {""}
        found = {month: self.about(invoice_subject(month, pair)) for month in months}
        corrected = {month: each for month, each in found.items() if each is not None}
        for note in credit_notes_of(pair, items, corrected, invoicing, self.head):
            yield self._standing(note) or note

    def _standing(self, document: Document) -> Document | None:
        found = self.about(document.subject)
        if found and (found.items, found.total) != (document.items, document.total):
            raise InvariantBroken(f"{found.invoice_id} was issued otherwise: now {document}")
        return found


def _rest(pair: Pair, items: tuple[Item, ...], made: tuple[Document, ...]) -> NotInvoiced:
    net, tax = sum(each.net for each in items), sum(each.tax for each in items)
    for document in made:
        sign = -1 if document.kind is DocumentKind.CREDIT_NOTE else 1
        net -= sign * sum(each.net for each in document.items)
        tax -= sign * sum(each.tax for each in document.items)
    return NotInvoiced(pair, net, tax)


def _order(pair: Pair) -> tuple[str, str, str]:
    return pair.supplier, pair.customer, pair.type
