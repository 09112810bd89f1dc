"""What windows, legs and statements look like to machines. Pure."""

from collections.abc import Callable
from typing import Any

from exchange.cli.documents import money
from partners.points import format_amount
from pointclear.settlement.v1 import settlement_service_pb2, statement_pb2


def window_document(window: settlement_service_pb2.Window) -> dict[str, Any]:
    """A settlement window."""
    state = settlement_service_pb2.WindowState.Name(window.state)
    return {
        "window_id": window.window_id,
        "currency": window.currency,
        "business_date": window.business_date,
        "state": state.removeprefix("WINDOW_STATE_"),
        "first_log_index": window.first_log_index,
        "end_log_index": window.end_log_index or None,
        "net_positions": {
            each.partner_id: money(each.net, window.currency) for each in window.net_positions
        },
    }


def leg_document(leg: settlement_service_pb2.Leg, currency: str) -> dict[str, Any]:
    """A payment that a settlement asks for or makes."""
    direction = settlement_service_pb2.LegDirection.Name(leg.direction)
    return {
        "partner_id": leg.partner_id,
        "direction": direction.removeprefix("LEG_DIRECTION_"),
        "amount": money(leg.amount, currency),
        "currency": currency,
        "reference": leg.reference,
        "state": settlement_service_pb2.LegState.Name(leg.state).removeprefix("LEG_STATE_"),
    }


def statement_document(statement: statement_pb2.SettlementStatement) -> dict[str, Any]:
    """A settlement statement. Money is signed from the partner's view: positive is owed to it."""

    def figure(units: int) -> str:
        return format_amount(units, statement.scale)

    return {
        "partner_id": statement.partner_id,
        "window_id": statement.window_id,
        "business_date": statement.business_date,
        "currency": statement.currency,
        "brought_forward": figure(statement.brought_forward),
        "outgoing_value": figure(statement.outgoing_value),
        "incoming_value": figure(statement.incoming_value),
        "fees": figure(statement.fees),
        "taxes": {each.tax_code: figure(each.amount) for each in statement.taxes},
        "reversals": _reversals_document(statement, figure),
        "adjustments": figure(statement.adjustments),
        "net": figure(statement.net),
        "restated": figure(statement.restated),
        "withheld": figure(statement.withheld),
        "due": figure(statement.due),
        "payment": figure(statement.payment),
        "payment_reference": statement.payment_reference,
        "carried_forward": figure(statement.carried_forward),
        "payments_since": figure(statement.payments_since),
        "net_debit_cap": figure(statement.net_debit_cap),
        "funding": statement.funding,
        "top_ups": figure(statement.top_ups),
        "withdrawals": figure(statement.withdrawals),
        "draws": figure(statement.draws),
        "collateral": figure(statement.collateral),
        "reserved_at_cut_off": figure(statement.reserved_at_cut_off),
        "due_date": statement.due_date,
        "version": statement.version or 1,
        "supersedes_sha256": statement.supersedes_sha256.hex(),
        "reason": statement.reason,
        "aborted": statement.aborted,
        "points": {
            each.program_id: {"out": each.points_out, "in": each.points_in}
            for each in statement.points
        },
        "line_count": statement.line_count,
        "line_file_sha256": statement.line_file_sha256.hex(),
        "first_stream_seq": statement.first_stream_seq,
        "last_stream_seq": statement.last_stream_seq,
        "signing_key_id": statement.signing_key_id,
    }


def _reversals_document(
    statement: statement_pb2.SettlementStatement, figure: Callable[[int], str]
) -> dict[str, str]:
    """What reversals gave back, nothing where there were none."""
    if not statement.HasField("reversals"):
        return {}
    reversals = statement.reversals
    return {
        "outgoing_value": figure(reversals.outgoing_value),
        "incoming_value": figure(reversals.incoming_value),
        "fees": figure(reversals.fees),
        "taxes": figure(sum(each.amount for each in reversals.taxes)),
        "value_taxes": figure(sum(each.outgoing + each.incoming for each in reversals.value_taxes)),
        "promotions": figure(reversals.promotions),
    }
