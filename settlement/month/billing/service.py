"""The calls about billing details. They raise Refused.

A partner sees its own, and the operator's; others' are answered as if they did not exist.
"""

import asyncio
from dataclasses import dataclass
from typing import Any

from exchange.commands import Book, Fact
from exchange.json_body import JSON_BODY
from partners.agreement import HUB
from partners.caller import Caller
from partners.errors import Reason, Refused
from partners.points import currency_scale
from pointclear.settlement.v1 import billing_pb2 as pb
from settlement.course import Course
from settlement.month import store as month_store
from settlement.month.billing import store
from settlement.month.billing.details import KIND, DetailsChange, DetailsVersion, check_change
from settlement.month.billing.wire import change_from_proto, version_message
from settlement.month.sight import currency_for
from settlement.store import unit_of

Versions = tuple[tuple[DetailsVersion, ...], dict[str, DetailsVersion]]
"""All of a currency, and those that are in effect by party."""


@dataclass(frozen=True, slots=True)
class BillingCalls:
    """The handlers."""

    course: Course

    async def set_billing_details(
        self, request: pb.SetBillingDetailsRequest, caller: Caller
    ) -> pb.SetBillingDetailsResponse:
        """Record who a party is on documents, unless that was recorded last."""
        caller.require_operator()
        currency = currency_scale(request.currency).code
        change = change_from_proto(request)
        check_change(change)
        await asyncio.shield(self._record(currency, change))
        versions, in_effect = await self.course.read(_versions, currency)
        newest = _own(versions, change.party)[-1]
        return pb.SetBillingDetailsResponse(recorded=_message(newest, in_effect))

    async def _record(self, currency: str, change: DetailsChange) -> None:
        # Under the turn: a month is invoiced with what held before or after, and two changes of
        # one party get keys of their own.
        async with self.course.settling():
            number: int | None
            number, before = await self.course.read(_standing, currency, change.party)
            if before and before[-1].change == change:
                return
            await self.course.book(
                Book(
                    f"{KIND}/{currency}/{change.party}/{len(before) + 1}",
                    JSON_BODY,
                    change.body,
                    facts=(Fact(KIND, currency, number, subject=change.party),),
                )
            )

    async def list_billing_details(
        self, request: pb.ListBillingDetailsRequest, caller: Caller
    ) -> pb.ListBillingDetailsResponse:
        """Every version, by party and the day from which it holds."""
        currency = await currency_for(self.course, request.currency, caller)
        seen = None if caller.is_operator else {caller.name, HUB}
        if request.party and seen is not None and request.party not in seen:
            raise Refused(Reason.PARTNER_UNKNOWN, "party", "there is no such partner")
        versions, in_effect = await self.course.read(_versions, currency)
        shown = sorted(
            (
                each
                for each in versions
                if (seen is None or each.change.party in seen)
                and request.party in ("", each.change.party)
            ),
            key=lambda each: (each.change.party, each.holds_from, each.log_index),
        )
        return pb.ListBillingDetailsResponse(versions=[_message(each, in_effect) for each in shown])


def _standing(
    connection: Any, currency: str, party: str
) -> tuple[int | None, tuple[DetailsVersion, ...]]:
    """A party's number, the operator having none, and what was recorded of it, oldest first.

    Raises Refused(PARTNER_UNKNOWN), or FIELD_INVALID where nobody settles in the currency.
    """
    unit_of(connection, currency)
    number = None
    if party != HUB:
        partners = month_store.partners_of(connection, currency)
        if party not in partners:
            raise Refused(
                Reason.PARTNER_UNKNOWN, "party", f"no partner {party} settles in {currency}"
            )
        number = partners[party][0]
    return number, _own(store.versions_of(connection, currency), party)


def _versions(connection: Any, currency: str) -> Versions:
    return store.versions_of(connection, currency), store.versions_in_effect(connection, currency)


def _own(versions: tuple[DetailsVersion, ...], party: str) -> tuple[DetailsVersion, ...]:
    return tuple(each for each in versions if each.change.party == party)


def _message(
    version: DetailsVersion, in_effect: dict[str, DetailsVersion]
) -> pb.BillingDetailsVersion:
    held = in_effect.get(version.change.party)
    return version_message(version, in_effect=held == version)
