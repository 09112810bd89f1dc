"""The calls about adjustments and write-offs.

Maker, checker and reason are those of the signed action that orders the journal: they are looked up
in the trail, never stated beside it.
"""

from dataclasses import replace
from typing import Any
from uuid import UUID

from exchange.commands import Book
from partners.actions import store as actions
from partners.actions.wire import action_from_payload
from partners.caller import Caller
from partners.errors import Reason, Refused
from partners.points import check_id, currency_scale
from partners.wire import time_to_proto
from pointclear.settlement.v1 import adjustment_pb2 as pb
from settlement.course import Course
from settlement.journals.journal import (
    BookedJournal,
    Journal,
    JournalKind,
    check_journal,
    check_relates_to,
    journal_entry,
)
from settlement.journals.store import journal_of, journals, parties
from settlement.month.relating import adjustment_period


class JournalCalls:
    """The handlers. They raise Refused; the edge maps it to the wire."""

    def __init__(self, course: Course) -> None:
        self._course = course

    async def book_adjustment(
        self, request: pb.BookAdjustmentRequest, caller: Caller
    ) -> pb.BookAdjustmentResponse:
        """Operators: book a journal in the open window."""
        caller.require_operator()
        if caller.action_id is None:
            raise Refused(Reason.ACTION_REQUIRED, "", "a journal is ordered by a signed action")
        action_id = caller.action_id
        # A repeat is answered with what was booked first, whatever was locked since.
        if await self._course.read(journal_of, str(action_id)) is None:
            # Under the turn: no period is locked between the look at its lock and the posting.
            async with self._course.settling():
                entry = await self._course.read(_entry, request, action_id)
                await self._course.book(entry)
        booked = await self._course.read(journal_of, str(action_id))
        assert booked is not None, "it was booked just now, or before"
        return pb.BookAdjustmentResponse(adjustment=adjustment_message(booked))

    async def list_adjustments(
        self, request: pb.ListAdjustmentsRequest, caller: Caller
    ) -> pb.ListAdjustmentsResponse:
        """Journals: for a partner those that move its own position."""
        wanted = request.partner_id
        if wanted:
            check_id(wanted, "partner_id")
        if request.currency:
            currency_scale(request.currency)
        if request.relates_to:
            check_relates_to(request.relates_to)
        if not caller.is_operator:
            if wanted not in ("", caller.name):
                raise Refused(Reason.PARTNER_UNKNOWN, "partner_id", f"there is no {wanted}")
            wanted = caller.name
        found = await self._course.read(
            journals, request.currency or None, wanted or None, request.relates_to or None
        )
        return pb.ListAdjustmentsResponse(
            adjustments=[
                adjustment_message(each, shows_people=caller.is_operator) for each in found
            ]
        )


def _entry(connection: Any, request: pb.BookAdjustmentRequest, action_id: UUID) -> Book:
    """The entry that an action orders; raises Refused."""
    stored = actions.action(connection, action_id)
    assert stored is not None, "the action was recorded before its call"
    _, _, action = action_from_payload(stored.envelope.payload)
    if not action.reason:
        raise Refused(Reason.FIELD_INVALID, "reason", "a journal says why: state a reason")
    kind = (
        pb.AdjustmentKind.Name(request.kind).removeprefix("ADJUSTMENT_KIND_")
        if (request.kind in pb.AdjustmentKind.values())
        else ""
    )
    if kind not in JournalKind.__members__:
        raise Refused(Reason.FIELD_INVALID, "kind", "say whether it adjusts or writes off")
    currency_scale(request.currency)
    journal = check_journal(
        Journal(
            JournalKind[kind],
            request.currency,
            request.payer,
            request.payee,
            request.amount,
            request.relates_to,
            action.reason,
            action.maker,
            stored.checker,
            str(action_id),
        )
    )
    period = adjustment_period(
        connection,
        journal.currency,
        journal.relates_to,
        (journal.payer, journal.payee),
        journal.reason,
    )
    journal = replace(journal, adjustment_period=period)
    return journal_entry(journal, *parties(connection, journal.currency))


def adjustment_message(booked: BookedJournal, *, shows_people: bool = True) -> pb.Adjustment:
    """A journal as the wire shows it; partners are not told which operators booked it."""
    journal = booked.journal
    return pb.Adjustment(
        adjustment_id=UUID(journal.action_id).bytes,
        kind=pb.AdjustmentKind.Value(f"ADJUSTMENT_KIND_{journal.kind}"),
        currency=journal.currency,
        payer=journal.payer,
        payee=journal.payee,
        amount=journal.amount,
        reason=journal.reason,
        relates_to=journal.relates_to,
        maker=journal.maker if shows_people else "",
        checker=journal.checker if shows_people else "",
        window_id=booked.window_id,
        log_index=booked.log_index,
        booked_at=time_to_proto(booked.booked_at),
        adjustment_period=journal.adjustment_period,
    )
