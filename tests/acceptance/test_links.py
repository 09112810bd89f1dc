"""Links over the wire: what each brand sees of them and of the orders that name them."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import grpc
import pytest
import uuid_utils

from partners.envelope import KEY_EVENT, LINK_CONFIRMATION, sign
from partners.errors import Reason
from partners.links.link import LinkMember
from partners.wire import envelope_to_proto, time_to_proto
from pointclear.exchange.v1 import exchange_service_pb2 as exchange_pb
from pointclear.exchange.v1.transfer_pb2 import TransferReceipt
from pointclear.partners.v1 import link_service_pb2 as pb
from tests.acceptance.coalition import (
    AUDIENCE,
    CALL_TIMEOUT_S,
    Brand,
    Coalition,
    check_log_and_books,
    coalition,
    logged,
    make_data_dir,
    refused,
)
from tests.model import replay
from tests.processes import Server, folder

NOBODYS = bytes.fromhex("019b8d9969fa7000800000000000002b")
SOURCE_MEMBER, TARGET_MEMBER = "aurora-account-17", "borealis-account-42"


def new_id() -> bytes:
    """A UUID version 7."""
    return uuid_utils.uuid7().bytes


def a_member(program: str, member: str) -> LinkMember:
    """A member with a salt of its own."""
    return LinkMember(program, member, hashlib.sha256(f"salt {member}".encode()).digest())


def start(
    brand: Brand, target: str = "borealis", member: str = SOURCE_MEMBER, **changes: Any
) -> Any:
    """The request that starts a link."""
    fields: dict[str, Any] = {
        "link_id": new_id(),
        "source_program": brand.name,
        "target_program": target,
        "member": member,
        "member_salt": a_member(brand.name, member).salt,
    }
    return pb.StartLinkRequest(**fields | changes)


def confirmation(
    brand: Brand, named: bytes, member: str = TARGET_MEMBER, **changes: Any
) -> pb.ConfirmLinkRequest:
    """The request that confirms a link; `changes` are fields of the confirmation."""
    own = a_member(brand.name, member)
    fields: dict[str, Any] = {
        "audience": AUDIENCE,
        "partner_id": brand.name,
        "link_id": named,
        "program": brand.name,
        "member_sha256": own.sha256(),
        "method": pb.LINK_METHOD_SIGN_IN,
        "consent_version": "sharing-2026-01",
        "confirmed_at": time_to_proto(datetime.now(UTC)),
    }
    payload = pb.LinkConfirmation(**fields | changes).SerializeToString(deterministic=True)
    return pb.ConfirmLinkRequest(
        confirmation=envelope_to_proto(sign(brand.orders, LINK_CONFIRMATION, payload)),
        member=member,
        member_salt=own.salt,
    )


def link(
    source: Brand,
    target: Brand,
    source_member: str = SOURCE_MEMBER,
    target_member: str = TARGET_MEMBER,
) -> bytes:
    """An active link of two brands; its id."""
    request = start(source, target.name, source_member)
    source.connection.call(source.connection.links.StartLink, request)
    confirmed = confirmation(target, request.link_id, target_member)
    target.connection.call(target.connection.links.ConfirmLink, confirmed)
    return bytes(request.link_id)


def linked_order(brand: Brand, named: bytes, target: str = "borealis", **changes: Any) -> Any:
    """A good order that names a link."""
    fields = {"source_member": "", "target_member": "", "link_id": named}
    return brand.order(target, **fields | changes)


def newest(brand: Brand) -> exchange_pb.StreamEntry:
    """The last entry of a brand's stream."""
    call = brand.connection.exchange.ListReceipts
    last = call(exchange_pb.ListReceiptsRequest(), timeout=CALL_TIMEOUT_S).last_stream_seq
    page = exchange_pb.ListReceiptsRequest(after_stream_seq=last - 1)
    return call(page, timeout=CALL_TIMEOUT_S).entries[0]


@dataclass(frozen=True)
class Running:
    """A coalition and its server."""

    server: Server
    members: Coalition


@contextmanager
def running(*settings: str) -> Iterator[Running]:
    """A coalition behind a server of its own."""
    with (
        folder() as home,
        Server(make_data_dir(home), *settings) as server,
        coalition(server, home) as founded,
    ):
        yield Running(server, founded)


@pytest.fixture(scope="module")
def members() -> Iterator[Coalition]:
    with running() as started:
        yield started.members
        check_log_and_books(started.server.data_dir)


def test_an_order_by_a_link_shows_each_brand_its_own_member_and_never_the_others(
    members: Coalition,
) -> None:
    aurora, borealis = members["aurora"], members["borealis"]
    link_id = link(aurora, borealis)
    receipt = aurora.send(linked_order(aurora, link_id))
    body = TransferReceipt.FromString(receipt.payload)
    for secret in (SOURCE_MEMBER, TARGET_MEMBER):
        assert secret.encode() not in body.SerializeToString()
    sent, came = newest(aurora), newest(borealis)
    assert (sent.member, came.member) == (SOURCE_MEMBER, TARGET_MEMBER)
    listed = [
        brand.connection.exchange.ListTransfers(
            exchange_pb.ListTransfersRequest(page_size=1), timeout=CALL_TIMEOUT_S
        ).transfers[0]
        for brand in (aurora, borealis)
    ]
    assert [each.member for each in listed] == [SOURCE_MEMBER, TARGET_MEMBER]


def test_the_target_may_send_by_the_same_link(members: Coalition) -> None:
    aurora, borealis = members["aurora"], members["borealis"]
    link_id = link(aurora, borealis)
    borealis.send(linked_order(borealis, link_id, "aurora"))
    assert (newest(borealis).member, newest(aurora).member) == (TARGET_MEMBER, SOURCE_MEMBER)


def test_a_link_is_started_confirmed_and_revoked_once_however_often_it_is_asked(
    members: Coalition,
) -> None:
    aurora, borealis = members["aurora"].connection, members["borealis"].connection
    request = start(members["aurora"])
    first = aurora.call(aurora.links.StartLink, request).link
    assert first == aurora.call(aurora.links.StartLink, request).link
    assert (first.state, first.member) == (pb.LINK_STATE_PENDING, SOURCE_MEMBER)
    confirmed = confirmation(members["borealis"], request.link_id)
    second = borealis.call(borealis.links.ConfirmLink, confirmed).link
    assert second == borealis.call(borealis.links.ConfirmLink, confirmed).link
    assert (second.state, second.member) == (pb.LINK_STATE_ACTIVE, TARGET_MEMBER)
    ending = pb.RevokeLinkRequest(link_id=request.link_id)
    ended = [each.call(each.links.RevokeLink, ending).link for each in (aurora, borealis)]
    assert {each.state for each in ended} == {pb.LINK_STATE_REVOKED}
    order = linked_order(members["aurora"], request.link_id)
    refusal = members["aurora"].refused(order)
    assert (refusal.reason, refusal.field) == (Reason.LINK_STATE, "link_id")
    assert refusal.receipt is not None


def test_links_are_listed_newest_first_to_their_brands_alone(members: Coalition) -> None:
    aurora, borealis, cirrus = (members[name] for name in ("aurora", "borealis", "cirrus"))
    made = [link(borealis, cirrus, f"b-{n}", f"c-{n}") for n in range(5)]

    def listed(brand: Any, **changes: Any) -> list[Any]:
        connection, found, token = brand, [], ""
        while True:
            request = pb.ListLinksRequest(page_size=2, page_token=token, **changes)
            page = connection.call(connection.links.ListLinks, request)
            found += page.links
            token = page.next_page_token
            if not token:
                return found

    mine = listed(borealis.connection, program="cirrus")
    assert [each.link_id for each in mine] == made[::-1]
    assert [each.member for each in mine] == [f"b-{n}" for n in range(4, -1, -1)]
    (one,) = listed(cirrus.connection, member="c-3")
    assert one.link_id == made[3]
    assert not listed(aurora.connection, program="cirrus")
    assert not listed(cirrus.connection, member="b-3")
    everything = listed(members.operator)
    assert set(made) <= {each.link_id for each in everything}
    assert {each.member for each in everything} == {""}
    assert not listed(cirrus.connection, state=pb.LINK_STATE_FROZEN)


def test_a_page_token_of_links_is_its_callers_alone(members: Coalition) -> None:
    borealis, cirrus = members["borealis"], members["cirrus"]
    for n in range(2):
        link(borealis, cirrus, f"p-{n}", f"q-{n}")
    request = pb.ListLinksRequest(page_size=1)
    own = borealis.connection
    token = own.call(own.links.ListLinks, request).next_page_token
    foreign = pb.ListLinksRequest(page_size=1, page_token=token)
    answer = refused(cirrus.connection.links.ListLinks, foreign)
    assert (answer.reason, answer.field) == (Reason.FIELD_INVALID, "page_token")


def test_a_program_may_demand_links_and_frozen_members_do_not_move(members: Coalition) -> None:
    operator, aurora, cirrus = members.operator, members["aurora"], members["cirrus"]
    link_id = link(aurora, cirrus, "frost-a", "frost-c")
    demand = pb.RequireLinksRequest(change_id=new_id(), program="cirrus", required=True)
    for _ in range(2):
        answer = operator.call(operator.links.RequireLinks, demand)
        assert list(answer.programs) == ["cirrus"]
    plain = aurora.refused(aurora.order("cirrus"))
    assert (plain.reason, plain.field) == (Reason.LINK_REQUIRED, "link_id")
    aurora.send(linked_order(aurora, link_id, "cirrus"))
    freeze = pb.FreezeLinkRequest(change_id=new_id(), link_id=link_id)
    frozen = operator.call(operator.links.FreezeLink, freeze).link
    assert (frozen.state, frozen.member) == (pb.LINK_STATE_FROZEN, "")
    cold = aurora.refused(linked_order(aurora, link_id, "cirrus"))
    assert (cold.reason, cold.field) == (Reason.MEMBER_FROZEN, "link_id")
    around = aurora.refused(aurora.order(source_member="frost-a"))
    assert (around.reason, around.field) == (Reason.MEMBER_FROZEN, "source_member")
    unfreeze = pb.UnfreezeLinkRequest(change_id=new_id(), link_id=link_id)
    operator.call(operator.links.UnfreezeLink, unfreeze)
    release = pb.RequireLinksRequest(change_id=new_id(), program="cirrus", required=False)
    assert not operator.call(operator.links.RequireLinks, release).programs
    aurora.send(linked_order(aurora, link_id, "cirrus"))
    aurora.send(aurora.order("cirrus", source_member="frost-a"))


def test_every_order_that_names_a_link_came_to_what_a_simple_model_says() -> None:
    with running() as started:
        aurora, borealis = started.members["aurora"], started.members["borealis"]
        operator = started.members.operator
        pending = start(aurora)
        aurora.connection.call(aurora.connection.links.StartLink, pending)
        ended, active = (link(aurora, borealis, f"a-{n}", f"b-{n}") for n in range(2))
        revocation = pb.RevokeLinkRequest(link_id=ended)
        aurora.connection.call(aurora.connection.links.RevokeLink, revocation)
        named = [new_id(), pending.link_id, ended, active]

        def send_all() -> None:
            aurora.send_batch(
                [
                    linked_order(aurora, each, target)
                    for each in named
                    for target in ("borealis", "cirrus")
                ]
            )
            borealis.send_batch(
                [linked_order(borealis, active, "aurora"), borealis.order("cirrus")]
            )

        send_all()
        demand = pb.RequireLinksRequest(change_id=new_id(), program="cirrus", required=True)
        operator.call(operator.links.RequireLinks, demand)
        send_all()
        freeze = pb.FreezeLinkRequest(change_id=new_id(), link_id=active)
        operator.call(operator.links.FreezeLink, freeze)
        send_all()
        _, verdicts = replay(logged(started.server.data_dir))
    assert {each.reason for each in verdicts.values()} == {
        "",
        "LINK_UNKNOWN",
        "LINK_STATE",
        "LINK_REQUIRED",
        "MEMBER_FROZEN",
    }


def test_a_link_of_others_is_as_unknown_as_one_that_does_not_exist(members: Coalition) -> None:
    aurora, borealis, cirrus = (members[name] for name in ("aurora", "borealis", "cirrus"))
    link_id = link(borealis, cirrus, "secret-b", "secret-c")
    answers = [
        refused(aurora.connection.links.RevokeLink, pb.RevokeLinkRequest(link_id=named))
        for named in (link_id, new_id())
    ]
    assert answers[0] == answers[1]
    assert answers[0].reason is Reason.LINK_UNKNOWN
    orders = [aurora.refused(linked_order(aurora, named)) for named in (link_id, new_id())]
    assert {(each.reason, each.field, each.code) for each in orders} == {
        (Reason.LINK_UNKNOWN, "link_id", grpc.StatusCode.NOT_FOUND.name)
    }


@pytest.mark.parametrize(
    ("changes", "reason", "field"),
    [
        ({"link_id": b"x"}, Reason.FIELD_INVALID, "link_id"),
        ({"source_program": "A"}, Reason.FIELD_INVALID, "source_program"),
        ({"source_program": "borealis"}, Reason.PROGRAM_UNKNOWN, "source_program"),
        ({"target_program": "nowhere"}, Reason.PROGRAM_UNKNOWN, "target_program"),
        ({"target_program": "aurora"}, Reason.FIELD_INVALID, "target_program"),
        ({"member": ""}, Reason.FIELD_INVALID, "member"),
        ({"member": "ann@example.org"}, Reason.FIELD_INVALID, "member"),
        ({"member": "+44 20 7946 0958"}, Reason.FIELD_INVALID, "member"),
        ({"member": "13800138000"}, Reason.FIELD_INVALID, "member"),
        ({"member_salt": b"short"}, Reason.FIELD_INVALID, "member_salt"),
    ],
)
def test_a_start_that_breaks_a_rule_names_the_field(
    members: Coalition, changes: dict[str, Any], reason: Reason, field: str
) -> None:
    aurora = members["aurora"]
    answer = refused(aurora.connection.links.StartLink, start(aurora, **changes))
    assert (answer.reason, answer.field) == (reason, field)


@pytest.mark.parametrize(
    ("changes", "reason", "field"),
    [
        ({"audience": "elsewhere"}, Reason.AUDIENCE_WRONG, "confirmation.audience"),
        ({"partner_id": "aurora"}, Reason.SIGNER_NOT_CALLER, "signatures"),
        ({"link_id": b""}, Reason.FIELD_INVALID, "confirmation.link_id"),
        (
            {"link_id": bytes.fromhex("019b8d9969fa7000800000000000002b")},
            Reason.LINK_UNKNOWN,
            "confirmation.link_id",
        ),
        ({"program": "cirrus"}, Reason.FIELD_INVALID, "confirmation.member_sha256"),
        ({"member_sha256": bytes(32)}, Reason.FIELD_INVALID, "confirmation.member_sha256"),
        ({"method": 0}, Reason.FIELD_INVALID, "confirmation.method"),
        ({"consent_version": "I agree!"}, Reason.FIELD_INVALID, "confirmation.consent_version"),
        ({"confirmed_at": None}, Reason.FIELD_INVALID, "confirmation.confirmed_at"),
    ],
)
def test_a_confirmation_that_breaks_a_rule_names_the_field(
    members: Coalition, changes: dict[str, Any], reason: Reason, field: str
) -> None:
    aurora, borealis = members["aurora"], members["borealis"]
    request = start(aurora)
    aurora.connection.call(aurora.connection.links.StartLink, request)
    answer = refused(
        borealis.connection.links.ConfirmLink, confirmation(borealis, request.link_id, **changes)
    )
    assert (answer.reason, answer.field) == (reason, field)


def test_a_confirmation_is_its_own_type_and_is_signed_by_the_key_for_orders(
    members: Coalition,
) -> None:
    aurora, borealis = members["aurora"], members["borealis"]
    request = start(aurora)
    aurora.connection.call(aurora.connection.links.StartLink, request)
    good = confirmation(borealis, request.link_id)
    payload = good.confirmation.payload
    for signer, payload_type, reason in (
        (borealis.orders, KEY_EVENT, Reason.PAYLOAD_TYPE_WRONG),
        (borealis.agreements, LINK_CONFIRMATION, Reason.KEY_UNKNOWN),
        (aurora.orders, LINK_CONFIRMATION, Reason.SIGNER_NOT_CALLER),
    ):
        signed = envelope_to_proto(sign(signer, payload_type, payload))
        answer = refused(
            borealis.connection.links.ConfirmLink,
            pb.ConfirmLinkRequest(
                confirmation=signed, member=good.member, member_salt=good.member_salt
            ),
        )
        assert answer.reason is reason


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"source_member": "both"}, "source_member"),
        ({"target_member": "both"}, "target_member"),
        ({"link_id": b"x"}, "link_id"),
        ({"link_id": b""}, "source_member"),
        ({"link_id": b"", "source_member": "ann@example.org"}, "source_member"),
        ({"partner_reference": "+14155550123"}, "partner_reference"),
    ],
)
def test_an_order_names_a_link_or_members_that_tell_nobody_who_they_are(
    members: Coalition, changes: dict[str, Any], field: str
) -> None:
    aurora = members["aurora"]
    refusal = aurora.refused(linked_order(aurora, new_id(), **changes))
    assert (refusal.reason, refusal.field) == (Reason.FIELD_INVALID, field)


@pytest.mark.parametrize("name", ["FreezeLink", "UnfreezeLink", "RequireLinks"])
def test_freezing_and_demanding_links_are_an_operators(members: Coalition, name: str) -> None:
    stub = members["aurora"].connection.links
    request = getattr(pb, f"{name}Request")(change_id=new_id())
    assert refused(getattr(stub, name), request).reason is Reason.ROLE_MISSING
