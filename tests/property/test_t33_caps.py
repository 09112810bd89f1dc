"""No order of carrying, disputing, aborting, lowering and funding lets a partner owe more than its
cap and what was forced.

What a partner may use is worked out here a second time, from the postings alone and window by
window: a position holds whatever was not paid, so nothing that happens to a window takes anything
off what is owed.
"""

from collections import defaultdict
from dataclasses import dataclass, field, replace
from random import Random

import pytest

from exchange.commands import Book, CloseWindow, Command, WindowStep
from exchange.fold import State
from exchange.ledger.accounts import (
    HubAccount,
    collateral_account,
    hub_account,
    position_account,
    unit_of,
)
from exchange.ledger.postings import (
    OUTSIDE_NETS,
    POINTS_CODES,
    Code,
    Phase,
    Posting,
    PostingRef,
)
from exchange.outcomes import Booked, Recorded, Reversed
from partners.limits.values import Funding, Headroom, PartnerLimits
from tests import factories as make

HISTORIES = 1_000
SHARES = 10
"""Tests that deal them out."""
START = make.a_state()
MONEY = START.registry.units[make.CURRENCY].number
BRANDS = ("grocery", "fuel")
NUMBERS = {brand: START.registry.partners[brand].number for brand in BRANDS}
POSITIONS = {position_account(MONEY, number): brand for brand, number in NUMBERS.items()}
BANK = hub_account(MONEY, HubAccount.BANK_SETTLEMENT)
LOSSES = hub_account(MONEY, HubAccount.LOSSES)
LIES = hub_account(MONEY, HubAccount.BANK_COLLATERAL)
AMOUNT = 5_000_000
"""About what a few orders cost."""


@dataclass
class Second:
    """A second account of what two brands may use and may owe, in plain sums."""

    limits: dict[str, PartnerLimits]
    available: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    collateral: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    credits: dict[tuple[str, int], int] = field(default_factory=lambda: defaultdict(int))
    """By brand and window: what it was credited and not paid."""
    settled: set[int] = field(default_factory=set)
    legs: dict[PostingRef, tuple[int, Posting]] = field(default_factory=dict)
    """Pay-outs that the bank has not made, with the window that they pay."""
    allowed: dict[str, float] = field(default_factory=dict)
    """How much each may owe by now: its cap, or what it owed when that was lowered."""

    def usable(self, brand: str) -> int:
        """What is available without credits that wait."""
        if not self.limits[brand].credits_wait:
            return self.available[brand]
        return self.available[brand] - sum(
            max(0, credit)
            for (of, window), credit in self.credits.items()
            if of == brand and window not in self.settled
        )

    def cap(self, brand: str) -> float:
        """How far it may go by its funding alone."""
        limits = self.limits[brand]
        if limits.funding is Funding.PREPAID:
            return self.collateral[brand]
        if limits.funding is Funding.POSTPAID and not limits.net_debit_cap:
            return float("inf")
        return limits.net_debit_cap

    def post(self, postings: tuple[Posting, ...], window: int, pays: int | None) -> None:
        """An entry's postings."""
        net: dict[str, int] = defaultdict(int)
        for each in postings:
            debited = each.phase in (Phase.POSTED, Phase.PENDING)
            credited = each.phase in (Phase.POSTED, Phase.CONFIRMS)
            if each.debit in POSITIONS:
                brand = POSITIONS[each.debit]
                by = each.amount if debited else -each.amount if each.phase is Phase.VOIDS else 0
                self.available[brand] -= by
                if each.code in OUTSIDE_NETS and pays is not None:
                    self.credits[brand, pays] -= by
                if each.code not in OUTSIDE_NETS and each.phase is Phase.POSTED:
                    net[brand] -= each.amount
            if each.credit in POSITIONS and credited:
                brand = POSITIONS[each.credit]
                self.available[brand] += each.amount
                if each.code not in OUTSIDE_NETS | POINTS_CODES:
                    net[brand] += each.amount
            for brand, number in NUMBERS.items():
                account = collateral_account(MONEY, number)
                if each.debit == account and debited:
                    self.collateral[brand] -= each.amount
                if each.credit == account and credited:
                    self.collateral[brand] += each.amount
        for brand, credit in net.items():
            self.credits[brand, window] += max(0, credit)


@dataclass
class Story:
    """One history: the fold, the second account, and what may be done next."""

    random: Random
    state: State = START
    step: int = 0
    second: Second = field(
        default_factory=lambda: Second(
            {brand: START.registry.limits_of(START.registry.partners[brand]) for brand in BRANDS}
        )
    )

    def window_in(self, *states: str) -> str | None:
        """A window in one of these states, if there is one."""
        names = [name for name, each in self.state.windows.items() if each.state in states]
        return self.random.choice(sorted(names)) if names else None

    def next(self) -> Command:
        """The next thing that happens."""
        kinds = (
            *(self.order,) * 6,
            *(self.reversal, self.adjustment, self.lowering, self.lowering),
            *(self.collateral, self.collateral, self.close),
            *(self.move,) * 3,
            *(self.pay_out,) * 3,
            *(self.void, self.pay_in),
        )
        command = None
        while command is None:
            command = self.random.choice(kinds)()
        return command

    def order(self) -> Command:
        source, target = self.random.sample(BRANDS, 2)
        points = self.random.choice([10, 100, 400])
        return make.an_order(self.step, make.terms(source, target), source_points=points)

    def reversal(self) -> Command:
        of = self.random.randint(1, self.step)
        return make.reverse(self.step, of, self.random.choice([1, 20]), self.random.choice(BRANDS))

    def book(self, *postings: Posting, **changes: object) -> Book:
        body = repr(postings).encode()
        book = Book(f"e/{self.step}", "application/json", body, postings, make.CURRENCY)
        return replace(book, **changes)  # type: ignore[arg-type]

    def adjustment(self) -> Command:
        """A dispute's outcome."""
        a, b = self.random.sample([*POSITIONS, LOSSES], 2)
        amount = self.random.randint(1, AMOUNT)
        return self.book(Posting(Code.ADJUSTMENT, a, b, amount), forced=True)

    def lowering(self) -> Command:
        brand = self.random.choice(BRANDS)
        funding = self.random.choice(list(Funding))
        headroom = self.random.choice([None, *Headroom])
        cap = self.random.choice([0, AMOUNT // 2, 2 * AMOUNT, make.CAP])
        cap = 0 if funding is Funding.PREPAID else cap
        return make.set_limits(self.step, PartnerLimits(brand, funding, cap, headroom=headroom))

    def collateral(self) -> Command:
        number = self.random.choice([*NUMBERS.values()])
        own, position = collateral_account(MONEY, number), position_account(MONEY, number)
        amount = self.random.randint(1, AMOUNT)
        given = Posting(Code.WITHDRAW, own, LIES, amount)
        held = replace(given, phase=Phase.PENDING)
        drawn = Posting(Code.DRAW, BANK, position, amount)
        kinds = [(Posting(Code.TOP_UP, LIES, own, amount),), (given,), (held,), (given, drawn)]
        return self.book(*self.random.choice(kinds))

    def close(self) -> Command | None:
        name = self.window_in("OPEN")
        return CloseWindow(name, None) if name else None

    def move(self) -> Command | None:
        name = self.window_in("CLOSED", "PENDING_SETTLEMENT")
        if name is None:
            return None
        before = self.state.windows[name].state
        afters = ["PENDING_SETTLEMENT"] if before == "CLOSED" else ["SETTLED", "ABORTED"]
        return self.book(step=WindowStep(name, before, self.random.choice(afters)))

    def pay_out(self) -> Command | None:
        name = self.window_in("PENDING_SETTLEMENT")
        if name is None:
            return None
        position = self.random.choice([*POSITIONS])
        posting = Posting(Code.PAY_OUT, position, BANK, self.random.randint(1, AMOUNT))
        key = f"leg/{self.step}"
        return self.book(replace(posting, phase=Phase.PENDING), pays=name, entry_key=key)

    def void(self) -> Command | None:
        """A pay-out ends: the bank has made it, or it is called off."""
        if not self.second.legs:
            return None
        ref = self.random.choice(sorted(self.second.legs, key=lambda each: each.log_index))
        number, posting = self.second.legs[ref]
        name = next(n for n, each in self.state.windows.items() if each.number == number)
        phase = self.random.choice([Phase.CONFIRMS, Phase.VOIDS])
        return self.book(replace(posting, phase=phase, resolves=ref), pays=name)

    def pay_in(self) -> Command:
        """Also, so that there is money to pay out."""
        position = self.random.choice([*POSITIONS])
        return self.book(Posting(Code.PAY_IN, BANK, position, self.random.randint(1, AMOUNT)))

    def carry_out(self, command: Command) -> None:
        """Fold one command, follow it, and hold the law against both."""
        second = self.second
        owed = {brand: -second.usable(brand) for brand in BRANDS}
        had = {brand: second.available[brand] for brand in BRANDS}
        folded = make.fold_one(self.state, command)
        outcome = folded.outcomes[0] if folded.outcomes else None
        self.state = folded.state
        if outcome is None:
            return
        pays = (
            self.state.windows[command.pays].number
            if isinstance(command, Book) and command.pays
            else None
        )
        window = outcome.window.number if outcome.window else 0
        forced = isinstance(outcome, Reversed) or (isinstance(command, Book) and command.forced)
        if not (isinstance(outcome, Recorded) and outcome.refusal):
            second.post(outcome.postings, window, pays)
        self.follow(outcome, pays)
        for brand in BRANDS:
            self.hold(brand, owed[brand], outcome, is_forced=forced)
            # Credits that wait are no reason to pay who owes more than its bound.
            least = min(-second.cap(brand), had[brand])
            assert forced or second.available[brand] >= least

    def follow(self, outcome: object, pays: int | None) -> None:
        """What an entry changes besides postings."""
        if not isinstance(outcome, Booked):
            return
        for place, each in enumerate(outcome.postings):
            if each.code is Code.PAY_OUT and each.phase is Phase.PENDING and pays is not None:
                self.second.legs[PostingRef(outcome.log_index, place)] = (pays, each)
            elif each.resolves is not None:
                self.second.legs.pop(each.resolves)
        match outcome.effect:
            case PartnerLimits(partner_id=brand) as limits:
                self.second.limits[brand] = limits
            case WindowStep(window_id=name, after="SETTLED"):
                number = self.state.windows[name].number
                self.second.settled |= {number, *self.aborted(number)}
            case WindowStep(window_id=name, after="ABORTED"):
                self.hand_over(self.state.windows[name].number)
            case _:
                pass

    def aborted(self, number: int) -> set[int]:
        return {
            each.number
            for each in self.state.windows.values()
            if each.state == "ABORTED" and each.number < number
        }

    def hand_over(self, number: int) -> None:
        """The next window that is not stated takes what was not paid."""
        later = min(
            each.number
            for each in self.state.windows.values()
            if each.number > number and each.state in ("OPEN", "CLOSED")
        )
        for brand in BRANDS:
            left = max(0, self.second.credits[brand, number])
            self.second.credits[brand, number] -= left
            self.second.credits[brand, later] += left

    def hold(self, brand: str, owed: int, outcome: object, *, is_forced: bool) -> None:
        """The law for one brand after one entry."""
        second = self.second
        owes, cap = -second.usable(brand), second.cap(brand)
        position = self.state.balances[position_account(MONEY, NUMBERS[brand])]
        assert position.usable == -owes
        assert (position.floor is None) == (cap == float("inf"))
        assert position.floor is None or position.floor == -cap
        allowed = max(cap, min(second.allowed.get(brand, cap), owed))
        if is_forced:
            allowed += max(0, owes - owed)
        if isinstance(outcome, Booked) and isinstance(outcome.effect, PartnerLimits):
            # Other credits count from now on: what that makes is where it stands.
            allowed = max(cap, owes)
        assert owes <= allowed
        second.allowed[brand] = allowed


@pytest.mark.parametrize("share", range(SHARES))
def test_t33_nobody_owes_more_than_its_cap_and_what_was_forced(share: int) -> None:
    for seed in range(share, HISTORIES, SHARES):
        story = Story(Random(seed))
        for step in range(1, 31):
            story.step = step
            story.carry_out(story.next())
        assert sum(b.posted for a, b in story.state.balances.items() if unit_of(a) == MONEY) == 0
