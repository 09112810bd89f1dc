"""What partners sign for settlement, verified against the keys that are registered now."""

from datetime import datetime
from typing import Any

from partners import store as partner_store
from partners.caller import Caller
from partners.envelope import Envelope
from partners.errors import Reason, Refused
from partners.keys import Purpose
from partners.registry import Registry
from partners.signing import verified_signer


def check_signed_by(
    connection: Any,
    envelope: Envelope,
    payload_type: str,
    caller: Caller,
    audience: str,
    now: datetime,
) -> Registry:
    """The registry, where the caller signed this with its key for agreements, and the key is in
    force; raises Refused, in the protocol's order, otherwise.
    """
    revision = partner_store.QUERIES.terms_revision(connection)
    registry: Registry = partner_store.load_registry(connection, revision, audience)
    key = verified_signer(envelope, payload_type, Purpose.AGREEMENTS, registry)
    if key.holder != caller.holder:
        raise Refused(Reason.SIGNER_NOT_CALLER, "signatures", "the signing key is another's")
    if key.revoked_index is not None or not key.valid_from <= now < key.valid_until:
        raise Refused(Reason.KEY_NOT_IN_FORCE, "signatures", f"key {key.key_id} is not in force")
    return registry
