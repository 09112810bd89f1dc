"""The desk at which the bank's files are taken in and suspense is resolved.

Each is one entry of the books: all of a file or nothing of it. What its money makes possible
(pay-outs that it covers, windows that are settled with it) follows in entries of its own, which the
same call repeated makes up for after a crash.
"""

import asyncio
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from exchange.commands import Book
from partners.errors import Reason, Refused
from partners.points import currency_scale
from settlement import store as settlement_store
from settlement.bank import store
from settlement.bank.booking import account_of, bank_file_entry, bank_key, check_follows
from settlement.bank.matching import AccountKind, Booking, Named, Use, compact, match
from settlement.bank.reading import parse_bank_file
from settlement.bank.statement import BankFile, refused
from settlement.bank.suspense import (
    Payee,
    SuspenseItem,
    allocated_key,
    allocation,
    chosen,
    leg_named,
    refund,
    refund_key,
)
from settlement.course import Course
from settlement.references import refund_reference
from settlement.schemes.scheme import scheme_of


@dataclass(frozen=True, slots=True)
class TakenIn:
    """What became of a bank file."""

    file: BankFile
    account: AccountKind
    bookings: tuple[Booking, ...]
    """Empty for a file that had been imported before."""
    is_repeat: bool

    def count(self, *uses: Use) -> int:
        """How many of its bookings are these."""
        return sum(each.use in uses for each in self.bookings)


class BankDesk:
    """Takes in one bank file, or resolves suspense, at a time."""

    def __init__(self, course: Course) -> None:
        """`course` keeps the turn, reads and books."""
        self._course = course

    async def take_in(
        self,
        currency: str,
        content: bytes,
        charges: Iterable[str] = (),
        partners: Mapping[str, str] | None = None,
    ) -> TakenIn:
        """Book a bank file, all of it or nothing, and whatever its money makes possible.

        `currency` is empty where the file's own will do. `charges` names entries that are the
        bank's own; `partners` those of the collateral account that top up or charge a partner, by
        its id. Raises Refused(BANK_FILE_REFUSED) with nothing booked.
        """
        # A large file takes most of a second; orders are answered meanwhile.
        file = await asyncio.to_thread(parse_bank_file, content)
        currency = currency or file.currency.code
        async with self._course.settling():
            scheme = await self._course.read(scheme_of, currency)
            kind = account_of(file, scheme)
            stored = await self._course.read(_stored, bank_key(currency, file.statement_id, kind))
            if stored is not None and stored != content:
                raise refused(
                    "statement_id",
                    f"{file.statement_id} was imported before with other content; ask the bank"
                    " which of the two is right",
                )
            bookings: tuple[Booking, ...] = ()
            if stored is None:
                named = (frozenset(charges), dict(partners or {}))
                bookings = await self._import(currency, kind, file, content, *named)
            # Also after a repeat: a crash after the file was booked may have left this undone.
            await self._square_up(currency)
        return TakenIn(file, kind, bookings, stored is not None)

    async def _import(
        self,
        currency: str,
        kind: AccountKind,
        file: BankFile,
        content: bytes,
        charges: frozenset[str],
        partners: Mapping[str, str],
    ) -> tuple[Booking, ...]:
        def read(connection: Any) -> tuple[Booking, ...]:
            unit = settlement_store.unit_of(connection, currency)
            last = store.last_file(connection, currency, kind)
            check_follows(file, store.mirror_posted(connection, unit, kind), last)
            _check_new(connection, currency, kind, file)
            numbers = {name: n for n, name in store.partner_ids(connection, currency).items()}
            for partner_id in partners.values():
                if partner_id not in numbers:
                    raise Refused(
                        Reason.PARTNER_UNKNOWN,
                        "partners",
                        f"{partner_id!r} is no partner that settles in {currency}",
                    )
            named = Named(charges, {entry: numbers[each] for entry, each in partners.items()})
            return match(file, store.account(connection, currency, unit, kind), named)

        bookings = await self._course.read(read)
        try:
            await self._course.book(bank_file_entry(file, content, kind, bookings))
        except Refused as refusal:
            if refusal.reason is not Reason.LIMIT_EXCEEDED:
                raise
            raise refused("entries", f"the books have no room for it: {refusal.text}") from refusal
        return bookings

    async def suspense(self, currency: str) -> tuple[SuspenseItem, ...]:
        """What lies in suspense, oldest first."""
        return await self._course.read(store.suspense_items, currency)

    async def allocate(self, currency: str, item_ids: Sequence[str], reference: str) -> None:
        """Pay a leg from suspense. Repeating it is harmless.

        Raises Refused: FIELD_INVALID where the leg or an item is not there, or they do not fit;
        ALREADY_EXISTS where the leg was paid from other items.
        """

        reference = compact(reference)

        def read(connection: Any) -> Book | None:
            stored = _stored(connection, allocated_key(reference))
            if stored is not None:
                _check_same("leg_reference", set(json.loads(stored)["items"]), set(item_ids))
                return None
            unit = settlement_store.unit_of(connection, currency)
            leg = leg_named(
                store.account(connection, currency, unit, AccountKind.SETTLEMENT).expected,
                reference,
            )
            items = chosen(store.suspense_items(connection, currency), item_ids)
            return allocation(leg, items, currency_scale(currency))

        await self._resolve(currency, read)

    async def give_back(self, currency: str, item_id: str, payee: Payee) -> str:
        """Instruct what is left of an item to be paid back; returns the payment's reference.
        Repeating it is harmless.

        Raises Refused: FIELD_INVALID where the item is not there, ALREADY_EXISTS where it goes back
        to somebody else.
        """
        found: list[str] = []

        def read(connection: Any) -> Book | None:
            unit = settlement_store.unit_of(connection, currency)
            where = store.item_place(connection, currency, item_id)
            if where is not None:
                found.append(refund_reference(*where))
                stored = _stored(connection, refund_key(found[0]))
                if stored is not None:
                    known = json.loads(stored)["payee"]
                    _check_same("payee", known, payee.document)
                    return None
            (item,) = chosen(store.suspense_items(connection, currency), [item_id])
            return refund(item, payee, currency_scale(currency), unit)

        await self._resolve(currency, read)
        return found[0]

    async def _resolve(self, currency: str, read: Any) -> None:
        async with self._course.settling():
            await self._course.book_due(read)
            await self._square_up(currency)

    async def _square_up(self, currency: str) -> None:
        for window in await self._course.read(settlement_store.pending_windows, currency):
            await self._course.square_up(window)


def _stored(connection: Any, entry_key: str) -> bytes | None:
    return settlement_store.entry_body(connection, entry_key)


def _check_new(connection: Any, currency: str, kind: AccountKind, file: BankFile) -> None:
    """Raise Refused(BANK_FILE_REFUSED) where the bank's own reference of an entry, or the name of a
    statement, was in an earlier file.
    """
    names = [name for entry in file.entries for name in entry.part_ids]
    for name, key in store.entries_seen(connection, currency, kind, names).items():
        earlier = key.split("/", 2)[2]
        raise refused(
            f"entries[{name}]",
            f"the entry is in {earlier} and in {file.statement_id}: it would be booked twice; ask"
            " the bank for a statement without it",
            earlierFile=earlier,
        )
    statements = [each.statement_id for each in file.statements]
    for name in store.statements_seen(connection, currency, kind, statements):
        raise refused("statement_id", f"{name} was imported before, in another file")


def _check_same(field: str, known: object, asked: object) -> None:
    if known != asked:
        raise Refused(Reason.ALREADY_EXISTS, field, "this was resolved before, and in another way")
