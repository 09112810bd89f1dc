"""Issues a month's invoices and credit notes: reads, works out, books.

The order of effects: one entry for each document, one after the other, under the settlement's turn.
Its number is the next of its series when its turn came, and part of the entry's key. A crash leaves
the documents before it, and no number is skipped: the next call finds them by what they are about,
and goes on behind them. Should two processes ever believe that it is their turn, they work out the
same number, and the sequencer books one of the two: numbers are read before documents.

A step that finds a mismatch stops: where the supplies of the month are not what its statements say,
a document would be another one now than when it was issued, or one must not be issued as it is,
nothing is booked.
"""

from collections.abc import Iterator, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from typing import Any, Protocol

from exchange.commands import Book, Fact
from exchange.fold import InvariantBroken
from exchange.json_body import JSON_BODY
from exchange.ledger.accounts import HubAccount, hub_account, position_account
from exchange.ledger.postings import Code, Posting
from partners.errors import Reason, Refused
from partners.points import currency_scale
from settlement import store as windows_store
from settlement.lines.line import Line
from settlement.lines.line_file import lines_in
from settlement.lines.store import stored_line_file
from settlement.month import store
from settlement.month.billing.lacking import check_issuable
from settlement.month.billing.store import details_in_effect
from settlement.month.invoices import Document, DocumentKind, Head, document_body, entry_key
from settlement.month.period import Period
from settlement.month.planning import NotInvoiced, Planning
from settlement.month.supplies import Background, Supplies, SupplyType, add_supplies, balance
from settlement.statement import Reversals, Statement


class Books(Protocol):
    """What is needed of the settlement's course."""

    def settling(self) -> AbstractAsyncContextManager[None]:
        """One settlement at a time."""

    async def read(self, read: Any, *arguments: Any) -> Any:
        """Run a blocking function on a connection."""

    async def book(self, command: Book) -> object:
        """Have the sequencer book an entry; raises Refused."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a month is invoiced with."""

    documents: tuple[Document, ...]
    """Those that were issued have a number."""
    not_invoiced: tuple[NotInvoiced, ...]
    """Reversals of what was not invoiced among it."""
    last_numbers: Mapping[str, int]
    """Of each series, as it was before it was looked which documents there are."""
    numbers: Mapping[str, int]
    """Of the partners, by id."""
    unit: int

    @property
    def missing(self) -> tuple[Document, ...]:
        """Those that were not issued yet."""
        return tuple(each for each in self.documents if not each.number)


async def issue(books: Books, currency: str, period: Period) -> tuple[Plan, tuple[Document, ...]]:
    """Issue what is missing of a month. Returns the plan with all numbers, and what was new.

    Raises Refused: WINDOW_STATE while the month may still change, PERIOD_STATE where a document
    charges tax and lacks what the law asks of it then.
    """
    async with books.settling():
        plan: Plan = await books.read(plan_month, currency, period)
        check_issuable(plan.missing)
        issued = []
        last = dict(plan.last_numbers)
        for document in plan.missing:
            last[document.line] = last.get(document.line, 0) + 1
            numbered = replace(document, number=last[document.line])
            await books.book(document_entry(numbered, plan))
            issued.append(numbered)
        whole: Plan = await books.read(plan_month, currency, period)
        return whole, tuple(issued)


def document_entry(document: Document, plan: Plan) -> Book:
    """Books a document, with what rounding it moves: the one entry that can have its number."""
    pair = document.pair
    parties = [plan.numbers.get(pair.supplier), plan.numbers.get(pair.customer)]
    facts = (
        Fact(store.NUMBER, document.currency, subject=document.line),
        *(
            Fact(store.INVOICE, document.currency, each, subject=document.subject)
            for each in parties
        ),
    )
    postings = rounding_postings(document, plan) if document.rounding else ()
    return Book(
        entry_key(document.invoice_id),
        JSON_BODY,
        document_body(document),
        postings,
        document.currency if postings else None,
        facts=facts,
        # A few units at most. What a cap refused would leave a hole in the series.
        forced=bool(postings),
    )


def rounding_postings(document: Document, plan: Plan) -> tuple[Posting, ...]:
    """What makes a position agree with the operator's document."""
    owed_more = document.rounding if document.kind is DocumentKind.INVOICE else -document.rounding
    position = position_account(plan.unit, plan.numbers[document.pair.customer])
    rounding = hub_account(plan.unit, HubAccount.ROUNDING)
    debit, credit = (position, rounding) if owed_more > 0 else (rounding, position)
    return (Posting(Code.INVOICE_ROUNDING, debit, credit, abs(owed_more)),)


def plan_month(connection: Any, currency: str, period: Period) -> Plan:
    """What a month is invoiced with, and what of it was issued.

    Raises Refused(WINDOW_STATE) while the month may still change, InvariantBroken where lines,
    statements and documents contradict each other.
    """
    windows = check_over(connection, currency, period)
    # Before the documents: whoever issues one in between takes the number that this one would have.
    last_numbers = store.last_numbers(connection)
    supplies, statements = _supplies_of(connection, currency, period, windows)
    for partner_id, stated in statements.items():
        if balance(supplies, partner_id) != stated:
            raise InvariantBroken(
                f"{partner_id} was stated {stated} for {period.name}, and its supplies come to"
                f" {balance(supplies, partner_id)}"
            )
    scale = currency_scale(currency)
    partners = store.partners_of(connection, currency)
    head = Head(
        period.name,
        currency,
        scale.scale,
        scale.minor_unit,
        store.names_of(connection, currency),
        windows,
        details_in_effect(connection, currency),
    )
    planned = Planning(
        head,
        supplies,
        store.recorded_invoicing(connection, currency),
        lambda subject: store.document_about(connection, currency, subject),
    )
    numbers = {each: number for each, (number, _) in partners.items()}
    documents, not_invoiced = planned.plan()
    unit = windows_store.unit_of(connection, currency)
    return Plan(documents, not_invoiced, last_numbers, numbers, unit)


def check_over(connection: Any, currency: str, period: Period) -> tuple[str, ...]:
    """The windows of a month in which nothing changes any more; raises Refused(WINDOW_STATE)."""
    windows = store.windows_of(connection, currency, period)
    for window_id, state in windows:
        if not state.is_stated:
            raise Refused(
                Reason.WINDOW_STATE,
                "month",
                f"{window_id} is {state}: close and state every window of the month first",
            )
    if not store.is_over(connection, currency, period):
        raise Refused(
            Reason.WINDOW_STATE, "month", f"{period.name} is not over: no later window was opened"
        )
    return tuple(window_id for window_id, _ in windows)


def _supplies_of(
    connection: Any, currency: str, period: Period, windows: tuple[str, ...]
) -> tuple[Supplies, dict[str, dict[SupplyType, int]]]:
    """The supplies of a month's lines, and what its statements say of each partner."""
    supplies: Supplies = {}
    stated: dict[str, dict[SupplyType, int]] = {}
    reversals: list[tuple[str, Line]] = []
    background = Background(
        period.name, store.program_owners(connection), {}, store.tax_rates(connection)
    )
    for window_id in windows:
        for partner_id, statement, lines in stated_lines(connection, currency, window_id):
            _add_stated(stated.setdefault(partner_id, dict.fromkeys(SupplyType, 0)), statement)
            straight = []
            for line in lines:
                if line.role.is_reversed:
                    reversals.append((partner_id, line))
                else:
                    straight.append(line)
            add_supplies(supplies, partner_id, straight, background)
    originals = store.originals_of(connection, [line.transfer_id for _, line in reversals])
    background = replace(background, originals=originals)
    for partner_id, line in reversals:
        add_supplies(supplies, partner_id, [line], background)
    return supplies, stated


def stated_lines(
    connection: Any, currency: str, window_id: str
) -> Iterator[tuple[str, Statement, Iterator[Line]]]:
    """Each partner of a stated window with its statement and the lines behind it."""
    window = windows_store.window_named(connection, window_id)
    scale = currency_scale(currency).scale
    for partner in windows_store.partners_of(connection, window):
        name = partner.partner_id
        statement = windows_store.statement_of(connection, window_id, name)
        content = stored_line_file(connection, window_id, name)
        if statement is None or content is None:
            raise InvariantBroken(f"{window_id} is stated, and has no statement of {name}")
        yield name, statement, lines_in(content, scale)


def _add_stated(sums: dict[SupplyType, int], statement: Statement) -> None:
    parts: tuple[Statement | Reversals, ...] = (statement, statement.reversals)
    for each in parts:
        taxed = sum(tax.outgoing + tax.incoming for tax in each.value_taxes)
        sums[SupplyType.VALUE] += each.outgoing_value + each.incoming_value + taxed
        sums[SupplyType.FEE] += each.fees + sum(amount for _, amount in each.taxes)
        sums[SupplyType.PROMOTION] += each.promotions
