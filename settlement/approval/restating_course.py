"""Carries out a restating; `settlement.approval.restating` says in which order and why."""

from typing import Any

from exchange.fold import InvariantBroken
from partners.errors import Reason, Refused
from partners.registry import Partner
from settlement import facts, settling, store, wire
from settlement.approval.draft import draft_from, draft_key
from settlement.approval.restating import (
    KIND,
    Change,
    Restating,
    changed,
    next_version,
    restating_entry,
    restating_from,
)
from settlement.overdue.drawing import drawn_references
from settlement.pairs.store import withheld_of
from settlement.payouts.series import of_window
from settlement.payouts.store import files_of, references_in
from settlement.statement import Statement
from settlement.steps import Steps
from settlement.windows import Leg, LegState, SettlementWindow, WindowState


class RestatingCourse:
    """States windows again, on the settlement's turn."""

    def __init__(self, steps: Steps) -> None:
        self._steps = steps

    async def begin(
        self, window: SettlementWindow, reason: str, *, aborted: bool = False
    ) -> Restating | None:
        """Book the decision to state a window again for those whom it concerns; None where it
        concerns nobody. Raises Refused(WINDOW_STATE).
        """
        if window.state is not WindowState.PENDING_SETTLEMENT:
            raise Refused(
                Reason.WINDOW_STATE,
                "window_id",
                f"{window.window_id} is {window.state}: only what is stated and not settled yet"
                " can be stated again",
            )
        restating = await self._steps.read(decided, window, reason, aborted)
        if restating is not None:
            await self._steps.book(restating_entry(window, restating))
        return restating

    async def finish(self, window: SettlementWindow) -> None:
        """Carry the newest restating out, or what a crash has left of it."""
        restating = await self._steps.read(newest, window)
        if restating is None or await self._steps.read(is_carried_out, window, restating):
            return
        for leg in await self._steps.read(to_cancel, window, restating):
            await self._steps.book(settling.cancelled_entry(leg, window.currency.code, window.unit))
        for number, statement in await self._steps.read(keep_next, window, restating):
            payload = wire.statement_payload(statement)
            await self._steps.book(settling.statement_entry(window, number, statement, payload))

    def is_aborted(self, connection: Any, window: SettlementWindow) -> bool:
        """Whether the newest restating aborts."""
        restating = newest(connection, window)
        return restating is not None and restating.aborted


def newest(connection: Any, window: SettlementWindow) -> Restating | None:
    """The newest restating of a window, if there was one."""
    found = facts.entries_of(connection, KIND, window_number=window.number)
    return restating_from(found[-1].body) if found else None


def decided(
    connection: Any, window: SettlementWindow, reason: str, aborted: bool
) -> Restating | None:
    """A window's next restating, if it concerns anybody. What aborts concerns all: their statements
    say what was paid.
    """
    stated = {
        partner.partner_id: _stated(connection, window, partner)
        for partner in store.partners_of(connection, window)
    }
    in_dispute = withheld_of(connection, window)
    changes = changed(stated, in_dispute)
    if aborted:
        changes = {
            name: Change(each.version + 1, in_dispute.get(name, 0)) for name, each in stated.items()
        }
    if not changes:
        return None
    before = newest(connection, window)
    approved = store.entry_body(connection, draft_key(window.window_id))
    return Restating(
        window.window_id,
        before.number + 1 if before else 1,
        reason,
        draft_from(approved).minimum_payout if approved else 0,
        changes,
        aborted,
    )


def is_carried_out(connection: Any, window: SettlementWindow, restating: Restating) -> bool:
    """Whether every statement that a restating asks for is booked."""
    return all(
        _stated(connection, window, partner).version
        >= restating.partners[partner.partner_id].version
        for partner in store.partners_of(connection, window)
        if partner.partner_id in restating.partners
    )


def to_cancel(connection: Any, window: SettlementWindow, restating: Restating) -> tuple[Leg, ...]:
    """The legs of earlier versions that nobody has paid. What is on its way cannot be taken back
    here: it counts as paid.
    """
    instructed = on_their_way(connection, window)
    return tuple(
        leg
        for leg in store.legs(connection, window)
        if leg.partner_id in restating.partners
        and leg.version < restating.partners[leg.partner_id].version
        and leg.state in (LegState.WAITING, LegState.PENDING)
        and leg.reference not in instructed
    )


def on_their_way(connection: Any, window: SettlementWindow) -> frozenset[str]:
    """The references of legs that a pay-out file has told the bank to pay, or that a draw on
    collateral pays.
    """
    return references_in(files_of(connection, of_window(window))) | drawn_references(
        connection, window
    )


def keep_next(
    connection: Any, window: SettlementWindow, restating: Restating
) -> tuple[tuple[int, Statement], ...]:
    """The next version of each statement that is not booked yet, with the partner's number; their
    legs are kept.
    """
    instructed = on_their_way(connection, window)
    paid: dict[str, int] = {}
    for kept in store.legs(connection, window):
        if kept.state is LegState.CONFIRMED or kept.reference in instructed:
            paid[kept.partner_id] = paid.get(kept.partner_id, 0) + kept.payment
    found: list[tuple[int, Statement]] = []
    added: list[Leg] = []
    for partner in store.partners_of(connection, window):
        change = restating.partners.get(partner.partner_id)
        stated = _stated(connection, window, partner)
        if change is None or stated.version >= change.version:
            continue
        digest = store.statement_digest(connection, window.window_id, partner.partner_id)
        statement, leg = next_version(
            window, restating, partner.number, stated, digest, paid.get(partner.partner_id, 0)
        )
        found.append((partner.number, statement))
        added += [leg] if leg else []
    store.keep_legs(connection, window, added)
    return tuple(found)


def _stated(connection: Any, window: SettlementWindow, partner: Partner) -> Statement:
    statement = store.statement_of(connection, window.window_id, partner.partner_id)
    if statement is None:
        raise InvariantBroken(f"{partner.partner_id} was not stated for {window.window_id}")
    return statement
