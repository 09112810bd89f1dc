"""ActionService: the one way by which an operator changes anything.

The order of effects is

    verify (pure) → record the action, then its approval (sequencer) → the call itself → its answer

What a crash leaves: before the record, nothing. After it, an action that is approved and not
carried out, or carried out and without its answer: sending the very same request again carries it
out, which the entry keys of the call make harmless if it was done, and keeps the answer. An answer
that was kept is given to every repeat.
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

from sqlalchemy import Engine

from partners.actions import store
from partners.actions.commands import ApproveAction, ProposeAction
from partners.actions.verification import verified_action
from partners.actions.wire import LISTED_REQUEST_BYTES_MAX, action_id_from, action_to_proto
from partners.caller import Caller
from partners.errors import Reason, Refused, Retry
from partners.registry import Registry
from partners.transaction import in_transaction
from partners.wire import envelope_from_proto
from pointclear.partners.v1 import action_service_pb2 as pb

PAGE_DEFAULT = 100
PAGE_MAX = 100

Dispatch = Callable[[str, bytes, Caller], Awaitable[bytes]]
"""Carries out a call by its full name with a serialised request; returns the serialised response.
Raises the Refused of the call."""


class NewestRegistry(Protocol):
    """Where the newest snapshot comes from."""

    async def refresh(self) -> Registry:
        """The registry as the database has it now."""


class ActionService:
    """The handlers. They raise Refused; the edge maps it to the wire."""

    def __init__(
        self,
        engine: Engine,
        record: Callable[[ProposeAction | ApproveAction], Awaitable[object]],
        registry: NewestRegistry,
        audience: str,
        dispatch: Dispatch,
        now: Callable[[], datetime],
        *,
        four_eyes: bool = True,
    ) -> None:
        """`record` has the sequencer record an action or an approval; raises the Refused that
        answers it. `four_eyes` is whether calls that need two people do so here.
        """
        self._engine = engine
        self._record = record
        self._registry = registry
        self._audience = audience
        self._dispatch = dispatch
        self._now = now
        self._four_eyes = four_eyes

    async def act(self, request: pb.ActRequest, caller: Caller) -> pb.ActResponse:
        """Record a signed action, and carry it out once it has the signatures that it needs."""
        caller.require_operator()
        signed = verified_action(
            envelope_from_proto(request.action),
            request.request,
            caller,
            await self._registry.refresh(),
            self._audience,
            four_eyes=self._four_eyes,
        )
        await self._record(signed.proposal)
        if signed.approval is not None:
            await self._record(signed.approval)
        action = signed.proposal.action
        stored = await self._stored(action.action_id)
        if not stored.is_approved:
            return pb.ActResponse(state=pb.ACTION_STATE_PENDING)
        if stored.ended_at is None:
            on_behalf = Caller("operator", action.maker, action.action_id)
            # Shielded: a caller that goes away must not stop halfway what was approved.
            await asyncio.shield(self._carry_out(action.method, request.request, on_behalf))
            stored = await self._stored(action.action_id)
        if stored.refusal is not None:
            raise stored.refusal
        return pb.ActResponse(state=pb.ACTION_STATE_CARRIED_OUT, response=stored.response)

    async def get_action(
        self, request: pb.GetActionRequest, caller: Caller
    ) -> pb.GetActionResponse:
        """One action with its request."""
        caller.require_operator()
        stored = await self._stored(action_id_from(request.action_id))
        return pb.GetActionResponse(action=action_to_proto(stored, self._now(), None))

    async def list_actions(
        self, request: pb.ListActionsRequest, caller: Caller
    ) -> pb.ListActionsResponse:
        """The trail, in the order of the log."""
        caller.require_operator()
        if request.page_size < 0:
            raise Refused(Reason.FIELD_INVALID, "page_size", "a page size is not negative")
        size = min(request.page_size or PAGE_DEFAULT, PAGE_MAX)
        now = self._now()
        stored = await self._database(
            lambda connection: store.actions_after(
                connection, request.after_log_index, size, waiting_only=request.pending_only
            )
        )
        return pb.ListActionsResponse(
            actions=[action_to_proto(each, now, LISTED_REQUEST_BYTES_MAX) for each in stored]
        )

    async def _carry_out(self, method: str, request: bytes, caller: Caller) -> None:
        """Call the method, and keep what it came to unless the same request may come to more."""
        response, refusal = b"", None
        try:
            response = await self._dispatch(method, request, caller)
        except Refused as refused:
            if refused.retry is Retry.SAME_ID:
                raise
            refusal = refused
        assert caller.action_id is not None
        action_id: UUID = caller.action_id
        await self._database(
            lambda connection: store.keep_outcome(
                connection, action_id, self._now(), response, refusal
            )
        )

    async def _stored(self, action_id: UUID) -> store.StoredAction:
        stored: store.StoredAction | None = await self._database(
            lambda connection: store.action(connection, action_id)
        )
        if stored is None:
            raise Refused(Reason.ACTION_UNKNOWN, "action_id", f"there is no action {action_id}")
        return stored

    async def _database(self, work: Callable[[Any], Any]) -> Any:
        return await in_transaction(self._engine, work)
