"""Makes archives as an exchange would, without one: real keys, streams, statements, line files.

Two brands and the worked example of the books page on each day: 1,000 grocery points become 500
fuel points, then 200 fuel points become 380 grocery points, and one order is refused.
"""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Literal, TypeVar
from uuid import UUID

from google.protobuf.message import Message

from exchange.cli.checks.archive import PartnerFiles
from exchange.cli.checks.verification import KeySet, KnownKey
from partners.conversion import half_even
from partners.envelope import (
    CREDIT_NOTICE,
    SETTLEMENT_STATEMENT,
    TRANSFER_RECEIPT,
    Envelope,
    from_json,
    sign,
    to_json,
)
from partners.key_files import public_key_pem
from partners.keys import Purpose, SeedSigner, VerifyKey
from pointclear.common.v1.refusal_pb2 import REASON_NET_DEBIT_CAP_EXCEEDED
from pointclear.exchange.v1 import transfer_pb2 as pb
from pointclear.partners.v1.agreement_pb2 import BlockRate
from pointclear.settlement.v1 import statement_pb2
from settlement.lines.line import Line, LineFile, Role
from settlement.lines.line_file import write_line_file

AUDIENCE = "pointclear.test/unit"
DAWN = datetime(2017, 1, 2, 8, tzinfo=UTC)
CENT = 10_000
SCALE = 6
ISSUE = {"grocery": "grocery-points", "fuel": "fuel-points"}
SIGNERS = {purpose: SeedSigner(bytes([n]) * 32) for n, purpose in enumerate(Purpose, start=11)}
"""The exchange's keys, but ORDERS, which is the grocery brand's."""
RECEIPTS, STATEMENTS = SIGNERS[Purpose.RECEIPTS], SIGNERS[Purpose.STATEMENTS]

_Message = TypeVar("_Message", bound=Message)


def holder_of(purpose: Purpose) -> str:
    """Who holds the test key of a purpose."""
    return "partner/grocery" if purpose == Purpose.ORDERS else "exchange"


KEYS: KeySet = {
    signer.key_id: KnownKey(VerifyKey.of(signer.public_key), holder_of(purpose), purpose)
    for purpose, signer in SIGNERS.items()
}


def keys_json() -> bytes:
    """The same keys as an archive holds them."""
    rows = [
        {
            "key_id": key_id,
            "holder": key.holder,
            "purpose": key.purpose,
            "public_key_pem": public_key_pem(key.verify_key.public_key).decode(),
        }
        for key_id, key in KEYS.items()
    ]
    return json.dumps(rows).encode()


def digest(*parts: bytes) -> bytes:
    """SHA-256 of the parts, one after the other."""
    return hashlib.sha256(b"".join(parts)).digest()


def resigned(
    text: str, kind: type[_Message], change: Callable[[_Message], object], signer: SeedSigner
) -> str:
    """The envelope with its payload changed and signed again, as only the exchange itself could."""
    envelope = from_json(text)
    message = kind()
    message.ParseFromString(envelope.payload)
    change(message)
    return to_json(sign(signer, envelope.payload_type, message.SerializeToString()))


@dataclass
class Folder:
    """One partner's folder in the making."""

    partner_id: str
    stream: list[str] = field(default_factory=list)
    statements: dict[str, str] = field(default_factory=dict)
    line_files: dict[str, bytes] = field(default_factory=dict)
    lines: list[Line] = field(default_factory=list)
    window_start: int = 0
    """How many entries the stream had when the window opened."""
    carried: int = 0
    last_sha256: bytes = bytes(32)

    def files(self) -> PartnerFiles:
        """As the verifier takes it."""
        return PartnerFiles(
            self.partner_id,
            f"{self.partner_id}/",
            tuple(self.stream),
            dict(self.statements),
            dict(self.line_files),
        )

    def append(self, envelope: Envelope) -> None:
        """Append to the stream."""
        self.stream.append(to_json(envelope))
        self.last_sha256 = digest(envelope.payload)


@dataclass
class Archive:
    """An exchange's day-by-day history, and what each of its partners holds of it."""

    folders: dict[str, Folder] = field(
        default_factory=lambda: {name: Folder(name) for name in ISSUE}
    )
    size: int = 3
    opening: statement_pb2.TreeHead = field(
        default_factory=lambda: statement_pb2.TreeHead(size=3, root=digest(b"3"))
    )

    @property
    def grocery(self) -> Folder:
        """The grocery brand's folder."""
        return self.folders["grocery"]

    @property
    def fuel(self) -> Folder:
        """The fuel brand's folder."""
        return self.folders["fuel"]

    def transfer(
        self, source: str, target: str, points: int, rate: tuple[int, int], price: int, window: str
    ) -> None:
        """Commit a transfer: a receipt, a notice and two lines."""
        given = points // rate[0] * rate[1]
        value = given * price
        fee = -(-value // 100)
        part = pb.SourcePart(
            fee=fee,
            tax_code="vat6",
            tax_basis_points=600,
            tax=half_even(fee * 6, 100),
            fee_terms=pb.FeeTerms(basis_points=100),
        )
        part_salt = digest(b"part", bytes([self.size]))
        record = self._record(source, target, points, given)
        record.state = pb.TRANSFER_STATE_COMMITTED
        record.agreement_sha256 = digest(b"agreement")
        record.block_rate.CopyFrom(BlockRate(source_units=rate[0], target_units=rate[1]))
        record.settlement_currency = "CNY"
        record.price_per_target_point = price
        record.value = value
        record.window_id = window
        record.source_part_sha256 = digest(part_salt, part.SerializeToString())
        receipt = pb.TransferReceipt(
            source_part=part.SerializeToString(), source_part_salt=part_salt
        )
        self._append(source, receipt, record)
        self._append(target, pb.CreditNotice(), record)
        self.folders[source].lines.append(_line(record, part, "source"))
        self.folders[target].lines.append(_line(record, pb.SourcePart(), "target"))
        self.size += 1

    def refuse(self, source: str, target: str, points: int) -> None:
        """Refuse an order: a receipt for the source alone."""
        record = self._record(source, target, points, points)
        record.state = pb.TRANSFER_STATE_REFUSED
        record.reason = REASON_NET_DEBIT_CAP_EXCEEDED
        self._append(source, pb.TransferReceipt(), record)
        self.size += 1

    def close(self, window: str, business_date: str) -> None:
        """State the window for every partner, and open the next."""
        closing = statement_pb2.TreeHead(size=self.size, root=digest(str(self.size).encode()))
        for folder in self.folders.values():
            lines = LineFile(window, folder.partner_id, SCALE, tuple(folder.lines))
            folder.line_files[window] = write_line_file(lines)
            statement = self._statement(folder, window, business_date, closing)
            payload = statement.SerializeToString(deterministic=True)
            folder.statements[window] = to_json(sign(STATEMENTS, SETTLEMENT_STATEMENT, payload))
            folder.lines.clear()
            folder.window_start = len(folder.stream)
            folder.carried = statement.carried_forward
        self.opening = closing
        self.size += 4  # The closing itself and what follows it are leaves too.

    def _record(self, source: str, target: str, points: int, given: int) -> pb.TransferRecord:
        record = pb.TransferRecord(
            log_index=self.size,
            transfer_id=UUID(int=(7 << 76) + (2 << 62) + self.size).bytes,
            order_sha256=digest(b"order", bytes([self.size])),
            source_partner=source,
            target_partner=target,
            source_program=ISSUE[source],
            target_program=ISSUE[target],
            source_points=points,
            target_points=given,
            agreement_id=f"{source}-{target}",
            agreement_version=1,
        )
        record.recorded_at.FromDatetime(DAWN + timedelta(seconds=self.size))
        return record

    def _append(
        self,
        partner_id: str,
        payload: pb.TransferReceipt | pb.CreditNotice,
        record: pb.TransferRecord,
    ) -> None:
        folder = self.folders[partner_id]
        payload.audience = AUDIENCE
        payload.partner_id = partner_id
        payload.stream_seq = len(folder.stream) + 1
        payload.previous_sha256 = folder.last_sha256
        payload.signing_key_id = RECEIPTS.key_id
        payload.record = record.SerializeToString(deterministic=True)
        payload.salt = digest(b"salt", bytes([self.size]))
        kind = TRANSFER_RECEIPT if isinstance(payload, pb.TransferReceipt) else CREDIT_NOTICE
        folder.append(sign(RECEIPTS, kind, payload.SerializeToString(deterministic=True)))

    def _statement(
        self, folder: Folder, window: str, business_date: str, closing: statement_pb2.TreeHead
    ) -> statement_pb2.SettlementStatement:
        out = [line for line in folder.lines if line.role is Role.SOURCE]
        into = [line for line in folder.lines if line.role is Role.TARGET]
        net = sum(line.value + line.fee + line.tax for line in folder.lines)
        due = folder.carried + net
        first = folder.window_start + 1 if len(folder.stream) > folder.window_start else 0
        return statement_pb2.SettlementStatement(
            audience=AUDIENCE,
            partner_id=folder.partner_id,
            window_id=window,
            business_date=business_date,
            currency="CNY",
            scale=SCALE,
            brought_forward=folder.carried,
            outgoing_value=sum(line.value for line in out),
            incoming_value=sum(line.value for line in into),
            fees=sum(line.fee for line in out),
            taxes=[statement_pb2.TaxLine(tax_code="vat6", amount=sum(line.tax for line in out))],
            net=net,
            due=due,
            payment=due - due % CENT,
            payment_reference="RF18539007547034",
            carried_forward=due % CENT,
            net_debit_cap=100 * CENT,
            points=[
                statement_pb2.ProgramPoints(
                    program_id=ISSUE[folder.partner_id],
                    points_out=sum(line.source_points for line in out),
                    points_in=sum(line.target_points for line in into),
                )
            ],
            line_count=len(folder.lines),
            line_file_sha256=digest(folder.line_files[window]),
            first_stream_seq=first,
            last_stream_seq=len(folder.stream) if first else 0,
            opening_tree=self.opening,
            closing_tree=closing,
            signing_key_id=STATEMENTS.key_id,
        )


def _line(
    record: pb.TransferRecord, part: pb.SourcePart, role: Literal["source", "target"]
) -> Line:
    return Line(
        UUID(bytes=record.transfer_id),
        Role(role),
        "=till 7" if role == "source" else "",
        record.source_program,
        record.target_program,
        record.source_points,
        record.target_points,
        0,
        record.agreement_id,
        "",
        record.block_rate.source_units,
        record.block_rate.target_units,
        record.price_per_target_point,
        0,
        -record.value if role == "source" else record.value,
        0,
        "",
        0,
        (),
        -part.fee,
        -part.tax,
        part.tax_code,
        record.settlement_currency,
        "COMMITTED",
        record.recorded_at.ToDatetime(UTC),
        record.log_index,
    )


def week(days: int = 2) -> Archive:
    """An archive of some days, each the books page's example and a refusal."""
    archive = Archive()
    for day in range(1, days + 1):
        window = f"cny-2017-01-0{day}"
        archive.transfer("grocery", "fuel", 1000, (2, 1), 19_600, window)
        archive.refuse("grocery", "fuel", 400)
        archive.transfer("fuel", "grocery", 200, (10, 19), 9_500, window)
        archive.transfer("grocery", "fuel", 2, (2, 1), 19_600, window)
        archive.close(window, f"2017-01-0{day}")
    return archive
