"""Between the wire's messages and settlement's values.

Payloads are serialised once, deterministically, and stored; after that they are only parsed.
"""

from collections.abc import Iterable
from dataclasses import fields
from datetime import date

from exchange.seal import LeafKind
from pointclear.exchange.v1 import transfer_pb2
from pointclear.settlement.v1 import settlement_service_pb2 as pb
from pointclear.settlement.v1 import statement_pb2
from settlement.lines.line_sums import PromotionLine, ValueTax
from settlement.statement import ProgramPoints, Reversals, Statement
from settlement.windows import Leg, NetPosition, SettlementWindow, TreeHead

SAME = (
    "audience",
    "partner_id",
    "window_id",
    "currency",
    "scale",
    "brought_forward",
    "outgoing_value",
    "incoming_value",
    "fees",
    "net",
    "due",
    "payment",
    "payment_reference",
    "carried_forward",
    "payments_since",
    "net_debit_cap",
    "line_count",
    "line_file_sha256",
    "first_stream_seq",
    "last_stream_seq",
    "signing_key_id",
    "promotions",
    "supersedes_sha256",
    "reason",
    "withheld",
    "restated",
    "adjustments",
    "top_ups",
    "withdrawals",
    "draws",
    "collateral",
    "reserved_at_cut_off",
    "funding",
    "aborted",
)
"""The fields of a statement that its message has as they are."""
POINTS = tuple(each.name for each in fields(ProgramPoints))
"""Likewise of the points of a program, in order."""


def statement_payload(statement: Statement) -> bytes:
    """The bytes of a `settlement-statement` payload."""
    message = statement_pb2.SettlementStatement(
        **{name: getattr(statement, name) for name in SAME},
        business_date=statement.business_date.isoformat(),
        taxes=map(_tax_message, statement.taxes),
        value_taxes=map(_value_tax_message, statement.value_taxes),
        promotion_lines=map(_promotion_message, statement.promotion_lines),
        points=[
            statement_pb2.ProgramPoints(**{name: getattr(each, name) for name in POINTS})
            for each in statement.points
        ],
        opening_tree=_tree_message(statement.opening_tree),
        closing_tree=_tree_message(statement.closing_tree),
        # The first version says nothing of versions, as those before there were others.
        version=statement.version if statement.version > 1 else 0,
        due_date=statement.due_date.isoformat() if statement.due_date else "",
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
        **{name: getattr(message, name) for name in SAME},
        business_date=date.fromisoformat(message.business_date),
        taxes=_taxes(message),
        value_taxes=_value_taxes(message),
        promotion_lines=_promotion_lines(message),
        points=tuple(
            ProgramPoints(*(getattr(each, name) for name in POINTS)) for each in message.points
        ),
        opening_tree=TreeHead(message.opening_tree.size, message.opening_tree.root),
        closing_tree=TreeHead(message.closing_tree.size, message.closing_tree.root),
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
        due_date=date.fromisoformat(message.due_date) if message.due_date else None,
    )


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
