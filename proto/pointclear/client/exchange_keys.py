"""The exchange's keys as a partner knows them, and the verdict on what they signed.

The exchange names its keys over the authenticated channel (ListKeys). Who was given their ids in
another way, when it joined, hands those in, and then no other key counts. The log index decides
what a key may still stand for: nothing that was recorded at its registration or before, or at its
revocation or later.
"""

import time
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from partners.envelope import Envelope
from partners.keys import Purpose, VerifyKey
from partners.wire import purpose_from_proto
from pointclear.client.errors import ProofInvalid
from pointclear.client.line import Line
from pointclear.client.proofs import Proof, read_proof, read_quote
from pointclear.client.reading import quote_of
from pointclear.client.values import Quote
from pointclear.partners.v1.key_pb2 import Key
from pointclear.partners.v1.partners_service_pb2 import ListKeysRequest

EXCHANGE = "exchange"
FRESH_S = 600.0
"""How long the keys are taken as they were read: a revocation is learnt of within that time."""


@dataclass(frozen=True, slots=True)
class _Known:
    verify_key: VerifyKey
    registered_index: int
    revoked_index: int | None


class ExchangeKeys:
    """The keys for receipts."""

    def __init__(
        self, line: Line, audience: str, partner_id: str, trusted: Collection[str] | None
    ) -> None:
        """`trusted` are key ids; None trusts what the exchange names."""
        self._line = line
        self._audience = audience
        self._partner_id = partner_id
        self._trusted = trusted
        self._known: dict[str, _Known] = {}
        self._read_at = 0.0

    def read(self, envelope: Envelope) -> Proof:
        """Verify a receipt or a notice. Raises ProofInvalid and Unavailable."""
        keys = self._keys_for(envelope)
        proof = read_proof(envelope, keys, self._audience, self._partner_id)
        self._check_force(envelope, proof.record.log_index)
        return proof

    def read_quote(self, envelope: Envelope) -> Quote:
        """Verify an offer. Raises ProofInvalid and Unavailable."""
        keys = self._keys_for(envelope)
        terms = read_quote(envelope, keys, self._audience, self._partner_id)
        self._check_force(envelope, None)
        return quote_of(terms, envelope)

    def _keys_for(self, envelope: Envelope) -> dict[str, VerifyKey]:
        named = [each.key_id for each in envelope.signatures]
        unknown = any(key_id not in self._known for key_id in named)
        if unknown or time.monotonic() - self._read_at > FRESH_S:
            self._known = dict(self._listed())
            self._read_at = time.monotonic()
        return {key_id: each.verify_key for key_id, each in self._known.items()}

    def _listed(self) -> Iterable[tuple[str, _Known]]:
        request = ListKeysRequest(holder=EXCHANGE)
        while True:
            page = self._line.ask(self._line.partners.ListKeys, request)
            for key in page.keys:
                if self._counts(key):
                    known = VerifyKey.of(key.public_key)
                    revoked = key.revoked_index or None
                    yield known.key_id, _Known(known, key.registered_index, revoked)
            if not page.next_page_token:
                return
            request.page_token = page.next_page_token

    def _counts(self, key: Key) -> bool:
        if purpose_from_proto(key.purpose, "purpose") is not Purpose.RECEIPTS:
            return False
        return self._trusted is None or VerifyKey.of(key.public_key).key_id in self._trusted

    def _check_force(self, envelope: Envelope, log_index: int | None) -> None:
        """That the one key that signed was in force at a log index; None stands for now."""
        key = self._known[envelope.signatures[0].key_id]
        if log_index is None:
            revoked = key.revoked_index is not None
        else:
            late = key.revoked_index is not None and log_index >= key.revoked_index
            revoked = late or log_index <= key.registered_index
        if revoked:
            raise ProofInvalid("its key was not in force when it was recorded", "signing_key_id")
