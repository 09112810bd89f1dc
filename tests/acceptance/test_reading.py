"""What partners read of their transfers and corridors, through a real server."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest

from partners.errors import Reason
from partners.paging import PAGE_MAX, page_token
from pointclear.common.v1 import refusal_pb2
from pointclear.exchange.v1 import exchange_service_pb2 as pb
from pointclear.exchange.v1 import transfer_pb2
from pointclear.settlement.v1 import settlement_service_pb2 as settlement_pb
from tests.acceptance.coalition import (
    BLOCK_COST,
    CALL_TIMEOUT_S,
    CURRENCY,
    FIRST_DAY,
    MAXIMUM,
    MINIMUM,
    Brand,
    Coalition,
    agree,
    coalition,
    join,
    make_data_dir,
    refused,
    transfer_id_of,
)
from tests.processes import Server, connection, contents, folder, written

FIRST_WINDOW = f"{CURRENCY.lower()}-{FIRST_DAY}"
SECOND_WINDOW = f"{CURRENCY.lower()}-{FIRST_DAY + timedelta(days=1)}"
POOR = "pauper"
"""A brand whose cap lets one order of the minimum pass."""
MANY = PAGE_MAX + 20


@pytest.fixture(scope="module")
def members() -> Iterator[Coalition]:
    """Brands with some history: transfers both ways, a refusal, two windows, and very many."""
    with (
        folder() as home,
        Server(make_data_dir(home)) as server,
        coalition(server, home) as founded,
        join(founded.operator, home, POOR, cap=3 * BLOCK_COST) as poor,
    ):
        founded.brands[POOR] = poor
        agree(founded, POOR, "borealis")
        aurora, borealis, cirrus = (founded[name] for name in ("aurora", "borealis", "cirrus"))
        for number in range(4):
            aurora.send(aurora.order(partner_reference=f"till {number % 2}"))
            borealis.send(borealis.order("aurora", partner_reference="till 1"))
        aurora.refused(aurora.order(target_points=1, partner_reference="till 1"))
        close = settlement_pb.CloseWindowRequest(window_id=FIRST_WINDOW)
        founded.operator.call(founded.operator.settlement.CloseWindow, close)
        aurora.send(aurora.order("cirrus", source_points=200))
        orders = [cirrus.order("borealis") for _ in range(MANY)]
        cirrus.send_batch(orders[:PAGE_MAX])
        cirrus.send_batch(orders[PAGE_MAX:])
        yield founded


@pytest.fixture
def aurora(members: Coalition) -> Brand:
    return members["aurora"]


def page(brand: Brand, **fields: Any) -> pb.ListTransfersResponse:
    """One page of a brand's transfers."""
    request = pb.ListTransfersRequest(**fields)
    return brand.connection.exchange.ListTransfers(request, timeout=CALL_TIMEOUT_S)


def listed(brand: Brand, page_size: int = 0, **wanted: Any) -> list[pb.ListedTransfer]:
    """All that a filter finds, page by page."""
    found: list[pb.ListedTransfer] = []
    token, filtered = "", pb.TransferFilter(**wanted)
    while True:
        answer = page(brand, filter=filtered, page_size=page_size, page_token=token)
        found += answer.transfers
        token = answer.next_page_token
        if not token:
            return found


def stream(brand: Brand) -> list[pb.StreamEntry]:
    """The brand's whole stream, newest first."""
    entries: list[pb.StreamEntry] = []
    while True:
        request = pb.ListReceiptsRequest(after_stream_seq=len(entries), page_size=PAGE_MAX)
        answer = brand.connection.exchange.ListReceipts(request, timeout=CALL_TIMEOUT_S)
        entries += answer.entries
        if len(entries) == answer.last_stream_seq:
            return entries[::-1]


def test_the_list_is_what_the_stream_proves_newest_first(members: Coalition) -> None:
    for name in ("aurora", "borealis"):
        brand = members[name]
        expected = [
            (entry.stream_seq, brand.proof(entry.envelope).record, entry.member)
            for entry in stream(brand)
        ]
        shown = [(each.stream_seq, each.record, each.member) for each in listed(brand)]
        assert shown == expected


@dataclass(frozen=True, slots=True)
class Case:
    """A filter, and which of aurora's transfers it finds."""

    wanted: dict[str, Any]
    finds: Callable[[pb.ListedTransfer], bool]
    count: int


COMMITTED = transfer_pb2.TRANSFER_STATE_COMMITTED
REFUSED = transfer_pb2.TRANSFER_STATE_REFUSED
CASES = (
    Case({}, lambda each: True, 10),
    Case({"state": COMMITTED}, lambda each: each.record.state == COMMITTED, 9),
    Case({"state": REFUSED}, lambda each: each.record.state == REFUSED, 1),
    Case({"program": "cirrus"}, lambda each: each.record.target_program == "cirrus", 1),
    Case({"program": "aurora"}, lambda each: True, 10),
    Case({"counterparty": "borealis"}, lambda each: each.record.target_partner != "cirrus", 9),
    Case({"counterparty": "aurora"}, lambda each: False, 0),
    Case({"window_id": FIRST_WINDOW}, lambda each: each.record.window_id == FIRST_WINDOW, 8),
    Case({"window_id": SECOND_WINDOW}, lambda each: each.record.window_id == SECOND_WINDOW, 1),
    Case({"window_id": "usd-1999-01-01"}, lambda each: False, 0),
    Case({"partner_reference": "till 0"}, lambda each: each.partner_reference == "till 0", 2),
    # The other brand uses the same reference: that is no business of aurora's.
    Case({"partner_reference": "till 1"}, lambda each: each.partner_reference == "till 1", 3),
    Case(
        {"state": COMMITTED, "program": "borealis", "partner_reference": "till 1"},
        lambda each: each.partner_reference == "till 1" and each.record.state == COMMITTED,
        2,
    ),
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: str(case.wanted))
@pytest.mark.parametrize("page_size", [0, 1, 3])
def test_a_filter_finds_exactly_what_it_says_whatever_the_page(
    aurora: Brand, case: Case, page_size: int
) -> None:
    found = listed(aurora, page_size, **case.wanted)
    assert found == [each for each in listed(aurora) if case.finds(each)]
    assert len(found) == case.count


def test_a_range_of_times_is_half_open_to_the_microsecond(aurora: Brand) -> None:
    whole = listed(aurora)
    times = [each.record.recorded_at for each in whole]
    for begins, ends in ((times[7], times[2]), (times[3], times[3]), (times[-1], times[0])):
        found = listed(aurora, recorded_from=begins, recorded_until=ends)
        inside = [
            each
            for each in whole
            if begins.ToNanoseconds()
            <= each.record.recorded_at.ToNanoseconds()
            < ends.ToNanoseconds()
        ]
        assert found == inside
    assert listed(aurora, recorded_from=times[-1]) == whole
    assert listed(aurora, recorded_until=times[-1]) == []


def test_transfers_that_come_while_a_list_is_read_do_not_move_its_pages(
    members: Coalition,
) -> None:
    poor = members[POOR]
    poor.send(poor.order())
    for _ in range(3):
        poor.refused(poor.order(target_points=1))
    before = listed(poor)
    first = page(poor, page_size=2)
    poor.refused(poor.order(target_points=1))
    second = page(poor, page_size=2, page_token=first.next_page_token)
    assert [*first.transfers, *second.transfers] == before[:4]


def test_t18_a_page_never_holds_more_than_500(members: Coalition) -> None:
    cirrus = members["cirrus"]
    largest = page(cirrus, page_size=2**31 - 1)
    assert len(largest.transfers) == PAGE_MAX
    assert largest.next_page_token
    assert len(page(cirrus).transfers) == 100
    assert len(listed(cirrus, 2**31 - 1)) == MANY + 1


@pytest.mark.parametrize("call", ["ListTransfers", "ListReceipts", "ListCorridors"])
def test_t18_a_negative_page_size_is_refused(aurora: Brand, call: str) -> None:
    request = getattr(pb, f"{call}Request")(page_size=-1)
    refusal = refused(getattr(aurora.connection.exchange, call), request)
    assert (refusal.reason, refusal.field) == (Reason.FIELD_INVALID, "page_size")


def test_t18_a_token_that_was_forged_or_is_anothers_is_refused(members: Coalition) -> None:
    aurora, cirrus = members["aurora"], members["cirrus"]
    wanted = pb.TransferFilter(state=COMMITTED)
    token = page(aurora, filter=wanted, page_size=2).next_page_token
    assert token
    foreign = page(cirrus, filter=wanted, page_size=2).next_page_token
    corridors = aurora.connection.exchange.ListCorridors(
        pb.ListCorridorsRequest(page_size=1), timeout=CALL_TIMEOUT_S
    ).next_page_token
    altered = [
        token[:place] + ("A" if token[place] != "A" else "B") + token[place + 1 :]
        for place in range(len(token))
    ]
    forged = [
        *altered,
        *(token[:-1], token + "A", token + "=", token + "\n", token * 2),
        *("1", "0", "-1", "é", "'; DROP TABLE record; --", "\0", "A" * 10_000),
        *(foreign, corridors),
    ]
    method = aurora.connection.exchange.ListTransfers
    for each in forged:
        refusal = refused(method, pb.ListTransfersRequest(filter=wanted, page_token=each))
        assert (refusal.reason, refusal.field) == (Reason.FIELD_INVALID, "page_token")
        assert refusal.code == "INVALID_ARGUMENT"
    # The list is part of the token; the size of the page is not.
    other = pb.ListTransfersRequest(page_token=token)
    assert refused(method, other).field == "page_token"
    assert page(aurora, filter=wanted, page_size=7, page_token=token).transfers


def test_t18_even_a_made_up_token_reaches_own_rows_only(members: Coalition) -> None:
    aurora = members["aurora"]
    position = str(MANY)
    made_up = page_token("partner/aurora", b"transfers", position)
    assert list(page(aurora, page_token=made_up).transfers) == listed(aurora)


def test_t20_a_list_holds_nothing_of_others(members: Coalition) -> None:
    poor, aurora = members[POOR], members["aurora"]
    for brand in (aurora, poor):
        for each in listed(brand):
            assert brand.name in (each.record.source_partner, each.record.target_partner)
    # A refused order is no business of its target's.
    rejected = poor.order(target_points=1)
    poor.refused(rejected)
    borealis = members["borealis"]
    seen = {each.record.transfer_id for each in listed(borealis, counterparty=POOR)}
    assert transfer_id_of(rejected).bytes not in seen


def test_t20_an_own_member_is_shown_and_never_the_other_brands(members: Coalition) -> None:
    for name in ("aurora", "borealis"):
        for each in listed(members[name]):
            sent = each.record.source_partner == name
            assert each.member == ("member-of-source" if sent else "member-of-target")
            assert sent or not each.partner_reference


@pytest.mark.parametrize(
    ("field", "wanted"),
    [
        ("filter.state", {"state": 99}),
        ("filter.program", {"program": "No Program"}),
        ("filter.counterparty", {"counterparty": "-"}),
        ("filter.window_id", {"window_id": "usd/2017"}),
        ("filter.partner_reference", {"partner_reference": "x" * 65}),
        ("filter.recorded_from", {"recorded_from": {"seconds": -1}}),
        ("filter.recorded_until", {"recorded_until": {"seconds": 1, "nanos": 1}}),
    ],
)
def test_a_filter_that_cannot_be_is_refused_naming_its_field(
    aurora: Brand, field: str, wanted: dict[str, Any]
) -> None:
    request = pb.ListTransfersRequest(filter=pb.TransferFilter(**wanted))
    refusal = refused(aurora.connection.exchange.ListTransfers, request)
    assert (refusal.reason, refusal.field) == (Reason.FIELD_INVALID, field)


# Simulation


def simulate(brand: Brand, points: int, target: str = "borealis") -> pb.SimulateTransferResponse:
    """What an order would come to."""
    request = pb.SimulateTransferRequest(
        source_program=brand.name, target_program=target, source_points=points
    )
    return brand.connection.exchange.SimulateTransfer(request, timeout=CALL_TIMEOUT_S)


@pytest.mark.parametrize("points", [MINIMUM, MAXIMUM, 101, 50, MAXIMUM + 50])
@pytest.mark.parametrize("name", ["aurora", POOR])
def test_a_simulation_says_what_the_order_is_then_answered(
    members: Coalition, name: str, points: int
) -> None:
    brand = members[name]
    said = simulate(brand, points)
    assert (said.agreement_id, said.agreement_version) == (f"{name}-borealis", 1)
    order = brand.order(source_points=points, target_points=said.target_points or 1)
    if said.HasField("refusal"):
        refusal = brand.refused(order)
        assert refusal.reason.name == refusal_pb2.Reason.Name(said.refusal.reason)[7:]
        assert refusal.field == said.refusal.field
        return
    proof = brand.proof(brand.send(order))
    record, part = proof.record, proof.source_part
    assert part is not None
    assert (said.target_points, said.value) == (record.target_points, record.value)
    assert (said.fee, said.tax, said.tax_code) == (part.fee, part.tax, part.tax_code)
    assert said.settlement_currency == record.settlement_currency


def test_a_simulation_works_the_amounts_out_also_where_it_is_refused(members: Coalition) -> None:
    said = simulate(members[POOR], MAXIMUM)
    assert said.refusal.reason == refusal_pb2.REASON_NET_DEBIT_CAP_EXCEEDED
    assert said.target_points == MAXIMUM // 2
    assert said.value + said.fee + said.tax == MAXIMUM // 50 * BLOCK_COST
    broken = simulate(members[POOR], 101)
    assert broken.refusal.reason == refusal_pb2.REASON_INCREMENT
    assert (broken.target_points, broken.value, broken.fee, broken.tax) == (0, 0, 0, 0)


def test_a_simulation_stores_nothing(members: Coalition, aurora: Brand) -> None:
    with connection(members.data_dir) as database:
        before = contents(database)
        simulate(aurora, MINIMUM)
        simulate(aurora, 101)
        assert written(before, contents(database)) == {}


def test_t20_a_simulation_tells_other_brands_programs_from_none_by_nothing(
    members: Coalition, aurora: Brand
) -> None:
    method = aurora.connection.exchange.SimulateTransfer

    def answer(source: str, target: str) -> Any:
        request = pb.SimulateTransferRequest(
            source_program=source, target_program=target, source_points=MINIMUM
        )
        return refused(method, request)

    assert answer("borealis", "aurora").reason is Reason.PROGRAM_UNKNOWN
    assert answer("borealis", "aurora").status == answer("nowhere", "aurora").status
    assert answer("aurora", POOR).reason is Reason.AGREEMENT_UNKNOWN
    assert answer("aurora", POOR).status == answer("aurora", "nowhere").status
    assert answer("aurora", "aurora").status == answer("aurora", "nowhere").status


@pytest.mark.parametrize("points", [0, -1, 2**62 + 1, 2**63 - 1, -(2**63)])
def test_a_simulation_of_no_points_or_too_many_is_refused(aurora: Brand, points: int) -> None:
    request = pb.SimulateTransferRequest(
        source_program="aurora", target_program="borealis", source_points=points
    )
    refusal = refused(aurora.connection.exchange.SimulateTransfer, request)
    assert (refusal.reason, refusal.field) == (Reason.FIELD_INVALID, "source_points")


# Corridors


def corridors(exchange: Any, page_size: int) -> list[pb.Corridor]:
    """All that a caller sees, page by page."""
    found: list[pb.Corridor] = []
    token = ""
    while True:
        request = pb.ListCorridorsRequest(page_size=page_size, page_token=token)
        answer = exchange.ListCorridors(request, timeout=CALL_TIMEOUT_S)
        assert len(answer.corridors) <= (page_size or PAGE_MAX)
        found += answer.corridors
        token = answer.next_page_token
        if not token:
            return found


def test_t20_a_partner_sees_its_own_corridors_and_an_operator_all(members: Coalition) -> None:
    def names(exchange: Any, page_size: int = 0) -> list[str]:
        return [each.agreement_id for each in corridors(exchange, page_size)]

    everything = names(members.operator.exchange)
    assert len(everything) == 7
    assert everything == sorted(everything)
    for name, brand in members.brands.items():
        assert names(brand.connection.exchange) == [
            each for each in everything if name in each.split("-")
        ]
    for page_size in (1, 2, 7, 8):
        assert names(members.operator.exchange, page_size) == everything


def test_a_corridor_shows_the_version_in_force_and_since_when(members: Coalition) -> None:
    before = members.operator.exchange.ListCorridors(
        pb.ListCorridorsRequest(), timeout=CALL_TIMEOUT_S
    ).corridors
    agree(members, "cirrus", "borealis", version=2, fee_basis_points=75)
    cirrus = {
        each.agreement_id: each for each in corridors(members["cirrus"].connection.exchange, 0)
    }
    corridor = cirrus["cirrus-borealis"]
    assert (corridor.agreement_version, corridor.fee_basis_points) == (2, 75)
    assert (corridor.source_partner, corridor.target_partner) == ("cirrus", "borealis")
    assert (corridor.minimum_source_points, corridor.maximum_source_points) == (MINIMUM, MAXIMUM)
    assert (corridor.block_rate.source_units, corridor.block_rate.target_units) == (50, 25)
    assert (corridor.settlement_currency, corridor.price_per_target_point) == ("USD", 20_000)
    first = next(each for each in before if each.agreement_id == "cirrus-borealis")
    assert first.agreement_version == 1
    assert first.effective_from.ToNanoseconds() < corridor.effective_from.ToNanoseconds()
    assert len(cirrus) == 4


def test_operators_do_not_read_as_partners(members: Coalition) -> None:
    exchange = members.operator.exchange
    for method, request in (
        (exchange.ListTransfers, pb.ListTransfersRequest()),
        (exchange.SimulateTransfer, pb.SimulateTransferRequest()),
    ):
        assert refused(method, request).reason is Reason.ROLE_MISSING
