"""What agreements look like to machines. Pure."""

from dataclasses import asdict
from typing import Any

from exchange.cli.documents import instant, money
from partners.agreement import CreditMode, ExpiryRule, Promotion, Terms
from partners.wire import time_to_proto
from pointclear.exchange.v1 import exchange_service_pb2
from pointclear.partners.v1 import partners_service_pb2


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
