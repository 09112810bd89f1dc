"""What of a record is shown to one side alone. Pure."""

import hashlib
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Part:
    """A serialised part and the salt that opens the record's commitment to it."""

    content: bytes
    salt: bytes

    @property
    def sha256(self) -> bytes:
        """What the record says of it; empty where there is no part."""
        return hashlib.sha256(self.salt + self.content).digest() if self.content else b""


NO_PART = Part(b"", b"")
