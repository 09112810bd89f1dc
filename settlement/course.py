"""The course of a settlement: carries its steps out, over the sequencer and the database.

The order of effects of a settlement:

    the draft booked as approved → line files and legs kept → each statement booked → the window
    stated → accepted by each partner or by silence → stated again where something is in dispute
    → pairs asked, where partners pay each other → payable → pay-ins recorded → a bank file booked
    whole, which confirms legs → pay-outs recorded that it covers → a bank file that confirms those
    → the window settled

Each arrow is a transaction of its own, and each step is repeated harmlessly: after a crash
anywhere, the same call picks up where the log ends.
"""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

from sqlalchemy import Engine

from exchange.commands import Book, Command
from exchange.fold import InvariantBroken
from exchange.ledger.accounts import HUB
from exchange.outcomes import Result
from partners.errors import Reason, Refused
from partners.keys import Purpose
from partners.signers import Signers
from settlement import settling, store, wire
from settlement.approval.accepting import Accepting
from settlement.approval.draft import Draft, check_approved, draft_entry, draft_from, draft_key
from settlement.approval.restating import Restating
from settlement.approval.restating_course import RestatingCourse
from settlement.pairs.store import asking, legs_of
from settlement.standing import bank_balances, partners_on_hold
from settlement.stating import draft_of, state_window
from settlement.steps import Steps, all_of
from settlement.windows import Leg, LegState, SettlementWindow, WindowState


class Course(Steps):
    """Settles one window at a time, and keeps the turn of whoever else books for settlement."""

    def __init__(
        self,
        engine: Engine,
        submit: Callable[[Command], Awaitable[Result]],
        audience: str,
        signers: Signers,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """`signers` holds the exchange's keys for statements; `now` reads the clock."""
        super().__init__(engine, submit)
        self.now = now
        self._audience = audience
        self._signers = signers
        self._accepting = Accepting(self, now)
        self._restating = RestatingCourse(self)

    async def settle(self, window_id: str, draft_sha256: bytes = b"") -> tuple[Leg, ...]:
        """Take a closed window as far as it can go now; returns its legs.

        Raises Refused(WINDOW_UNKNOWN, WINDOW_STATE while it is open or an earlier one is not
        stated, or FIELD_INVALID where the draft is not the one of that digest), InvariantBroken
        where the books contradict themselves.
        """
        async with self.settling():
            window = await self.read(store.window_named, window_id)
            if window.state is WindowState.OPEN:
                settling.check_stateable(window, None)
            if window.state is WindowState.CLOSED:
                await self._state(window, draft_sha256)
                window = await self.read(store.window_named, window_id)
            await self.square_up(window)
            return await self.read(store.legs, window)

    async def advance(self, currency: str) -> None:
        """Take every stated window of a currency as far as it can go now: time, an acceptance or
        money may have let it.
        """
        async with self.settling():
            for window in await self.read(store.pending_windows, currency):
                await self.square_up(window)

    async def draft(self, window_id: str) -> tuple[SettlementWindow, Draft]:
        """How a closed window would be stated now. Raises Refused(WINDOW_UNKNOWN or
        WINDOW_STATE).
        """
        window = await self.read(store.window_named, window_id)
        if window.state.is_stated:
            raise Refused(Reason.WINDOW_STATE, "window_id", f"{window_id} is stated: see that")
        return window, await self._draft(window)

    async def abort(self, window_id: str, reason: str) -> None:
        """End the settlement of a stated window: what is not paid by now is carried forward.

        Raises Refused(WINDOW_UNKNOWN or WINDOW_STATE).
        """
        async with self.settling():
            window = await self.read(store.window_named, window_id)
            if window.state is WindowState.ABORTED:
                return
            await self._restating.finish(window)
            if not await self.read(self._restating.is_aborted, window):
                await self._restating.begin(window, reason, aborted=True)
            await self._restating.finish(window)
            # A restating cancels partners' legs alone. A crash between the two is taken up here.
            for leg in await self.read(store.legs, window):
                if leg.partner_number == HUB and leg.state in (LegState.WAITING, LegState.PENDING):
                    code, unit = window.currency.code, window.unit
                    await self.book(settling.cancelled_entry(leg, code, unit))
            await self.book(settling.aborted_entry(window, await self.read(store.legs, window)))

    async def restate(self, window_id: str, reason: str) -> Restating | None:
        """State a window again for those of whom another amount is withheld now, if there are
        any. Raises Refused(WINDOW_UNKNOWN or WINDOW_STATE).
        """
        async with self.settling():
            window = await self.read(store.window_named, window_id)
            await self._restating.finish(window)
            restating = await self._restating.begin(window, reason)
            await self.square_up(window)
            return restating

    async def signing_key_id(self) -> str:
        """The key in use for statements; where that was revoked, the one that took its place."""
        held = self._signers.key_ids(Purpose.STATEMENTS)
        revoked = await self.read(store.revoked_keys, held)
        if revoked.issuperset(held):
            self._signers.read_again()
            held = self._signers.key_ids(Purpose.STATEMENTS)
        good = [each for each in held if each not in revoked]
        if not good:
            raise InvariantBroken("every key for statements that this server holds was revoked")
        return good[0]

    async def _draft(self, window: SettlementWindow) -> Draft:
        """What was approved, or what would be."""
        approved = await self.read(store.entry_body, draft_key(window.window_id))
        if approved is not None:
            return draft_from(approved)
        return await self.read(draft_of, window, await self.signing_key_id())

    async def _state(self, window: SettlementWindow, draft_sha256: bytes) -> None:
        previous = await self.read(store.window_before, window)
        settling.check_stateable(window, previous)
        draft = await self._draft(window)
        check_approved(draft, draft_sha256)
        await self.book(draft_entry(window, draft))
        statements = await self.read(state_window, window, self._audience, draft)
        payloads = {each.partner_id: wire.statement_payload(each) for _number, each in statements}
        # A crash between two statements leaves some booked; the next run books the rest, with the
        # same bytes.
        await all_of(
            self.book(settling.statement_entry(window, number, each, payloads[each.partner_id]))
            for number, each in statements
        )
        await self.book(settling.stated_entry(window, payloads))

    async def square_up(self, window: SettlementWindow) -> None:
        """From stated to settled, as far as it goes. On the settlement's turn."""
        if window.state is not WindowState.PENDING_SETTLEMENT:
            return
        await self._restating.finish(window)
        if not await self._accepting.is_payable(window):
            if not await self._accepting.accept(window):
                return
            if await self._restating.begin(window, "lines are in dispute"):
                await self._restating.finish(window)
            # A crash here leaves the pairs asked: what they pay is not worked out a second time.
            pairs = await self.read(asking, window)
            if pairs is not None:
                await self.book(pairs)
            await self._accepting.make_payable(window)
        await self._pay(window)

    async def _pay(self, window: SettlementWindow) -> None:
        """Record the legs that can be recorded, and settle the window when all are confirmed."""
        legs = await self.read(store.legs, window)
        balances = await self.read(bank_balances, window.unit)
        on_hold = await self.read(partners_on_hold)
        recordable = settling.legs_to_record(legs, balances.payable, on_hold)
        # Handed over together, so that the sequencer can book them as one batch; each is decided on
        # its own.
        await all_of(
            self._record_leg(settling.leg_entry(leg, window.currency.code, window.unit))
            for leg in recordable
        )
        between = await self.read(legs_of, window)
        if all(leg.state in (LegState.CONFIRMED, LegState.CANCELLED) for leg in legs) and all(
            leg.is_confirmed for leg in between
        ):
            await self.book(settling.settled_entry(window, legs))

    async def _record_leg(self, entry: Book) -> None:
        try:
            await self.book(entry)
        except Refused as refusal:
            # The position has no room for the pay-out yet, so it waits. Nothing was written.
            if refusal.reason is not Reason.LIMIT_EXCEEDED:
                raise
