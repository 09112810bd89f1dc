"""Everything that a sample leaves to chance follows from one number. Pure.

Draws are digests of what they are for: no draw depends on another, and every Python gives the same.
"""

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

from partners.keys import Purpose, SeedSigner

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_VERSION_7 = 7 << 76
_VARIANT = 2 << 62
_LOW_BITS = (1 << 76) - 1 & ~(3 << 62)


@dataclass(frozen=True, slots=True)
class Seed:
    """Where a sample's figures, ids, salts and keys come from."""

    number: int

    def digest(self, purpose: str) -> bytes:
        """32 bytes for a purpose."""
        return hashlib.sha256(f"pointclear sample {self.number} {purpose}".encode()).digest()

    def between(self, low: int, high: int, purpose: str) -> int:
        """A whole number from `low` to `high`, both among them."""
        return low + int.from_bytes(self.digest(purpose), "big") % (high - low + 1)

    def id_at(self, moment: datetime, purpose: str) -> UUID:
        """A UUID version 7 of a moment."""
        milliseconds = (moment - _EPOCH) // timedelta(milliseconds=1)
        low = int.from_bytes(self.digest(purpose), "big") & _LOW_BITS
        return UUID(int=milliseconds << 80 | _VERSION_7 | _VARIANT | low)

    def signer(self, holder: str, purpose: Purpose) -> SeedSigner:
        """A holder's key for a purpose. Whoever knows the seed has it: it is worth nothing."""
        return SeedSigner(self.digest(f"{holder} {purpose}"))
