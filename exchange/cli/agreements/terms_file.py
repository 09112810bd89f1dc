"""Terms as a file: all of an agreement version, in JSON or TOML. Pure.

The members are those that `agreement list --json` prints of a version, so that terms in force are
the draft of their next version. Points are integers, rates `N:M`, money decimal text, times
ISO 8601 with an offset. What is left out is not agreed: no segment, no promotion, no limit; the
minimum and the increment are one block, the version is 1, the source bears the fee.
"""

import json
import re
import tomllib
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import partial
from typing import Any

from partners.envelope import RATE_AGREEMENT, SIGNED_BYTES_MAX, pae
from partners.errors import Reason, Refused
from partners.points import currency_scale, parse_amount
from partners.wire import time_to_proto
from pointclear.partners.v1 import agreement_pb2 as pb

REQUIRED = (
    "agreement_id",
    "source_partner",
    "target_partner",
    "source_program",
    "target_program",
    "rate",
    "maximum_source_points",
    "currency",
    "fee_basis_points",
    "tax_code",
)
IGNORED = (
    "sha256",
    "state",
    "proposer",
    "round",
    "signed_by_keys",
    "effective_from",
    "effective_until",
)
"""What a listed version says beside its terms."""
PLAIN = (
    "agreement_id",
    "version",
    "source_partner",
    "target_partner",
    "source_program",
    "target_program",
    "minimum_source_points",
    "maximum_source_points",
    "increment_source_points",
    "fee_basis_points",
    "fee_refundable",
    "tax_code",
    "value_tax_code",
    "expiry_days",
    "notice_days",
)
"""Members that the message has by the same name and in the same form."""
MONEY = (
    "price_per_target_point",
    "price_per_thousand_target_points",
    "fee_per_target_point",
    "fee_fixed",
    "fee_minimum",
    "fee_maximum",
)
SHAPED = (
    "rate",
    "currency",
    "fee_bearer",
    "credit_mode",
    "segments",
    "promotions",
    "member_limits",
    "expiry_rule",
)

Values = Mapping[str, Any]


def read_terms(text: str, is_toml: bool) -> Values:
    """The members of a file; raises Refused(FIELD_INVALID) for one that is no object of them."""
    try:
        values = tomllib.loads(text) if is_toml else json.loads(text)
    except ValueError as error:
        raise Refused(Reason.FIELD_INVALID, "terms", f"the file cannot be read: {error}") from None
    if not isinstance(values, dict):
        raise Refused(Reason.FIELD_INVALID, "terms", "the file holds no object of terms")
    return values


def terms_payload(values: Values, audience: str, issued_at: datetime) -> bytes:
    """The payload that the parties sign; raises Refused(FIELD_INVALID) naming the term that is
    missing, unknown or of another form.
    """
    for name in REQUIRED:
        if name not in values:
            raise Refused(Reason.FIELD_INVALID, name, "the term is missing")
    for name in values:
        if name not in (*PLAIN, *MONEY, *SHAPED, *IGNORED):
            raise Refused(Reason.FIELD_INVALID, name, "there is no such term")
    source_units, target_units = _formed("rate", _pair, values["rate"])
    message = pb.RateAgreement(
        audience=audience,
        version=1,
        block_rate=pb.BlockRate(source_units=source_units, target_units=target_units),
        minimum_source_points=source_units,
        increment_source_points=source_units,
        settlement_currency=str(values["currency"]),
        fee_bearer=pb.BEARER_SOURCE,
        credit_mode=pb.CREDIT_MODE_GUARANTEED,
        issued_at=time_to_proto(issued_at),
    )
    scale = currency_scale(message.settlement_currency).scale
    for name in PLAIN:
        if values.get(name) is not None:
            _formed(name, partial(setattr, message, name), values[name])
    for name in MONEY:
        if values.get(name) is not None:
            setattr(message, name, parse_amount(str(values[name]), scale, name))
    shapes: tuple[tuple[str, Callable[[pb.RateAgreement, Any], None]], ...] = (
        ("fee_bearer", _bearer),
        ("credit_mode", _credit_mode),
        ("expiry_rule", _expiry_rule),
        ("member_limits", _member_limits),
        ("segments", _segments),
        ("promotions", _promotions),
    )
    for name, shape in shapes:
        if values.get(name):
            _formed(name, partial(shape, message), values[name])
    return sized(message.SerializeToString(deterministic=True))


def sized(payload: bytes) -> bytes:
    """The payload; raises Refused(TERMS_INVALID) where it is more than a signature covers."""
    size = len(pae(RATE_AGREEMENT, payload))
    if size > SIGNED_BYTES_MAX:
        raise Refused(
            Reason.TERMS_INVALID,
            "agreement",
            f"the terms make {size:,} signed bytes of at most {SIGNED_BYTES_MAX:,}: shorten names,"
            " or leave promotions to the next version",
        )
    return payload


def _formed(name: str, form: Callable[[Any], Any], value: Any) -> Any:
    try:
        return form(value)
    except Refused:
        raise
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        said = f"{value!r} is not of its form ({error})"
        raise Refused(Reason.FIELD_INVALID, name, said) from None


def _pair(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"(\d{1,18}):(\d{1,18})", text)
    if match is None:
        raise ValueError("it is not of the form N:M")
    return int(match.group(1)), int(match.group(2))


def _credit_mode(message: pb.RateAgreement, value: str) -> None:
    message.credit_mode = pb.CreditMode.Value(f"CREDIT_MODE_{value}")


def _bearer(message: pb.RateAgreement, value: str) -> None:
    message.fee_bearer = pb.Bearer.Value(f"BEARER_{value}")


def _expiry_rule(message: pb.RateAgreement, value: str) -> None:
    message.expiry_rule = pb.ExpiryRule.Value(f"EXPIRY_RULE_{value}")


def _member_limits(message: pb.RateAgreement, value: Values) -> None:
    message.member_limits.CopyFrom(pb.MemberLimits(**value))


def _segments(message: pb.RateAgreement, value: list[Values]) -> None:
    for each in value:
        numerator, denominator = _pair(each["multiplier"])
        message.segments.add(
            segment_id=each["segment_id"],
            multiplier_numerator=numerator,
            multiplier_denominator=denominator,
        )


def _promotions(message: pb.RateAgreement, value: list[Values]) -> None:
    for each in value:
        message.promotions.add(
            promotion_id=each["promotion_id"],
            bonus_basis_points=each["bonus_basis_points"],
            effective_from=time_to_proto(_instant(each["effective_from"])),
            effective_until=time_to_proto(_instant(each["effective_until"])),
            budget_points=each["budget_points"],
            funders=[
                pb.Funder(funder=name, share_basis_points=share)
                for name, share in each["funders"].items()
            ],
        )


def _instant(value: str | datetime) -> datetime:
    """An instant; TOML has a form of its own for it."""
    moment = value if isinstance(value, datetime) else datetime.fromisoformat(value)
    if moment.tzinfo is None:
        raise ValueError("the time has no offset")
    return moment
