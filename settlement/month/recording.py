"""Records how supplies are invoiced: each change is an entry, and the newest of a subject holds."""

from typing import Any

from exchange.commands import Book, Fact
from exchange.json_body import JSON_BODY
from partners.agreement import HUB
from partners.errors import Reason, Refused
from settlement.month import store
from settlement.month.invoicing import EVERYBODY, KIND, Invoicing
from settlement.month.issuing import Books


async def record(books: Books, currency: str, invoicing: Invoicing) -> None:
    """Record it, unless it holds already. Raises Refused(PARTNER_UNKNOWN) naming the field."""

    def read(connection: Any) -> tuple[int | None, list[Invoicing]]:
        partners = store.partners_of(connection, currency)
        for field in ("supplier", "customer"):
            name = getattr(invoicing, field)
            if name not in partners and name not in (HUB, EVERYBODY):
                raise Refused(
                    Reason.PARTNER_UNKNOWN,
                    f"invoicing.{field}",
                    f"no partner {name} settles in {currency}",
                )
        number = partners[invoicing.supplier][0] if invoicing.supplier != HUB else None
        recorded = store.recorded_invoicing(connection, currency)
        return number, [each for each in recorded if each.subject == invoicing.subject]

    # Under the turn: a month that is being invoiced is read before or after it, and two changes
    # of one subject get keys of their own.
    async with books.settling():
        number, before = await books.read(read)
        if before and before[-1] == invoicing:
            return
        await books.book(
            Book(
                f"invoicing/{currency}/{invoicing.subject}/{len(before) + 1}",
                JSON_BODY,
                invoicing.body,
                facts=(Fact(KIND, currency, number, subject=invoicing.subject),),
            )
        )
