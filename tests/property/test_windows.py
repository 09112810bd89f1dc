"""Every committed transfer is in exactly one window, and nothing joins one that is closed."""

import itertools
from collections import Counter

from hypothesis import given

from exchange.commands import Command
from exchange.fold import fold
from exchange.ledger.postings import OUTSIDE_NETS, MoneyCell
from exchange.outcomes import Booked, Recorded, Reversed, WindowClosed
from tests import factories as make
from tests.property.histories import FIRST, histories


@given(histories())
def test_a_window_holds_the_transfers_of_its_range_of_the_log_and_no_others(
    commands: list[Command],
) -> None:
    folded = fold(FIRST, commands, make.NOW)
    windows = folded.state.windows.values()
    for outcome in folded.outcomes:
        if isinstance(outcome, Recorded | Reversed) and outcome.refusal is None:
            assert outcome.window is not None
            of_its_currency = [w for w in windows if w.currency == outcome.window.currency]
            holding = [
                w.window_id
                for w in of_its_currency
                if w.first_index <= outcome.log_index
                and (w.end_index is None or outcome.log_index < w.end_index)
            ]
            assert holding == [outcome.window.window_id]
        if isinstance(outcome, Recorded | Reversed) and outcome.refusal is not None:
            assert outcome.window is None


@given(histories())
def test_windows_of_a_currency_follow_each_other_without_gap_and_one_is_open(
    commands: list[Command],
) -> None:
    windows = fold(FIRST, commands, make.NOW).state.windows.values()
    for currency in {window.currency for window in windows}:
        chain = sorted((w for w in windows if w.currency == currency), key=lambda w: w.first_index)
        for one, following in itertools.pairwise(chain):
            assert one.end_index == following.first_index
            assert one.business_date < following.business_date
        assert [w.state for w in chain] == ["CLOSED"] * (len(chain) - 1) + ["OPEN"]
        assert chain[-1].end_index is None
    assert max(Counter(window.number for window in windows).values()) == 1


@given(histories())
def test_the_nets_at_a_close_sum_to_zero_and_are_what_the_window_ends_with(
    commands: list[Command],
) -> None:
    folded = fold(FIRST, commands, make.NOW)
    for outcome in folded.outcomes:
        if not (isinstance(outcome, Booked) and isinstance(outcome.effect, WindowClosed)):
            continue
        nets = dict(outcome.effect.nets)
        assert sum(nets.values()) == 0
        ended: Counter[int] = Counter()
        for (number, cell), amount in folded.state.window_sums.items():
            if number == outcome.effect.closed.number and isinstance(cell, MoneyCell):
                ended[cell.party] += 0 if cell.code in OUTSIDE_NETS else amount
        assert {party: net for party, net in nets.items() if net} == {
            party: net for party, net in ended.items() if net
        }
