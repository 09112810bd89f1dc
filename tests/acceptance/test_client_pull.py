"""A brand that fetches what it has to do, with the client library: what its program does counts
once, and the source's client learns of it.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID

import pytest
import uuid_utils

from partners.fulfilment import open_sealed, seal
from pointclear.client import (
    Client,
    Order,
    Pulled,
    RefusedForGood,
    RefusedForNow,
    Role,
    State,
    connect,
)
from pointclear.client.program import (
    Credit,
    CreditOutcome,
    DeclineReason,
    InstructionKind,
    ProgramAnswer,
    Reversal,
)
from pointclear.exchange.v1 import exchange_service_pb2 as pb
from pointclear.partners.v1 import agreement_pb2, route_pb2
from tests.acceptance.coalition import (
    AUDIENCE,
    Brand,
    Coalition,
    agree,
    check_log_and_books,
    coalition,
    make_data_dir,
)
from tests.processes import Server, folder, wait_until

SECRET = b"VOUCHER-4711"


@dataclass
class Lotus:
    """A brand's program: it gives points to all but one member, each instruction once."""

    given: dict[UUID, int] = field(default_factory=dict)
    fences: set[UUID] = field(default_factory=set)
    seen: list[UUID] = field(default_factory=list)
    breaks: bool = False
    """Whether it breaks down after it has given points, before it can say so."""
    vouchers: bool = False

    def credit(self, credit: Credit) -> ProgramAnswer:
        self.seen.append(credit.instruction_id)
        if credit.member == "stranger" or credit.instruction_id in self.fences:
            return ProgramAnswer(CreditOutcome.DECLINED, reason=DeclineReason.MEMBER_UNKNOWN)
        self.given.setdefault(credit.instruction_id, credit.points)
        if self.breaks:
            raise RuntimeError("the connection to the points database broke")
        sealed = b""
        if self.vouchers:
            sealed = seal(SECRET, credit.source_key, AUDIENCE, credit.instruction_id)
        return ProgramAnswer(CreditOutcome.DONE, credit.points, reference="B-1", fulfilment=sealed)

    def reverse(self, reversal: Reversal) -> ProgramAnswer:
        return ProgramAnswer(CreditOutcome.DECLINED, reason=DeclineReason.SPENT)

    def look_up(self, instruction_id: UUID, kind: InstructionKind) -> ProgramAnswer | None:
        points = self.given.get(instruction_id)
        if points is None:
            self.fences.add(instruction_id)
            return ProgramAnswer(CreditOutcome.NEVER)
        return ProgramAnswer(CreditOutcome.DONE, points)


@dataclass(frozen=True)
class House:
    """aurora orders, cirrus fetches and confirms."""

    members: Coalition
    source: Client
    target: Client

    def route(self, kind: str, **changes: int) -> None:
        """Set the route of cirrus's program."""
        route = route_pb2.Route(
            program_id="cirrus",
            kind=route_pb2.RouteKind.Value(f"ROUTE_KIND_{kind}"),
            **changes,  # type: ignore[arg-type]
        )
        request = route_pb2.SetRouteRequest(change_id=uuid_utils.uuid7().bytes, route=route)
        operator = self.members.operator
        operator.call(operator.partners.SetRoute, request)

    def order(self, key: str, member: str = "C-1") -> UUID:
        """A transfer that waits for cirrus."""
        transfer = self.source.transfer(wanted(member), key=key)
        assert transfer.state is State.RESERVED
        return transfer.transfer_id


def wanted(member: str = "C-1") -> Order:
    """What aurora orders."""
    return Order(
        source_program="aurora",
        target_program="cirrus",
        source_points=100,
        target_points=50,
        agreement_id="aurora-cirrus",
        agreement_version=2,
        source_member="A-1",
        target_member=member,
    )


@contextmanager
def client_of(brand: Brand, home: Path) -> Iterator[Client]:
    with connect(
        brand.connection.profile.directory, journal=home / f"{brand.name}.sqlite3"
    ) as opened:
        yield opened


@pytest.fixture(scope="module")
def house() -> Iterator[House]:
    with (
        folder() as home,
        Server(make_data_dir(home)) as server,
        coalition(server, home) as members,
        client_of(members["aurora"], home) as source,
        client_of(members["cirrus"], home) as target,
    ):
        mode = agreement_pb2.CREDIT_MODE_CONFIRMED
        agree(members, "aurora", "cirrus", 2, credit_mode=mode)
        yield House(members, source, target)


@pytest.fixture(autouse=True)
def books(house: House) -> Iterator[None]:
    house.route("PULL")
    yield
    check_log_and_books(house.members.data_dir)


def pulled_until(house: House, program: Lotus, instruction_id: UUID) -> Pulled:
    """Fetch until an instruction comes, and what came of it."""
    found: list[Pulled] = []

    def came() -> bool:
        fetched = house.target.pull("cirrus", program)
        found.extend(each for each in fetched if each.instruction_id == instruction_id)
        return bool(found)

    wait_until(came, "the instruction is handed out")
    return found[-1]


def test_a_reserved_transfer_is_committed_by_what_the_program_answers(house: House) -> None:
    program = Lotus()
    transfer_id = house.order("done")
    pulled = pulled_until(house, program, transfer_id)
    assert (pulled.kind, pulled.error) == (InstructionKind.CREDIT, None)
    transfer = house.source.transfer(wanted(), key="done")
    assert (transfer.state, transfer.transfer_id) == (State.COMMITTED, transfer_id)
    assert house.target.pull("cirrus", program) == []
    assert house.target.get(transfer_id).role is Role.TARGET
    assert program.seen == [transfer_id]


def test_what_the_program_declines_is_void_and_the_source_is_told(house: House) -> None:
    transfer_id = house.order("declined", "stranger")
    pulled_until(house, Lotus(), transfer_id)
    with pytest.raises(RefusedForNow) as failed:
        house.source.outcome("declined")
    assert failed.value.reason == "CREDIT_REFUSED"
    assert failed.value.recorded is not None
    assert failed.value.recorded.state is State.ABORTED


def test_t24_an_answer_that_was_lost_is_asked_for_and_points_are_given_once(
    house: House,
) -> None:
    house.route("PULL", lease_seconds=1, answer_within_seconds=3600)
    program = Lotus(breaks=True)
    transfer_id = house.order("lost")
    pulled = pulled_until(house, program, transfer_id)
    assert isinstance(pulled.error, RuntimeError)
    assert house.source.resume()["lost"]
    program.breaks = False
    pulled = pulled_until(house, program, transfer_id)
    assert pulled.error is None
    assert pulled.answer is not None
    assert pulled.answer.outcome is CreditOutcome.DONE
    assert program.given == {transfer_id: 50}
    done = house.source.outcome("lost")
    assert done is not None
    assert done.is_committed


def test_an_answer_that_is_none_is_told_and_changes_nothing(house: House) -> None:
    house.route("PULL", lease_seconds=1, answer_within_seconds=3600)

    class Generous(Lotus):
        def credit(self, credit: Credit) -> ProgramAnswer:
            return ProgramAnswer(CreditOutcome.DONE, credit.points + 1)

    transfer_id = house.order("generous")
    pulled = pulled_until(house, Generous(), transfer_id)
    assert isinstance(pulled.error, RefusedForGood)
    assert (pulled.error.reason, pulled.error.field) == ("FIELD_INVALID", "points")
    assert pulled_until(house, Lotus(), transfer_id).error is None


def test_a_voucher_reaches_the_source_brand_and_nobody_else(house: House) -> None:
    transfer_id = house.order("voucher")
    pulled = pulled_until(house, Lotus(vouchers=True), transfer_id)
    assert pulled.error is None
    own = house.members["aurora"].connection
    found = own.call(own.exchange.GetTransfer, pb.GetTransferRequest(transfer_id=transfer_id.bytes))
    secret = house.members["aurora"].orders.opening_key()
    assert open_sealed(found.fulfilment, secret, AUDIENCE, transfer_id) == SECRET


def test_nobody_fetches_for_anothers_program(house: House) -> None:
    with pytest.raises(RefusedForGood) as failed:
        house.target.pull("aurora", Lotus())
    assert failed.value.reason == "PROGRAM_UNKNOWN"
