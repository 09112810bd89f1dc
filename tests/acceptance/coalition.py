"""A small coalition behind a real server: three brands, their keys and agreements, and what they
send.

Everything goes over real mutual TLS. Each brand has one program of its own name; an agreement is
named after its corridor, `aurora-borealis`.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import partial
from itertools import permutations
from pathlib import Path
from typing import Any
from uuid import UUID

import grpc
import uuid_utils
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status

from exchange.cli.connection import Connection, connect
from exchange.cli.deployment.initialise import initialise, load_authority
from exchange.cli.partners.onboarding import (
    make_partner_profile,
    new_key,
    register_key,
)
from exchange.cli.profile import key_path, load_profile
from exchange.cli.proofs import Proof, read_proof
from exchange.log.merkle import Frontier
from partners.envelope import RATE_AGREEMENT, sign
from partners.errors import RULES, Reason, Retry
from partners.key_events import PARTNER_PURPOSES
from partners.key_files import FileSigner
from partners.keys import Purpose
from partners.merkle import root_of
from partners.wire import envelope_from_proto, envelope_to_proto, time_to_proto
from pointclear.client.orders import build_order, sign_order
from pointclear.common.v1.envelope_pb2 import SignedEnvelope
from pointclear.exchange.v1.exchange_service_pb2 import (
    BatchCreateTransfersRequest,
    BatchCreateTransfersResponse,
    CreateTransferRequest,
    TransferResult,
)
from pointclear.exchange.v1.transfer_pb2 import TransferOrder
from pointclear.partners.v1 import agreement_pb2
from pointclear.partners.v1 import partners_service_pb2 as partners_pb
from pointclear.settlement.v1 import settlement_service_pb2 as settlement_pb
from settlement.checks.invariants import check_books
from tests.model import Logged
from tests.processes import Server, connection

AUDIENCE = "pointclear.test/acceptance"
BRANDS = ("aurora", "borealis", "cirrus")
CURRENCY = "USD"
USD = 1_000_000
"""Units of the books in a dollar."""
CAP = 1_000_000 * USD
FIRST_DAY = date(2017, 1, 1)
BLOCK, BLOCK_GIVES, PRICE = 50, 25, 20_000
"""A block of 50 points gives 25, each at 2 cents."""
MINIMUM, MAXIMUM = 100, 5_000
BLOCK_COST = 25 * PRICE + 5_000 + 300
"""Value, fee of 1 % and 6 % tax on the fee of one block, in units."""
CALL_TIMEOUT_S = 60.0


@dataclass(frozen=True, slots=True)
class Brand:
    """A brand with its channel and its keys."""

    name: str
    connection: Connection
    orders: FileSigner
    agreements: FileSigner

    def payload(self, target: str = "borealis", **changes: Any) -> bytes:
        """A good order of two blocks; `changes` are arguments of `build_order`."""
        now = datetime.now(UTC)
        points = changes.get("source_points", MINIMUM)
        fields: dict[str, Any] = {
            "audience": AUDIENCE,
            "partner_id": self.name,
            "transfer_id": uuid_utils.uuid7().bytes,
            "source_program": self.name,
            "target_program": target,
            "source_member": "member-of-source",
            "target_member": "member-of-target",
            "source_points": points,
            "target_points": max(1, points // BLOCK * BLOCK_GIVES),
            "agreement_id": f"{self.name}-{target}",
            "agreement_version": 1,
            "issued_at": now,
            "expires_at": now + timedelta(minutes=5),
        }
        return build_order(**fields | changes)

    def order(self, target: str = "borealis", **changes: Any) -> SignedEnvelope:
        """A good order, signed."""
        return sign_order(self.orders, self.payload(target, **changes))

    def send(self, order: SignedEnvelope) -> SignedEnvelope:
        """The receipt that answers an order."""
        return self.connection.exchange.CreateTransfer(
            CreateTransferRequest(order=order), timeout=CALL_TIMEOUT_S
        ).receipt

    def send_batch(self, orders: Sequence[SignedEnvelope]) -> list[TransferResult]:
        """The results of a batch."""
        response: BatchCreateTransfersResponse = self.connection.exchange.BatchCreateTransfers(
            BatchCreateTransfersRequest(orders=orders), timeout=CALL_TIMEOUT_S
        )
        return list(response.results)

    def refused(self, order: SignedEnvelope) -> "Refusal":
        """How an order is refused."""
        return refused(self.connection.exchange.CreateTransfer, CreateTransferRequest(order=order))

    def proof(self, receipt: SignedEnvelope) -> Proof:
        """What a receipt or notice says, after verifying it with the exchange's own keys."""
        keys = self.connection.exchange_keys(Purpose.RECEIPTS)
        return read_proof(envelope_from_proto(receipt), keys, AUDIENCE, self.name)


# Refusals


@dataclass(frozen=True, slots=True)
class Refusal:
    """A failed call as a client of any language sees it."""

    code: str
    reason: Reason
    field: str
    metadata: dict[str, str]
    """Without retry and remedy, which `refused` has held against the rules."""
    receipt: SignedEnvelope | None
    status: bytes
    """The whole status, serialised."""


def refused(method: Callable[..., Any], request: Any, **options: Any) -> Refusal:
    """How a call is refused; fails unless it is, in the form that the protocol lays down."""
    try:
        answer = method(request, timeout=CALL_TIMEOUT_S, **options)
        if isinstance(answer, grpc.Call):
            list(answer)  # type: ignore[call-overload]
    except grpc.RpcError as error:
        return refusal_of(error)
    raise AssertionError(f"the call was not refused but answered with {answer}")


def code_of(error: object) -> grpc.StatusCode:
    """The status code of a failed call."""
    assert isinstance(error, grpc.Call)
    return error.code()


def refusal_of(error: object) -> Refusal:
    """Read a failed call, and hold it against the rules of its reason."""
    assert isinstance(error, grpc.Call)
    status: status_pb2.Status | None = rpc_status.from_call(error)
    assert status is not None, f"no details: {error}"
    assert status.details, f"no details: {error}"
    first, *others = status.details
    info = error_details_pb2.ErrorInfo()
    assert first.Unpack(info)
    assert info.domain == "pointclear"
    reason = Reason(info.reason)
    metadata, rule = dict(info.metadata), RULES[reason]
    assert error.code().name == rule.code
    assert metadata.pop("retry") == rule.retry
    assert metadata.pop("remedy") == rule.remedy
    assert status.message.startswith(reason)
    field, receipt = "", None
    for place, packed in enumerate(others, start=2):
        if holds(packed, error_details_pb2.BadRequest):
            violations = error_details_pb2.BadRequest()
            packed.Unpack(violations)
            (violation,) = violations.field_violations
            field = violation.field
        elif holds(packed, SignedEnvelope):
            assert place == len(status.details), "a receipt is the last detail"
            receipt = SignedEnvelope()
            packed.Unpack(receipt)
    has_delay = any(holds(each, error_details_pb2.RetryInfo) for each in others)
    assert has_delay == (rule.retry is Retry.SAME_ID)
    return Refusal(error.code().name, reason, field, metadata, receipt, status.SerializeToString())


def holds(packed: AnyMessage, kind: type[Message]) -> bool:
    """Whether a detail is of this message."""
    return packed.TypeName() == kind.DESCRIPTOR.full_name


def check_log_and_books(data_dir: Path) -> None:
    """Fails unless the head is the root over the stored leaves, and the books are right."""
    with connection(data_dir) as database:
        assert check_books(database) == ()
        database.rollback()
        with database.cursor() as cursor:
            cursor.execute("SELECT next_index, frontier FROM head")
            next_index, stored = cursor.fetchone()
            cursor.execute("SELECT log_index, leaf_hash FROM record ORDER BY log_index")
            rows = cursor.fetchall()
        database.rollback()
    assert [index for index, _ in rows] == list(range(next_index))
    frontier = Frontier.from_bytes(bytes(stored))
    assert frontier.size == next_index
    assert frontier.root() == root_of([bytes(leaf) for _, leaf in rows])


def logged(data_dir: Path) -> list[Logged]:
    """The whole log, with the orders that came in."""
    with connection(data_dir) as database, database.cursor() as cursor:
        cursor.execute(
            "SELECT r.log_index, r.kind, r.recorded_at, r.record, q.payload"
            " FROM record AS r LEFT JOIN request AS q USING (transfer_id) ORDER BY r.log_index"
        )
        return [
            Logged(
                index,
                kind,
                recorded_at.astimezone(UTC),
                bytes(record),
                bytes(payload) if payload is not None else None,
            )
            for index, kind, recorded_at, record, payload in cursor.fetchall()
        ]


# Founding


@dataclass(frozen=True, slots=True)
class Coalition:
    """The operator and the brands, connected to one server."""

    data_dir: Path
    operator: Connection
    brands: dict[str, Brand]

    @property
    def profiles(self) -> list[Path]:
        """The brands' profile directories."""
        return [each.connection.profile.directory for each in self.brands.values()]

    def __getitem__(self, name: str) -> Brand:
        return self.brands[name]


@contextmanager
def coalition(
    server: Server, folder: Path, brands: Sequence[str] = BRANDS, cap: int = CAP
) -> Iterator[Coalition]:
    """Register the brands with a fresh exchange, put every corridor in force, open a window."""
    with ExitStack() as stack:
        profile = load_profile(server.data_dir / "operator", server.address)
        operator = stack.enter_context(connect(profile))
        joined = {name: stack.enter_context(join(operator, folder, name, cap)) for name in brands}
        founded = Coalition(server.data_dir, operator, joined)
        for source, target in permutations(brands, 2):
            agree(founded, source, target)
        opening = settlement_pb.OpenWindowRequest(
            currency=CURRENCY, business_date=FIRST_DAY.isoformat()
        )
        operator.call(operator.settlement.OpenWindow, opening)
        yield founded


def make_data_dir(folder: Path) -> Path:
    """A deployment that was never served."""
    data_dir = folder / "data"
    initialise(data_dir, AUDIENCE, "localhost:0", datetime.now(UTC))
    return data_dir


@contextmanager
def join(operator: Connection, folder: Path, name: str, cap: int = CAP) -> Iterator[Brand]:
    """Register a brand with three keys, and connect as it."""
    directory, now, at = folder / name, datetime.now(UTC), operator.profile
    request = partners_pb.RegisterPartnerRequest(
        partner=partners_pb.Partner(
            partner_id=name,
            legal_name=f"{name.capitalize()} Ltd",
            programs=[name],
            settlement_account=partners_pb.SettlementAccount(currency=CURRENCY, net_debit_cap=cap),
        )
    )
    operator.call(operator.partners.RegisterPartner, request)
    authority = load_authority(at.directory.parent)
    make_partner_profile(directory, authority, name, at.server, AUDIENCE, now)
    for purpose in PARTNER_PURPOSES:
        path = key_path(directory, purpose)
        registrar = partial(at.signer, Purpose.OPERATOR)
        register_key(operator, new_key(path, purpose, name, AUDIENCE, registrar, now))
    with connect(load_profile(directory)) as connection:
        profile = connection.profile
        yield Brand(
            name, connection, profile.signer(Purpose.ORDERS), profile.signer(Purpose.AGREEMENTS)
        )


def terms(source: str, target: str, version: int = 1, **changes: Any) -> bytes:
    """The bytes of a rate agreement; `changes` are fields of the message."""
    fields: dict[str, Any] = {
        "audience": AUDIENCE,
        "agreement_id": f"{source}-{target}",
        "version": version,
        "source_partner": source,
        "target_partner": target,
        "source_program": source,
        "target_program": target,
        "block_rate": agreement_pb2.BlockRate(source_units=BLOCK, target_units=BLOCK_GIVES),
        "minimum_source_points": MINIMUM,
        "maximum_source_points": MAXIMUM,
        "increment_source_points": BLOCK,
        "settlement_currency": CURRENCY,
        "price_per_target_point": PRICE,
        "fee_basis_points": 100,
        "fee_bearer": agreement_pb2.BEARER_SOURCE,
        "tax_code": "vat6",
        "credit_mode": agreement_pb2.CREDIT_MODE_GUARANTEED,
        "issued_at": time_to_proto(datetime.now(UTC)),
    }
    return agreement_pb2.RateAgreement(**fields | changes).SerializeToString(deterministic=True)


def agree(founded: Coalition, source: str, target: str, version: int = 1, **changes: Any) -> None:
    """Propose terms, have them counter-signed, and put them in force."""
    activation = sign_terms(founded, source, target, version, **changes)
    founded.operator.call(founded.operator.partners.ActivateAgreement, activation)


def sign_terms(
    founded: Coalition, source: str, target: str, version: int = 1, **changes: Any
) -> partners_pb.ActivateAgreementRequest:
    """Propose terms and have them counter-signed; the request that would put them in force."""
    payload = terms(source, target, version, **changes)
    by_source, by_target = (
        envelope_to_proto(sign(founded[name].agreements, RATE_AGREEMENT, payload))
        for name in (source, target)
    )
    proposer, signer = founded[source].connection, founded[target].connection
    proposer.call(
        proposer.partners.ProposeAgreement, partners_pb.ProposeAgreementRequest(agreement=by_source)
    )
    signer.call(
        signer.partners.SignAgreement, partners_pb.SignAgreementRequest(agreement=by_target)
    )
    return partners_pb.ActivateAgreementRequest(agreement_id=f"{source}-{target}", version=version)


def transfer_id_of(order: SignedEnvelope) -> UUID:
    """The id that an order carries."""
    return UUID(bytes=TransferOrder.FromString(order.payload).transfer_id)
