"""Between the wire's messages and settlement's values. The only module but the service that knows
generated code.

Payloads are serialised once, deterministically, and stored; after that they are only parsed.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from uuid import UUID

from exchange.delivery.booking import undo_id
from exchange.fold import InvariantBroken
from exchange.seal import LeafKind
from partners.program_port import CreditOutcome, InstructionKind
from pointclear.common.v1 import refusal_pb2
from pointclear.exchange.v1 import record_pb2, transfer_pb2
from pointclear.partners.v1 import partners_service_pb2
from pointclear.settlement.v1 import settlement_service_pb2 as pb
from pointclear.settlement.v1 import statement_pb2
from settlement.lines.line_file import REVERSED, Line, Role, Share
from settlement.lines.line_sums import PromotionLine, ValueTax
from settlement.statement import ProgramPoints, Reversals, Statement
from settlement.windows import Leg, NetPosition, SettlementWindow, TreeHead

RECEIPT_KIND = 1
NOTICE_KIND = 2
FUNDING_KIND = 3
REVERSAL_KIND = 4
"""Numbers of the payload kinds in `stream_entry`."""

PAPERS: Mapping[
    int,
    type[
        transfer_pb2.TransferReceipt
        | transfer_pb2.CreditNotice
        | transfer_pb2.FundingNotice
        | transfer_pb2.ReversalNotice
    ],
] = {
    RECEIPT_KIND: transfer_pb2.TransferReceipt,
    NOTICE_KIND: transfer_pb2.CreditNotice,
    FUNDING_KIND: transfer_pb2.FundingNotice,
    REVERSAL_KIND: transfer_pb2.ReversalNotice,
}
"""What each is, serialised."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def statement_payload(statement: Statement) -> bytes:
    """The bytes of a `settlement-statement` payload."""
    message = statement_pb2.SettlementStatement(
        business_date=statement.business_date.isoformat(),
        taxes=map(_tax_message, statement.taxes),
        points=[
            statement_pb2.ProgramPoints(
                program_id=each.program_id,
                points_out=each.points_out,
                points_in=each.points_in,
                bonus_points=each.bonus_points,
                reversed_out=each.reversed_out,
                reversed_in=each.reversed_in,
                reversed_bonus=each.reversed_bonus,
            )
            for each in statement.points
        ],
        opening_tree=_tree_message(statement.opening_tree),
        closing_tree=_tree_message(statement.closing_tree),
        audience=statement.audience,
        partner_id=statement.partner_id,
        window_id=statement.window_id,
        currency=statement.currency,
        scale=statement.scale,
        brought_forward=statement.brought_forward,
        outgoing_value=statement.outgoing_value,
        incoming_value=statement.incoming_value,
        fees=statement.fees,
        net=statement.net,
        due=statement.due,
        payment=statement.payment,
        payment_reference=statement.payment_reference,
        carried_forward=statement.carried_forward,
        payments_since=statement.payments_since,
        net_debit_cap=statement.net_debit_cap,
        line_count=statement.line_count,
        line_file_sha256=statement.line_file_sha256,
        first_stream_seq=statement.first_stream_seq,
        last_stream_seq=statement.last_stream_seq,
        signing_key_id=statement.signing_key_id,
        value_taxes=map(_value_tax_message, statement.value_taxes),
        promotions=statement.promotions,
        promotion_lines=map(_promotion_message, statement.promotion_lines),
        # The first version says nothing of versions, as those before there were others.
        version=statement.version if statement.version > 1 else 0,
        supersedes_sha256=statement.supersedes_sha256,
        reason=statement.reason,
        withheld=statement.withheld,
        restated=statement.restated,
        adjustments=statement.adjustments,
        top_ups=statement.top_ups,
        withdrawals=statement.withdrawals,
        draws=statement.draws,
        collateral=statement.collateral,
        reserved_at_cut_off=statement.reserved_at_cut_off,
        due_date=statement.due_date.isoformat() if statement.due_date else "",
        funding=statement.funding,
        aborted=statement.aborted,
    )
    reversals = statement.reversals
    if reversals != Reversals():
        message.reversals.CopyFrom(
            statement_pb2.Reversals(
                outgoing_value=reversals.outgoing_value,
                incoming_value=reversals.incoming_value,
                fees=reversals.fees,
                taxes=map(_tax_message, reversals.taxes),
                value_taxes=map(_value_tax_message, reversals.value_taxes),
                promotions=reversals.promotions,
                promotion_lines=map(_promotion_message, reversals.promotion_lines),
            )
        )
    return message.SerializeToString(deterministic=True)


def _tax_message(tax: tuple[str, int]) -> statement_pb2.TaxLine:
    code, amount = tax
    return statement_pb2.TaxLine(tax_code=code, amount=amount)


def _value_tax_message(tax: ValueTax) -> statement_pb2.ValueTaxLine:
    return statement_pb2.ValueTaxLine(
        tax_code=tax.tax_code, outgoing=tax.outgoing, incoming=tax.incoming
    )


def _promotion_message(line: PromotionLine) -> statement_pb2.PromotionLine:
    return statement_pb2.PromotionLine(
        agreement_id=line.agreement_id,
        promotion_id=line.promotion_id,
        funder=line.funder,
        amount=line.amount,
        own_share=line.own_share,
    )


Lined = statement_pb2.SettlementStatement | statement_pb2.Reversals


def _taxes(message: Lined) -> tuple[tuple[str, int], ...]:
    return tuple((each.tax_code, each.amount) for each in message.taxes)


def _value_taxes(message: Lined) -> tuple[ValueTax, ...]:
    return tuple(
        ValueTax(each.tax_code, each.outgoing, each.incoming) for each in message.value_taxes
    )


def _promotion_lines(message: Lined) -> tuple[PromotionLine, ...]:
    return tuple(
        PromotionLine(
            each.agreement_id, each.promotion_id, each.funder, each.amount, each.own_share
        )
        for each in message.promotion_lines
    )


def parse_statement(payload: bytes) -> Statement:
    """The statement in a `settlement-statement` payload of our own."""
    message = statement_pb2.SettlementStatement.FromString(payload)
    return Statement(
        audience=message.audience,
        partner_id=message.partner_id,
        window_id=message.window_id,
        business_date=date.fromisoformat(message.business_date),
        currency=message.currency,
        scale=message.scale,
        brought_forward=message.brought_forward,
        outgoing_value=message.outgoing_value,
        incoming_value=message.incoming_value,
        fees=message.fees,
        taxes=_taxes(message),
        value_taxes=_value_taxes(message),
        promotions=message.promotions,
        promotion_lines=_promotion_lines(message),
        net=message.net,
        due=message.due,
        payment=message.payment,
        payment_reference=message.payment_reference,
        carried_forward=message.carried_forward,
        payments_since=message.payments_since,
        net_debit_cap=message.net_debit_cap,
        points=tuple(
            ProgramPoints(
                each.program_id,
                each.points_out,
                each.points_in,
                each.bonus_points,
                each.reversed_out,
                each.reversed_in,
                each.reversed_bonus,
            )
            for each in message.points
        ),
        line_count=message.line_count,
        line_file_sha256=message.line_file_sha256,
        first_stream_seq=message.first_stream_seq,
        last_stream_seq=message.last_stream_seq,
        opening_tree=TreeHead(message.opening_tree.size, message.opening_tree.root),
        closing_tree=TreeHead(message.closing_tree.size, message.closing_tree.root),
        signing_key_id=message.signing_key_id,
        reversals=Reversals(
            message.reversals.outgoing_value,
            message.reversals.incoming_value,
            message.reversals.fees,
            _taxes(message.reversals),
            _value_taxes(message.reversals),
            message.reversals.promotions,
            _promotion_lines(message.reversals),
        ),
        version=message.version or 1,
        supersedes_sha256=message.supersedes_sha256,
        reason=message.reason,
        withheld=message.withheld,
        restated=message.restated,
        adjustments=message.adjustments,
        top_ups=message.top_ups,
        withdrawals=message.withdrawals,
        draws=message.draws,
        collateral=message.collateral,
        reserved_at_cut_off=message.reserved_at_cut_off,
        due_date=date.fromisoformat(message.due_date) if message.due_date else None,
        funding=message.funding,
        aborted=message.aborted,
    )


Fee = transfer_pb2.SourcePart | transfer_pb2.TargetPart


def line_of(window_id: str, payload_kind: int, payload: bytes, order: bytes | None) -> Line | None:
    """The line of one stream entry, or None for a refused order.

    `order` is the payload of the partner's own order, while it is stored. Raises InvariantBroken
    for a transfer or reversal that another window counts.
    """
    if payload_kind == REVERSAL_KIND:
        return _reversal_line(window_id, payload, order)
    role, partner_id, record, fee = _read_entry(payload_kind, payload)
    if record.state != transfer_pb2.TRANSFER_STATE_COMMITTED:
        return None
    if record.window_id != window_id:
        raise InvariantBroken(
            f"entry {record.log_index} is {record.window_id}'s, not {window_id}'s"
        )
    reference = ""
    if role is Role.SOURCE and order is not None:
        reference = transfer_pb2.TransferOrder.FromString(order).partner_reference
    # What the source pays for points comes to the target; a funder has no part in it.
    sign = {Role.SOURCE: -1, Role.TARGET: 1, Role.FUNDER: 0}[role]
    shares = _shares(role, partner_id, record)
    return Line(
        transfer_id=UUID(bytes=record.transfer_id),
        role=role,
        own_reference=reference,
        source_program=record.source_program,
        target_program=record.target_program,
        source_points=record.source_points,
        target_points=record.target_points,
        bonus_points=sum(each.bonus_points for each in record.promotions),
        agreement_id=record.agreement_id,
        segment=record.segment.segment_id,
        rate_source_units=record.block_rate.source_units,
        rate_target_units=record.block_rate.target_units,
        price_per_target_point=record.price_per_target_point,
        price_per_thousand=record.price_per_thousand_target_points,
        value=sign * record.value,
        value_tax=sign * record.value_tax,
        value_tax_code=record.value_tax_code if role is not Role.FUNDER else "",
        promotion=_promotion(role, partner_id, shares),
        promotions=shares,
        fee=-fee.fee,
        tax=-fee.tax,
        tax_code=fee.tax_code,
        currency=record.settlement_currency,
        state="COMMITTED",
        # Its own ToDatetime gives a naive value; the log's time has whole microseconds.
        recorded_at=_EPOCH + timedelta(microseconds=record.recorded_at.ToMicroseconds()),
        log_index=record.log_index,
    )


def _reversal_line(window_id: str, payload: bytes, order: bytes | None) -> Line | None:
    notice = transfer_pb2.ReversalNotice.FromString(payload)
    record = transfer_pb2.ReversalRecord.FromString(notice.record)
    part = transfer_pb2.ReversalPart.FromString(notice.part)
    if record.state != transfer_pb2.TRANSFER_STATE_COMMITTED:
        return None
    if record.window_id != window_id:
        raise InvariantBroken(
            f"entry {record.log_index} is {record.window_id}'s, not {window_id}'s"
        )
    brands = {record.source_partner: Role.SOURCE, record.target_partner: Role.TARGET}
    role = brands.get(notice.partner_id, Role.FUNDER)
    # What the source had paid for points comes back from the target.
    sign = {Role.SOURCE: 1, Role.TARGET: -1, Role.FUNDER: 0}[role]
    shares = _shares(role, notice.partner_id, record)
    return Line(
        transfer_id=UUID(bytes=record.transfer_id),
        role=REVERSED[role],
        own_reference=transfer_pb2.ReversalOrder.FromString(order or b"").partner_reference,
        source_program=record.source_program,
        target_program=record.target_program,
        source_points=record.source_points,
        target_points=record.target_points,
        bonus_points=sum(each.bonus_points for each in record.promotions),
        agreement_id=record.agreement_id,
        segment=record.segment.segment_id,
        rate_source_units=record.block_rate.source_units,
        rate_target_units=record.block_rate.target_units,
        price_per_target_point=record.price_per_target_point,
        price_per_thousand=record.price_per_thousand_target_points,
        value=sign * record.value,
        value_tax=sign * record.value_tax,
        value_tax_code=record.value_tax_code if sign else "",
        promotion=-_promotion(role, notice.partner_id, shares),
        promotions=shares,
        fee=part.fee,
        tax=part.tax,
        tax_code=part.tax_code,
        currency=record.settlement_currency,
        state="REVERSED",
        recorded_at=_EPOCH + timedelta(microseconds=record.recorded_at.ToMicroseconds()),
        log_index=record.log_index,
    )


def _read_entry(
    payload_kind: int, payload: bytes
) -> tuple[Role, str, transfer_pb2.TransferRecord, Fee]:
    """Which side the partner is, its id, the record, and the part that may hold a fee."""
    fee: Fee = transfer_pb2.SourcePart()
    entry: transfer_pb2.TransferReceipt | transfer_pb2.CreditNotice | transfer_pb2.FundingNotice
    if payload_kind == RECEIPT_KIND:
        role, entry = Role.SOURCE, transfer_pb2.TransferReceipt.FromString(payload)
        fee = transfer_pb2.SourcePart.FromString(entry.source_part)
    elif payload_kind == NOTICE_KIND:
        role, entry = Role.TARGET, transfer_pb2.CreditNotice.FromString(payload)
        fee = transfer_pb2.TargetPart.FromString(entry.target_part)
    else:
        role, entry = Role.FUNDER, transfer_pb2.FundingNotice.FromString(payload)
    return role, entry.partner_id, transfer_pb2.TransferRecord.FromString(entry.record), fee


def _shares(
    role: Role, partner_id: str, record: transfer_pb2.TransferRecord | transfer_pb2.ReversalRecord
) -> tuple[Share, ...]:
    """The shares that are the partner's business: the target's all, others' their own."""
    return tuple(
        Share(promotion.promotion_id, share.funder, share.amount)
        for promotion in record.promotions
        for share in promotion.shares
        if share.amount and (role is Role.TARGET or share.funder == partner_id)
    )


def _promotion(role: Role, partner_id: str, shares: tuple[Share, ...]) -> int:
    """What moved for bonuses, from the partner's view; what a target bears itself does not."""
    if role is Role.TARGET:
        return sum(each.amount for each in shares if each.funder != partner_id)
    return -sum(each.amount for each in shares)


def window_message(window: SettlementWindow, nets: Iterable[NetPosition] = ()) -> pb.Window:
    """A window on the wire, with the nets that the caller may see."""
    return pb.Window(
        window_id=window.window_id,
        currency=window.currency.code,
        business_date=window.business_date.isoformat(),
        state=pb.WindowState.Value(f"WINDOW_STATE_{window.state}"),
        first_log_index=window.opening_tree.size,
        end_log_index=window.closing_tree.size if window.closing_tree else 0,
        net_positions=[pb.NetPosition(partner_id=each.party, net=each.net) for each in nets],
    )


def leg_message(leg: Leg) -> pb.Leg:
    """A leg on the wire."""
    return pb.Leg(
        window_id=leg.window_id,
        partner_id=leg.partner_id,
        direction=pb.LegDirection.Value(f"LEG_DIRECTION_{leg.direction}"),
        amount=leg.amount,
        reference=leg.reference,
        state=pb.LegState.Value(f"LEG_STATE_{leg.state}"),
        version=leg.version,
    )


def _tree_message(tree: TreeHead) -> statement_pb2.TreeHead:
    return statement_pb2.TreeHead(size=tree.size, root=tree.root)


@dataclass(frozen=True, slots=True)
class Chained:
    """What an entry of a stream says of its place, and the record that it carries."""

    partner_id: str
    stream_seq: int
    previous_sha256: bytes
    record: bytes


def chained(kind: int, payload: bytes) -> Chained:
    """The place of a stream's payload, by its kind."""
    message = PAPERS[kind].FromString(payload)
    return Chained(message.partner_id, message.stream_seq, message.previous_sha256, message.record)


def recorded_index(record: bytes, kind: int) -> int:
    """The log index that a record states, by its leaf's kind."""
    if kind == LeafKind.ENTRY:
        return record_pb2.EntryRecord.FromString(record).log_index
    if kind in (LeafKind.REVERSAL, LeafKind.REVERSAL_REFUSAL, LeafKind.REVERSAL_REQUEST):
        return transfer_pb2.ReversalRecord.FromString(record).log_index
    return transfer_pb2.TransferRecord.FromString(record).log_index


def recorded_agreement(record: bytes, kind: int) -> tuple[tuple[str, int], bytes]:
    """The agreement version that the record of a transfer or reversal names, and its digest."""
    message: transfer_pb2.TransferRecord | transfer_pb2.ReversalRecord
    if kind == LeafKind.REVERSAL:
        message = transfer_pb2.ReversalRecord.FromString(record)
    else:
        message = transfer_pb2.TransferRecord.FromString(record)
    return (message.agreement_id, message.agreement_version), message.agreement_sha256


@dataclass(frozen=True, slots=True)
class Ended:
    """How a record says that a transfer or a reversal ended, and by which answer."""

    log_index: int
    recorded_at: datetime
    name: UUID
    """The transfer's or reversal's own id."""
    instruction: tuple[UUID, InstructionKind]
    """What was answered."""
    outcomes: tuple[CreditOutcome, ...]
    """With which such an end may come."""
    points: int
    """Target points that were moved."""
    target_partner: str
    sha256: bytes
    """Of the answer; empty where nothing was answered."""
    key_id: str
    """That signed it; empty for the operators' evidence."""

    @property
    def subject(self) -> str:
        """The row that says so."""
        return f"record {self.log_index} ({self.name})"


def recorded_end(record: bytes, kind: int) -> Ended | None:
    """What the record of a transfer or reversal, or of a refusal of one, says of its end; None
    where it was refused at once.
    """
    if kind in (LeafKind.TRANSFER, LeafKind.REFUSAL):
        return _transfer_end(transfer_pb2.TransferRecord.FromString(record))
    return _reversal_end(transfer_pb2.ReversalRecord.FromString(record))


def _transfer_end(record: transfer_pb2.TransferRecord) -> Ended | None:
    if record.state == transfer_pb2.TRANSFER_STATE_COMMITTED:
        outcome, points = CreditOutcome.DONE, record.target_points
    elif record.state == transfer_pb2.TRANSFER_STATE_ABORTED:
        lapsed = record.reason == refusal_pb2.REASON_TRANSFER_LAPSED
        outcome, points = CreditOutcome.NEVER if lapsed else CreditOutcome.DECLINED, 0
    else:
        return None
    name = UUID(bytes=record.transfer_id)
    return _ended(record, name, (name, InstructionKind.CREDIT), (outcome,), points)


def _reversal_end(record: transfer_pb2.ReversalRecord) -> Ended | None:
    committed = record.state == transfer_pb2.TRANSFER_STATE_COMMITTED
    if not committed and record.state != transfer_pb2.TRANSFER_STATE_ABORTED:
        return None
    name, transfer_id = UUID(bytes=record.reversal_id), UUID(bytes=record.transfer_id)
    nothing = (CreditOutcome.DECLINED, CreditOutcome.NEVER)
    if name == undo_id(transfer_id):
        # A committed credit that was declined: all of it is booked back, and nothing was moved.
        return _ended(record, name, (transfer_id, InstructionKind.CREDIT), nothing, 0)
    outcomes = (CreditOutcome.DONE,) if committed else nothing
    points = record.target_points if committed else 0
    return _ended(record, name, (name, InstructionKind.REVERSE), outcomes, points)


def _ended(
    record: transfer_pb2.TransferRecord | transfer_pb2.ReversalRecord,
    name: UUID,
    instruction: tuple[UUID, InstructionKind],
    outcomes: tuple[CreditOutcome, ...],
    points: int,
) -> Ended:
    return Ended(
        record.log_index,
        record.recorded_at.ToDatetime(UTC),
        name,
        instruction,
        outcomes,
        points,
        record.target_partner,
        record.proof_sha256,
        record.proof_key_id,
    )


def window_of_record(kind: int, record: bytes) -> str:
    """The window that counts a committed transfer or reversal, by its leaf's kind."""
    if kind == LeafKind.REVERSAL:
        return transfer_pb2.ReversalRecord.FromString(record).window_id
    return transfer_pb2.TransferRecord.FromString(record).window_id


def recorded_order(record: bytes, kind: int) -> tuple[bytes, str]:
    """The digest of the order that a record of a transfer or reversal answers, and how it ended."""
    message: transfer_pb2.TransferRecord | transfer_pb2.ReversalRecord
    if kind in (LeafKind.REVERSAL, LeafKind.REVERSAL_REFUSAL, LeafKind.REVERSAL_REQUEST):
        message = transfer_pb2.ReversalRecord.FromString(record)
    else:
        message = transfer_pb2.TransferRecord.FromString(record)
    state = transfer_pb2.TransferState.Name(message.state).removeprefix("TRANSFER_STATE_")
    return message.order_sha256, state


def rate_of_body(body: bytes) -> tuple[str, datetime, int]:
    """Code, instant and basis points of the rate that an entry's body states."""
    rate = partners_service_pb2.TaxRate.FromString(body)
    return rate.tax_code, rate.effective_from.ToDatetime(UTC), rate.basis_points
