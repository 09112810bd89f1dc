"""Quotes, NUL, right-to-left marks and very long texts in every string that any call takes, and in
every string that is signed: answered by name, never INTERNAL, and never understood as a command.
"""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import permutations
from typing import Any

import grpc
import pytest
from google.protobuf.descriptor import Descriptor, FieldDescriptor, MethodDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from exchange.cli.connection import open_channel
from partners.envelope import KEY_EVENT, RATE_AGREEMENT, sign
from partners.errors import Reason
from partners.keys import Purpose, SeedSigner
from partners.wire import envelope_to_proto, time_to_proto
from pointclear.exchange.v1 import exchange_service_pb2, transfer_pb2
from pointclear.partners.v1 import agreement_pb2, key_pb2, link_service_pb2, partners_service_pb2
from pointclear.settlement.v1 import settlement_service_pb2
from tests.acceptance.coalition import (
    AUDIENCE,
    BRANDS,
    CALL_TIMEOUT_S,
    Coalition,
    coalition,
    make_data_dir,
    refusal_of,
    refused,
    terms,
)
from tests.processes import Server, connection, contents, folder, written

HOSTILE = (
    "'; DROP TABLE record; --",
    '" OR ""="',
    "%s %(partner_id)s :partner_id {0} $1 \\",
    "nul\0nul",
    "\u202eevil\u200f",
    "\ud7ff\uffff\U0001f600",
    "../../etc/passwd\r\nX: y",
    "a" * 10_000,
    "é" * 10_000,
)
SERVICES = (
    exchange_service_pb2.DESCRIPTOR.services_by_name["ExchangeService"],
    partners_service_pb2.DESCRIPTOR.services_by_name["PartnersService"],
    link_service_pb2.DESCRIPTOR.services_by_name["LinkService"],
    settlement_service_pb2.DESCRIPTOR.services_by_name["SettlementService"],
)
TAKES_ANY = ("BatchCreateTransfers", "ListKeys")
"""Calls that succeed all the same: each order has its own refusal; nobody by that name has keys."""
FREE_TEXT = {
    "pointclear.partners.v1.Partner.legal_name",
    "pointclear.exchange.v1.TransferFilter.partner_reference",
    "pointclear.partners.v1.StartLinkRequest.member",
    "pointclear.partners.v1.ListLinksRequest.member",
    "pointclear.partners.v1.EraseMemberRequest.member",
}
"""Fields that take quotes and the like: people's names hold them, and references are free."""


@pytest.fixture(scope="module")
def members() -> Iterator[Coalition]:
    with (
        folder() as home,
        Server(make_data_dir(home)) as server,
        coalition(server, home) as founded,
    ):
        founded["aurora"].send(founded["aurora"].order())
        yield founded


Path = tuple[FieldDescriptor, ...]


def string_paths(descriptor: Descriptor) -> Iterator[Path]:
    """The way to every string inside a message."""
    for field in descriptor.fields:
        if field.type == FieldDescriptor.TYPE_STRING:
            yield (field,)
        elif field.message_type is not None:
            yield from ((field, *rest) for rest in string_paths(field.message_type))


TAKING_TEXT = [
    method
    for service in SERVICES
    for method in service.methods
    if any(string_paths(method.input_type))
]


def put(message: Any, path: Path, text: str) -> None:
    """Set the string at the end of a way."""
    for field in path[:-1]:
        inner = getattr(message, field.name)
        message = inner.add() if field.is_repeated else inner
    last = path[-1]
    if last.is_repeated:
        getattr(message, last.name).append(text)
    else:
        setattr(message, last.name, text)


def good_requests(members: Coalition) -> dict[str, Message]:
    """Requests that come far before a text in them is looked at; of other methods an empty one."""
    aurora = members["aurora"]
    exchange, partners, settlement = (
        exchange_service_pb2,
        partners_service_pb2,
        settlement_service_pb2,
    )
    partner = partners.Partner(partner_id="dusk", legal_name="Dusk", programs=["dusk"])
    partner.settlement_account.currency = "USD"
    aurora_link = bytes.fromhex("019b8d9969fa7000800000000000002b")
    key_event = envelope_to_proto(sign(aurora.orders, KEY_EVENT, b"x"))
    agreement = envelope_to_proto(
        sign(aurora.agreements, RATE_AGREEMENT, terms("aurora", "cirrus"))
    )
    return {
        "CreateTransfer": exchange.CreateTransferRequest(order=aurora.order()),
        "BatchCreateTransfers": exchange.BatchCreateTransfersRequest(orders=[aurora.order()]),
        "SimulateTransfer": exchange.SimulateTransferRequest(
            source_program="aurora", target_program="borealis", source_points=100
        ),
        "RegisterPartner": partners.RegisterPartnerRequest(partner=partner),
        "RegisterKey": partners.RegisterKeyRequest(key_event=key_event),
        "ProposeAgreement": partners.ProposeAgreementRequest(agreement=agreement),
        "SignAgreement": partners.SignAgreementRequest(agreement=agreement),
        "ActivateAgreement": partners.ActivateAgreementRequest(
            agreement_id="aurora-borealis", version=1
        ),
        "StartLink": link_service_pb2.StartLinkRequest(
            link_id=aurora_link,
            source_program="aurora",
            target_program="borealis",
            member="a-1",
            member_salt=bytes(32),
        ),
        "RequireLinks": link_service_pb2.RequireLinksRequest(change_id=aurora_link),
        "EraseMember": link_service_pb2.EraseMemberRequest(program="aurora", salt=bytes(32)),
        "OpenWindow": settlement.OpenWindowRequest(currency="USD", business_date="2017-01-01"),
        "CloseWindow": settlement.CloseWindowRequest(window_id="usd-2017-01-01"),
    }


def stub(profile_connection: Any, method: MethodDescriptor) -> Callable[..., Any]:
    """The call of a method on a connection."""
    name = method.containing_service.name.removesuffix("Service").lower()
    name = {"link": "links"}.get(name, name)
    found: Callable[..., Any] = getattr(getattr(profile_connection, name), method.name)
    return found


def answer(call: Callable[..., Any], request: Message | bytes) -> Reason | None:
    """The reason of a refusal, held against the protocol; None for a call that went well."""
    try:
        response = call(request, timeout=CALL_TIMEOUT_S)
        if isinstance(response, grpc.Call):
            list(response)  # type: ignore[call-overload]
    except grpc.RpcError as error:
        # Fails for whatever has not the form of a refusal: INTERNAL has no details.
        return refusal_of(error).reason
    return None


@pytest.mark.parametrize("method", TAKING_TEXT, ids=lambda method: method.name)
def test_t17_no_text_in_any_field_of_any_call_is_more_than_a_text(
    members: Coalition, method: MethodDescriptor
) -> None:
    good = good_requests(members).get(method.name) or GetMessageClass(method.input_type)()
    callers = (members["aurora"].connection, members.operator)
    for path in string_paths(method.input_type):
        for text in HOSTILE:
            request = type(good)()
            request.CopyFrom(good)
            put(request, path, text)
            reasons = {answer(stub(each, method), request) for each in callers}
            named = reasons - {Reason.ROLE_MISSING}
            if None in named:
                assert path[-1].full_name in FREE_TEXT or method.name in TAKES_ANY


@pytest.mark.parametrize("method", TAKING_TEXT, ids=lambda method: method.name)
def test_t17_bytes_that_are_no_text_are_refused_at_the_door(
    members: Coalition, method: MethodDescriptor
) -> None:
    path = next(string_paths(method.input_type))
    marker = "marker-of-the-place"
    request = GetMessageClass(method.input_type)()
    put(request, path, marker)
    raw = request.SerializeToString().replace(marker.encode(), b"\xff" * len(marker))
    with open_channel(members["aurora"].connection.profile) as channel:
        service = method.containing_service.full_name
        kind = channel.unary_stream if method.server_streaming else channel.unary_unary
        call: Callable[..., Any] = kind(f"/{service}/{method.name}")
        assert answer(call, raw) is Reason.ENVELOPE_MALFORMED


# What is signed


def strings_of(descriptor: Descriptor) -> list[str]:
    """The names of a message's own strings."""
    return [each.name for each in descriptor.fields if each.type == FieldDescriptor.TYPE_STRING]


SHORT = [text for text in HOSTILE if len(text) < 1_000] + ["a" * 3_000]
"""What still fits into an envelope."""


@pytest.mark.parametrize("text", SHORT, ids=ascii)
@pytest.mark.parametrize("field", strings_of(transfer_pb2.TransferOrder.DESCRIPTOR))
def test_t17_no_text_in_a_signed_order_is_more_than_a_text(
    members: Coalition, field: str, text: str
) -> None:
    aurora = members["aurora"]
    accepted = field in ("source_member", "target_member", "partner_reference")
    changes: dict[str, Any] = {field: text}
    order = aurora.order(**changes)
    if accepted and text.isascii() and text.isprintable() and len(text) <= 64:
        aurora.send(order)
        return
    with connection(members.data_dir) as database:
        before = contents(database)
        refusal = aurora.refused(order)
        assert written(before, contents(database)) == {}
    assert refusal.reason in (
        Reason.FIELD_INVALID,
        Reason.AUDIENCE_WRONG,
        Reason.SIGNER_NOT_CALLER,
    )


@pytest.mark.parametrize("text", SHORT, ids=ascii)
@pytest.mark.parametrize("field", strings_of(agreement_pb2.RateAgreement.DESCRIPTOR))
def test_t17_no_text_in_a_signed_agreement_is_more_than_a_text(
    members: Coalition, field: str, text: str
) -> None:
    aurora = members["aurora"]
    payload = terms("aurora", "borealis", version=7, **{field: text})
    envelope = envelope_to_proto(sign(aurora.agreements, RATE_AGREEMENT, payload))
    request = partners_service_pb2.ProposeAgreementRequest(agreement=envelope)
    refusal = refused(aurora.connection.partners.ProposeAgreement, request)
    assert refusal.reason in (Reason.FIELD_INVALID, Reason.AUDIENCE_WRONG, Reason.TERMS_INVALID)


@pytest.mark.parametrize("text", SHORT, ids=ascii)
@pytest.mark.parametrize("field", strings_of(key_pb2.KeyEvent.DESCRIPTOR))
def test_t17_no_text_in_a_key_event_is_more_than_a_text(
    members: Coalition, field: str, text: str
) -> None:
    new, now = SeedSigner(b"\x07" * 32), datetime.now(UTC)
    fields: dict[str, Any] = {
        "audience": AUDIENCE,
        "partner_id": "aurora",
        "action": key_pb2.KEY_ACTION_REGISTER,
        "purpose": key_pb2.KEY_PURPOSE_ORDERS,
        "public_key": new.public_key,
        "valid_from": time_to_proto(now),
        "valid_until": time_to_proto(now + timedelta(days=1)),
    }
    event = key_pb2.KeyEvent(**fields | {field: text}).SerializeToString(deterministic=True)
    registrar = members.operator.profile.signer(Purpose.OPERATOR)
    envelope = sign(new, KEY_EVENT, event)
    second = sign(registrar, KEY_EVENT, event)
    both = envelope_to_proto(envelope)
    both.signatures.extend(envelope_to_proto(second).signatures)
    request = partners_service_pb2.RegisterKeyRequest(key_event=both)
    refusal = refused(members.operator.partners.RegisterKey, request)
    assert refusal.reason in (
        Reason.FIELD_INVALID,
        Reason.AUDIENCE_WRONG,
        Reason.PARTNER_UNKNOWN,
        Reason.POSSESSION_UNPROVEN,
    )


def test_t17_the_coalition_stands_as_before(members: Coalition) -> None:
    for source, target in permutations(BRANDS, 2):
        brand = members[source]
        assert brand.proof(brand.send(brand.order(target))).record.target_partner == target
