"""Between the wire's messages and what is read: filters in; transfers, positions, corridors and
simulations out.
"""

from exchange.reading.listing import Span
from exchange.reading.position import Position
from exchange.reads import OwnEntry
from exchange.seal import PayloadKind
from exchange.transfer import Simulation
from exchange.wire.records import bonus_to_proto
from exchange.wire.refusals import refusal_to_proto
from partners.conversion import Conversion
from partners.errors import Reason, Refused
from partners.points import POINTS_MAX, check_id, check_reference
from partners.registry import Force
from partners.wire import bearer_to_proto, segment_to_proto, time_from_proto, time_to_proto
from pointclear.exchange.v1 import exchange_service_pb2 as pb
from pointclear.exchange.v1 import transfer_pb2
from pointclear.partners.v1 import agreement_pb2


def span_of(wanted: pb.TransferFilter) -> Span:
    """The part of a stream that a filter covers; raises Refused(FIELD_INVALID) naming the first
    field of the filter that breaks its rule.
    """
    if wanted.state not in transfer_pb2.TransferState.values():
        raise Refused(Reason.FIELD_INVALID, "filter.state", "there is no such state")
    for field in ("program", "counterparty", "window_id"):
        if getattr(wanted, field):
            check_id(getattr(wanted, field), f"filter.{field}")
    check_reference(wanted.partner_reference, "filter.partner_reference", required=False)
    begins, ends = (
        time_from_proto(getattr(wanted, field), f"filter.{field}")
        if wanted.HasField(field)
        else None
        for field in ("recorded_from", "recorded_until")
    )
    return Span(begins, ends, wanted.window_id)


def listed_transfer(entry: OwnEntry) -> pb.ListedTransfer:
    """A stream's entry as the list shows it."""
    order = transfer_pb2.TransferOrder.FromString(entry.order_payload or b"")
    sent = entry.kind is PayloadKind.RECEIPT
    return pb.ListedTransfer(
        record=transfer_pb2.TransferRecord.FromString(entry.record),
        stream_seq=entry.stream_seq,
        member=entry.linked_member or (order.source_member if sent else order.target_member),
        partner_reference=order.partner_reference if sent else "",
        reversed_points=entry.reversed_points,
    )


def is_wanted(transfer: pb.ListedTransfer, partner_id: str, wanted: pb.TransferFilter) -> bool:
    """Whether a transfer of the partner's is one that a filter asks for; its times are left to the
    span.
    """
    record = transfer.record
    sent = record.source_partner == partner_id
    counterparty = record.target_partner if sent else record.source_partner
    return (
        wanted.state in (transfer_pb2.TRANSFER_STATE_UNSPECIFIED, record.state)
        and wanted.program in ("", record.source_program, record.target_program)
        and wanted.counterparty in ("", counterparty)
        and wanted.window_id in ("", record.window_id)
        and wanted.partner_reference in ("", transfer.partner_reference)
    )


def position_to_proto(position: Position) -> pb.Position:
    """A position as the wire shows it."""
    return pb.Position(
        partner_id=position.partner_id,
        currency=position.currency,
        scale=position.scale,
        open_window_id=position.open_window_id,
        balance=position.balance,
        open=position.open,
        closed=position.closed,
        stated=position.stated,
        carried=position.carried,
        reserved=position.reserved,
        collateral=position.collateral,
        net_debit_cap=position.net_debit_cap or 0,
        uncapped=position.net_debit_cap is None,
        credits_held=position.credits_held,
        headroom=position.headroom,
        alert_level=position.alert_level,
    )


def corridor_to_proto(force: Force) -> pb.Corridor:
    """Terms in force as the wire shows them."""
    terms = force.terms
    return pb.Corridor(
        agreement_id=terms.agreement_id,
        agreement_version=terms.version,
        source_partner=terms.source_partner,
        target_partner=terms.target_partner,
        source_program=terms.source_program,
        target_program=terms.target_program,
        block_rate=agreement_pb2.BlockRate(
            source_units=terms.rate.source_units, target_units=terms.rate.target_units
        ),
        minimum_source_points=terms.minimum_source_points,
        maximum_source_points=terms.maximum_source_points,
        increment_source_points=terms.increment_source_points,
        settlement_currency=terms.currency,
        price_per_target_point=terms.price.units if terms.price.points == 1 else 0,
        price_per_thousand_target_points=terms.price.units if terms.price.points > 1 else 0,
        fee_basis_points=terms.fee.basis_points,
        fee_bearer=bearer_to_proto(terms.fee.bearer),
        tax_code=terms.fee.tax_code,
        segments=map(segment_to_proto, terms.segments),
        effective_from=time_to_proto(force.effective_from),
    )


def simulation_to_proto(simulation: Simulation) -> pb.SimulateTransferResponse:
    """A simulation as the wire shows it."""
    terms, conversion, refusal = simulation.terms, simulation.conversion, simulation.refusal
    response = pb.SimulateTransferResponse(
        agreement_id=terms.agreement_id,
        agreement_version=terms.version,
        settlement_currency=terms.currency,
        tax_code=terms.fee.tax_code,
        refusal=refusal_to_proto(refusal) if refusal else None,
        fee_bearer=bearer_to_proto(terms.fee.bearer),
        value_tax_code=terms.value_tax_code,
    )
    # Points past the agreement's most are converted too, and nothing bounds what they come to.
    if conversion is not None and is_countable(conversion):
        response.target_points = conversion.target_points
        response.value = conversion.value
        response.fee = conversion.fee
        response.tax = conversion.tax
        response.value_tax = conversion.value_tax
        response.promotions.extend(map(bonus_to_proto, conversion.bonuses))
    return response


def is_countable(conversion: Conversion) -> bool:
    """Whether every figure of a conversion fits the wire."""
    return (
        max(
            conversion.target_points,
            conversion.value,
            conversion.value_tax,
            conversion.fee,
            *(each.value for each in conversion.bonuses),
        )
        <= POINTS_MAX
    )
