"""A coalition's books in memory with the whole course of their settlement: what the services do
against the database, by the same pure functions and through the same fold.

Everything that is decided is the program's own: transfers, sums, lines, statements, withholding,
restating, legs, bank files. What is written here is only in which order it is asked for, and what a
database would find again: legs and what became of them, the newest statements, open disputes.
"""

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping
from copy import copy
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from itertools import count

from exchange.commands import Book, CloseWindow, Command
from exchange.fold import State, fold
from exchange.ledger.accounts import (
    HUB,
    HubAccount,
    PointsAccount,
    collateral_account,
    hub_account,
    party_of,
    points_account,
    position_account,
    unit_of,
)
from exchange.ledger.postings import (
    OUTSIDE_NETS,
    Code,
    MoneyCell,
    PointsCell,
    Posting,
    PostingRef,
)
from exchange.log.merkle import Frontier
from exchange.outcomes import Outcome, Recorded, Result, Reversed, Window
from exchange.seal import StreamEntry, seal
from partners.errors import Refused
from partners.points import currency_scale
from partners.registry import Partner
from settlement.approval.acceptance import How, acceptance_entry, payable_entry
from settlement.approval.draft import Draft, Stood, draft_entry
from settlement.approval.restating import Change, Restating, changed, next_version, restating_entry
from settlement.approval.retirement import Holdings, retire_and_issue
from settlement.approval.unwinding import unwind_of
from settlement.approval.withholding import (
    DisputedLine,
    Withholding,
    end_entry,
    withheld,
    withholding_entry,
)
from settlement.bank.booking import bank_file_entry, check_follows
from settlement.bank.matching import Account, AccountKind, match
from settlement.bank.reading import parse_bank_file
from settlement.bank_simulator import Paper, PaymentRequest, bank_day
from settlement.lines.line import LineFile, Role
from settlement.lines.line_file import line_sums
from settlement.lines.wire import line_of
from settlement.netting import figures, nets
from settlement.own_funds.own_leg import OwnStood, own_leg
from settlement.settling import (
    aborted_entry,
    cancelled_entry,
    expected_of,
    leg_entry,
    leg_of,
    legs_to_record,
    settled_entry,
    stated_entry,
    statement_entry,
)
from settlement.statement import ProgramPoints, Statement, StreamRange, statement_of
from settlement.windows import Leg, LegState, SettlementWindow, TreeHead, WindowState, WindowSum
from settlement.wire import statement_payload
from tests import factories as make

CURRENCY = currency_scale(make.CURRENCY)
MINOR = CURRENCY.minor_unit
POINTS = ("OUT", "IN", "BONUS_IN", "REV_OUT", "REV_IN", "REV_BONUS_IN")


class SettledBooks:
    """One currency, from transfers to money."""

    def __init__(self, first: State, minimum_payout: int = 0) -> None:
        """`first` is a coalition with an open window."""
        self.state = first
        self.unit = first.registry.units[make.CURRENCY].number
        self.minimum_payout = minimum_payout
        self.outcomes: list[Outcome] = []
        self.legs: dict[str, Leg] = {}
        """By reference, in the order of their making."""
        self.statements: dict[tuple[str, str], Statement] = {}
        """The newest version, by window and partner."""
        self.open_ones: dict[str, Withholding] = {}
        self.withheld_ever: set[str] = set()
        self.restatings = Counter[str]()
        self.accepted: set[tuple[str, str]] = set()
        self.payable: set[str] = set()
        self.bank_balance = Decimal(0)
        self.forced = Counter[int]()
        """What was forced from each account, whatever its floor."""
        self._bank_days = count(1)
        self._ids = count(1)

    def copy(self) -> "SettledBooks":
        """The same books, for another course of events."""
        other = copy(self)
        # What they hold cannot change, so a copy of each collection is enough.
        for name, value in vars(self).items():
            setattr(other, name, copy(value))
        return other

    # The books

    def run(self, command: Command) -> Result:
        """Decide one command."""
        folded = fold(self.state, [command], make.NOW)
        self.state = folded.state
        self.outcomes += folded.outcomes
        self.forced.update(folded.forced)
        return folded.results[0]

    def book(self, entry: Book) -> Result:
        """Decide an entry, and that it again changes nothing; raises the Refused of one that is
        not taken.
        """
        result = self.run(entry)
        if isinstance(result, Refused):
            raise result
        state = self.state
        self.run(entry)
        assert self.state == state, f"{entry.entry_key} twice"
        return result

    @property
    def partners(self) -> tuple[Partner, ...]:
        return tuple(self.state.registry.partners.values())

    def partner(self, name: str) -> Partner:
        return self.state.registry.partners[name]

    def position(self, partner: Partner) -> int:
        return self.state.balances[position_account(self.unit, partner.number)].posted

    def hub(self, account: HubAccount) -> int:
        return self.state.balances[hub_account(self.unit, account)].posted

    def taxes_and_fees(self) -> int:
        """What the operator has earned, and what it owes the state of it."""
        return sum(
            balance.posted
            for number, balance in self.state.balances.items()
            if unit_of(number) == self.unit
            and (0x100 <= number & 0xFFFFF < 0x1000 or number & 0xFFFFF == HubAccount.FEES)
        )

    # Windows

    def windows(self, *states: WindowState) -> list[SettlementWindow]:
        """Those in these states, oldest first; all where none is named."""
        found = [_settlement_window(each, self.unit) for each in self.state.windows.values()]
        found.sort(key=lambda each: each.number)
        return [each for each in found if not states or each.state in states]

    def close(self) -> None:
        """Close the open window."""
        (window,) = self.windows(WindowState.OPEN)
        self.run(CloseWindow(window.window_id, None))

    def sums(self, window: SettlementWindow) -> list[WindowSum]:
        return [
            WindowSum(cell.party, cell.counterparty, cell.code, cell.tax_number, amount)
            for (number, cell), amount in self.state.window_sums.items()
            if number == window.number and isinstance(cell, MoneyCell)
        ]

    def points(self, window: SettlementWindow) -> dict[str, ProgramPoints]:
        """What the window moved of each program's points."""
        moved: dict[int, Counter[str]] = {}
        for (number, cell), amount in self.state.window_sums.items():
            if number == window.number and isinstance(cell, PointsCell):
                moved.setdefault(cell.unit, Counter())[cell.code.name] += amount
        found = {}
        for program in self.state.registry.programs:
            of = moved.get(self.state.registry.points_unit(program).number, Counter())
            out, paid, bonus, rev_out, rev_paid, rev_bonus = (of[name] for name in POINTS)
            if any(of.values()):
                found[program] = ProgramPoints(
                    program, out, paid + bonus, bonus, rev_out, rev_paid + rev_bonus, rev_bonus
                )
        return found

    # Statements

    def state_oldest(self) -> None:
        """State the oldest closed window, by a draft that is booked before."""
        windows = self.windows(WindowState.CLOSED)
        if not windows:
            return
        window = windows[0]
        draft = self.draft(window)
        self.book(draft_entry(window, draft))
        streams = self.streams(window)
        payloads = {}
        for partner in self.partners:
            statement = self.statement(window, partner, draft, streams.get(partner.number, []))
            payloads[partner.partner_id] = statement_payload(statement)
            self.book(
                statement_entry(window, partner.number, statement, payloads[partner.partner_id])
            )
            self.statements[window.window_id, partner.partner_id] = statement
            self.keep(leg_of(window, partner.number, statement))
        self.keep(own_leg(window, draft.own))
        self.book(stated_entry(window, payloads))

    def draft(self, window: SettlementWindow) -> Draft:
        """How all stand before the window is stated."""
        assert window.closing_tree is not None
        by_number = nets(self.sums(window))
        in_dispute = withheld(self.open_ones.values(), window.closing_tree.size)
        before = [each for each in self.windows() if each.number < window.number]
        stood = {}
        for partner in self.partners:
            name = partner.partner_id
            last = self.statements.get((before[-1].window_id, name)) if before else None
            brought = last.carried_forward if last else 0
            collateral = self.state.balances[collateral_account(self.unit, partner.number)]
            stood[name] = Stood(
                brought,
                self.carried(partner) - brought,
                in_dispute.get(name, 0),
                collateral.posted,
                0,
                "",
                partner.net_debit_cap,
                "0" * 32,
            )
        named = {p.partner_id: by_number.get(p.number, 0) for p in self.partners}
        return Draft(
            window.window_id,
            {"hub": by_number[HUB], **named},
            window.business_date + timedelta(days=1),
            self.minimum_payout,
            stood,
            own=self.own_stood(window),
        )

    def carried(self, partner: Partner) -> int:
        """What the windows that are stated come to once their legs are paid."""
        unstated = sum(
            each.amount
            for window in self.windows(WindowState.OPEN, WindowState.CLOSED)
            for each in self.sums(window)
            if each.party == partner.number and each.code not in OUTSIDE_NETS
        )
        return self.position(partner) - self.unpaid(partner.number) - unstated

    def unpaid(self, party: int) -> int:
        """What the legs of a partner, or of the operator, still come to."""
        return sum(
            leg.payment
            for leg in self.legs.values()
            if leg.partner_number == party and leg.state in (LegState.WAITING, LegState.PENDING)
        )

    def own_stood(self, window: SettlementWindow) -> OwnStood:
        """How the operator stands for its bonuses and losses before the window is stated."""
        codes = (Code.PROMO, Code.REV_PROMO)

        def bonuses(of: SettlementWindow) -> int:
            return sum(s.amount for s in self.sums(of) if s.party == HUB and s.code in codes)

        def others(of: SettlementWindow) -> int:
            return nets(self.sums(of))[HUB] - bonuses(of)

        unstated = self.windows(WindowState.OPEN, WindowState.CLOSED)
        stood = self.hub(HubAccount.PROMOTIONS) - self.unpaid(HUB)
        earned = self.taxes_and_fees() + sum(
            map(self.hub, (HubAccount.ROUNDING, HubAccount.LOSSES))
        )
        later = [each for each in unstated if each.number > window.number]
        return OwnStood(
            stood - sum(map(bonuses, unstated)),
            bonuses(window),
            min(0, earned - sum(map(others, later))),
        )

    def streams(self, window: SettlementWindow) -> dict[int, list[StreamEntry]]:
        """What each partner was told in a window."""
        assert window.closing_tree is not None
        indexes = range(window.opening_tree.size, window.closing_tree.size)
        told = [each for each in self.outcomes if each.log_index in indexes]
        sealed = seal(told, self.state.registry, Frontier(), {}, make.LETTERHEAD, make.salts(), {})
        found: dict[int, list[StreamEntry]] = {}
        for entry in sealed.stream_entries:
            found.setdefault(entry.partner_number, []).append(entry)
        return found

    def statement(
        self, window: SettlementWindow, partner: Partner, draft: Draft, stream: list[StreamEntry]
    ) -> Statement:
        """A partner's statement, which holds its lines against the window's sums."""
        rows = (line_of(window.window_id, int(e.kind), e.payload, None) for e in stream)
        file = LineFile(
            window.window_id, partner.partner_id, CURRENCY.scale, tuple(row for row in rows if row)
        )
        lines = line_sums(file)
        codes = {tax.number: tax.code for tax in self.state.registry.taxes.values()}
        of_partner = figures(
            self.sums(window),
            partner.number,
            lines.totals(Role.TARGET).value,
            codes,
            lines.totals(Role.TARGET_REVERSED).value,
        )
        own = {k: each for k, each in self.points(window).items() if k in partner.programs}
        return statement_of(
            window,
            partner,
            of_partner,
            lines,
            brought_forward=draft.partners[partner.partner_id].brought_forward,
            points=own,
            stream=StreamRange(1, len(stream)) if stream else StreamRange(),
            audience=make.AUDIENCE,
            signing_key_id="0" * 32,
            standing=draft.standing(partner.partner_id),
        )

    # Acceptance and disputes

    def accept(self, window: SettlementWindow, partner: Partner) -> None:
        """A partner accepts its statement, which confirms its points."""
        if (window.window_id, partner.partner_id) in self.accepted:
            return
        self.accepted.add((window.window_id, partner.partner_id))
        postings = retire_and_issue(self.holdings(partner))
        entry = acceptance_entry(
            window, partner.number, partner.partner_id, How.ACKNOWLEDGED, postings
        )
        self.book(entry)

    def holdings(self, partner: Partner) -> Iterator[Holdings]:
        """What waits of a partner's programs: points of windows that it has not accepted."""
        waiting = [
            each
            for each in self.windows()
            if (each.window_id, partner.partner_id) not in self.accepted
        ]
        for program in partner.programs:
            unit = self.state.registry.points_unit(program).number
            redeemed, granted = (
                self.state.balances[points_account(unit, each)]
                for each in (PointsAccount.REDEEMED, PointsAccount.GRANTED)
            )
            of = Counter[str]()
            for (number, cell), amount in self.state.window_sums.items():
                if isinstance(cell, PointsCell) and cell.unit == unit:
                    of[cell.code.name] += amount * (number in {each.number for each in waiting})
            yield Holdings(
                unit,
                redeemed.available,
                -granted.at_most,
                of["OUT"] - of["REV_OUT"],
                of["IN"] + of["BONUS_IN"] - of["REV_IN"] - of["REV_BONUS_IN"],
            )

    def dispute(self, outcome: Recorded | Reversed, by: str) -> None:
        """A partner disputes a transfer or reversal that moved money of its own."""
        assert outcome.window is not None
        amounts: Counter[str] = Counter()
        names = {each.number: each.partner_id for each in self.partners}
        for posting in outcome.postings:
            payer, payee = party_of(posting.debit), party_of(posting.credit)
            if posting.debit >> 20 == self.unit and HUB not in (payer, payee):
                amounts[names[payer]] -= posting.amount
                amounts[names[payee]] += posting.amount
        moved = {name: amount for name, amount in amounts.items() if amount}
        line_id = str(outcome.log_index)
        disputed = {line.line_id for each in self.open_ones.values() for line in each.lines}
        if by not in moved or line_id in disputed:
            return
        line = DisputedLine(
            line_id, outcome.log_index, outcome.window.window_id, outcome.window.number, moved
        )
        subject = f"dispute/{next(self._ids)}"
        self.withhold(Withholding(subject, make.CURRENCY, by, "AMOUNT", "", (line,)))

    def unwind(self, window: SettlementWindow, partner: Partner) -> None:
        """Take a partner out of a window, and state it again."""
        names = {each.number: each.partner_id for each in self.partners}
        open_ones = self.open_ones.values()
        held = unwind_of(window, partner.number, names, self.sums(window), open_ones)
        # Once for each window and partner: a repeat, also of one that has ended, withholds nothing.
        if held.subject not in self.withheld_ever:
            self.withhold(held)
            self.restate(window)

    def withhold(self, held: Withholding) -> None:
        self.book(withholding_entry(held, self.partner(held.partner_id).number))
        self.open_ones[held.subject] = held
        self.withheld_ever.add(held.subject)

    def end_withholding(self, subject: str) -> None:
        """Decide a dispute: from now on nothing is withheld for it."""
        result = self.run(end_entry(self.open_ones.pop(subject), "REJECTED", ""))
        assert not isinstance(result, Refused)

    def restate(self, window: SettlementWindow, *, aborted: bool = False) -> None:
        """State a window again for those of whom another amount is withheld; for all where it is
        aborted.
        """
        assert window.closing_tree is not None
        name = window.window_id
        stated = {p.partner_id: self.statements[name, p.partner_id] for p in self.partners}
        in_dispute = withheld(self.open_ones.values(), window.closing_tree.size)
        changes = changed(stated, in_dispute)
        if aborted:
            changes = {
                each.partner_id: Change(each.version + 1, in_dispute.get(each.partner_id, 0))
                for each in stated.values()
            }
        if not changes:
            return
        self.restatings[name] += 1
        restating = Restating(
            name, self.restatings[name], "why", self.minimum_payout, changes, aborted
        )
        self.book(restating_entry(window, restating))
        for leg in self.legs_of(window):
            if leg.partner_id in changes:
                self.cancel(leg)
        for partner in self.partners:
            if partner.partner_id in changes:
                before = stated[partner.partner_id]
                digest = hashlib.sha256(statement_payload(before)).digest()
                paid = self.paid(window, partner)
                statement, added = next_version(
                    window, restating, partner.number, before, digest, paid
                )
                payload = statement_payload(statement)
                self.book(statement_entry(window, partner.number, statement, payload))
                self.statements[name, partner.partner_id] = statement
                self.keep(added)

    def abort(self, window: SettlementWindow) -> None:
        """End a window's settlement; what is not paid is carried."""
        self.restate(window, aborted=True)
        for leg in self.legs_of(window):
            if leg.partner_number == HUB:
                self.cancel(leg)
        self.book(aborted_entry(window, self.legs_of(window)))

    # Money

    def cancel(self, leg: Leg) -> None:
        """Take a leg back, where nobody has paid it."""
        if leg.state in (LegState.WAITING, LegState.PENDING):
            self.book(cancelled_entry(leg, make.CURRENCY, self.unit))
            self.legs[leg.reference] = replace(leg, cancelled_index=self.state.next_index - 1)

    def keep(self, leg: Leg | None) -> None:
        if leg is not None:
            assert leg.reference not in self.legs, "a reference names one payment for ever"
            self.legs[leg.reference] = leg

    def legs_of(self, window: SettlementWindow) -> list[Leg]:
        return [each for each in self.legs.values() if each.window_id == window.window_id]

    def paid(self, window: SettlementWindow, partner: Partner) -> int:
        """What the bank has confirmed of a window; positive was paid to the partner."""
        return sum(
            leg.payment
            for leg in self.legs_of(window)
            if leg.partner_number == partner.number and leg.state is LegState.CONFIRMED
        )

    def advance(self) -> None:
        """Take every stated window as far as it goes now."""
        for window in self.windows(WindowState.PENDING_SETTLEMENT):
            names = {(window.window_id, each.partner_id) for each in self.partners}
            if not names <= self.accepted:
                continue
            if window.window_id not in self.payable:
                self.restate(window)
                self.book(payable_entry(window))
                self.payable.add(window.window_id)
            for leg in legs_to_record(self.legs_of(window), self.payable_units):
                self.record(leg)
            legs = self.legs_of(window)
            if all(each.state in (LegState.CONFIRMED, LegState.CANCELLED) for each in legs):
                self.book(settled_entry(window, legs))

    @property
    def payable_units(self) -> int:
        """What pay-outs may still take: what lies there, less what is going and suspense."""
        bank = self.state.balances[hub_account(self.unit, HubAccount.BANK_SETTLEMENT)]
        return -bank.at_most - self.hub(HubAccount.SUSPENSE)

    def record(self, leg: Leg) -> None:
        """Record a leg; one whose position has no room for it waits."""
        result = self.run(leg_entry(leg, make.CURRENCY, self.unit))
        if not isinstance(result, Refused):
            self.legs[leg.reference] = replace(leg, log_index=self.state.next_index - 1)

    def bank(self, short: Mapping[str, int], stray: int = 0, paper: Paper = Paper.CSV) -> None:
        """The bank carries out what was recorded and writes its statement, which is booked whole.

        `short` says by how many minor units less a partner pays than its leg asks for: nothing
        comes where that is all of it, and more where it is negative. `stray` came unannounced.
        """
        pending = [each for each in self.legs.values() if each.state is LegState.PENDING]
        requests = []
        for leg in pending:
            amount = leg.amount - MINOR * short.get(leg.reference, 0)
            if amount > 0:
                requests.append(_request(leg.payment > 0, amount, leg.reference))
        if stray:
            requests.append(_request(False, stray * MINOR, "who?"))
        number = next(self._bank_days)
        day = bank_day(
            f"S{number}",
            make.CURRENCY,
            make.DAY_ONE,
            self.bank_balance,
            requests,
            paper=paper,
            number=number,
        )
        file = parse_bank_file(day.content)
        check_follows(file, self.hub(HubAccount.BANK_SETTLEMENT), None)
        kind = AccountKind.SETTLEMENT
        expected = tuple(expected_of(each, self.unit) for each in pending)
        bookings = match(file, Account(kind, self.unit, expected))
        self.book(bank_file_entry(file, day.content, kind, bookings))
        self.bank_balance = day.closing
        confirmed = {each.posting.resolves for each in bookings}
        for leg in pending:
            assert leg.log_index is not None
            if PostingRef(leg.log_index, 0) in confirmed:
                at = self.state.next_index - 1
                self.legs[leg.reference] = replace(leg, confirmed_index=at)

    def collateral(self, partner: Partner, units: int) -> None:
        """Collateral comes in, or where `units` is negative goes out as far as there is any."""
        bank = hub_account(self.unit, HubAccount.BANK_COLLATERAL)
        own = collateral_account(self.unit, partner.number)
        posting = (
            Posting(Code.TOP_UP, bank, own, units)
            if units > 0
            else Posting(Code.WITHDRAW, own, bank, -units)
        )
        self.entry((posting,))

    def draw(self, partner: Partner, units: int) -> None:
        """Collateral pays for a position: money goes from one account to the other."""
        own = collateral_account(self.unit, partner.number)
        position = position_account(self.unit, partner.number)
        bank, other = (
            hub_account(self.unit, each)
            for each in (HubAccount.BANK_SETTLEMENT, HubAccount.BANK_COLLATERAL)
        )
        before = self.state
        self.entry(
            (Posting(Code.WITHDRAW, own, other, units), Posting(Code.DRAW, bank, position, units))
        )
        if self.state is not before:
            self.bank_balance += Decimal(units) / 10**CURRENCY.scale

    def adjust(self, partner: Partner, account: HubAccount, units: int) -> None:
        """An adjustment between a position and an account of the operator's."""
        own, hub = position_account(self.unit, partner.number), hub_account(self.unit, account)
        debit, credit = (own, hub) if units > 0 else (hub, own)
        self.entry((Posting(Code.ADJUSTMENT, debit, credit, abs(units)),))

    def entry(self, postings: tuple[Posting, ...]) -> None:
        """Book postings; what bounds refuse leaves everything as it was."""
        before = self.state
        key = f"journal/{next(self._ids)}"
        if isinstance(self.run(Book(key, "text/plain", b"", postings, make.CURRENCY)), Refused):
            self.state = before


def _request(is_out: bool, units: int, reference: str) -> PaymentRequest:
    amount = Decimal(units) / 10**CURRENCY.scale
    return PaymentRequest("PAY_OUT" if is_out else "PAY_IN", amount, reference, "somebody")


def _settlement_window(window: Window, unit: int) -> SettlementWindow:
    return SettlementWindow(
        window.number,
        window.window_id,
        CURRENCY,
        unit,
        window.business_date,
        WindowState(window.state),
        TreeHead(window.first_index, bytes(32)),
        None if window.end_index is None else TreeHead(window.end_index, bytes(32)),
    )
