"""What transfers, and what is known before and after them, look like to machines. Pure."""

from typing import Any
from uuid import UUID

from exchange.cli.documents import instant, money, reason_name
from exchange.cli.proofs import Proof
from partners.points import format_amount
from pointclear.exchange.v1 import exchange_service_pb2, quote_pb2, transfer_pb2
from pointclear.partners.v1 import agreement_pb2


def proof_document(proof: Proof) -> dict[str, Any]:
    """A receipt or a notice."""
    record, part = proof.record, proof.source_part or proof.target_part or proof.reversal_part
    currency = record.settlement_currency
    document: dict[str, Any] = {
        "kind": proof.envelope.payload_type.split(".")[-2],
        "stream_seq": proof.body.stream_seq,
        **(
            reversal_document(record)
            if isinstance(record, transfer_pb2.ReversalRecord)
            else record_document(record)
        ),
        "signing_key_id": proof.body.signing_key_id,
    }
    if part is not None and currency:
        document["fee"] = money(part.fee, currency)
        document["tax"] = money(part.tax, currency)
        document["tax_code"] = part.tax_code
    return document


def quote_document(quote: quote_pb2.Quote) -> dict[str, Any]:
    """An offer to convert one amount."""
    currency = quote.settlement_currency
    return {
        "quote_id": str(UUID(bytes=quote.quote_id)),
        "source_program": quote.source_program,
        "target_program": quote.target_program,
        "source_points": quote.source_points,
        "target_points": quote.target_points,
        "segment": quote.segment,
        "agreement_id": quote.agreement_id,
        "agreement_version": quote.agreement_version,
        "currency": currency,
        "value": money(quote.value, currency),
        "value_tax": money(quote.value_tax.amount, currency),
        "value_tax_code": quote.value_tax.tax_code,
        "fee": money(quote.fee, currency),
        "fee_bearer": agreement_pb2.Bearer.Name(quote.fee_bearer).removeprefix("BEARER_"),
        "tax": money(quote.fee_tax.amount, currency),
        "tax_code": quote.fee_tax.tax_code,
        "promotions": [
            {
                "promotion_id": each.promotion_id,
                "bonus_points": each.bonus_points,
                "value": money(each.value, currency),
            }
            for each in quote.promotions
        ],
        "issued_at": instant(quote.issued_at),
        "expires_at": instant(quote.expires_at),
        "signing_key_id": quote.signing_key_id,
    }


def listed_document(transfer: exchange_service_pb2.ListedTransfer) -> dict[str, Any]:
    """A transfer of a list, which proves nothing."""
    return {
        "stream_seq": transfer.stream_seq,
        **record_document(transfer.record),
        "member": transfer.member,
        "partner_reference": transfer.partner_reference,
        "reversed_points": transfer.reversed_points,
    }


def record_document(record: transfer_pb2.TransferRecord) -> dict[str, Any]:
    """The record of a transfer, as far as people ask for it."""
    currency = record.settlement_currency
    return {
        "transfer_id": str(UUID(bytes=record.transfer_id)),
        "state": transfer_pb2.TransferState.Name(record.state).removeprefix("TRANSFER_STATE_"),
        "reason": reason_name(record.reason),
        "source_partner": record.source_partner,
        "target_partner": record.target_partner,
        "source_program": record.source_program,
        "target_program": record.target_program,
        "source_points": record.source_points,
        "target_points": record.target_points,
        "agreement_id": record.agreement_id,
        "agreement_version": record.agreement_version,
        "currency": currency,
        "value": money(record.value, currency) if currency else None,
        "window_id": record.window_id,
        "log_index": record.log_index,
        "recorded_at": instant(record.recorded_at),
    }


def reversal_document(record: transfer_pb2.ReversalRecord) -> dict[str, Any]:
    """The record of a reversal, as far as people ask for it."""
    currency = record.settlement_currency
    return {
        "reversal_id": str(UUID(bytes=record.reversal_id)),
        "transfer_id": str(UUID(bytes=record.transfer_id)),
        "state": transfer_pb2.TransferState.Name(record.state).removeprefix("TRANSFER_STATE_"),
        "reason": reason_name(record.reason),
        "source_partner": record.source_partner,
        "target_partner": record.target_partner,
        "source_program": record.source_program,
        "target_program": record.target_program,
        "source_points": record.source_points,
        "target_points": record.target_points,
        "reversed_points": record.reversed_points,
        "transfer_target_points": record.transfer_target_points,
        "agreement_id": record.agreement_id,
        "agreement_version": record.agreement_version,
        "currency": currency,
        "value": money(record.value, currency) if currency else None,
        "window_id": record.window_id,
        "log_index": record.log_index,
        "recorded_at": instant(record.recorded_at),
    }


def simulation_document(
    request: exchange_service_pb2.SimulateTransferRequest,
    response: exchange_service_pb2.SimulateTransferResponse,
) -> dict[str, Any]:
    """What an order would come to; no amounts where the points are no whole increments."""
    currency = response.settlement_currency
    known = bool(response.target_points)
    refusal = response.refusal if response.HasField("refusal") else None
    return {
        "source_program": request.source_program,
        "target_program": request.target_program,
        "source_points": request.source_points,
        "target_points": response.target_points if known else None,
        "agreement_id": response.agreement_id,
        "agreement_version": response.agreement_version,
        "currency": currency,
        "value": money(response.value, currency) if known else None,
        "fee": money(response.fee, currency) if known else None,
        "tax": money(response.tax, currency) if known else None,
        "tax_code": response.tax_code,
        "refusal": {
            "reason": reason_name(refusal.reason),
            "field": refusal.field,
            "text": refusal.message,
            "remedy": refusal.remedy,
        }
        if refusal
        else None,
    }


def position_document(position: exchange_service_pb2.Position) -> dict[str, Any]:
    """A partner's position. Money is signed from its view: positive is owed to it."""

    def figure(units: int) -> str:
        return format_amount(units, position.scale)

    return {
        "partner_id": position.partner_id,
        "currency": position.currency,
        "open_window_id": position.open_window_id,
        "balance": figure(position.balance),
        "open": figure(position.open),
        "closed": figure(position.closed),
        "stated": figure(position.stated),
        "carried": figure(position.carried),
        "reserved": figure(position.reserved),
        "collateral": figure(position.collateral),
        "net_debit_cap": None if position.uncapped else figure(position.net_debit_cap),
        "headroom": None if position.uncapped else figure(position.headroom),
        "credits_held": figure(position.credits_held),
        "alert_level": position.alert_level,
    }
