"""Rates of taxes by date, as the fold decides and applies them."""

from datetime import timedelta

import pytest

from exchange.commands import Command
from exchange.fold import State
from exchange.ledger.postings import Code
from exchange.outcomes import Booked, Recorded, Repeated, TaxRateAdded
from partners.errors import Reason, Refused
from partners.registry import Tax, TaxRate
from partners.taxes.service import tax_rate_command
from partners.wire import time_to_proto
from pointclear.partners.v1 import partners_service_pb2 as pb
from tests import factories as make

STATE = make.a_state()
TOMORROW = make.NOW + timedelta(days=1)
SECOND = timedelta(seconds=1)


def after(command: Command, state: State = STATE) -> State:
    """The state after a command that is booked."""
    folded = make.fold_one(state, command)
    assert isinstance(folded.results[0], Booked)
    return folded.state


def refusal_of(command: Command, state: State = STATE) -> tuple[Reason, str]:
    """Why a command is refused; nothing is recorded."""
    folded = make.fold_one(state, command)
    (result,) = folded.results
    assert isinstance(result, Refused)
    assert folded.state == state
    return result.reason, result.field


def test_a_rate_holds_from_its_instant_until_the_next() -> None:
    tax = Tax("levy", 9, (TaxRate(make.NOW, 100), TaxRate(TOMORROW, 0)))
    assert tax.basis_points_at(make.NOW - SECOND) == 0
    assert tax.basis_points_at(make.NOW) == 100
    assert tax.basis_points_at(TOMORROW - SECOND) == 100
    assert tax.basis_points_at(TOMORROW) == 0


def test_a_transfer_is_taxed_by_the_rate_of_its_own_time_and_freezes_it() -> None:
    state = after(make.add_tax_rate("vat6", 700, make.NOW + SECOND))
    for moment, basis_points, tax in ((make.NOW, 600, 588), (make.NOW + SECOND, 700, 686)):
        (result,) = make.fold_one(state, make.an_order(), moment).results
        assert isinstance(result, Recorded)
        assert result.conversion is not None
        assert result.conversion.tax_basis_points == basis_points
        assert [p.amount for p in result.postings if p.code is Code.TAX] == [tax]


@pytest.mark.parametrize("ago", [timedelta(0), SECOND, timedelta(days=400)])
def test_no_rate_begins_in_the_past(ago: timedelta) -> None:
    command = make.add_tax_rate("vat6", 700, make.NOW - ago)
    assert refusal_of(command) == (Reason.EFFECTIVE_IN_PAST, "rate.effective_from")


def test_a_rate_follows_the_one_before() -> None:
    state = after(make.add_tax_rate("vat6", 700, TOMORROW))
    command = make.add_tax_rate("vat6", 800, TOMORROW - SECOND)
    assert refusal_of(command, state) == (Reason.FIELD_INVALID, "rate.effective_from")


def test_the_same_rate_again_is_a_repeat_also_when_it_has_begun_and_another_is_refused() -> None:
    command = make.add_tax_rate("vat6", 700, TOMORROW)
    state = after(command)
    (again,) = make.fold_one(state, command, TOMORROW + SECOND).results
    assert again == Repeated(STATE.next_index)
    other = make.add_tax_rate("vat6", 701, TOMORROW)
    assert refusal_of(other, state) == (Reason.ALREADY_EXISTS, "rate.effective_from")


def test_a_new_code_opens_its_account_in_every_currency() -> None:
    folded = make.fold_one(STATE, make.add_tax_rate("levy", 100, TOMORROW))
    (result,) = folded.results
    assert isinstance(result, Booked)
    assert isinstance(result.effect, TaxRateAdded)
    (account,) = result.effect.accounts
    assert account.name == "hub.tax.levy"
    assert account.number in folded.state.balances
    assert folded.state.registry.taxes["levy"].number == 5


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"tax_code": "VAT"}, "rate.tax_code"),
        ({"basis_points": -1}, "rate.basis_points"),
        ({"basis_points": 10_001}, "rate.basis_points"),
        ({"effective_from": None}, "rate.effective_from"),
    ],
)
def test_a_rate_that_is_none_is_refused_by_its_field(
    changes: dict[str, object], field: str
) -> None:
    fields = {
        "tax_code": "vat6",
        "basis_points": 600,
        "effective_from": time_to_proto(TOMORROW),
    }
    with pytest.raises(Refused) as refused:
        tax_rate_command(pb.TaxRate(**fields | changes))  # type: ignore[arg-type]
    assert (refused.value.reason, refused.value.field) == (Reason.FIELD_INVALID, field)
