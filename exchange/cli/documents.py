"""What the exchange's messages look like to machines: the documents that `--json` prints. Pure.

Points are integers, money is a decimal figure of the currency's scale, times are ISO 8601 in UTC,
digests are hex. Here is what all have in common, and who is who; beside it are the documents of
agreements, transfers, settlements and actions.
"""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from google.protobuf.timestamp_pb2 import Timestamp

from partners.points import currency_scale, format_amount
from pointclear.common.v1 import refusal_pb2
from pointclear.partners.v1 import (
    key_pb2,
    link_service_pb2,
    operator_service_pb2,
    partners_service_pb2,
)


def money(units: int, currency: str) -> str:
    """Units of a currency's scale as a decimal figure."""
    return format_amount(units, currency_scale(currency).scale)


def instant(stamp: Timestamp) -> str | None:
    """A time, or None where it is not set."""
    if not stamp.seconds and not stamp.nanos:
        return None
    moment = datetime.fromtimestamp(stamp.seconds, UTC).replace(microsecond=stamp.nanos // 1000)
    return moment.isoformat().replace("+00:00", "Z")


def reason_name(reason: refusal_pb2.Reason.ValueType) -> str | None:
    """The reason's name, None where nothing was refused."""
    return refusal_pb2.Reason.Name(reason).removeprefix("REASON_") if reason else None


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
