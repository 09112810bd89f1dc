"""The calls about the breaks that reconciliations found. They raise Refused."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from sqlalchemy import Engine

from partners.caller import Caller
from partners.errors import Reason, Refused
from partners.paging import page_end, page_size, page_token
from partners.transaction import in_transaction
from pointclear.settlement.v1 import reconciliation_pb2 as pb
from settlement.reconciliation import store, wire
from settlement.reconciliation.calls import numbered, whose
from settlement.reconciliation.gathering import partner_named
from settlement.reconciliation.resolving import workflow
from settlement.reconciliation.resolving.workflow import Step
from settlement.reconciliation.values import KeptBreak


class BreakCalls:
    """The handlers."""

    def __init__(self, engine: Engine, now: Callable[[], datetime]) -> None:
        self._engine = engine
        self._now = now

    async def list_breaks(
        self, request: pb.ListBreaksRequest, caller: Caller
    ) -> pb.ListBreaksResponse:
        """Some breaks; operators see every partner's."""
        size = page_size(request.page_size)
        everyone = caller.is_operator and not request.partner_id
        name = "" if everyone else whose(request.partner_id, caller)
        if everyone and request.run_id:
            raise Refused(Reason.FIELD_INVALID, "partner_id", "a run is one partner's")
        run = numbered(request.run_id, "R", "run_id") if request.run_id else 0
        try:
            category = wire.category_name(request.category)
        except ValueError:
            raise Refused(Reason.FIELD_INVALID, "category", "there is no such category") from None
        listed = f"breaks {name} {run} {category} {request.open_only}".encode()
        end = page_end(caller.holder, listed, request.page_token)
        partner, _, number = (end or "0 0").partition(" ")

        def read(connection: Any) -> tuple[KeptBreak, ...]:
            own = 0 if everyone else partner_named(connection, name).number
            if run:
                store.run_numbered(connection, partner_named(connection, name), run)
            return store.breaks_page(
                connection,
                own,
                run,
                category,
                (int(partner), int(number)),
                size + 1,
                open_only=request.open_only,
            )

        found = await in_transaction(self._engine, read)
        following = ""
        if len(found) > size:
            last = found[size - 1]
            following = page_token(caller.holder, listed, f"{last.partner_number} {last.number}")
        return pb.ListBreaksResponse(
            breaks=map(wire.break_message, found[:size]), next_page_token=following
        )

    async def get_break(self, request: pb.GetBreakRequest, caller: Caller) -> pb.GetBreakResponse:
        """One break with its history, and evidence where it is some."""
        name = whose(request.partner_id, caller)
        number = numbered(request.break_id, "B", "break_id")

        def read(connection: Any) -> pb.GetBreakResponse:
            own = partner_named(connection, name)
            found = store.break_numbered(connection, own, number)
            run = store.run_numbered(connection, own, found.newest_run)
            return pb.GetBreakResponse(
                reconciliation_break=wire.break_message(found),
                events=wire.events_messages(store.events_of(connection, own, number)),
                evidence=wire.evidence_of(found, run),
            )

        return await in_transaction(self._engine, read)

    async def assign_break(
        self, request: pb.AssignBreakRequest, caller: Caller
    ) -> pb.AssignBreakResponse:
        """Say who looks after a break."""
        found = await self._step(request, caller, workflow.assign, request.owner)
        return pb.AssignBreakResponse(reconciliation_break=wire.break_message(found))

    async def comment_break(
        self, request: pb.CommentBreakRequest, caller: Caller
    ) -> pb.CommentBreakResponse:
        """Add a comment to a break."""
        found = await self._step(request, caller, workflow.comment, request.text)
        return pb.CommentBreakResponse(reconciliation_break=wire.break_message(found))

    async def resolve_break(
        self, request: pb.ResolveBreakRequest, caller: Caller
    ) -> pb.ResolveBreakResponse:
        """End a break, or keep it as explained."""

        def resolve(connection: Any, step: Step) -> KeptBreak:
            return workflow.resolve(
                connection, step, request.text, request.journal, explained=request.explained
            )

        found = await self._step(request, caller, resolve)
        return pb.ResolveBreakResponse(reconciliation_break=wire.break_message(found))

    async def write_off_break(
        self, request: pb.WriteOffBreakRequest, caller: Caller
    ) -> pb.WriteOffBreakResponse:
        """Operators, two of them: leave a break as it is."""
        caller.require_action()
        found = await self._step(request, caller, workflow.write_off, request.text, request.journal)
        return pb.WriteOffBreakResponse(reconciliation_break=wire.break_message(found))

    async def _step(
        self, request: Any, caller: Caller, act: Callable[..., KeptBreak], *arguments: Any
    ) -> KeptBreak:
        name = whose(request.partner_id, caller)
        number = numbered(request.break_id, "B", "break_id")

        def carry_out(connection: Any) -> KeptBreak:
            own = partner_named(connection, name)
            step = Step(own, number, caller.holder, self._now())
            return act(connection, step, *arguments)

        return await in_transaction(self._engine, carry_out)
