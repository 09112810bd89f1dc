"""Whether every withdrawal is what its partner signed. Read only."""

from collections.abc import Iterator
from typing import Any

from partners.envelope import COLLATERAL_WITHDRAWAL, from_json, require_type
from partners.errors import Refused
from partners.keys import Purpose
from partners.registry import RegisteredKey
from partners.signing import require_purpose, verify_with
from settlement.checks.invariants import Finding
from settlement.collateral.movements import REQUESTED, Depositor
from settlement.collateral.store import depositors, movements, withdrawals
from settlement.collateral.wire import request_from_payload
from settlement.facts import entries_of

RULE = "withdrawals_are_as_signed"


def withdrawals_off(
    connection: Any, audience: str, keys: dict[str, RegisteredKey]
) -> Iterator[Finding]:
    """Requests that their partner did not sign, and withdrawals of another amount than was asked
    for.
    """
    for of in depositors(connection):
        bad = dict(_unsigned(connection, of, audience, keys))
        for name, found in bad.items():
            yield Finding(RULE, f"withdrawal {name}", found)
        if bad:
            continue
        booked = {each.log_index: -each.amount for each in movements(connection, of)}
        for each in withdrawals(connection, of, lambda raw: request_from_payload(raw, audience)):
            amount = booked.get(each.approved_index or 0, each.request.amount)
            if amount != each.request.amount:
                found = f"{each.request.amount} was asked for, {amount} was let go"
                yield Finding(RULE, f"withdrawal {each.request.withdrawal_id}", found)


def _unsigned(
    connection: Any, of: Depositor, audience: str, keys: dict[str, RegisteredKey]
) -> Iterator[tuple[str, str]]:
    """What is wrong with a partner's requests, by their names."""
    for entry in entries_of(connection, REQUESTED, currency=of.currency, partner_number=of.number):
        name = entry.fact.subject
        try:
            envelope = from_json(entry.body.decode())
            require_type(envelope, COLLATERAL_WITHDRAWAL)
            verify_with(envelope, keys)
            asked = request_from_payload(envelope.payload, audience)
            for signature in envelope.signatures:
                require_purpose(keys[signature.key_id], Purpose.AGREEMENTS)
                if keys[signature.key_id].holder != f"partner/{of.partner_id}":
                    yield name, "it is signed by another"
        except Refused as refusal:
            yield name, str(refusal)
            continue
        if (asked.withdrawal_id, asked.partner_id) != (name, of.partner_id):
            yield name, "its fact does not say what its payload says"
