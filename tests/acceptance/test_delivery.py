"""Instructions to programs, through the front door: brands that fetch and answer them, programs
that the exchange calls, and what nobody answers.
"""

import hashlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
import uuid_utils

from exchange.cli.connection import connect
from exchange.cli.profile import load_profile
from partners.confirmations.confirmation import Confirmation
from partners.confirmations.verification import signed_confirmation
from partners.envelope import REVERSAL_ORDER, sign
from partners.errors import Reason
from partners.program_port import CreditOutcome, DeclineReason, InstructionKind
from partners.wire import envelope_to_proto, time_to_proto
from pointclear.common.v1.envelope_pb2 import SignedEnvelope
from pointclear.exchange.v1 import exchange_service_pb2 as pb
from pointclear.exchange.v1.transfer_pb2 import (
    ReversalNotice,
    ReversalOrder,
    ReversalRecord,
    TransferState,
)
from pointclear.partners.v1 import agreement_pb2, route_pb2
from tests.acceptance.coalition import (
    AUDIENCE,
    CALL_TIMEOUT_S,
    Brand,
    Coalition,
    Refusal,
    agree,
    check_log_and_books,
    coalition,
    make_data_dir,
    refusal_of,
    refused,
    transfer_id_of,
)
from tests.processes import Server, connection, contents, folder, pointclear, wait_until, written


@dataclass(frozen=True)
class Told:
    """Two servers on one database; cirrus confirms what comes from aurora."""

    servers: tuple[Server, Server]
    members: Coalition

    def route(self, program: str, kind: str, **changes: object) -> None:
        """Set a program's route."""
        operator = self.members.operator
        request = route_pb2.SetRouteRequest(
            change_id=uuid_utils.uuid7().bytes,
            route=route_pb2.Route(
                program_id=program,
                kind=route_pb2.RouteKind.Value(f"ROUTE_KIND_{kind}"),
                **changes,  # type: ignore[arg-type]
            ),
        )
        operator.call(operator.partners.SetRoute, request)


@pytest.fixture(scope="module")
def told() -> Iterator[Told]:
    with (
        folder() as home,
        Server(make_data_dir(home)) as first,
        Server(first.data_dir) as second,
        coalition(first, home) as members,
    ):
        agree(
            members,
            *("aurora", "cirrus", 2),
            credit_mode=agreement_pb2.CREDIT_MODE_CONFIRMED,
        )
        yield Told((first, second), members)


@pytest.fixture
def aurora(told: Told) -> Brand:
    return told.members["aurora"]


@pytest.fixture
def cirrus(told: Told) -> Brand:
    """A brand that fetches what there is to do."""
    told.route("cirrus", "PULL")
    return told.members["cirrus"]


@pytest.fixture(autouse=True)
def books(told: Told) -> Iterator[None]:
    """After every test the books balance and the log is whole."""
    yield
    check_log_and_books(told.members.data_dir)


# What a brand does


def pull(brand: Brand, most: int = 100) -> list[pb.PulledInstruction]:
    """What there is to do for a brand's program."""
    own = brand.connection
    request = pb.PullCreditsRequest(program=brand.name, page_size=most)
    return list(own.call(own.exchange.PullCredits, request).instructions)


def fetched(brand: Brand, name: bytes) -> pb.PulledInstruction:
    """What there is to do about one transfer."""
    (found,) = [each for each in pull(brand) if each.credit.instruction_id == name]
    return found


def said(
    brand: Brand,
    name: bytes,
    outcome: CreditOutcome = CreditOutcome.DONE,
    points: int = 50,
    *,
    by: Brand | None = None,
) -> SignedEnvelope:
    """A brand's signed answer about a credit."""
    done = outcome is CreditOutcome.DONE
    confirmation = Confirmation(
        AUDIENCE,
        brand.name,
        UUID(bytes=name),
        InstructionKind.CREDIT,
        brand.name,
        outcome,
        datetime.now(UTC),
        points if done else 0,
        DeclineReason.MEMBER_UNKNOWN if outcome is CreditOutcome.DECLINED else None,
    )
    return envelope_to_proto(signed_confirmation((by or brand).orders, confirmation))


def confirm(brand: Brand, answer: SignedEnvelope) -> str:
    """How far the instruction has come once a brand's answer is in."""
    own = brand.connection
    response = own.call(own.exchange.ConfirmCredit, pb.ConfirmCreditRequest(confirmation=answer))
    return pb.DeliveryState.Name(response.state).removeprefix("DELIVERY_STATE_")


def confirming(brand: Brand, answer: SignedEnvelope) -> Refusal:
    """How a brand's answer is refused."""
    return refused(
        brand.connection.exchange.ConfirmCredit, pb.ConfirmCreditRequest(confirmation=answer)
    )


def stands(brand: Brand, name: bytes) -> tuple[str, str]:
    """How a transfer and its instruction stand, by GetTransfer."""
    own = brand.connection
    found = own.call(own.exchange.GetTransfer, pb.GetTransferRequest(transfer_id=name))
    return (
        TransferState.Name(found.state).removeprefix("TRANSFER_STATE_"),
        pb.DeliveryState.Name(found.delivery).removeprefix("DELIVERY_STATE_"),
    )


def reserve(aurora: Brand) -> bytes:
    """The id of a transfer that waits for cirrus to answer."""
    order = aurora.order("cirrus", agreement_version=2)
    record = aurora.proof(aurora.send(order)).record
    assert record.state == TransferState.TRANSFER_STATE_RESERVED
    return transfer_id_of(order).bytes


def reserved_money(brand: Brand) -> int:
    """What is reserved on a brand's position."""
    own = brand.connection
    return int(own.call(own.exchange.GetPosition, pb.GetPositionRequest()).position.reserved)


# Fetched and answered


def test_a_brand_fetches_a_credit_and_its_signed_answer_commits(
    aurora: Brand, cirrus: Brand
) -> None:
    name = reserve(aurora)
    assert stands(aurora, name) == ("RESERVED", "QUEUED")
    assert reserved_money(aurora) > 0
    told = fetched(cirrus, name)
    assert (told.credit.points, told.credit.member) == (50, "member-of-target")
    assert not told.credit.committed
    assert stands(aurora, name) == ("RESERVED", "SENT")
    assert not [each for each in pull(cirrus) if each.credit.instruction_id == name], "leased"
    answer = said(cirrus, name)
    assert confirm(cirrus, answer) == "CONCLUDED"
    assert confirm(cirrus, answer) == "CONCLUDED"
    assert stands(aurora, name) == ("COMMITTED", "CONCLUDED")
    assert reserved_money(aurora) == 0
    own = aurora.connection
    found = own.call(own.exchange.GetTransfer, pb.GetTransferRequest(transfer_id=name))
    record = aurora.proof(found.entry.envelope).transfer
    assert record.proof_sha256 == hashlib.sha256(answer.payload).digest()
    assert record.proof_key_id == answer.signatures[0].key_id


@pytest.mark.parametrize(
    ("outcome", "reason"),
    [
        (CreditOutcome.DECLINED, Reason.CREDIT_REFUSED),
        (CreditOutcome.NEVER, Reason.TRANSFER_LAPSED),
    ],
)
def test_a_brand_that_declines_or_fences_voids_the_transfer(
    aurora: Brand, cirrus: Brand, outcome: CreditOutcome, reason: Reason
) -> None:
    order = aurora.order("cirrus", agreement_version=2)
    aurora.send(order)
    name = transfer_id_of(order).bytes
    fetched(cirrus, name)
    assert confirm(cirrus, said(cirrus, name, outcome)) == "CONCLUDED"
    assert stands(aurora, name) == ("ABORTED", "CONCLUDED")
    refusal = aurora.refused(order)
    assert refusal.reason is reason
    assert refusal.receipt is not None
    assert reserved_money(aurora) == 0


def test_a_committed_credit_is_fetched_too_and_its_answer_changes_nothing_in_the_books(
    told: Told, cirrus: Brand
) -> None:
    borealis = told.members["borealis"]
    order = borealis.order("cirrus")
    borealis.send(order)
    name = transfer_id_of(order).bytes
    assert stands(borealis, name) == ("COMMITTED", "QUEUED")
    assert fetched(cirrus, name).credit.committed
    assert confirm(cirrus, said(cirrus, name)) == "CONCLUDED"
    assert stands(borealis, name) == ("COMMITTED", "CONCLUDED")


def test_an_unfetched_transfer_may_be_cancelled_and_a_fetched_one_may_not(
    aurora: Brand, cirrus: Brand
) -> None:
    free, bound = reserve(aurora), reserve(aurora)
    own = aurora.connection
    cancelled = own.call(own.exchange.CancelTransfer, pb.CancelTransferRequest(transfer_id=free))
    assert cancelled.state == TransferState.TRANSFER_STATE_ABORTED
    fetched(cirrus, bound)
    too_late = refused(own.exchange.CancelTransfer, pb.CancelTransferRequest(transfer_id=bound))
    assert too_late.reason is Reason.TRANSFER_STATE
    assert stands(aurora, bound) == ("RESERVED", "SENT")
    assert confirm(cirrus, said(cirrus, bound)) == "CONCLUDED"
    assert confirming(cirrus, said(cirrus, free)).reason is Reason.TRANSFER_STATE
    assert stands(aurora, free) == ("ABORTED", "CONCLUDED")


def test_of_one_member_only_the_oldest_instruction_is_handed_out(
    aurora: Brand, cirrus: Brand
) -> None:
    first, second = reserve(aurora), reserve(aurora)
    names = {each.credit.instruction_id for each in pull(cirrus)}
    assert first in names
    assert second not in names
    confirm(cirrus, said(cirrus, first))
    fetched(cirrus, second)
    confirm(cirrus, said(cirrus, second))


def test_what_nobody_fetched_in_time_lapses_by_itself(told: Told, aurora: Brand) -> None:
    told.route("cirrus", "PULL", answer_within_seconds=1)
    name = reserve(aurora)
    wait_until(lambda: stands(aurora, name) == ("ABORTED", "CONCLUDED"), "it lapses")


def test_what_was_fetched_never_lapses_and_is_asked_about_when_its_time_is_over(
    told: Told, aurora: Brand
) -> None:
    told.route("cirrus", "PULL", answer_within_seconds=1, lease_seconds=1)
    cirrus, name = told.members["cirrus"], reserve(aurora)
    fetched(cirrus, name)
    asked: list[pb.PulledInstruction] = []

    def is_asked() -> bool:
        asked.extend(each for each in pull(cirrus) if each.look_up.instruction_id == name)
        return bool(asked)

    wait_until(is_asked, "the brand is asked")
    assert stands(aurora, name) == ("RESERVED", "SENT")
    assert confirm(cirrus, said(cirrus, name)) == "CONCLUDED", "after its time, and definite"
    assert stands(aurora, name) == ("COMMITTED", "CONCLUDED")


# Answers that are none


def test_answers_that_are_none_are_refused_by_name_and_change_nothing(
    told: Told, aurora: Brand, cirrus: Brand
) -> None:
    borealis, name = told.members["borealis"], reserve(aurora)
    fetched(cirrus, name)
    unknown = uuid_utils.uuid7().bytes
    for answer, caller, reason in (
        (said(cirrus, unknown), cirrus, Reason.TRANSFER_UNKNOWN),
        (said(cirrus, name), borealis, Reason.TRANSFER_UNKNOWN),
        (said(cirrus, name, by=borealis), cirrus, Reason.SIGNER_NOT_CALLER),
        (said(borealis, name, by=cirrus), cirrus, Reason.FIELD_INVALID),
        (said(cirrus, name, points=51), cirrus, Reason.FIELD_INVALID),
        (SignedEnvelope(), cirrus, Reason.ENVELOPE_MALFORMED),
    ):
        assert confirming(caller, answer).reason is reason
    broken = said(cirrus, name)
    broken.signatures[0].signature = bytes(64)
    assert confirming(cirrus, broken).reason is Reason.SIGNATURE_INVALID
    assert stands(aurora, name) == ("RESERVED", "SENT")
    confirm(cirrus, said(cirrus, name))


def test_a_brand_that_changes_its_answer_is_held_to_the_first(aurora: Brand, cirrus: Brand) -> None:
    name = reserve(aurora)
    fetched(cirrus, name)
    confirm(cirrus, said(cirrus, name, CreditOutcome.DECLINED))
    changed = confirming(cirrus, said(cirrus, name))
    assert changed.reason is Reason.MODIFIED_REQUEST
    assert stands(aurora, name) == ("ABORTED", "CONCLUDED")


def at_both(
    told: Told, brand: Brand, answers: Sequence[SignedEnvelope]
) -> list[pb.ConfirmCreditResponse | Reason]:
    """What both servers say to each of a brand's answers, all sent at once."""

    def at(server: Server) -> list[pb.ConfirmCreditResponse | Reason]:
        profile = load_profile(brand.connection.profile.directory, server.address)
        with connect(profile) as own:
            requests = [pb.ConfirmCreditRequest(confirmation=answer) for answer in answers]
            method = own.exchange.ConfirmCredit
            calls = [method.future(each, timeout=CALL_TIMEOUT_S) for each in requests]
            return [
                refusal_of(error).reason
                if (error := call.exception()) is not None
                else call.result()
                for call in calls
            ]

    with ThreadPoolExecutor(2) as pool:
        return [each for said_there in pool.map(at, told.servers) for each in said_there]


def test_t03_a_thousand_identical_answers_over_two_servers_end_a_transfer_once(
    told: Told, aurora: Brand, cirrus: Brand
) -> None:
    name = reserve(aurora)
    fetched(cirrus, name)
    with connection(told.members.data_dir) as database:
        before = contents(database)
        answers = at_both(told, cirrus, [said(cirrus, name)] * 500)
        wait_until(lambda: stands(aurora, name) == ("COMMITTED", "CONCLUDED"), "it is concluded")
        changed = written(before, contents(database))
    assert len(answers) == 1_000
    assert not [each for each in answers if isinstance(each, Reason)]
    assert (changed["record"], changed["delivery_answer"]) == (1, 1)


def test_t03_of_answers_that_contradict_each_other_over_two_servers_one_kind_counts(
    told: Told, aurora: Brand, cirrus: Brand
) -> None:
    name = reserve(aurora)
    fetched(cirrus, name)
    both = [said(cirrus, name), said(cirrus, name, CreditOutcome.DECLINED)]
    with connection(told.members.data_dir) as database:
        before = contents(database)
        answers = at_both(told, cirrus, both * 50)
        wait_until(lambda: stands(aurora, name)[1] == "CONCLUDED", "it is concluded")
        changed = written(before, contents(database))
    refused_ones = [each for each in answers if isinstance(each, Reason)]
    assert refused_ones == [Reason.MODIFIED_REQUEST] * 100
    assert (changed["record"], changed["delivery_answer"]) == (1, 2)
    assert stands(aurora, name)[0] in ("COMMITTED", "ABORTED")


# Programs that the exchange calls


def test_a_simulated_program_is_told_by_the_server_itself(told: Told, aurora: Brand) -> None:
    told.route("borealis", "SIMULATED")
    order = aurora.order("borealis")
    aurora.send(order)
    name = transfer_id_of(order).bytes
    wait_until(lambda: stands(aurora, name) == ("COMMITTED", "CONCLUDED"), "it is told")
    away = aurora.order("borealis", target_member="away-1")
    aurora.send(away)
    name = transfer_id_of(away).bytes
    wait_until(lambda: stands(aurora, name) == ("COMMITTED", "SENT"), "it is tried")
    operator = told.members.operator
    waiting = operator.call(
        operator.exchange.ListDeliveries, pb.ListDeliveriesRequest(program="borealis")
    )
    (shown,) = [each for each in waiting.deliveries if each.transfer_id == name]
    assert (shown.fault, shown.committed) == ("UNREACHABLE", True)
    told.route("borealis", "STREAM")


# In doubt


def test_t24_what_nobody_answers_is_in_doubt_until_two_operators_end_it(
    told: Told, aurora: Brand, cirrus: Brand
) -> None:
    name = reserve(aurora)
    fetched(cirrus, name)
    operator = told.members.operator
    doubts = operator.call(
        operator.exchange.ListDeliveries, pb.ListDeliveriesRequest(in_doubt=True)
    )
    assert name in {each.transfer_id for each in doubts.deliveries}
    request = pb.ResolveTransferRequest(
        transfer_id=name, credited=True, evidence=b"a letter", evidence_type="text/plain"
    )
    resolved = operator.call(operator.exchange.ResolveTransfer, request)
    assert resolved.state == TransferState.TRANSFER_STATE_COMMITTED
    assert stands(aurora, name) == ("COMMITTED", "CONCLUDED")
    own = aurora.connection
    found = own.call(own.exchange.GetTransfer, pb.GetTransferRequest(transfer_id=name))
    record = aurora.proof(found.entry.envelope).transfer
    assert record.proof_sha256 == hashlib.sha256(b"a letter").digest()
    assert record.proof_key_id == ""
    changed = confirming(cirrus, said(cirrus, name, CreditOutcome.DECLINED))
    assert changed.reason is Reason.MODIFIED_REQUEST


def test_a_promised_credit_that_was_not_given_is_booked_back_by_two_operators(
    told: Told, aurora: Brand
) -> None:
    told.route("borealis", "SIMULATED")
    order = aurora.order("borealis", target_member="unknown-1")
    aurora.send(order)
    name = transfer_id_of(order).bytes
    wait_until(lambda: stands(aurora, name) == ("COMMITTED", "ANSWERED"), "nobody signed it")
    operator = told.members.operator
    request = pb.ResolveTransferRequest(
        transfer_id=name, credited=False, evidence=b"a letter", evidence_type="text/plain"
    )
    resolved = operator.call(operator.exchange.ResolveTransfer, request)
    assert resolved.state == TransferState.TRANSFER_STATE_COMMITTED
    assert stands(aurora, name) == ("COMMITTED", "CONCLUDED")
    assert reversed_points(aurora, name) == 50
    told.route("borealis", "STREAM")
    checked = pointclear("fsck", "--data-dir", told.members.data_dir)
    assert checked.returncode == 0, checked.stdout + checked.stderr


# Taken back


def ask_back(brand: Brand, transfer: bytes, points: int) -> tuple[SignedEnvelope, bytes]:
    """A source's signed request that points be taken back, and its id."""
    name, now = uuid_utils.uuid7().bytes, datetime.now(UTC)
    order = ReversalOrder(
        audience=AUDIENCE,
        partner_id=brand.name,
        reversal_id=name,
        transfer_id=transfer,
        target_points=points,
        issued_at=time_to_proto(now),
        expires_at=time_to_proto(now + timedelta(minutes=5)),
    )
    payload = order.SerializeToString(deterministic=True)
    return envelope_to_proto(sign(brand.orders, REVERSAL_ORDER, payload)), name


def reversing(brand: Brand, order: SignedEnvelope) -> ReversalRecord:
    """The record with which an order to reverse is answered."""
    own = brand.connection
    response = own.call(own.exchange.ReverseTransfer, pb.ReverseTransferRequest(reversal=order))
    notice = ReversalNotice.FromString(response.notice.payload)
    return ReversalRecord.FromString(notice.record)


def reversed_points(brand: Brand, transfer: bytes) -> int:
    """How many points of a transfer are reversed, by GetTransfer."""
    own = brand.connection
    found = own.call(own.exchange.GetTransfer, pb.GetTransferRequest(transfer_id=transfer))
    return int(found.reversed_points)


def took(brand: Brand, name: bytes, points: int) -> SignedEnvelope:
    """A brand's signed answer about what it took back."""
    confirmation = Confirmation(
        AUDIENCE,
        brand.name,
        UUID(bytes=name),
        InstructionKind.REVERSE,
        brand.name,
        CreditOutcome.DONE if points else CreditOutcome.DECLINED,
        datetime.now(UTC),
        points,
        None if points else DeclineReason.SPENT,
    )
    return envelope_to_proto(signed_confirmation(brand.orders, confirmation))


def test_a_source_asks_for_points_and_gets_what_the_targets_program_took(
    aurora: Brand, cirrus: Brand
) -> None:
    transfer = reserve(aurora)
    fetched(cirrus, transfer)
    confirm(cirrus, said(cirrus, transfer))
    order, name = ask_back(aurora, transfer, 40)
    assert reversing(aurora, order).state == TransferState.TRANSFER_STATE_RESERVED
    assert reversed_points(aurora, transfer) == 0
    (told,) = [each for each in pull(cirrus) if each.reverse.instruction_id == name]
    assert (told.reverse.points, told.reverse.transfer_id) == (40, transfer)
    too_many, _ = ask_back(aurora, transfer, 11)
    refusal = refused(
        aurora.connection.exchange.ReverseTransfer, pb.ReverseTransferRequest(reversal=too_many)
    )
    assert (refusal.reason, refusal.metadata) == (Reason.ALREADY_REVERSED, {"leftPoints": "10"})
    answer = took(cirrus, name, 25)
    assert confirm(cirrus, answer) == "CONCLUDED"
    assert confirm(cirrus, answer) == "CONCLUDED"
    record = reversing(aurora, order)
    assert (record.state, record.target_points) == (TransferState.TRANSFER_STATE_COMMITTED, 25)
    assert record.proof_sha256 == hashlib.sha256(answer.payload).digest()
    assert reversed_points(aurora, transfer) == 25


def test_where_the_member_has_spent_all_the_request_ends_with_nothing(
    aurora: Brand, cirrus: Brand
) -> None:
    transfer = reserve(aurora)
    fetched(cirrus, transfer)
    confirm(cirrus, said(cirrus, transfer))
    order, name = ask_back(aurora, transfer, 50)
    reversing(aurora, order)
    confirm(cirrus, took(cirrus, name, 0))
    refusal = refused(
        aurora.connection.exchange.ReverseTransfer, pb.ReverseTransferRequest(reversal=order)
    )
    assert refusal.reason is Reason.REVERSAL_REFUSED
    assert reversed_points(aurora, transfer) == 0


def test_a_committed_credit_that_its_brand_declines_is_booked_back(
    told: Told, cirrus: Brand
) -> None:
    borealis = told.members["borealis"]
    order = borealis.order("cirrus")
    borealis.send(order)
    transfer = transfer_id_of(order).bytes
    fetched(cirrus, transfer)
    assert confirm(cirrus, said(cirrus, transfer, CreditOutcome.DECLINED)) == "CONCLUDED"
    assert stands(borealis, transfer) == ("COMMITTED", "CONCLUDED")
    assert reversed_points(borealis, transfer) == 50
