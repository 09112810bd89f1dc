"""`docs/protocol.md` says what the code does: its bytes, its fields, its reasons and its limits.

The page's worked example is made here from fixed seeds by the same functions that the exchange
runs. A block of the page counts if the line before it is `<!-- test: hex NAME -->`; what stands
behind a `#` in it is for people. A table counts if the line before it is `<!-- test: fields NAME
-->`, with the full name of a message, or `<!-- test: reasons -->`.
"""

import hashlib
import re
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from functools import cache
from itertools import count
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from google.protobuf.descriptor_pool import Default

from exchange import edge, sequencer, service
from exchange.admission import ID_SKEW, admit
from exchange.commands import OpenWindow
from exchange.fold import NO_LIMITS, State, fold
from exchange.fold.operators import CLOCK_SKEW as ACTION_SKEW
from exchange.log.merkle import Frontier, leaf_data
from exchange.replies import RETRY_DELAY_S
from exchange.seal import LeafKind, Letterhead, Sealed, seal
from exchange.settings import Settings
from exchange.transfer import CLOCK_SKEW
from exchange.watching import service as watching
from exchange.wire.refusals import MESSAGE_MAX
from partners import envelope as dsse
from partners import paging
from partners.actions import service as actions
from partners.actions.verification import REASON_MAX, VALIDITY_MAX
from partners.commands import Activate, AddKey, AddPartner
from partners.confirmations.confirmation import Confirmation
from partners.confirmations.verification import signed_confirmation
from partners.envelope import Envelope, counter_sign, pae, sign, to_json
from partners.errors import RULES, Reason
from partners.fulfilment import open_sealed, seal_info, sealing_key
from partners.keys import Purpose, SeedSigner, key_id_of
from partners.links.link import PENDING_TIME, SALT_BYTES, LinkMember
from partners.merkle import leaf_hash
from partners.negotiation.proposal import Proposal
from partners.points import REFERENCE_MAX
from partners.program_port import CreditOutcome, InstructionKind
from partners.registry import Registry, Tax, TaxRate
from partners.wire import parse_strictly, terms_from_payload, time_to_proto
from pointclear.exchange.v1 import exchange_service_pb2
from pointclear.exchange.v1.transfer_pb2 import (
    SourcePart,
    TransferOrder,
    TransferReceipt,
    TransferRecord,
)
from pointclear.partners.v1 import (
    action_service_pb2,
    agreement_life_pb2,
    agreement_pb2,
    link_service_pb2,
    operator_action_pb2,
    operator_service_pb2,
    partners_service_pb2,
    program_service_pb2,
)
from pointclear.partners.v1.key_pb2 import (
    KEY_ACTION_REGISTER,
    KEY_ACTION_REVOKE,
    KEY_PURPOSE_ORDERS,
    REVOCATION_REASON_COMPROMISED,
    KeyEvent,
)
from pointclear.settlement.v1 import settlement_service_pb2, statement_pb2
from settlement import calls as settlement_calls
from settlement.bank import statement as bank_statement
from settlement.calendar import service as window_calls
from settlement.lines.line_file import COLUMNS

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/protocol.md").read_text(encoding="utf-8")
HEX_BLOCK = re.compile(r"<!-- test: hex ([a-z0-9 -]+) -->\n+```\w*\n(.*?)```", re.DOTALL)
TABLE = r"<!-- test: {} -->\n+((?:\|.*\n)+)"

AUDIENCE = "pointclear.local/development"
ISSUED_AT = datetime(2026, 1, 5, 10, 0, 0, 250_000, tzinfo=UTC)
RECORDED_AT = ISSUED_AT + timedelta(milliseconds=12)
TRANSFER_ID = bytes.fromhex("019b8d9969fa7000800000000000002a")
LINK_ID = bytes.fromhex("019b8d9969fa7000800000000000002b")
LINK_MEMBER = LinkMember("borealis-points", "B-77", bytes(range(0xC0, 0xE0)))
ORDER_SEED, RECEIPT_SEED = bytes(range(32)), bytes(range(32, 64))
AGREEMENTS_SEED = bytes(range(64, 96))
ORDERS, RECEIPTS = SeedSigner(ORDER_SEED), SeedSigner(RECEIPT_SEED)
AGREEMENTS = SeedSigner(AGREEMENTS_SEED)
TARGET_SEED = bytes(range(96, 128))
TARGET = SeedSigner(TARGET_SEED)
CODE = b"BOREALIS-7F3K"
SEALED = bytes.fromhex(
    "224035f453c208a104c7d66de991e198e6d4b52e693a8f1ddfb3534e29b6895f"
    "48bf6548788009b0bc4f7e9300f359b3671e7d201665c84065a2f1b59a"
)
"""No two seals are alike: one that was made of `CODE`, and must open to it."""


@cache
def order_payload() -> bytes:
    """The order of the worked example."""
    return TransferOrder(
        audience=AUDIENCE,
        partner_id="aurora",
        transfer_id=TRANSFER_ID,
        source_program="aurora-miles",
        target_program="borealis-points",
        source_member="A-1001",
        target_member="B-77",
        source_points=1000,
        target_points=500,
        agreement_id="aurora-borealis",
        agreement_version=1,
        issued_at=time_to_proto(ISSUED_AT),
        expires_at=time_to_proto(ISSUED_AT + timedelta(minutes=5)),
        partner_reference="till-7/000123",
    ).SerializeToString(deterministic=True)


def agreement() -> Activate:
    """The terms of the worked example in books.md, from A to B."""
    payload = agreement_pb2.RateAgreement(
        audience=AUDIENCE,
        agreement_id="aurora-borealis",
        version=1,
        source_partner="aurora",
        target_partner="borealis",
        source_program="aurora-miles",
        target_program="borealis-points",
        block_rate=agreement_pb2.BlockRate(source_units=2, target_units=1),
        minimum_source_points=100,
        maximum_source_points=100_000,
        increment_source_points=100,
        settlement_currency="CNY",
        price_per_target_point=19_600,
        fee_basis_points=100,
        fee_bearer=agreement_pb2.BEARER_SOURCE,
        tax_code="vat6",
        credit_mode=agreement_pb2.CREDIT_MODE_GUARANTEED,
        issued_at=time_to_proto(ISSUED_AT - timedelta(days=1)),
    ).SerializeToString(deterministic=True)
    return Activate(
        terms_from_payload(Envelope(dsse.RATE_AGREEMENT, payload, ()), AUDIENCE), payload
    )


@cache
def sealed_order() -> Sealed:
    """What the exchange makes of the order, as its first transfer ever."""
    setup = (
        AddPartner("aurora", "Aurora Air", ("aurora-miles",), "CNY", 10**9, b"aurora"),
        AddPartner("borealis", "Borealis", ("borealis-points",), "CNY", 10**9, b"borealis"),
        AddKey(
            "partner/aurora",
            Purpose.ORDERS,
            ORDERS.key_id,
            ORDERS.public_key,
            ISSUED_AT - timedelta(days=1),
            ISSUED_AT + timedelta(days=1),
            (),
            b"key",
        ),
        agreement(),
        OpenWindow("CNY", date(2026, 1, 5)),
    )
    start = ISSUED_AT - timedelta(hours=1)
    taxes = {"vat6": Tax("vat6", 1, (TaxRate(start, 600),))}
    terms, signed = agreement().terms, (("aurora", ORDERS.key_id), ("borealis", ORDERS.key_id))
    proposal = Proposal(1, "aurora", terms.sha256, terms.signatories, signed)
    empty = State(0, start, Registry(taxes=taxes), proposals={terms.name: proposal})
    ready = fold(empty, setup, start).state
    envelope = sign(ORDERS, dsse.TRANSFER_ORDER, order_payload())
    stored_from = datetime(2025, 12, 1, tzinfo=UTC)
    order = admit(envelope, "aurora", ready.registry, AUDIENCE, stored_from, RECORDED_AT)
    folded = fold(ready, [order], RECORDED_AT)
    numbers = count(1)
    return seal(
        folded.outcomes,
        folded.state.registry,
        Frontier(),
        {},
        Letterhead(AUDIENCE, (RECEIPTS.key_id,)),
        lambda: bytes([0xA0 + next(numbers)]) * 32,
    )


@cache
def key_events() -> tuple[bytes, bytes]:
    """The registration of the order key, for a year, and its revocation."""
    return (
        KeyEvent(
            audience=AUDIENCE,
            partner_id="aurora",
            action=KEY_ACTION_REGISTER,
            purpose=KEY_PURPOSE_ORDERS,
            public_key=ORDERS.public_key,
            valid_from=time_to_proto(ISSUED_AT),
            valid_until=time_to_proto(ISSUED_AT + timedelta(days=365)),
        ).SerializeToString(deterministic=True),
        KeyEvent(
            audience=AUDIENCE,
            partner_id="aurora",
            action=KEY_ACTION_REVOKE,
            key_id=ORDERS.key_id,
            reason=REVOCATION_REASON_COMPROMISED,
        ).SerializeToString(deterministic=True),
    )


@cache
def example() -> Mapping[str, bytes]:
    """Every value that the page prints in hex, by its name there."""
    order = sign(ORDERS, dsse.TRANSFER_ORDER, order_payload())
    registered, revoked = key_events()
    registration = counter_sign(AGREEMENTS, sign(ORDERS, dsse.KEY_EVENT, registered))
    revocation = sign(AGREEMENTS, dsse.KEY_EVENT, revoked)
    sealed = sealed_order()
    record = sealed.records[0]
    payload = sealed.stream_entries[0].payload
    receipt = parse_strictly(TransferReceipt(), payload)
    return {
        "order seed": ORDER_SEED,
        "order public key": ORDERS.public_key,
        "order key id": bytes.fromhex(ORDERS.key_id),
        "order payload": order_payload(),
        "order pae": pae(dsse.TRANSFER_ORDER, order_payload()),
        "order signature": order.signatures[0].signature,
        "order sha256": dsse.payload_digest(order),
        "source part": receipt.source_part,
        "source part salt": receipt.source_part_salt,
        "source part sha256": hashlib.sha256(
            receipt.source_part_salt + receipt.source_part
        ).digest(),
        "record": record.record,
        "salt": record.salt,
        "leaf data": leaf_data(LeafKind.TRANSFER, record.salt, record.record),
        "leaf hash": record.leaf_hash,
        "receipt seed": RECEIPT_SEED,
        "receipt public key": RECEIPTS.public_key,
        "receipt key id": bytes.fromhex(RECEIPTS.key_id),
        "receipt payload": payload,
        "receipt signature": sign(RECEIPTS, dsse.TRANSFER_RECEIPT, payload).signatures[0].signature,
        "receipt sha256": hashlib.sha256(payload).digest(),
        "agreements seed": AGREEMENTS_SEED,
        "agreements public key": AGREEMENTS.public_key,
        "agreements key id": bytes.fromhex(AGREEMENTS.key_id),
        "registration payload": registered,
        "registration signature of the new key": registration.signatures[0].signature,
        "registration signature of the key for agreements": registration.signatures[1].signature,
        "revocation payload": revoked,
        "revocation signature": revocation.signatures[0].signature,
        "link salt": LINK_MEMBER.salt,
        "link member sha256": LINK_MEMBER.sha256(),
        "link confirmation": link_confirmation(),
        "target seed": TARGET_SEED,
        "target key id": bytes.fromhex(TARGET.key_id),
        "confirmation": confirmation().payload,
        "confirmation signature": confirmation().signatures[0].signature,
        "sealing key": sealing_key(ORDERS.public_key),
        "fulfilment info": seal_info(AUDIENCE, UUID(bytes=TRANSFER_ID)),
        "fulfilment": SEALED,
    }


def confirmation() -> Envelope:
    """With which borealis says that it gave the points of the order."""
    said = Confirmation(
        AUDIENCE,
        "borealis",
        UUID(bytes=TRANSFER_ID),
        InstructionKind.CREDIT,
        "borealis-points",
        CreditOutcome.DONE,
        RECORDED_AT,
        500,
        program_reference="booking-17",
    )
    return signed_confirmation(TARGET, said)


def link_confirmation() -> bytes:
    """The bytes with which borealis confirms a link."""
    return link_service_pb2.LinkConfirmation(
        audience=AUDIENCE,
        partner_id="borealis",
        link_id=LINK_ID,
        program=LINK_MEMBER.program,
        member_sha256=LINK_MEMBER.sha256(),
        method=link_service_pb2.LINK_METHOD_SIGN_IN,
        consent_version="sharing-2026-01",
        confirmed_at=time_to_proto(ISSUED_AT),
    ).SerializeToString(deterministic=True)


def setting(name: str) -> Any:
    """The default of a server's setting."""
    return Settings.model_fields[name].default


def printed() -> dict[str, bytes]:
    """The hex blocks of the page."""
    return {
        name: bytes.fromhex("".join(line.partition("#")[0] for line in body.splitlines()))
        for name, body in HEX_BLOCK.findall(PAGE)
    }


def rows(label: str) -> list[list[str]]:
    """The cells of a labelled table, heading and rule left out."""
    (table,) = re.findall(TABLE.format(re.escape(label)), PAGE)
    return [
        [cell.strip().strip("`") for cell in line.strip("|").split("|")]
        for line in table.splitlines()[2:]
    ]


# The worked example


def test_every_hex_value_of_the_page_is_what_the_code_computes() -> None:
    assert {name: value.hex() for name, value in printed().items()} == {
        name: value.hex() for name, value in example().items()
    }


def test_no_other_long_hex_value_stands_on_the_page() -> None:
    rest = HEX_BLOCK.sub("", PAGE)
    known = {value.hex() for value in example().values()}
    assert set(re.findall(r"\b[0-9a-f]{16,}\b", rest)) <= known


def test_the_envelope_on_the_page_is_the_signed_order() -> None:
    (shown,) = re.findall(r"<!-- test: envelope -->\n+```text\n(.*?)```", PAGE, re.DOTALL)
    compact = re.sub(r"\s+", "", shown)
    assert compact == to_json(sign(ORDERS, dsse.TRANSFER_ORDER, order_payload()))


def test_the_printed_bytes_prove_themselves_without_our_code() -> None:
    shown = printed()
    kind = b"application/vnd.pointclear.transfer-order.v1+protobuf"
    payload = shown["order payload"]
    signed = b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload)
    assert shown["order pae"] == signed
    key = Ed25519PublicKey.from_public_bytes(shown["order public key"])
    key.verify(shown["order signature"], signed)
    assert hashlib.sha256(shown["order public key"]).digest()[:16] == shown["order key id"]
    opened = hashlib.sha256(shown["salt"] + shown["record"]).digest()
    assert hashlib.sha256(b"\x00\x01" + opened).digest() == shown["leaf hash"]
    assert shown["source part sha256"] in shown["record"]
    assert shown["order sha256"] == hashlib.sha256(payload).digest()
    assert shown["order sha256"] in shown["record"]


def test_the_example_is_the_transfer_that_the_page_tells() -> None:
    record = TransferRecord.FromString(example()["record"])
    part = SourcePart.FromString(example()["source part"])
    assert (record.source_points, record.target_points, record.value) == (1000, 500, 9_800_000)
    assert (part.fee, part.tax_code, part.tax_basis_points, part.tax) == (98_000, "vat6", 600, 5880)
    receipt = TransferReceipt.FromString(example()["receipt payload"])
    assert (receipt.stream_seq, receipt.previous_sha256) == (1, bytes(32))
    assert leaf_hash(example()["leaf data"]) == example()["leaf hash"]


def test_the_fulfilment_on_the_page_opens_to_the_code_that_the_page_names() -> None:
    opened = open_sealed(
        printed()["fulfilment"], ORDERS.opening_key(), AUDIENCE, UUID(bytes=TRANSFER_ID)
    )
    assert opened == CODE
    assert f"`{CODE.decode()}`" in PAGE


def test_ids_are_named_by_the_digest_of_their_key() -> None:
    assert example()["target key id"].hex() == key_id_of(SeedSigner(TARGET_SEED).public_key)
    for whose in ("order", "receipt", "agreements"):
        key_id = example()[f"{whose} key id"].hex()
        assert key_id == key_id_of(example()[f"{whose} public key"])


# The tables


@pytest.mark.parametrize("name", re.findall(r"<!-- test: fields ([\w.]+) -->", PAGE))
def test_a_table_of_fields_names_every_field_of_its_message(name: str) -> None:
    descriptor = Default().FindMessageTypeByName(name)
    fields = [(str(field.number), field.name) for field in descriptor.fields]
    assert [tuple(row[:2]) for row in rows(f"fields {name}")] == fields


def test_the_messages_that_a_client_signs_or_verifies_have_their_table() -> None:
    described = set(re.findall(r"<!-- test: fields ([\w.]+) -->", PAGE))
    assert described >= {
        message.DESCRIPTOR.full_name
        for message in (
            TransferOrder,
            TransferRecord,
            TransferReceipt,
            SourcePart,
            agreement_pb2.RateAgreement,
            link_service_pb2.LinkConfirmation,
            agreement_life_pb2.AgreementWithdrawal,
            agreement_life_pb2.AgreementTermination,
            operator_action_pb2.OperatorAction,
            program_service_pb2.CreditConfirmation,
            statement_pb2.SettlementStatement,
        )
    }


def test_the_table_of_calls_names_every_call_and_no_other() -> None:
    services = (
        exchange_service_pb2.DESCRIPTOR.services_by_name["ExchangeService"],
        partners_service_pb2.DESCRIPTOR.services_by_name["PartnersService"],
        link_service_pb2.DESCRIPTOR.services_by_name["LinkService"],
        operator_service_pb2.DESCRIPTOR.services_by_name["OperatorService"],
        action_service_pb2.DESCRIPTOR.services_by_name["ActionService"],
        settlement_service_pb2.DESCRIPTOR.services_by_name["SettlementService"],
    )
    calls = [method.name for each in services for method in each.methods]
    shown = [name for row in rows("calls") for name in re.findall(r"\b[A-Z]\w+", row[0])]
    names = [each.name for each in services]
    assert sorted(name for name in shown if name not in names) == sorted(calls)


def test_the_columns_of_a_line_file_are_those_of_the_page() -> None:
    assert tuple(row[0] for row in rows("columns")) == COLUMNS


def test_the_table_of_reasons_gives_each_its_code_and_retry_class() -> None:
    shown = {row[0]: (row[1], row[2]) for row in rows("reasons")}
    rules = {reason.value: (rule.code, rule.retry.value) for reason, rule in RULES.items()}
    assert shown == {name: rules[name] for name in shown}


def test_the_reasons_of_the_table_are_those_that_the_code_gives_and_the_others_are_named() -> None:
    code = "".join(
        path.read_text(encoding="utf-8")
        for package in ("partners", "exchange", "settlement")
        for path in (ROOT / package).rglob("*.py")
        if path != ROOT / "partners/errors.py" and ROOT / "exchange/cli" not in path.parents
    )
    given = {reason for reason in Reason if re.search(rf"Reason\.{reason.name}\b", code)}
    assert {row[0] for row in rows("reasons")} == given
    (reserved,) = re.findall(r"<!-- test: reserved reasons -->\n+(.*?)\n\n", PAGE, re.DOTALL)
    assert set(re.findall(r"`([A-Z_]+)`", reserved)) == set(Reason) - given


def test_the_limits_on_the_page_are_those_in_force() -> None:
    shown = {row[0]: row[1] for row in rows("limits")}
    assert shown == {
        "signed bytes of an envelope": f"{dsse.SIGNED_BYTES_MAX:,} bytes",
        "signatures on an envelope": f"1 to {dsse.SIGNATURES_MAX}; an order has exactly 1",
        "payload type": f"1 to {dsse.PAYLOAD_TYPE_CHARS_MAX} visible ASCII characters",
        "request": f"{edge.MESSAGE_BYTES_MAX:,} bytes",
        "request of BatchCreateTransfers, Act": (f"{edge.LARGE_MESSAGE_BYTES_MAX:,} bytes"),
        "orders in one BatchCreateTransfers": f"1 to {service.ORDERS_MAX}",
        "page of ListReceipts, ListTransfers, ListCorridors, ListLinks": (
            f"{paging.PAGE_DEFAULT} by default, {paging.PAGE_MAX} at most"
        ),
        "entries in a response of WatchTransfers": str(watching.PAGE),
        "heartbeat of WatchTransfers": (
            f"{watching.HEARTBEAT_S} s by default, 1 to {watching.HEARTBEAT_MAX_S} s"
        ),
        "watches of one partner on one server": str(setting("watches_per_partner")),
        "page of ListPartners, ListKeys, ListAgreements, ListTaxRates": (
            f"{paging.PAGE_DEFAULT} by default, {paging.PAGE_MAX} at most"
        ),
        "page of ListActions": (f"{actions.PAGE_DEFAULT} by default, {actions.PAGE_MAX} at most"),
        "reason of an action": f"up to {REASON_MAX} characters",
        "time in which an action may be approved": f"{VALIDITY_MAX.days} days",
        "an action's `issued_at` ahead of our clock": f"{ACTION_SKEW.seconds} s",
        "page of ListWindows": (
            f"{window_calls.PAGE_DEFAULT} by default, {window_calls.PAGE_MAX} at most"
        ),
        "chunk of DownloadLineFile": f"{settlement_calls.CHUNK_BYTES_MAX:,} bytes",
        "commands that may wait": f"{sequencer.QUEUE_MAX:,}",
        "recorded refusals of one partner": f"{NO_LIMITS.refusals_per_minute} a minute",
        "an order's `issued_at` ahead of our clock": f"{CLOCK_SKEW.seconds} s",
        "time in a transfer id ahead of our clock": f"{ID_SKEW.seconds // 60} min",
        "member reference, partner reference": f"{REFERENCE_MAX} characters",
        "salt of a member reference": f"{SALT_BYTES} bytes",
        "a link's wait for its confirmation": f"{PENDING_TIME.total_seconds() / 3600:.0f} h",
        "ValidateMember of one partner": f"{setting('look_ups_per_day'):,} a UTC day",
        "answer of ValidateMember": f"{setting('look_up_seconds')} s after the question",
        "message of an error": f"{MESSAGE_MAX:,} bytes",
        "delay in RetryInfo": f"{RETRY_DELAY_S} s",
        "entries of a bank file": f"{bank_statement.ENTRIES_MAX:,}",
    }
