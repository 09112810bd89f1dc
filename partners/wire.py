"""Between the wire's messages and partners' values. The only room of this package that knows
protobuf, with the service.

A payload is parsed strictly, once, after its signature was verified: what was signed must be the
one encoding that our own serialisation gives, without unknown fields. That is a refusal at the door
and never the basis of a verification.
"""

from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar
from uuid import UUID

from google.protobuf.message import DecodeError, Message
from google.protobuf.timestamp_pb2 import Timestamp

from partners.agreement import (
    Bearer,
    BlockRate,
    CreditMode,
    Expiry,
    ExpiryRule,
    Fee,
    Funder,
    MemberLimits,
    Price,
    Promotion,
    Segment,
    Terms,
)
from partners.envelope import Envelope, Signature, payload_digest
from partners.errors import Reason, Refused
from partners.key_events import EXCHANGE, Registration, Revocation, RevocationReason
from partners.keys import Purpose
from partners.points import check_id
from partners.registry import Partner, RegisteredKey
from pointclear.common.v1 import envelope_pb2
from pointclear.partners.v1 import agreement_pb2, key_pb2, partners_service_pb2

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_M = TypeVar("_M", bound=Message)

_TIME_LIMIT_S = 253_402_300_800
"""First second of the year 10000, past which Python has no datetime."""


def parse_strictly(message: _M, payload: bytes) -> _M:
    """Fill the empty `message` from `payload`; raises Refused(ENVELOPE_MALFORMED) unless it is the
    one encoding.
    """
    try:
        message.ParseFromString(payload)
    except DecodeError as error:
        raise Refused(
            Reason.ENVELOPE_MALFORMED, "payload", "the payload is not of its declared type"
        ) from error
    message.DiscardUnknownFields()
    if message.SerializeToString(deterministic=True) != payload:
        raise Refused(
            Reason.ENVELOPE_MALFORMED,
            "payload",
            "the payload has unknown fields or is not in the deterministic encoding",
        )
    return message


def envelope_from_proto(message: envelope_pb2.SignedEnvelope) -> Envelope:
    """The envelope as a value; its shape is not checked yet."""
    return Envelope(
        message.payload_type,
        message.payload,
        tuple(Signature(each.key_id, each.signature) for each in message.signatures),
    )


def envelope_to_proto(envelope: Envelope) -> envelope_pb2.SignedEnvelope:
    """The envelope as the wire carries it."""
    return envelope_pb2.SignedEnvelope(
        payload_type=envelope.payload_type,
        payload=envelope.payload,
        signatures=[
            envelope_pb2.Signature(key_id=each.key_id, signature=each.signature)
            for each in envelope.signatures
        ],
    )


def uuid7(raw: bytes, field: str) -> UUID:
    """An id; raises Refused(FIELD_INVALID) unless it is 16 bytes of a UUID version 7."""
    if len(raw) == 16:
        value = UUID(bytes=raw)
        if value.version == 7:
            return value
    raise Refused(Reason.FIELD_INVALID, field, "an id is 16 bytes of a UUID version 7")


def time_from_proto(stamp: Timestamp, field: str) -> datetime:
    """An instant with microseconds; raises Refused(FIELD_INVALID) for one that is not exact or not
    set.
    """
    if not 0 < stamp.seconds < _TIME_LIMIT_S or not 0 <= stamp.nanos < 10**9 or stamp.nanos % 1000:
        raise Refused(
            Reason.FIELD_INVALID, field, "the time is not set, or finer than a microsecond"
        )
    return _EPOCH + timedelta(seconds=stamp.seconds, microseconds=stamp.nanos // 1000)


def time_to_proto(moment: datetime) -> Timestamp:
    """The instant, to the microsecond."""
    since = moment - _EPOCH
    return Timestamp(seconds=since.days * 86_400 + since.seconds, nanos=since.microseconds * 1000)


def terms_from_payload(envelope: Envelope, audience: str) -> Terms:
    """The terms that a `rate-agreement` payload states; raises Refused for one that is malformed or
    for another exchange.
    """
    message = parse_strictly(agreement_pb2.RateAgreement(), envelope.payload)
    if message.audience != audience:
        raise Refused(Reason.AUDIENCE_WRONG, "audience", f"this exchange is {audience}")
    time_from_proto(message.issued_at, "issued_at")
    return Terms(
        message.agreement_id,
        message.version,
        message.source_partner,
        message.target_partner,
        message.source_program,
        message.target_program,
        BlockRate(message.block_rate.source_units, message.block_rate.target_units),
        message.minimum_source_points,
        message.maximum_source_points,
        message.increment_source_points,
        message.settlement_currency,
        _price(message),
        _fee(message),
        payload_digest(envelope),
        message.value_tax_code,
        tuple(
            Segment(each.segment_id, each.multiplier_numerator, each.multiplier_denominator)
            for each in message.segments
        ),
        tuple(_promotion(each, f"promotions[{at}]") for at, each in enumerate(message.promotions)),
        MemberLimits(
            message.member_limits.transfers_per_day, message.member_limits.source_points_per_day
        ),
        _expiry(message),
        message.notice_days,
        _credit_mode(message),
    )


def segment_to_proto(segment: Segment) -> agreement_pb2.Segment:
    """A segment as the wire shows it."""
    return agreement_pb2.Segment(
        segment_id=segment.segment_id,
        multiplier_numerator=segment.numerator,
        multiplier_denominator=segment.denominator,
    )


def bearer_to_proto(bearer: Bearer) -> agreement_pb2.Bearer.ValueType:
    """Who bears a fee, as the wire names it."""
    return agreement_pb2.Bearer.Value(f"BEARER_{bearer}")


def _credit_mode(message: agreement_pb2.RateAgreement) -> CreditMode:
    known = message.credit_mode in agreement_pb2.CreditMode.values()
    name = agreement_pb2.CreditMode.Name(message.credit_mode) if known else ""
    mode = name.removeprefix("CREDIT_MODE_")
    if mode not in CreditMode.__members__:
        raise Refused(
            Reason.TERMS_INVALID, "credit_mode", "the credit mode is GUARANTEED or CONFIRMED"
        )
    return CreditMode[mode]


def _price(message: agreement_pb2.RateAgreement) -> Price:
    if message.price_per_thousand_target_points == 0:
        return Price(message.price_per_target_point)
    if message.price_per_target_point:
        raise Refused(
            Reason.TERMS_INVALID,
            "price_per_thousand_target_points",
            "the price is of one point or of a thousand, not of both",
        )
    return Price(message.price_per_thousand_target_points, 1_000)


def _fee(message: agreement_pb2.RateAgreement) -> Fee:
    known = message.fee_bearer in agreement_pb2.Bearer.values()
    name = agreement_pb2.Bearer.Name(message.fee_bearer) if known else ""
    bearer = name.removeprefix("BEARER_")
    if bearer not in Bearer.__members__:
        raise Refused(Reason.TERMS_INVALID, "fee_bearer", "source or target bears the fee")
    return Fee(
        message.fee_basis_points,
        message.tax_code,
        Bearer[bearer],
        message.fee_per_target_point,
        message.fee_fixed,
        message.fee_minimum,
        message.fee_maximum,
        message.fee_refundable,
    )


def _promotion(message: agreement_pb2.Promotion, path: str) -> Promotion:
    return Promotion(
        message.promotion_id,
        message.bonus_basis_points,
        time_from_proto(message.effective_from, f"{path}.effective_from"),
        time_from_proto(message.effective_until, f"{path}.effective_until"),
        message.budget_points,
        tuple(Funder(each.funder, each.share_basis_points) for each in message.funders),
    )


def _expiry(message: agreement_pb2.RateAgreement) -> Expiry:
    if message.expiry_rule == agreement_pb2.EXPIRY_RULE_UNSPECIFIED:
        return Expiry(ExpiryRule.FRESH, message.expiry_days)
    known = message.expiry_rule in agreement_pb2.ExpiryRule.values()
    name = agreement_pb2.ExpiryRule.Name(message.expiry_rule) if known else ""
    rule = name.removeprefix("EXPIRY_RULE_")
    if rule not in ExpiryRule.__members__:
        raise Refused(Reason.TERMS_INVALID, "expiry_rule", "there is no such rule")
    return Expiry(ExpiryRule[rule], message.expiry_days)


def key_event_from_payload(payload: bytes, audience: str) -> Registration | Revocation:
    """What a `key-event` payload asks for; raises Refused for one that is malformed or for another
    exchange.
    """
    event = parse_strictly(key_pb2.KeyEvent(), payload)
    if event.audience != audience:
        raise Refused(Reason.AUDIENCE_WRONG, "key_event.audience", f"this exchange is {audience}")
    holder = _holder_of(event)
    if event.action == key_pb2.KEY_ACTION_REGISTER:
        _require_unset(event, "key_id", "reason")
        valid_from = time_from_proto(event.valid_from, "key_event.valid_from")
        valid_until = time_from_proto(event.valid_until, "key_event.valid_until")
        if valid_until <= valid_from:
            raise Refused(
                Reason.FIELD_INVALID, "key_event.valid_until", "validity ends after it begins"
            )
        purpose = purpose_from_proto(event.purpose, "key_event.purpose")
        return Registration(holder, purpose, event.public_key, valid_from, valid_until)
    if event.action == key_pb2.KEY_ACTION_REVOKE:
        _require_unset(event, "purpose", "public_key", "valid_from", "valid_until")
        names = [each.name for each in RevocationReason]
        name = _enum_name(key_pb2.RevocationReason, event.reason, "REVOCATION_REASON_")
        if name not in names:
            raise Refused(
                Reason.FIELD_INVALID, "key_event.reason", f"a reason is one of {', '.join(names)}"
            )
        return Revocation(holder, event.key_id, RevocationReason[name])
    raise Refused(Reason.FIELD_INVALID, "key_event.action", "the action is REGISTER or REVOKE")


def _holder_of(event: key_pb2.KeyEvent) -> str:
    if event.partner_id and event.holder:
        raise Refused(
            Reason.FIELD_INVALID, "key_event.holder", "the holder is a partner or another, not both"
        )
    if not event.holder:
        check_id(event.partner_id, "key_event.partner_id")
        return f"partner/{event.partner_id}"
    kind, _, name = event.holder.partition("/")
    if event.holder != EXCHANGE:
        check_id(name, "key_event.holder")
        if kind != "operator":
            raise Refused(
                Reason.FIELD_INVALID, "key_event.holder", "name it operator/NAME or exchange"
            )
    return event.holder


def _require_unset(event: key_pb2.KeyEvent, *fields: str) -> None:
    stated = {field.name for field, _ in event.ListFields()}
    for name in fields:
        if name in stated:
            raise Refused(
                Reason.FIELD_INVALID, f"key_event.{name}", "this action does not have this field"
            )


def _enum_name(enum: Any, number: int, prefix: str) -> str:
    """The name of a value without its prefix, empty for one that this version does not know."""
    return str(enum.Name(number)).removeprefix(prefix) if number in enum.values() else ""


def purpose_from_proto(purpose: key_pb2.KeyPurpose.ValueType, field: str) -> Purpose:
    """The purpose of a key; raises Refused(FIELD_INVALID) when it is not stated."""
    name = _enum_name(key_pb2.KeyPurpose, purpose, "KEY_PURPOSE_")
    if name not in Purpose.__members__:
        raise Refused(Reason.FIELD_INVALID, field, "the key's purpose is not stated")
    return Purpose[name]


def purpose_to_proto(purpose: Purpose) -> key_pb2.KeyPurpose.ValueType:
    """The purpose as the wire names it."""
    return key_pb2.KeyPurpose.Value(f"KEY_PURPOSE_{purpose.name}")


def key_to_proto(key: RegisteredKey) -> key_pb2.Key:
    """A registered key as the wire shows it."""
    return key_pb2.Key(
        key_id=key.key_id,
        holder=key.holder,
        purpose=purpose_to_proto(key.purpose),
        public_key=key.public_key,
        valid_from=time_to_proto(key.valid_from),
        valid_until=time_to_proto(key.valid_until),
        registered_index=key.registered_index,
        revoked_index=key.revoked_index or 0,
    )


def partner_to_proto(partner: Partner, scale: int) -> partners_service_pb2.Partner:
    """A partner as the wire shows it."""
    return partners_service_pb2.Partner(
        partner_id=partner.partner_id,
        legal_name=partner.legal_name,
        programs=partner.programs,
        settlement_account=partners_service_pb2.SettlementAccount(
            currency=partner.currency, scale=scale, net_debit_cap=partner.net_debit_cap
        ),
        state=partners_service_pb2.PartnerState.Value(f"PARTNER_STATE_{partner.state}"),
    )
