"""The books balance, whatever the exchange is asked."""

from collections import defaultdict

from hypothesis import given

from exchange.commands import Command
from exchange.fold import Folded, State, fold
from exchange.ledger.accounts import (
    HUB,
    PointsAccount,
    collateral_account,
    is_position,
    party_of,
    points_account,
    position_account,
    unit_of,
)
from exchange.ledger.postings import COLLATERAL_CODES, Balance, CreditCell, MoneyCell, PointsCell
from exchange.outcomes import Booked, Quoted, Recorded, Reversed, TransferState
from partners.limits.values import Funding
from tests import factories as make
from tests.property.histories import FIRST, histories, positions


def after(commands: list[Command]) -> State:
    return fold(FIRST, commands, make.NOW).state


def is_set_anew(was: Balance, balance: Balance) -> bool:
    """Whether credits wait that did not before."""
    return was.credits_held is None and balance.credits_held is not None


def each_step(commands: list[Command]) -> list[tuple[State, Folded]]:
    """Each command's batch of one, with the state that it met."""
    steps, state = [], FIRST
    for command in commands:
        folded = make.fold_one(state, command)
        steps.append((state, folded))
        state = folded.state
    return steps


@given(histories())
def test_every_unit_sums_to_zero(commands: list[Command]) -> None:
    sums: dict[int, int] = defaultdict(int)
    for number, balance in after(commands).balances.items():
        sums[unit_of(number)] += balance.posted
    assert set(sums.values()) == {0}


@given(histories())
def test_what_is_pending_to_a_debit_is_pending_to_a_credit(commands: list[Command]) -> None:
    balances = after(commands).balances.values()
    assert sum(b.debits_pending for b in balances) == sum(b.credits_pending for b in balances)


@given(histories())
def test_a_programs_four_accounts_sum_to_zero_and_its_members_hold_what_moved(
    commands: list[Command],
) -> None:
    state = after(commands)
    moved: dict[int, int] = defaultdict(int)
    for (_window, cell), points in state.window_sums.items():
        if isinstance(cell, PointsCell):
            gains = cell.code.name.endswith("IN") is not cell.code.name.startswith("REV_")
            moved[cell.unit] += points if gains else -points
    for program in state.registry.programs:
        unit = state.registry.points_unit(program).number
        members, issuer, redeemed, granted = (
            state.balances[unit << 20 | n].posted for n in (1, 2, 3, 4)
        )
        assert members + issuer + redeemed + granted == 0
        assert members == moved[unit]


@given(histories())
def test_what_waits_for_a_brand_to_confirm_it_never_changes_side(commands: list[Command]) -> None:
    for _before, folded in each_step(commands):
        state = folded.state
        for program in state.registry.programs:
            unit = state.registry.points_unit(program).number
            assert state.balances[points_account(unit, PointsAccount.REDEEMED)].available >= 0
            assert state.balances[points_account(unit, PointsAccount.GRANTED)].at_most <= 0


@given(histories())
def test_a_position_is_its_window_sums_payments_included(commands: list[Command]) -> None:
    state = after(commands)
    sums: dict[int, int] = defaultdict(int)
    for (_window, cell), amount in state.window_sums.items():
        if isinstance(cell, MoneyCell) and cell.code not in COLLATERAL_CODES:
            sums[cell.party] += amount
    assert {number: sums[number] for number in positions(state)} == positions(state)


@given(histories())
def test_the_hubs_sums_are_what_its_accounts_hold(commands: list[Command]) -> None:
    state = after(commands)
    held: dict[int, int] = defaultdict(int)
    for number, balance in state.balances.items():
        if party_of(number) == HUB:
            held[unit_of(number)] += balance.posted
    stated: dict[int, int] = defaultdict(int)
    windows = {window.number: window for window in state.windows.values()}
    for (window, cell), amount in state.window_sums.items():
        if isinstance(cell, MoneyCell) and cell.party == HUB:
            stated[state.registry.units[windows[window].currency].number] += amount
    for unit in state.registry.units.values():
        if not unit.name.startswith("PTS:"):
            assert held[unit.number] == stated[unit.number]


@given(histories())
def test_what_one_party_owes_another_is_what_the_other_is_owed(commands: list[Command]) -> None:
    sums = after(commands).window_sums
    for (window, cell), amount in sums.items():
        if isinstance(cell, MoneyCell):
            mirrored = MoneyCell(cell.counterparty, cell.party, cell.code, cell.tax_number)
            assert sums[window, mirrored] == -amount


@given(histories())
def test_a_balance_below_its_floor_never_falls_and_none_rises_above_its_ceiling(
    commands: list[Command],
) -> None:
    for before, folded in each_step(commands):
        for number, balance in folded.state.balances.items():
            was = before.balances.get(number, Balance())
            # What is set anew holds from where the balance then stands.
            if balance.floor is not None and not is_set_anew(was, balance):
                # It gives way before what is forced, and by no more.
                forced = folded.forced.get(number, 0)
                assert balance.usable >= min(balance.floor, was.usable) - forced
            assert balance.ceiling is None or balance.at_most <= balance.ceiling


@given(histories())
def test_credits_that_wait_are_those_of_windows_that_are_not_settled(
    commands: list[Command],
) -> None:
    for _before, folded in each_step(commands):
        state = folded.state
        settled = {each.number for each in state.windows.values() if each.state == "SETTLED"}
        waits: dict[int, int] = defaultdict(int)
        for (window, cell), amount in state.window_sums.items():
            if isinstance(cell, CreditCell) and window not in settled:
                waits[cell.party] += max(0, amount)
        for number, balance in state.balances.items():
            if balance.credits_held is not None:
                assert is_position(number)
                assert balance.credits_held == waits[party_of(number)]


@given(histories())
def test_the_bound_of_a_prepaid_partner_is_its_collateral(commands: list[Command]) -> None:
    for _before, folded in each_step(commands):
        state = folded.state
        for partner in state.registry.partners.values():
            money = state.registry.units[partner.currency].number
            position = state.balances[position_account(money, partner.number)]
            collateral = state.balances[collateral_account(money, partner.number)]
            limits = state.registry.limits_of(partner)
            assert (position.credits_held is not None) == limits.credits_wait
            if limits.funding is Funding.PREPAID:
                assert position.floor == -collateral.available


@given(histories())
def test_the_balances_are_what_the_postings_sum_to(commands: list[Command]) -> None:
    folded = fold(FIRST, commands, make.NOW)
    sums: dict[int, int] = defaultdict(int)
    for outcome in folded.outcomes:
        for posting in outcome.postings:
            if posting.phase.name in ("POSTED", "CONFIRMS"):
                sums[posting.debit] -= posting.amount
                sums[posting.credit] += posting.amount
    for number, balance in folded.state.balances.items():
        assert balance.posted == sums[number]


@given(histories())
def test_what_was_refused_changed_no_balance_and_no_sum(commands: list[Command]) -> None:
    for before, folded in each_step(commands):
        (result,) = folded.results
        carried_out = (
            isinstance(result, Booked | Quoted)
            or (isinstance(result, Recorded) and result.state is not TransferState.REFUSED)
            or (isinstance(result, Reversed) and result.refusal is None)
        )
        if not carried_out:
            assert folded.state.balances == before.balances
            assert folded.state.window_sums == before.window_sums
            assert folded.state.promotion_points == before.promotion_points
            assert folded.window_steps == {}
            assert folded.state.registry == before.registry
            assert folded.state.windows == before.windows


@given(histories())
def test_a_balance_only_ever_grows_in_what_is_posted(commands: list[Command]) -> None:
    for before, folded in each_step(commands):
        for number, balance in folded.state.balances.items():
            was = before.balances.get(number, Balance())
            assert balance.debits_posted >= was.debits_posted
            assert balance.credits_posted >= was.credits_posted


@given(histories())
def test_log_indexes_are_gapless_and_times_never_decrease(commands: list[Command]) -> None:
    folded = fold(FIRST, commands, make.NOW)
    indexes = [outcome.log_index for outcome in folded.outcomes]
    times = [outcome.recorded_at for outcome in folded.outcomes]
    assert indexes == list(range(FIRST.next_index, folded.state.next_index))
    assert times == sorted(times)
    assert [
        each for each in folded.results if isinstance(each, Booked | Recorded | Reversed)
    ] == list(folded.outcomes)
