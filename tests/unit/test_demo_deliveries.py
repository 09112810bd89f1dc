"""What the demo reads of instructions to brands: lists, metrics, an outage that is over."""

from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import uuid_utils
from prometheus_client import CollectorRegistry, generate_latest

from exchange.cli.demo.brand_client import COMMITTED, RESERVED, Outcome
from exchange.cli.demo.coalition import BRANDS, agreed_corridors, corridors
from exchange.cli.demo.deliveries import Deliveries, Look, Told, look_of, told_of
from exchange.cli.demo.households import Purchase
from exchange.cli.demo.outage import Downtime
from exchange.cli.demo.programs import ProgramProcess, examples, has_left, members_of
from exchange.cli.demo.week import stands
from exchange.delivery.metrics import DeliveryMetrics
from exchange.outbound.watch import ProgramMetrics
from partners.program_port import CreditOutcome, Fault, InstructionKind
from partners.routes.route import RouteKind
from pointclear.common.v1 import refusal_pb2
from pointclear.exchange.v1 import exchange_service_pb2 as pb
from pointclear.exchange.v1 import transfer_pb2

MEAT = next(each for each in BRANDS if each.confirms)
FIRST = datetime(2017, 1, 1, 12, tzinfo=UTC)


def delivery(program: str, state: int, *, committed: bool) -> pb.Delivery:
    """An instruction as it is listed."""
    return pb.Delivery(
        program=program,
        state=cast(Any, state),
        committed=committed,
        transfer_id=uuid_utils.uuid7().bytes,
    )


def test_a_look_counts_by_program_what_waits_what_is_reserved_and_what_is_in_doubt() -> None:
    seen = look_of(
        [
            delivery("meat", pb.DELIVERY_STATE_QUEUED, committed=False),
            delivery("meat", pb.DELIVERY_STATE_SENT, committed=False),
            delivery("produce", pb.DELIVERY_STATE_SENT, committed=True),
        ],
        5.0,
    )
    assert seen == Look(5.0, {"meat": 2, "produce": 1}, {"meat": 2}, {"meat": 1})


def test_what_programs_were_told_is_read_from_the_servers_own_metrics() -> None:
    registry = CollectorRegistry()
    answers, calls = DeliveryMetrics(registry), ProgramMetrics(registry)
    credit = InstructionKind.CREDIT
    answers.answered("meat", credit, CreditOutcome.DONE)
    answers.answered("meat", credit, CreditOutcome.DECLINED)
    answers.answered("grocery", credit, CreditOutcome.DONE)
    answers.handed_out("grocery", 3)
    for outcome in (CreditOutcome.DONE, CreditOutcome.DECLINED, Fault.UNREACHABLE):
        calls.began("meat")
        calls.ended("meat", "credit", outcome, 0.1)
    calls.held_back("meat", "credit", Fault.CIRCUIT_OPEN)
    told = told_of(generate_latest(registry).decode())
    assert told == {"meat": Told(2, 1, 3), "grocery": Told(1, 0, 3)}


def test_an_outage_is_told_from_a_second_before_until_a_second_after_nothing_waited() -> None:
    at = 1_000.0
    waiting = {0.5: 3, 1.0: 3, 2.5: 2, 3.0: 0, 3.5: 1, 9.0: 0}
    looks = [Look(at - 5, {}, {}, {})]
    looks += [Look(at + s, {"meat": n}, {"meat": n}, {}) for s, n in waiting.items()]
    program = ProgramProcess(MEAT, "audience", Path("profile"), Path("folder"))
    deliveries = cast(Deliveries, SimpleNamespace(looks=looks))
    downtime = Downtime(program, deliveries, 0, 0)
    downtime.times = (at, at + 1, at + 2)
    assert not downtime.is_down
    outage = downtime.outage()
    assert (outage.down_s, outage.drained_at - at, outage.waiting_max) == (2.0, 3.0, 3)
    assert [each.second for each in outage.steps] == [0.5, 2.5, 3.0, 3.5]


def test_of_a_program_that_confirms_some_households_are_no_members_but_their_cards_are() -> None:
    bought = [Purchase(FIRST, str(n), str(n), MEAT.partner_id, 100) for n in range(200)]
    members = set(members_of(MEAT, bought))
    gone = {str(n) for n in range(200)} - members
    assert gone == {each for each in map(str, range(200)) if has_left(each)}
    assert 0 < len(gone) < 40
    assert all(f"meat-card-{each}" in members for each in gone)
    other = next(each for each in BRANDS if each.reached_by is RouteKind.HTTP)
    assert members_of(other, bought) == ()


def test_there_is_one_brand_of_each_kind_and_only_what_was_agreed_on_is_confirmed() -> None:
    kinds = [each.reached_by for each in BRANDS if each.reached_by is not RouteKind.STREAM]
    assert len(kinds) == len(set(kinds))
    assert {e.target.partner_id for e in agreed_corridors().values() if e.is_confirmed} == {"meat"}
    assert not any(each.is_confirmed for each in corridors().values())


def test_the_example_brands_that_the_demo_runs_are_there() -> None:
    for name in ("python-brand", "http-brand", "file-brand"):
        assert (examples() / name / "brand.py").is_file()


def test_a_reserved_transfer_stands_as_its_source_is_told() -> None:
    was = Outcome(str(uuid_utils.uuid7()), RESERVED, quoted=True)

    def asked(**found: Any) -> Outcome:
        response = pb.GetTransferResponse(**found)
        own = SimpleNamespace(call=lambda *_: response, exchange=SimpleNamespace(GetTransfer=None))
        return stands(cast(Any, own), was)

    assert asked(state=transfer_pb2.TRANSFER_STATE_RESERVED) == was
    committed = asked(state=transfer_pb2.TRANSFER_STATE_COMMITTED)
    assert (committed.outcome, committed.quoted) == (COMMITTED, True)
    void = asked(
        state=transfer_pb2.TRANSFER_STATE_ABORTED, reason=refusal_pb2.REASON_CREDIT_REFUSED
    )
    assert (void.outcome, void.quoted) == ("CREDIT_REFUSED", False)
