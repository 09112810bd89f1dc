"""Whole settlements hold every line of "Always true" in the books, whatever happens in them:
transfers under terms of every kind, reversals in parts, disputes, missing pay-ins, strays, draws,
adjustments, unwinds and aborts, over several windows at once.
"""

from collections import Counter
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from exchange.commands import Conclude, Verdict
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
    CreditCell,
    MoneyCell,
    Phase,
    waiting_credits,
)
from exchange.outcomes import Recorded, Reversed, TransferState
from partners.agreement import Bearer
from partners.limits.values import Funding, PartnerLimits
from settlement.bank_simulator import Paper
from settlement.netting import nets
from settlement.windows import LegState, WindowState
from tests import factories as make
from tests.property.histories import FIRST, RICH, TERMS
from tests.property.settled_books import CURRENCY, MINOR, SettledBooks

CORRIDORS = sorted({*RICH, ("grocery", "fuel", 1), ("fuel", "grocery", 1)})
LIMITS = [
    PartnerLimits("grocery", Funding.CAPPED, make.CAP // 50),
    PartnerLimits("grocery", Funding.CAPPED, make.CAP),
    PartnerLimits("fuel", Funding.PREPAID),
    PartnerLimits("fuel", Funding.CAPPED, 3 * make.CAP),
    PartnerLimits("deli", Funding.POSTPAID),
    PartnerLimits("deli", Funding.PREPAID),
]
ORDERS = st.tuples(st.sampled_from(CORRIDORS), st.sampled_from([1, 7, 100, 1_000, 20_000]))
HUB_MONEY = [
    each
    for each in HubAccount
    if each not in (HubAccount.BANK_SETTLEMENT, HubAccount.BANK_COLLATERAL)
]


def transfer(books: SettledBooks, number: int, corridor: tuple[str, str, int], blocks: int) -> None:
    """Order a transfer, which limits and caps may refuse."""
    under = TERMS[corridor]
    points = blocks * under.increment_source_points
    few = make.an_order(number, under, source_points=points)
    books.run(few)


def transferred(books: SettledBooks) -> list[Recorded]:
    """What was committed so far."""
    return [
        each
        for each in books.outcomes
        if isinstance(each, Recorded) and each.state is TransferState.COMMITTED
    ]


def taken_back(books: SettledBooks) -> Counter[int]:
    """Target points that were reversed, by the number of their transfer."""
    taken = Counter[int]()
    for each in books.outcomes:
        if isinstance(each, Reversed) and each.portion:
            taken[each.order.transfer_id.int & 0xFFFF] += each.portion.target_points
    return taken


class Settlements(RuleBasedStateMachine):
    """Anything that a coalition and its bank may do, in any order."""

    @initialize(minimum=st.sampled_from([0, 0, 50 * MINOR]))
    def begin(self, minimum: int) -> None:
        self.books = SettledBooks(FIRST, minimum)
        self.numbers = iter(range(1, 1 << 16))
        self.stood: dict[int, tuple[int, int]] = {}

    # What happens

    @rule(wanted=st.lists(ORDERS, min_size=1, max_size=6))
    def members_transfer(self, wanted: list[tuple[tuple[str, str, int], int]]) -> None:
        for corridor, blocks in wanted:
            transfer(self.books, next(self.numbers), corridor, blocks)

    @rule(wanted=st.lists(ORDERS, min_size=1, max_size=6), data=st.data())
    def a_whole_day_passes(
        self, wanted: list[tuple[tuple[str, str, int], int]], data: st.DataObject
    ) -> None:
        self.members_transfer(wanted)
        self.books.close()
        while self.books.windows(WindowState.CLOSED):
            self.books.state_oldest()
        for window in self.books.windows(WindowState.PENDING_SETTLEMENT):
            for partner in self.books.partners:
                self.books.accept(window, partner)
        self.books.advance()
        # Pay-ins first; what they cover is paid out by the next day.
        for _ in range(data.draw(st.integers(0, 2))):
            self.the_bank_books_a_day(data, 0, Paper.CSV)

    @rule(verdict=st.sampled_from([Verdict.CREDITED, Verdict.CREDITED, Verdict.DECLINED]))
    def a_brand_answers(self, verdict: Verdict) -> None:
        for each in self.books.state.reserved.values():
            if each.verdict is None:
                brand = each.order.target_program
                self.books.run(Conclude(each.order.transfer_id, verdict, make.proof(brand)))

    @rule(data=st.data())
    def a_part_is_taken_back(self, data: st.DataObject) -> None:
        found = transferred(self.books)
        if found:
            each = data.draw(st.sampled_from(found))
            assert each.conversion is not None
            number = each.order.transfer_id.int & 0xFFFF
            left = each.conversion.target_points - taken_back(self.books)[number]
            points = data.draw(st.integers(1, left + 1))
            self.books.run(make.reverse(next(self.numbers), number, points, each.target_partner))

    @precondition(lambda self: len(self.books.windows(WindowState.CLOSED)) < 2)
    @rule()
    def the_window_closes(self) -> None:
        self.books.close()

    @precondition(lambda self: self.books.windows(WindowState.CLOSED))
    @rule()
    def the_oldest_is_stated(self) -> None:
        self.books.state_oldest()

    @precondition(lambda self: self.books.windows(WindowState.PENDING_SETTLEMENT))
    @rule(data=st.data())
    def partners_accept(self, data: st.DataObject) -> None:
        for window in self.books.windows(WindowState.PENDING_SETTLEMENT):
            for partner in data.draw(st.sets(st.sampled_from(self.books.partners))) or (
                self.books.partners
            ):
                self.books.accept(window, partner)

    @precondition(lambda self: self.books.windows(WindowState.PENDING_SETTLEMENT))
    @rule()
    def settlement_goes_on(self) -> None:
        self.books.advance()

    @rule(data=st.data(), stray=st.sampled_from([0, 0, 0, 1, 999]), paper=st.sampled_from([*Paper]))
    def the_bank_books_a_day(self, data: st.DataObject, stray: int, paper: Paper) -> None:
        asked = {
            each.reference: each.amount // MINOR
            for each in self.books.legs.values()
            if each.state is LegState.PENDING and each.payment < 0
        }
        # Some partners pay nothing, one minor unit too little or too much.
        short = {
            reference: data.draw(st.sampled_from([0, 0, 0, amount, 1, -1]))
            for reference, amount in asked.items()
        }
        self.books.bank(short, stray, paper)
        self.books.advance()

    @rule(data=st.data(), by=st.sampled_from(make.BRANDS))
    def a_line_is_disputed(self, data: st.DataObject, by: str) -> None:
        moved = [
            each
            for each in self.books.outcomes
            if isinstance(each, Recorded | Reversed) and each.refusal is None and each.window
            # A statement that was accepted is disputed no more.
            if (each.window.window_id, by) not in self.books.accepted
        ]
        if moved:
            self.books.dispute(data.draw(st.sampled_from(moved)), by)

    @rule(data=st.data())
    def a_dispute_ends(self, data: st.DataObject) -> None:
        if self.books.open_ones:
            self.books.end_withholding(data.draw(st.sampled_from(sorted(self.books.open_ones))))

    @precondition(lambda self: self.books.windows(WindowState.PENDING_SETTLEMENT))
    @rule(data=st.data())
    def a_window_is_stated_again(self, data: st.DataObject) -> None:
        windows = self.books.windows(WindowState.PENDING_SETTLEMENT)
        self.books.restate(data.draw(st.sampled_from(windows)))

    @precondition(lambda self: self.books.windows(WindowState.PENDING_SETTLEMENT))
    @rule(data=st.data())
    def who_does_not_pay_is_taken_out(self, data: st.DataObject) -> None:
        windows = self.books.windows(WindowState.PENDING_SETTLEMENT)
        partner = data.draw(st.sampled_from(self.books.partners))
        self.books.unwind(data.draw(st.sampled_from(windows)), partner)

    @precondition(lambda self: self.books.windows(WindowState.PENDING_SETTLEMENT))
    @rule(data=st.data())
    def a_window_is_aborted(self, data: st.DataObject) -> None:
        windows = self.books.windows(WindowState.PENDING_SETTLEMENT)
        self.books.abort(data.draw(st.sampled_from(windows)))

    @rule(data=st.data(), units=st.sampled_from([5 * MINOR, 200 * MINOR, -5 * MINOR, -200 * MINOR]))
    def collateral_moves(self, data: st.DataObject, units: int) -> None:
        self.books.collateral(data.draw(st.sampled_from(self.books.partners)), units)

    @rule(data=st.data(), units=st.sampled_from([5 * MINOR, 200 * MINOR]))
    def collateral_is_drawn(self, data: st.DataObject, units: int) -> None:
        self.books.draw(data.draw(st.sampled_from(self.books.partners)), units)

    @rule(
        data=st.data(),
        account=st.sampled_from([HubAccount.FEES, HubAccount.ROUNDING, HubAccount.LOSSES]),
        units=st.sampled_from([1, 3 * MINOR, -3 * MINOR]),
    )
    def a_position_is_adjusted(self, data: st.DataObject, account: HubAccount, units: int) -> None:
        self.books.adjust(data.draw(st.sampled_from(self.books.partners)), account, units)

    @rule(limits=st.sampled_from(LIMITS))
    def a_limit_is_set(self, limits: PartnerLimits) -> None:
        self.books.run(make.set_limits(next(self.numbers), limits))

    # What is always true

    @invariant()
    def every_unit_sums_to_zero(self) -> None:
        sums = Counter[int]()
        for number, balance in self.books.state.balances.items():
            sums[unit_of(number)] += balance.posted
        assert set(sums.values()) <= {0}

    @invariant()
    def a_position_is_the_nets_of_its_windows_and_its_payments(self) -> None:
        moved = Counter[int]()
        for (_window, cell), amount in self.books.state.window_sums.items():
            # Collateral is not the position's; what is drawn from it is a payment.
            if isinstance(cell, MoneyCell) and cell.code not in (Code.TOP_UP, Code.WITHDRAW):
                moved[cell.party] += amount
        for partner in self.books.partners:
            assert self.books.position(partner) == moved[partner.number]

    @invariant()
    def the_nets_of_a_window_sum_to_zero_and_are_bilateral_nets_together(self) -> None:
        for window in self.books.windows():
            sums = self.books.sums(window)
            multilateral = nets(sums)
            assert sum(multilateral.values()) == 0
            bilateral: dict[tuple[int, int], int] = {}
            for each in sums:
                if each.code not in OUTSIDE_NETS:
                    pair = (each.party, each.counterparty)
                    bilateral[pair] = bilateral.get(pair, 0) + each.amount
            for (one, other), amount in bilateral.items():
                assert bilateral[other, one] == -amount
            for party, net in multilateral.items():
                assert net == sum(a for (one, _), a in bilateral.items() if one == party)

    @invariant()
    def the_sums_of_a_window_are_those_of_its_postings(self) -> None:
        journal = Counter[tuple[int, int, Code]]()
        for outcome in self.books.outcomes:
            for each in outcome.postings:
                parties = party_of(each.debit), party_of(each.credit)
                of_points = unit_of(each.debit) != self.books.unit
                if of_points or outcome.window is None or parties[0] == parties[1]:
                    continue
                if each.phase in (Phase.POSTED, Phase.CONFIRMS):
                    number = outcome.window.number
                    journal[number, parties[0], each.code] -= each.amount
                    journal[number, parties[1], each.code] += each.amount
        counted = Counter[tuple[int, int, Code]]()
        for (number, cell), amount in self.books.state.window_sums.items():
            if isinstance(cell, MoneyCell):
                counted[number, cell.party, cell.code] += amount
        assert +counted == +journal
        assert -counted == -journal

    @invariant()
    def a_programs_four_accounts_sum_to_zero_and_none_changes_side(self) -> None:
        state = self.books.state
        for program in state.registry.programs:
            unit = state.registry.points_unit(program).number
            of = {each: state.balances[points_account(unit, each)] for each in PointsAccount}
            assert sum(each.posted for each in of.values()) == 0
            assert of[PointsAccount.REDEEMED].available >= 0
            assert of[PointsAccount.GRANTED].at_most <= 0

    @invariant()
    def the_bank_holds_what_partners_and_the_operator_have(self) -> None:
        books = self.books
        positions = sum(books.position(each) for each in books.partners)
        others = sum(books.hub(each) for each in HUB_MONEY) + sum(
            balance.posted
            for number, balance in books.state.balances.items()
            if unit_of(number) == books.unit and 0x100 <= number & 0xFFFFF < 0x1000
        )
        assert -books.hub(HubAccount.BANK_SETTLEMENT) == positions + others

    @invariant()
    def the_mirror_is_what_the_bank_says_and_never_overdrawn(self) -> None:
        books = self.books
        said = int(books.bank_balance * 10**CURRENCY.scale)
        assert -books.hub(HubAccount.BANK_SETTLEMENT) == said
        bank = books.state.balances[hub_account(books.unit, HubAccount.BANK_SETTLEMENT)]
        # Not even when every pay-out that was recorded is carried out and no pay-in ever comes.
        assert bank.at_most <= 0

    @invariant()
    def the_other_account_holds_the_collateral(self) -> None:
        books = self.books
        held = sum(
            books.state.balances[collateral_account(books.unit, each.number)].posted
            for each in books.partners
        )
        assert -books.hub(HubAccount.BANK_COLLATERAL) == held

    @invariant()
    def what_is_asked_for_or_paid_of_a_window_is_what_its_statements_say(self) -> None:
        books = self.books
        for (window_id, partner_id), statement in books.statements.items():
            legs = sum(
                each.payment
                for each in books.legs.values()
                if (each.window_id, each.partner_id) == (window_id, partner_id)
                and each.state is not LegState.CANCELLED
            )
            assert legs == statement.payment

    @invariant()
    def what_is_carried_is_what_windows_came_to_less_what_their_statements_pay(self) -> None:
        books = self.books
        stated = [each for each in books.windows() if each.state.is_stated]
        drawn = Counter[int]()
        for (_window, cell), amount in books.state.window_sums.items():
            if isinstance(cell, MoneyCell) and cell.code is Code.DRAW:
                drawn[cell.party] += amount
        for partner in books.partners:
            own = [books.statements[each.window_id, partner.partner_id] for each in stated]
            left = sum(each.net - each.payment for each in own)
            assert books.carried(partner) == left + drawn[partner.number]
            for each in own:
                assert each.standing - each.payment == each.carried_forward
                assert each.due == each.standing - each.withheld

    @invariant()
    def credits_that_wait_are_those_that_windows_gave_less_what_is_paid_of_them(self) -> None:
        books = self.books
        given = Counter[int]()
        for outcome in books.outcomes:
            for account, credit in waiting_credits(outcome.postings).items():
                given[party_of(account)] += credit
        counted = Counter[int]()
        for (_window, cell), amount in books.state.window_sums.items():
            if isinstance(cell, CreditCell):
                counted[cell.party] += amount
        for partner in books.partners:
            paid = sum(
                each.amount
                for each in books.legs.values()
                if each.partner_number == partner.number
                and each.payment > 0
                and each.state in (LegState.PENDING, LegState.CONFIRMED)
            )
            assert counted[partner.number] == given[partner.number] - paid

    @invariant()
    def what_a_position_may_not_use_is_what_waits_of_windows_that_are_not_settled(self) -> None:
        state = self.books.state
        settled = {each.number for each in self.books.windows(WindowState.SETTLED)}
        for partner in self.books.partners:
            waits = sum(
                max(0, amount)
                for (number, cell), amount in state.window_sums.items()
                if isinstance(cell, CreditCell)
                and cell.party == partner.number
                and number not in settled
            )
            balance = state.balances[position_account(self.books.unit, partner.number)]
            assert balance.credits_held in (None, waits)

    @invariant()
    def t33_nobody_goes_further_than_its_bound_but_by_what_is_forced(self) -> None:
        books = self.books
        for partner in books.partners:
            account = position_account(books.unit, partner.number)
            balance = books.state.balances[account]
            before, forced = self.stood.get(account, (balance.available, 0))
            by_force = books.forced[account] - forced
            if balance.floor is not None:
                # Who stands beyond a bound that was moved stays there, and goes no further.
                assert balance.available >= min(balance.floor, before) - by_force
            self.stood[account] = balance.available, books.forced[account]


Settlements.TestCase.settings = settings(deadline=None, stateful_step_count=30)
TestSettlements: Any = Settlements.TestCase


@given(st.lists(st.lists(ORDERS, min_size=1, max_size=4), min_size=1, max_size=3), st.data())
def test_when_all_is_taken_back_and_paid_nothing_is_left_but_the_fees_that_are_kept(
    days: list[list[tuple[tuple[str, str, int], int]]], data: st.DataObject
) -> None:
    books = SettledBooks(FIRST)
    numbers = iter(range(1, 1 << 16))
    for wanted in days:
        for corridor, blocks in wanted:
            transfer(books, next(numbers), corridor, blocks)
        a_day_ends(books)
    for waiting in tuple(books.state.reserved.values()):
        brand = waiting.order.target_program
        books.run(Conclude(waiting.order.transfer_id, Verdict.DECLINED, make.proof(brand)))
    kept = Counter[str]()
    for each in transferred(books):
        assert each.conversion is not None
        assert each.terms is not None
        if not each.terms.fee.refundable:
            by_source = each.terms.fee.bearer is Bearer.SOURCE
            bearer = each.source_partner if by_source else each.target_partner
            kept[bearer] += each.conversion.fee + each.conversion.tax
        n, number = each.conversion.target_points, each.order.transfer_id.int & 0xFFFF
        for points in {data.draw(st.integers(1, n)), n}:
            left = n - taken_back(books)[number]
            if left:
                part = min(points, left)
                books.run(make.reverse(next(numbers), number, part, each.target_partner))
    for _ in range(3):
        a_day_ends(books)
    for partner in books.partners:
        # Whole minor units were paid; what is less than one is carried.
        assert books.position(partner) == -kept[partner.partner_id] % MINOR
        for program in partner.programs:
            unit = books.state.registry.points_unit(program).number
            members = books.state.balances[points_account(unit, PointsAccount.MEMBERS)]
            assert members.posted == 0
    assert books.taxes_and_fees() == kept.total()
    # What the operator paid for bonuses was paid back to it.
    assert books.hub(HubAccount.PROMOTIONS) == 0


@given(st.lists(st.lists(ORDERS, min_size=1, max_size=6), min_size=1, max_size=4))
def test_the_operator_pays_for_its_bonuses_each_day_and_its_fees_stay_at_the_bank(
    days: list[list[tuple[tuple[str, str, int], int]]],
) -> None:
    books = SettledBooks(FIRST)
    numbers = iter(range(1, 1 << 16))
    for wanted in days:
        for corridor, blocks in wanted:
            transfer(books, next(numbers), corridor, blocks)
        a_day_ends(books)
        assert not books.windows(WindowState.PENDING_SETTLEMENT)
        # Up to a minor unit, as every debtor pays.
        assert 0 <= books.hub(HubAccount.PROMOTIONS) < MINOR
    carried = sum(map(books.position, books.partners)) + books.hub(HubAccount.PROMOTIONS)
    assert 0 <= carried < (len(books.partners) + 1) * MINOR
    lies = int(books.bank_balance * 10**CURRENCY.scale)
    assert lies - carried == books.taxes_and_fees()


@given(
    st.lists(
        st.tuples(
            st.lists(ORDERS, max_size=4),
            st.sampled_from([-3 * MINOR, -5_000, 1, 7_777_777, 60 * MINOR]),
            st.sampled_from([HubAccount.FEES, HubAccount.ROUNDING, HubAccount.LOSSES]),
        ),
        min_size=1,
        max_size=4,
    )
)
def test_whatever_the_operator_loses_creditors_are_paid_once_all_who_are_asked_have_paid(
    days: list[tuple[list[tuple[tuple[str, str, int], int]], int, HubAccount]],
) -> None:
    books = SettledBooks(FIRST)
    numbers = iter(range(1, 1 << 16))
    for wanted, given_away, account in days:
        for corridor, blocks in wanted:
            transfer(books, next(numbers), corridor, blocks)
        books.adjust(books.partner("fuel"), account, -given_away)
        a_day_ends(books)
        assert not books.windows(WindowState.PENDING_SETTLEMENT)


@given(st.lists(ORDERS, min_size=2, max_size=8))
def test_t32_whoever_does_not_pay_nobody_is_paid_from_anothers_money(
    wanted: list[tuple[tuple[str, str, int], int]],
) -> None:
    books = SettledBooks(FIRST)
    for number, (corridor, blocks) in enumerate(wanted, 1):
        transfer(books, number, corridor, blocks)
    a_day_is_stated(books)
    for missing in [each for each in books.legs.values() if each.payment < 0]:
        (window,) = books.windows(WindowState.PENDING_SETTLEMENT)
        left_out = books.copy()
        left_out.bank({missing.reference: missing.amount // MINOR})
        left_out.advance()
        left_out.bank({missing.reference: missing.amount // MINOR})
        assert left_out.bank_balance >= 0
        if missing.partner_number == HUB:
            # Nobody unwinds the operator: what its bonuses pay for waits for its money.
            continue
        # Taken out of the window, what the others pay and are paid comes to what they settle
        # among themselves and with the operator.
        left_out.unwind(window, left_out.partner(missing.partner_id))
        left_out.advance()
        held = [each.amounts(1 << 60) for each in left_out.open_ones.values()]
        assert sum(sum(each.values()) for each in held) == 0
        left_out.bank({missing.reference: missing.amount // MINOR})
        assert left_out.bank_balance >= 0


@settings(max_examples=20)
@given(st.lists(ORDERS, min_size=1, max_size=12), st.integers(100, 400))
def test_every_transfer_is_in_exactly_one_of_hundreds_of_windows(
    wanted: list[tuple[tuple[str, str, int], int]], closes: int
) -> None:
    books = SettledBooks(FIRST)
    every = max(1, closes // len(wanted))
    for number in range(closes):
        if number % every == 0 and number // every < len(wanted):
            transfer(books, 1 + number // every, *wanted[number // every])
        books.close()
    windows = books.windows()
    assert len(windows) == closes + 1
    for each in transferred(books):
        holding = [
            window.window_id
            for window in windows
            if window.opening_tree.size <= each.log_index
            and (window.closing_tree is None or each.log_index < window.closing_tree.size)
        ]
        assert each.window is not None
        assert holding == [each.window.window_id]


def a_day_ends(books: SettledBooks) -> None:
    """The window is settled as far as the bank can carry it."""
    a_day_is_stated(books)
    for _ in range(2):
        books.bank({})
        books.advance()


def a_day_is_stated(books: SettledBooks) -> None:
    """The window closes, and all accept its statements."""
    books.close()
    books.state_oldest()
    for window in books.windows(WindowState.PENDING_SETTLEMENT):
        for partner in books.partners:
            books.accept(window, partner)
    books.advance()
