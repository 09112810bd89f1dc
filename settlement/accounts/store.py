"""Partners' bank accounts in the journal: the entries that are booked, and the versions that they
come to.

    settlement-account/<partner>/<version>            the partner's signed event
    settlement-account/<partner>/<version>/approval   two operators let it in, for how long it cools
    settlement-account/<partner>/<version>/refusal    an operator stopped it

All functions that read take a psycopg2 connection.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from exchange.commands import Book, Fact
from exchange.fold import InvariantBroken
from exchange.json_body import JSON_BODY, json_body
from partners.envelope import (
    ENVELOPE_BODY,
    Envelope,
    from_json,
    payload_digest,
    to_json,
    verify,
)
from partners.errors import Refused
from partners.keys import Purpose, VerifyKey
from partners.queries import load_queries
from settlement.accounts.account import AccountEvent
from settlement.accounts.versions import AccountVersion, Approval
from settlement.accounts.wire import event_from_payload
from settlement.facts import Entry, entries_of

QUERIES = load_queries(Path(__file__).with_name("accounts.sql"))

SUBMITTED = "account-submitted"
APPROVED = "account-approved"
STOPPED = "account-refused"


@dataclass(frozen=True, slots=True)
class Payee:
    """A partner as far as its account is concerned."""

    number: int
    partner_id: str
    currency: str


def entry_key(partner_id: str, version: int) -> str:
    """Entry key of a submitted version."""
    return f"settlement-account/{partner_id}/{version}"


def submission(event: AccountEvent, envelope: Envelope, partner_number: int) -> Book:
    """Keeps a partner's signed event."""
    return Book(
        entry_key(event.partner_id, event.version),
        ENVELOPE_BODY,
        to_json(envelope).encode(),
        facts=(Fact(SUBMITTED, event.currency, partner_number, subject=str(event.version)),),
    )


def approval(version: AccountVersion, partner_number: int, cooling: timedelta) -> Book:
    """Lets a version in. How long it cools is fixed here: a change of the scheme changes nothing of
    what was approved before.
    """
    body = {
        "cooling_hours": cooling // timedelta(hours=1),
        "partner_id": version.event.partner_id,
        "sha256": version.sha256.hex(),
        "version": version.event.version,
    }
    return _decision(version, partner_number, "approval", APPROVED, body)


def refusal(version: AccountVersion, partner_number: int) -> Book:
    """Stops a version."""
    body = {
        "partner_id": version.event.partner_id,
        "sha256": version.sha256.hex(),
        "version": version.event.version,
    }
    return _decision(version, partner_number, "refusal", STOPPED, body)


def _decision(
    version: AccountVersion, partner_number: int, what: str, kind: str, body: Mapping[str, object]
) -> Book:
    event = version.event
    return Book(
        f"{entry_key(event.partner_id, event.version)}/{what}",
        JSON_BODY,
        json_body(body),
        facts=(Fact(kind, event.currency, partner_number, subject=str(event.version)),),
    )


def payees(connection: Any, partner_id: str | None = None) -> tuple[Payee, ...]:
    """The partner of this id, if there is one, or all partners by id."""
    rows = QUERIES.payees(connection, partner_id=partner_id)
    return tuple(Payee(*row) for row in rows)


def versions_of(connection: Any, payee: Payee, audience: str) -> tuple[AccountVersion, ...]:
    """Every version of a partner's account, from the first.

    Each signature is verified again: whoever could write to the database cannot have money sent
    elsewhere by that. Raises InvariantBroken where an event is not what its partner signed.
    """
    approved = _decided(connection, APPROVED, payee)
    refused = _decided(connection, STOPPED, payee)
    found = []
    for entry in entries_of(
        connection, SUBMITTED, currency=payee.currency, partner_number=payee.number
    ):
        envelope = from_json(entry.body.decode())
        revoked_at = _verified_again(connection, envelope, payee, entry.entry_key)
        event = event_from_payload(envelope.payload, audience)
        let_in, stopped = approved.get(entry.fact.subject), refused.get(entry.fact.subject)
        found.append(
            AccountVersion(
                event,
                payload_digest(envelope),
                entry.recorded_at,
                entry.log_index,
                _approval(let_in) if let_in else None,
                stopped.recorded_at if stopped else None,
                revoked_at,
            )
        )
    return tuple(found)


def _decided(connection: Any, kind: str, payee: Payee) -> dict[str, Entry]:
    entries = entries_of(connection, kind, currency=payee.currency, partner_number=payee.number)
    return {each.fact.subject: each for each in entries}


def _approval(entry: Entry) -> Approval:
    hours = json.loads(entry.body)["cooling_hours"]
    return Approval(entry.recorded_at, timedelta(hours=hours))


def _verified_again(
    connection: Any, envelope: Envelope, payee: Payee, entry_key: str
) -> datetime | None:
    """When the key behind a stored event was revoked, if it was; raises InvariantBroken unless the
    event is signed by the partner's key for agreements.
    """
    (signature,) = envelope.signatures
    row = QUERIES.signing_key(connection, key_id=signature.key_id)
    public_key, holder, purpose, revoked_at = row or (b"", "", "", None)
    try:
        verify(envelope, {signature.key_id: VerifyKey(signature.key_id, bytes(public_key))})
    except (Refused, ValueError) as fault:
        raise InvariantBroken(f"{entry_key} is not what {payee.partner_id} signed") from fault
    if (holder, purpose) != (f"partner/{payee.partner_id}", Purpose.AGREEMENTS):
        raise InvariantBroken(f"{entry_key} is signed by a key of {holder} for {purpose}")
    moment: datetime | None = revoked_at
    return moment
