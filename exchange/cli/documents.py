"""What the exchange's messages look like to machines: the documents that `--json` prints. Pure.

Points are integers, money is a decimal figure of the currency's scale, times are ISO 8601 in UTC,
digests are hex.
"""

from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from google.protobuf.timestamp_pb2 import Timestamp

from exchange.cli.proofs import Proof
from partners.agreement import CreditMode, ExpiryRule, Promotion, Terms
from partners.points import currency_scale, format_amount
from partners.wire import time_to_proto
from pointclear.common.v1 import refusal_pb2
from pointclear.exchange.v1 import exchange_service_pb2, quote_pb2, transfer_pb2
from pointclear.partners.v1 import (
    agreement_pb2,
    key_pb2,
    link_service_pb2,
    operator_service_pb2,
    partners_service_pb2,
)
from pointclear.settlement.v1 import settlement_service_pb2, statement_pb2


def money(units: int, currency: str) -> str:
    """Units of a currency's scale as a decimal figure."""
    return format_amount(units, currency_scale(currency).scale)


def instant(stamp: Timestamp) -> str | None:
    """A time, or None where it is not set."""
    if not stamp.seconds and not stamp.nanos:
        return None
    moment = datetime.fromtimestamp(stamp.seconds, UTC).replace(microsecond=stamp.nanos // 1000)
    return moment.isoformat().replace("+00:00", "Z")


def partner_document(partner: partners_service_pb2.Partner) -> dict[str, Any]:
    """A partner."""
    account = partner.settlement_account
    return {
        "partner_id": partner.partner_id,
        "legal_name": partner.legal_name,
        "programs": list(partner.programs),
        "currency": account.currency,
        "net_debit_cap": money(account.net_debit_cap, account.currency),
        "state": partners_service_pb2.PartnerState.Name(partner.state).removeprefix(
            "PARTNER_STATE_"
        )
        if partner.state
        else "",
    }


def operator_document(operator: operator_service_pb2.Operator) -> dict[str, Any]:
    """An operator and its roles."""
    names = [operator_service_pb2.Role.Name(role) for role in operator.roles]
    return {
        "name": operator.name,
        "roles": [each.removeprefix("ROLE_").lower().replace("_", "-") for each in names],
    }


def key_document(key: key_pb2.Key) -> dict[str, Any]:
    """A registered key."""
    return {
        "key_id": key.key_id,
        "holder": key.holder,
        "purpose": key_pb2.KeyPurpose.Name(key.purpose).removeprefix("KEY_PURPOSE_"),
        "public_key": key.public_key.hex(),
        "valid_from": instant(key.valid_from),
        "valid_until": instant(key.valid_until),
        "registered_index": key.registered_index,
        "revoked_index": key.revoked_index or None,
    }


def link_document(link: link_service_pb2.Link) -> dict[str, Any]:
    """A link as one of its brands sees it."""
    method = link_service_pb2.LinkMethod.Name(link.method).removeprefix("LINK_METHOD_")
    return {
        "link_id": str(UUID(bytes=link.link_id)),
        "source_program": link.source_program,
        "target_program": link.target_program,
        "state": link_service_pb2.LinkState.Name(link.state).removeprefix("LINK_STATE_"),
        "member": link.member,
        "started_at": instant(link.started_at),
        "lapses_at": instant(link.lapses_at),
        "confirmed_at": instant(link.confirmed_at),
        "method": None if method == "UNSPECIFIED" else method,
        "consent_version": link.consent_version,
    }


def terms_document(terms: Terms) -> dict[str, Any]:
    """The terms of an agreement version."""
    return {
        "agreement_id": terms.agreement_id,
        "version": terms.version,
        "source_partner": terms.source_partner,
        "target_partner": terms.target_partner,
        "source_program": terms.source_program,
        "target_program": terms.target_program,
        "rate": f"{terms.rate.source_units}:{terms.rate.target_units}",
        "minimum_source_points": terms.minimum_source_points,
        "maximum_source_points": terms.maximum_source_points,
        "increment_source_points": terms.increment_source_points,
        "currency": terms.currency,
        "price_per_target_point"
        if terms.price.points == 1
        else "price_per_thousand_target_points": money(terms.price.units, terms.currency),
        "fee_basis_points": terms.fee.basis_points,
        "fee_bearer": str(terms.fee.bearer),
        "tax_code": terms.fee.tax_code,
        **further_terms(terms),
        "sha256": terms.sha256.hex(),
    }


def further_terms(terms: Terms) -> dict[str, Any]:
    """The terms that an agreement need not have, those that it has."""
    fee, currency = terms.fee, terms.currency
    return {
        name: value
        for name, value in {
            "fee_per_target_point": fee.per_target_point and money(fee.per_target_point, currency),
            "fee_fixed": fee.fixed and money(fee.fixed, currency),
            "fee_minimum": fee.minimum and money(fee.minimum, currency),
            "fee_maximum": fee.maximum and money(fee.maximum, currency),
            "fee_refundable": fee.refundable,
            "value_tax_code": terms.value_tax_code,
            "segments": [
                {
                    "segment_id": each.segment_id,
                    "multiplier": f"{each.numerator}:{each.denominator}",
                }
                for each in terms.segments
            ],
            "promotions": [promotion_document(each) for each in terms.promotions],
            "member_limits": {
                name: limit for name, limit in asdict(terms.member_limits).items() if limit
            },
            "expiry_rule": "" if terms.expiry.rule is ExpiryRule.FRESH else str(terms.expiry.rule),
            "expiry_days": terms.expiry.days,
            "notice_days": terms.notice_days,
            "credit_mode": (
                "" if terms.credit_mode is CreditMode.GUARANTEED else str(terms.credit_mode)
            ),
        }.items()
        if value
    }


def promotion_document(promotion: Promotion) -> dict[str, Any]:
    """A promotion of an agreement."""
    return {
        "promotion_id": promotion.promotion_id,
        "bonus_basis_points": promotion.bonus_basis_points,
        "effective_from": instant(time_to_proto(promotion.effective_from)),
        "effective_until": instant(time_to_proto(promotion.effective_until)),
        "budget_points": promotion.budget_points,
        "funders": {each.name: each.share_basis_points for each in promotion.funders},
    }


def agreement_document(agreement: partners_service_pb2.Agreement, terms: Terms) -> dict[str, Any]:
    """An agreement version: its terms and how far it has come."""
    state = partners_service_pb2.AgreementState.Name(agreement.state)
    return {
        **terms_document(terms),
        "state": state.removeprefix("AGREEMENT_STATE_"),
        "proposer": agreement.proposer,
        "round": agreement.round,
        "signed_by_keys": [each.key_id for each in agreement.envelope.signatures],
        "effective_from": instant(agreement.effective_from),
        "effective_until": instant(agreement.effective_until),
    }


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


def corridor_document(corridor: exchange_service_pb2.Corridor) -> dict[str, Any]:
    """An agreement in force."""
    return {
        "agreement_id": corridor.agreement_id,
        "version": corridor.agreement_version,
        "source_partner": corridor.source_partner,
        "target_partner": corridor.target_partner,
        "source_program": corridor.source_program,
        "target_program": corridor.target_program,
        "rate": f"{corridor.block_rate.source_units}:{corridor.block_rate.target_units}",
        "minimum_source_points": corridor.minimum_source_points,
        "maximum_source_points": corridor.maximum_source_points,
        "increment_source_points": corridor.increment_source_points,
        "currency": corridor.settlement_currency,
        "price_per_target_point": money(
            corridor.price_per_target_point, corridor.settlement_currency
        ),
        "fee_basis_points": corridor.fee_basis_points,
        "tax_code": corridor.tax_code,
        "effective_from": instant(corridor.effective_from),
    }


def reason_name(reason: refusal_pb2.Reason.ValueType) -> str | None:
    """The reason's name, None where nothing was refused."""
    return refusal_pb2.Reason.Name(reason).removeprefix("REASON_") if reason else None


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
