"""What switches stop, and what a changed cap does."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest

from exchange.commands import Command
from exchange.fold import fold
from exchange.ledger.accounts import position_account
from exchange.outcomes import Booked, Recorded, Repeated
from partners.errors import Reason, Refused
from partners.limits.values import (
    CorridorLimits,
    CorridorSwitches,
    Funding,
    PartnerLimits,
    PartnerSwitches,
    ProgramLimits,
    ProgramSwitches,
    Switches,
    day_of,
)
from partners.limits.wire import (
    limits_body,
    limits_from_body,
    limits_from_proto,
    switches_body,
    switches_from_body,
    switches_from_proto,
)
from pointclear.partners.v1 import limits_pb2 as pb
from tests import factories as make

STATE = make.a_state()
GROCERY_FUEL, FUEL_GROCERY = make.terms("grocery", "fuel"), make.terms("fuel", "grocery")
ORDER_COST = 50 * 19_600 + 9_800 + 588
"""Of 100 points of grocery to fuel: value, fee and tax."""


def reasons(commands: Sequence[Command]) -> list[Reason | None]:
    """How the orders among these commands end, all in one batch."""
    results = fold(STATE, commands, make.NOW).results
    return [each.reason for each in results if isinstance(each, Recorded)]


def field_of(switches: Switches) -> str:
    """The field at which an order from grocery to fuel is refused."""
    results = fold(STATE, [make.set_switches(1, switches), make.an_order()], make.NOW).results
    assert isinstance(results[1], Recorded)
    assert results[1].refusal is not None
    return results[1].refusal.field


# Switches


@pytest.mark.parametrize(
    ("switches", "reason", "there", "back"),
    [
        (PartnerSwitches("grocery", sending_stopped=True), Reason.PARTNER_SUSPENDED, True, False),
        (PartnerSwitches("grocery", receiving_stopped=True), Reason.PARTNER_SUSPENDED, False, True),
        (PartnerSwitches("fuel", receiving_stopped=True), Reason.PARTNER_SUSPENDED, True, False),
        (PartnerSwitches("deli", sending_stopped=True), Reason.PARTNER_SUSPENDED, False, False),
        (PartnerSwitches("grocery", quoting_stopped=True), None, False, False),
        (PartnerSwitches("fuel", settlement_on_hold=True), Reason.SETTLEMENT_ON_HOLD, True, True),
        (CorridorSwitches("grocery", "fuel", closed=True), Reason.CORRIDOR_CLOSED, True, False),
        (ProgramSwitches("fuel", in_maintenance=True), Reason.PROGRAM_IN_MAINTENANCE, True, True),
        (ProgramSwitches("fuel"), None, False, False),
    ],
    ids=str,
)
def test_a_switch_stops_what_it_is_for_and_nothing_else(
    switches: Switches, reason: Reason | None, there: bool, back: bool
) -> None:
    orders: list[Command] = [make.an_order(1, GROCERY_FUEL), make.an_order(2, FUEL_GROCERY)]
    found = reasons([make.set_switches(1, switches), *orders])
    assert found == [reason if there else None, reason if back else None]


def test_a_refusal_by_a_switch_names_the_side() -> None:
    assert field_of(PartnerSwitches("grocery", sending_stopped=True)) == "source_program"
    assert field_of(PartnerSwitches("fuel", receiving_stopped=True)) == "target_program"
    assert field_of(ProgramSwitches("fuel", in_maintenance=True)) == "target_program"
    assert field_of(PartnerSwitches("grocery", settlement_on_hold=True)) == "source_program"
    assert field_of(CorridorSwitches("grocery", "fuel", closed=True)) == ""


def test_a_switch_takes_effect_in_the_midst_of_a_batch_and_can_be_turned_back() -> None:
    stopped = PartnerSwitches("grocery", sending_stopped=True)
    batch: list[Command] = [
        make.an_order(1),
        make.set_switches(1, stopped),
        make.an_order(2),
        make.set_switches(2, PartnerSwitches("grocery")),
        make.an_order(3),
    ]
    assert reasons(batch) == [None, Reason.PARTNER_SUSPENDED, None]


def test_the_first_switch_in_the_protocols_order_answers() -> None:
    switches: list[tuple[Switches, Reason]] = [
        (
            PartnerSwitches("grocery", settlement_on_hold=True),
            Reason.SETTLEMENT_ON_HOLD,
        ),
        (ProgramSwitches("grocery", in_maintenance=True), Reason.PROGRAM_IN_MAINTENANCE),
        (CorridorSwitches("grocery", "fuel", closed=True), Reason.CORRIDOR_CLOSED),
        (PartnerSwitches("fuel", receiving_stopped=True), Reason.PARTNER_SUSPENDED),
    ]
    commands: list[Command] = []
    for number, (each, reason) in enumerate(switches, 1):
        commands.append(make.set_switches(number, each))
        commands.append(make.an_order(100 + number))
        assert reasons(commands)[-1] is reason


def test_who_is_no_party_learns_nothing_of_switches() -> None:
    stopped = make.set_switches(1, PartnerSwitches("fuel", sending_stopped=True))
    order = make.an_order(1, source_program="fuel", target_program="deli")
    assert reasons([stopped, order]) == [Reason.NOT_A_PARTY]


def test_a_change_is_entered_once_and_its_id_takes_nothing_else() -> None:
    change = make.set_switches(1, PartnerSwitches("fuel", sending_stopped=True))
    back = make.set_switches(2, PartnerSwitches("fuel"))
    other = make.set_switches(1, PartnerSwitches("deli", sending_stopped=True))
    first, second, again, modified = fold(STATE, [change, back, change, other], make.NOW).results
    assert isinstance(first, Booked)
    assert isinstance(second, Booked)
    assert again == Repeated(first.log_index)
    assert isinstance(modified, Refused)
    assert (modified.reason, modified.field) == (Reason.MODIFIED_REQUEST, "change_id")


@pytest.mark.parametrize(
    ("command", "reason", "field"),
    [
        (
            make.set_switches(1, PartnerSwitches("nobody")),
            Reason.PARTNER_UNKNOWN,
            "switches.partner.partner_id",
        ),
        (
            make.set_limits(1, PartnerLimits("nobody")),
            Reason.PARTNER_UNKNOWN,
            "limits.partner.partner_id",
        ),
        (
            make.set_switches(1, CorridorSwitches("grocery", "nowhere")),
            Reason.PROGRAM_UNKNOWN,
            "switches.corridor.target_program",
        ),
        (
            make.set_limits(1, CorridorLimits("nowhere", "fuel")),
            Reason.PROGRAM_UNKNOWN,
            "limits.corridor.source_program",
        ),
        (
            make.set_limits(1, ProgramLimits("nowhere")),
            Reason.PROGRAM_UNKNOWN,
            "limits.program.program_id",
        ),
    ],
)
def test_what_is_not_there_has_no_switches_and_no_limits(
    command: Command, reason: Reason, field: str
) -> None:
    (result,) = make.fold_one(STATE, command).results
    assert isinstance(result, Refused)
    assert (result.reason, result.field) == (reason, field)


# Caps


def capped(number: int, cap: int) -> Command:
    """Sets grocery's cap."""
    return make.set_limits(number, PartnerLimits("grocery", Funding.CAPPED, cap))


def test_a_cap_holds_from_the_entry_that_sets_it() -> None:
    batch = [make.an_order(1), capped(1, 2 * ORDER_COST), make.an_order(2), make.an_order(3)]
    assert reasons(batch) == [None, None, Reason.NET_DEBIT_CAP_EXCEEDED]
    raised = [*batch, capped(2, 3 * ORDER_COST), make.an_order(4), make.an_order(5)]
    assert reasons(raised)[3:] == [None, Reason.NET_DEBIT_CAP_EXCEEDED]


def test_a_cap_below_what_is_owed_stops_new_debits_and_nothing_else() -> None:
    batch = [make.an_order(1), make.an_order(2), capped(1, 0)]
    back = make.an_order(3, FUEL_GROCERY, source_points=10)
    assert reasons([*batch, make.an_order(4), back, make.an_order(5)]) == [
        *(None, None),
        Reason.NET_DEBIT_CAP_EXCEEDED,
        None,
        Reason.NET_DEBIT_CAP_EXCEEDED,
    ]
    state = fold(STATE, [*batch, back], make.NOW).state
    grocery = state.registry.partners["grocery"]
    position = position_account(state.registry.units[make.CURRENCY].number, grocery.number)
    assert state.balances[position].available == -2 * ORDER_COST + 19 * 9_500
    assert grocery.net_debit_cap == 0


def test_a_partners_limits_are_those_of_its_registration_until_others_are_set() -> None:
    registry = STATE.registry
    fuel = registry.partners["fuel"]
    assert registry.limits_of(fuel) == PartnerLimits("fuel", Funding.CAPPED, make.CAP)
    after = make.fold_one(STATE, make.set_limits(1, PartnerLimits("fuel", Funding.POSTPAID, 7)))
    changed = after.state.registry
    assert changed.limits_of(changed.partners["fuel"]).funding is Funding.POSTPAID
    assert changed.partners["fuel"].net_debit_cap == 7


# The wire

EVERY_SWITCH = [
    PartnerSwitches("fuel", True, False, True, False),
    CorridorSwitches("fuel", "deli", True),
    ProgramSwitches("fuel", True),
]


@pytest.mark.parametrize("switches", EVERY_SWITCH, ids=str)
def test_switches_come_back_from_their_bytes(switches: Switches) -> None:
    assert switches_from_body(switches_body(switches)) == switches


def test_limits_come_back_from_their_bytes() -> None:
    for limits in (
        PartnerLimits("fuel", Funding.POSTPAID, 1, 2, 3),
        PartnerLimits("fuel", Funding.PREPAID),
        CorridorLimits("fuel", "deli", 1, 2, 3, 4, timedelta(days=2), 6, 7, 8),
        ProgramLimits("fuel", 1),
    ):
        assert limits_from_body(limits_body(limits)) == limits


@pytest.mark.parametrize(
    ("message", "field"),
    [
        (pb.Limits(), "limits"),
        (pb.Limits(partner=pb.PartnerLimits(partner_id="A")), "limits.partner.partner_id"),
        (pb.Limits(partner=pb.PartnerLimits(partner_id="a")), "limits.partner.funding"),
        (
            pb.Limits(partner=pb.PartnerLimits(partner_id="a", funding=9)),  # type: ignore[arg-type]
            "limits.partner.funding",
        ),
        (
            pb.Limits(partner=pb.PartnerLimits(partner_id="a", funding=1, net_debit_cap=-1)),  # type: ignore[arg-type]
            "limits.partner.net_debit_cap",
        ),
        (
            pb.Limits(partner=pb.PartnerLimits(partner_id="a", funding=2, net_debit_cap=1)),  # type: ignore[arg-type]
            "limits.partner.net_debit_cap",
        ),
        (
            pb.Limits(
                corridor=pb.CorridorLimits(
                    source_program="a", target_program="b", return_ban_days=367
                )
            ),
            "limits.corridor.return_ban_days",
        ),
        (
            pb.Limits(program=pb.ProgramLimits(program_id="a", target_points_per_day=2**62 + 1)),
            "limits.program.target_points_per_day",
        ),
    ],
)
def test_a_limit_that_breaks_its_rule_is_named(message: pb.Limits, field: str) -> None:
    with pytest.raises(Refused) as refused:
        limits_from_proto(message)
    assert (refused.value.reason, refused.value.field) == (Reason.FIELD_INVALID, field)


def test_a_cooling_time_is_whole_seconds() -> None:
    message = pb.Limits(corridor=pb.CorridorLimits(source_program="a", target_program="b"))
    message.corridor.link_cooling.nanos = 1
    with pytest.raises(Refused) as refused:
        limits_from_proto(message)
    assert refused.value.field == "limits.corridor.link_cooling"


def test_switches_name_a_subject() -> None:
    with pytest.raises(Refused) as refused:
        switches_from_proto(pb.Switches())
    assert refused.value.field == "switches"


def test_a_day_is_one_of_utc() -> None:
    assert day_of(datetime(1970, 1, 1, 23, 59, 59, tzinfo=UTC)) == 0
    assert day_of(datetime(1970, 1, 2, tzinfo=UTC)) == 1
