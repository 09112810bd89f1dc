"""What may rest on a key, over any history of registrations, revocations and orders."""

from hypothesis import given

from exchange.commands import Command
from exchange.fold import fold
from exchange.outcomes import Recorded, Reversed
from tests import factories as make
from tests.property.histories import FIRST, histories


@given(histories())
def test_no_order_is_recorded_whose_key_is_not_in_force_at_its_index(
    commands: list[Command],
) -> None:
    folded = fold(FIRST, commands, make.NOW)
    keys = folded.state.registry.keys
    for outcome in folded.outcomes:
        if isinstance(outcome, Recorded | Reversed):
            key = keys[outcome.order.key_id]
            assert key.in_force(outcome.log_index, outcome.recorded_at)


@given(histories())
def test_no_receipt_names_a_key_that_is_revoked_at_its_index_and_one_can_always_be_named(
    commands: list[Command],
) -> None:
    folded = fold(FIRST, commands, make.NOW)
    registry = folded.state.registry
    for outcome in folded.outcomes:
        key_id = make.LETTERHEAD.key_id_at(outcome.log_index, registry)
        revoked = registry.keys[key_id].revoked_index
        assert revoked is None or outcome.log_index < revoked
