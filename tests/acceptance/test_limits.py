"""Switches and limits through real channels, over two servers on one database."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
import uuid_utils

from exchange.cli.connection import connect
from exchange.cli.profile import load_profile
from partners.errors import Reason
from partners.limits.values import (
    CorridorLimits,
    CorridorSwitches,
    Funding,
    Limits,
    PartnerLimits,
    PartnerSwitches,
    ProgramLimits,
    ProgramSwitches,
    Switches,
)
from partners.limits.wire import (
    limits_from_proto,
    limits_to_proto,
    switches_from_proto,
    switches_to_proto,
)
from pointclear.common.v1 import refusal_pb2
from pointclear.common.v1.envelope_pb2 import SignedEnvelope
from pointclear.exchange.v1.exchange_service_pb2 import (
    CancelTransferRequest,
    CreateTransferRequest,
    GetPositionRequest,
    GetTransferRequest,
    ListHeldTransfersRequest,
    ListTransfersRequest,
    RefuseTransferRequest,
    ReleaseTransferRequest,
    SimulateTransferRequest,
)
from pointclear.exchange.v1.transfer_pb2 import TransferState
from pointclear.partners.v1 import limits_pb2
from tests.acceptance.coalition import (
    BLOCK_COST,
    CALL_TIMEOUT_S,
    CAP,
    PRICE,
    Brand,
    Coalition,
    check_log_and_books,
    coalition,
    make_data_dir,
    refusal_of,
    refused,
    transfer_id_of,
)
from tests.acceptance.test_links import link, linked_order
from tests.processes import Server, connection, contents, folder, pointclear, written

ORDER_COST = 2 * BLOCK_COST


@dataclass(frozen=True, slots=True)
class Pair:
    """Two servers, and the coalition behind both."""

    first: Server
    second: Server
    members: Coalition


@pytest.fixture(scope="module")
def pair() -> Iterator[Pair]:
    with (
        folder() as home,
        Server(make_data_dir(home)) as first,
        Server(first.data_dir) as second,
        coalition(first, home) as members,
    ):
        yield Pair(first, second, members)


@pytest.fixture
def aurora(pair: Pair) -> Brand:
    return pair.members["aurora"]


def set_switches(members: Coalition, switches: Switches) -> Switches:
    """What stands after an operator has set these."""
    request = limits_pb2.SetSwitchesRequest(
        change_id=uuid_utils.uuid7().bytes, switches=switches_to_proto(switches)
    )
    operator = members.operator
    response: limits_pb2.SetSwitchesResponse = operator.call(operator.partners.SetSwitches, request)
    return switches_from_proto(response.switches)


def set_limits(members: Coalition, limits: Limits) -> Limits:
    """What stands after an operator has set these."""
    request = limits_pb2.SetLimitsRequest(
        change_id=uuid_utils.uuid7().bytes, limits=limits_to_proto(limits)
    )
    operator = members.operator
    response: limits_pb2.SetLimitsResponse = operator.call(operator.partners.SetLimits, request)
    return limits_from_proto(response.limits)


@contextmanager
def switched(members: Coalition, switches: Switches, ordinary: Switches) -> Iterator[None]:
    """These switches for the block."""
    assert set_switches(members, switches) == switches
    yield
    set_switches(members, ordinary)


@contextmanager
def limited(members: Coalition, limits: Limits, ordinary: Limits) -> Iterator[None]:
    """These limits for the block."""
    assert set_limits(members, limits) == limits
    yield
    set_limits(members, ordinary)


def in_full(brand: str, cap: int = CAP) -> PartnerLimits:
    """The limits of a brand that nobody limits."""
    return PartnerLimits(brand, Funding.CAPPED, cap)


# Switches


@pytest.mark.parametrize(
    ("switches", "ordinary", "reason", "field"),
    [
        (
            PartnerSwitches("aurora", sending_stopped=True),
            PartnerSwitches("aurora"),
            Reason.PARTNER_SUSPENDED,
            "source_program",
        ),
        (
            PartnerSwitches("borealis", receiving_stopped=True),
            PartnerSwitches("borealis"),
            Reason.PARTNER_SUSPENDED,
            "target_program",
        ),
        (
            CorridorSwitches("aurora", "borealis", closed=True),
            CorridorSwitches("aurora", "borealis"),
            Reason.CORRIDOR_CLOSED,
            "",
        ),
        (
            ProgramSwitches("borealis", in_maintenance=True),
            ProgramSwitches("borealis"),
            Reason.PROGRAM_IN_MAINTENANCE,
            "target_program",
        ),
        (
            PartnerSwitches("borealis", settlement_on_hold=True),
            PartnerSwitches("borealis"),
            Reason.SETTLEMENT_ON_HOLD,
            "target_program",
        ),
    ],
    ids=lambda each: each if isinstance(each, Reason) else "",
)
def test_a_switch_refuses_by_name_on_every_server_until_it_is_turned_back(
    pair: Pair,
    aurora: Brand,
    switches: Switches,
    ordinary: Switches,
    reason: Reason,
    field: str,
) -> None:
    at_second = load_profile(aurora.connection.profile.directory, pair.second.address)
    with connect(at_second) as own, switched(pair.members, switches, ordinary):
        refusal = aurora.refused(aurora.order())
        elsewhere = refused(
            own.exchange.CreateTransfer, CreateTransferRequest(order=aurora.order())
        )
        simulated = aurora.connection.exchange.SimulateTransfer(
            SimulateTransferRequest(
                source_program="aurora", target_program="borealis", source_points=100
            ),
            timeout=CALL_TIMEOUT_S,
        )
    for found in (refusal, elsewhere):
        assert (found.reason, found.field) == (reason, field)
        assert found.receipt is not None
        record = aurora.proof(found.receipt).record
        assert refusal_pb2.Reason.Name(record.reason) == f"REASON_{reason}"
    assert refusal_pb2.Reason.Name(simulated.refusal.reason) == f"REASON_{reason}"
    aurora.send(aurora.order())


def test_a_partner_sees_the_switches_that_concern_it_and_no_others(pair: Pair) -> None:
    members = pair.members
    set_switches(members, PartnerSwitches("cirrus"))
    set_switches(members, CorridorSwitches("borealis", "cirrus"))
    set_switches(members, ProgramSwitches("cirrus"))

    def seen(by: Any) -> set[str]:
        response = by.call(by.partners.ListSwitches, limits_pb2.ListSwitchesRequest())
        return {switches_from_proto(each).subject for each in response.switches}

    mine = {"partner/cirrus", "corridor/borealis/cirrus", "program/cirrus"}
    assert mine <= seen(members["cirrus"].connection)
    assert mine & seen(members["borealis"].connection) == {"corridor/borealis/cirrus"}
    assert not mine & seen(members["aurora"].connection)
    assert mine <= seen(members.operator)


# Caps


def test_a_lowered_cap_stops_new_debits_and_is_seen_in_the_position(
    pair: Pair, aurora: Brand
) -> None:
    members = pair.members
    aurora.send(aurora.order())

    def position() -> Any:
        own = aurora.connection
        return own.call(own.exchange.GetPosition, GetPositionRequest()).position

    owed = -position().balance
    assert owed > 0
    with limited(members, in_full("aurora", owed // 2), in_full("aurora")):
        refusal = aurora.refused(aurora.order())
        assert refusal.reason is Reason.NET_DEBIT_CAP_EXCEEDED
        assert (position().net_debit_cap, position().headroom) == (owed // 2, 0)
        borealis = members["borealis"]
        borealis.send(borealis.order("aurora"))
        assert -position().balance < owed
    with limited(members, in_full("aurora", owed + ORDER_COST), in_full("aurora")):
        aurora.send(aurora.order())
    check_log_and_books(members.data_dir)


def test_a_partner_sees_its_own_limits_and_no_others(pair: Pair, aurora: Brand) -> None:
    own = aurora.connection
    response = own.call(own.partners.ListLimits, limits_pb2.ListLimitsRequest())
    subjects = {limits_from_proto(each).subject for each in response.limits}
    assert {each for each in subjects if each.startswith("partner/")} == {"partner/aurora"}


# Limits of a day


def send_to_both(pair: Pair, brand: Brand, orders: Sequence[SignedEnvelope]) -> Counter[str]:
    """How these orders end, every other one sent to the other server, all at once."""

    def send_to(server: Server, mine: Sequence[SignedEnvelope]) -> list[str]:
        profile = load_profile(brand.connection.profile.directory, server.address)
        with connect(profile) as own:
            calls = [
                own.exchange.CreateTransfer.future(
                    CreateTransferRequest(order=order), timeout=CALL_TIMEOUT_S
                )
                for order in mine
            ]
            return [
                "COMMITTED" if call.exception() is None else refusal_of(call.exception()).reason
                for call in calls
            ]

    with ThreadPoolExecutor(2) as pool:
        both = pool.map(send_to, (pair.first, pair.second), (orders[::2], orders[1::2]))
        return Counter(reason for each in both for reason in each)


def test_t14_of_two_hundred_orders_over_two_servers_a_limit_of_ten_lets_exactly_ten_pass(
    pair: Pair,
) -> None:
    cirrus = pair.members["cirrus"]
    orders = [cirrus.order("borealis", source_member="hunter") for _ in range(200)]
    limits = CorridorLimits("cirrus", "borealis", member_transfers_per_day=10)
    with limited(pair.members, limits, CorridorLimits("cirrus", "borealis")):
        found = send_to_both(pair, cirrus, orders)
        assert found == {"COMMITTED": 10, Reason.VELOCITY_EXCEEDED: 190}
        again = send_to_both(pair, cirrus, orders)
        assert again == found, "a repeat is answered as before"
        another = cirrus.order("borealis", source_member="somebody-else")
        assert cirrus.send(another)
    check_log_and_books(pair.members.data_dir)


@pytest.mark.parametrize(
    ("limits", "ordinary", "reason", "field"),
    [
        (
            CorridorLimits("aurora", "cirrus", source_points_per_day=99),
            CorridorLimits("aurora", "cirrus"),
            Reason.VELOCITY_EXCEEDED,
            "source_points",
        ),
        (ProgramLimits("cirrus", 49), ProgramLimits("cirrus"), Reason.COUNTERPARTY_LIMIT, ""),
        (
            PartnerLimits("aurora", Funding.CAPPED, CAP, value_per_day=1),
            in_full("aurora"),
            Reason.VELOCITY_EXCEEDED,
            "",
        ),
        (
            CorridorLimits("aurora", "cirrus", member_points_per_day=99),
            CorridorLimits("aurora", "cirrus"),
            Reason.VELOCITY_EXCEEDED,
            "source_member",
        ),
    ],
    ids=["corridor", "program", "partner", "member"],
)
def test_a_limit_of_a_day_refuses_by_name(
    pair: Pair, aurora: Brand, limits: Limits, ordinary: Limits, reason: Reason, field: str
) -> None:
    with limited(pair.members, limits, ordinary):
        refusal = aurora.refused(aurora.order("cirrus"))
    assert (refusal.reason, refusal.field) == (reason, field)
    assert refusal.receipt is not None
    aurora.send(aurora.order("cirrus"))


def test_points_do_not_go_straight_back(pair: Pair, aurora: Brand) -> None:
    limits = CorridorLimits("borealis", "aurora", return_ban_days=1)
    borealis = pair.members["borealis"]
    with limited(pair.members, limits, CorridorLimits("borealis", "aurora")):
        aurora.send(aurora.order(target_member="traveller"))
        refusal = borealis.refused(borealis.order("aurora", source_member="traveller"))
        assert (refusal.reason, refusal.field) == (Reason.VELOCITY_EXCEEDED, "source_member")
        borealis.send(borealis.order("aurora", source_member="resident"))


def test_a_new_link_cools(pair: Pair, aurora: Brand) -> None:
    limits = CorridorLimits("aurora", "borealis", link_cooling=timedelta(hours=1))
    order = linked_order(aurora, link(aurora, pair.members["borealis"]))
    with limited(pair.members, limits, CorridorLimits("aurora", "borealis")):
        refusal = aurora.refused(order)
    assert (refusal.reason, refusal.field) == (Reason.LINK_COOLING, "link_id")


# Held for review


@pytest.fixture
def reviewed(pair: Pair) -> Iterator[None]:
    """From aurora to cirrus more than 100 points are held."""
    limits = CorridorLimits("aurora", "cirrus", review_above_points=100)
    with limited(pair.members, limits, CorridorLimits("aurora", "cirrus")):
        yield


def state_of(brand: Brand, transfer_id: bytes) -> str:
    """How a transfer stands, by GetTransfer."""
    own = brand.connection
    found = own.call(own.exchange.GetTransfer, GetTransferRequest(transfer_id=transfer_id))
    return TransferState.Name(found.state).removeprefix("TRANSFER_STATE_")


def listed(brand: Brand, transfer_id: bytes) -> list[str]:
    """The states in which ListTransfers shows a transfer."""
    own = brand.connection
    found = own.call(own.exchange.ListTransfers, ListTransfersRequest())
    return [
        TransferState.Name(each.record.state).removeprefix("TRANSFER_STATE_")
        for each in found.transfers
        if each.record.transfer_id == transfer_id
    ]


def reserved_of(brand: Brand) -> int:
    """What is reserved on a brand's position."""
    own = brand.connection
    position = own.call(own.exchange.GetPosition, GetPositionRequest()).position
    return int(position.reserved)


@pytest.mark.usefixtures("reviewed")
def test_a_held_transfer_is_released_and_its_sender_gets_the_receipt(
    pair: Pair, aurora: Brand
) -> None:
    order = aurora.order("cirrus", source_points=150)
    name = transfer_id_of(order).bytes
    refusal = aurora.refused(order)
    assert refusal.reason is Reason.HELD_FOR_REVIEW
    assert refusal.receipt is not None
    held = aurora.proof(refusal.receipt).record
    assert (held.state, held.value) == (TransferState.TRANSFER_STATE_HELD, 0)
    assert aurora.refused(order).receipt == refusal.receipt, "the current answer"
    assert (state_of(aurora, name), listed(aurora, name)) == ("HELD", ["HELD"])
    assert listed(pair.members["cirrus"], name) == []
    assert reserved_of(aurora) == 3 * BLOCK_COST

    operator = pair.members.operator
    waiting = operator.call(operator.exchange.ListHeldTransfers, ListHeldTransfersRequest())
    assert [each.transfer_id for each in waiting.transfers] == [name]
    operator.call(operator.exchange.ReleaseTransfer, ReleaseTransferRequest(transfer_id=name))
    operator.call(operator.exchange.ReleaseTransfer, ReleaseTransferRequest(transfer_id=name))
    too_late = refused(operator.exchange.RefuseTransfer, RefuseTransferRequest(transfer_id=name))
    assert (too_late.reason, too_late.field) == (Reason.TRANSFER_STATE, "transfer_id")

    receipt = aurora.send(order)
    record = aurora.proof(receipt).record
    assert (record.state, record.value) == (TransferState.TRANSFER_STATE_COMMITTED, 75 * PRICE)
    assert record.log_index > held.log_index
    assert (state_of(aurora, name), listed(aurora, name)) == ("COMMITTED", ["COMMITTED"])
    assert listed(pair.members["cirrus"], name) == ["COMMITTED"]
    assert reserved_of(aurora) == 0
    check_log_and_books(pair.members.data_dir)


@pytest.mark.usefixtures("reviewed")
def test_a_held_transfer_is_refused_or_cancelled_and_nothing_moves(
    pair: Pair, aurora: Brand
) -> None:
    refused_one, cancelled_one = (aurora.order("cirrus", source_points=150) for _ in range(2))
    for order in (refused_one, cancelled_one):
        assert aurora.refused(order).reason is Reason.HELD_FOR_REVIEW
    operator, cirrus = pair.members.operator, pair.members["cirrus"]
    name = transfer_id_of(refused_one).bytes
    operator.call(operator.exchange.RefuseTransfer, RefuseTransferRequest(transfer_id=name))
    cancel = CancelTransferRequest(transfer_id=transfer_id_of(cancelled_one).bytes)
    anothers = refused(cirrus.connection.exchange.CancelTransfer, cancel)
    assert anothers.reason is Reason.TRANSFER_UNKNOWN
    aurora.connection.call(aurora.connection.exchange.CancelTransfer, cancel)
    for order, reason in (
        (refused_one, Reason.REVIEW_REFUSED),
        (cancelled_one, Reason.TRANSFER_CANCELLED),
    ):
        refusal = aurora.refused(order)
        assert refusal.reason is reason
        assert refusal.receipt is not None
        assert aurora.proof(refusal.receipt).record.state == TransferState.TRANSFER_STATE_ABORTED
        assert state_of(aurora, transfer_id_of(order).bytes) == "ABORTED"
    assert reserved_of(aurora) == 0
    check_log_and_books(pair.members.data_dir)


@pytest.mark.usefixtures("reviewed")
def test_the_commands_of_review(pair: Pair, aurora: Brand) -> None:
    def run(*words: str) -> str:
        at = ("--data-dir", pair.members.data_dir, "--server", pair.first.address)
        done = pointclear("review", *words, *at)
        assert done.returncode == 0, done.stderr
        return done.stdout

    first, second, third = (aurora.order("cirrus", source_points=150) for _ in range(3))
    for order in (first, second, third):
        aurora.refused(order)
    assert str(transfer_id_of(first)) in run("list")
    assert "COMMITTED" in run("release", str(transfer_id_of(first)))
    assert '"ABORTED"' in run("refuse", str(transfer_id_of(second)), "--json")
    done = pointclear(
        *("cancel", str(transfer_id_of(third)), "--as", aurora.connection.profile.directory),
        *("--server", pair.first.address),
    )
    assert (done.returncode, "ABORTED" in done.stdout) == (0, True)


# What is sent wrong


@pytest.mark.parametrize(
    ("change", "reason", "field"),
    [
        (
            lambda r: r.limits.partner.ClearField("funding"),
            Reason.FIELD_INVALID,
            "limits.partner.funding",
        ),
        (lambda r: r.ClearField("change_id"), Reason.FIELD_INVALID, "change_id"),
        (lambda r: r.ClearField("limits"), Reason.FIELD_INVALID, "limits"),
        (
            lambda r: setattr(r.limits.partner, "partner_id", "nobody"),
            Reason.PARTNER_UNKNOWN,
            "limits.partner.partner_id",
        ),
        (
            lambda r: setattr(r.limits.program, "program_id", "nowhere"),
            Reason.PROGRAM_UNKNOWN,
            "limits.program.program_id",
        ),
    ],
)
def test_bad_limits_are_refused_by_field_and_set_nothing(
    pair: Pair, change: Callable[[Any], object], reason: Reason, field: str
) -> None:
    request = limits_pb2.SetLimitsRequest(
        change_id=uuid_utils.uuid7().bytes, limits=limits_to_proto(in_full("aurora"))
    )
    change(request)
    with connection(pair.members.data_dir) as database:
        before = contents(database)
        refusal = refused(pair.members.operator.partners.SetLimits, request)
        assert (refusal.reason, refusal.field) == (reason, field)
        assert "restraint" not in written(before, contents(database))


def test_a_change_id_stands_for_one_change(pair: Pair) -> None:
    operator = pair.members.operator
    request = limits_pb2.SetSwitchesRequest(
        change_id=uuid_utils.uuid7().bytes,
        switches=switches_to_proto(PartnerSwitches("cirrus", quoting_stopped=True)),
    )
    operator.call(operator.partners.SetSwitches, request)
    set_switches(pair.members, PartnerSwitches("cirrus"))
    with connection(pair.members.data_dir) as database:
        before = contents(database)
        again = operator.call(operator.partners.SetSwitches, request)
        assert "restraint" not in written(before, contents(database))
    assert not again.switches.partner.quoting_stopped, "what stands is what was set last"
    request.switches.partner.receiving_stopped = True
    assert refused(operator.partners.SetSwitches, request).reason is Reason.MODIFIED_REQUEST


def test_a_partner_sets_neither_switches_nor_limits(aurora: Brand) -> None:
    own = aurora.connection.partners
    for method, request in (
        (own.SetSwitches, limits_pb2.SetSwitchesRequest()),
        (own.SetLimits, limits_pb2.SetLimitsRequest()),
    ):
        assert refused(method, request).reason is Reason.ROLE_MISSING


# The command line


def test_the_commands_change_what_they_name_and_leave_the_rest(pair: Pair) -> None:
    def run(*words: str) -> str:
        at = ("--data-dir", pair.members.data_dir, "--server", pair.first.address)
        done = pointclear(*words, *at)
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert "sending stopped" in run("switches", "partner", "cirrus", "--no-sending").replace(
        "_", " "
    )
    held = run("switches", "partner", "cirrus", "--hold-settlement", "--json")
    assert '"sending_stopped": true' in held
    assert '"settlement_on_hold": true' in held
    run("switches", "partner", "cirrus", "--sending", "--no-hold-settlement")
    run("switches", "corridor", "cirrus", "aurora", "--closed")
    run("switches", "corridor", "cirrus", "aurora", "--open")
    run("switches", "program", "cirrus", "--in-service")
    assert "ordinary" in run("switches", "list")
    run("limits", "partner", "cirrus", "--cap", "70.5", "--transfers-per-day", "1000")
    changed = run("limits", "partner", "cirrus", "--value-per-day", "5", "--json")
    assert '"net_debit_cap": "70.500000"' in changed
    assert '"transfers_per_day": 1000' in changed
    run("limits", "corridor", "cirrus", "aurora", "--points-per-day", "9", "--link-cooling", "48h")
    run("limits", "program", "cirrus", "--points-per-day", "0")
    listed = run("limits", "list")
    assert "70.500000" in listed
    assert "172800" in listed
    run("limits", "partner", "cirrus", "--funding", "prepaid")
    refusal = pointclear(
        *("limits", "partner", "cirrus", "--cap", "1.0000001"),
        *("--data-dir", pair.members.data_dir, "--server", pair.first.address),
    )
    assert refusal.returncode == 1
    assert "FIELD_INVALID (cap)" in refusal.stderr
