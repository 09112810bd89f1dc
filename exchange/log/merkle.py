"""The log's tree: what its leaves say, and the frontier that appends.

Pure. Source: RFC 6962 section 2.1; roots over all leaves and proofs are in `partners.merkle`, and
the frontier is tested against them.

What a leaf says: `type byte ‖ SHA-256(salt ‖ record)`. The salt is 32 random bytes that only the
record's parties and finance hold, so the log commits to a record without telling anyone what it is.

Appending needs the frontier only.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256
from typing import Final, Self

from partners.merkle import EMPTY_ROOT, HASH_BYTES, node_hash

SALT_BYTES: Final = 32
_SIZE_BYTES: Final = 8


def leaf_data(kind: int, salt: bytes, record: bytes) -> bytes:
    """The 33 bytes of a leaf. Raises ValueError unless `kind` fits a byte and `salt` is 32 long."""
    if len(salt) != SALT_BYTES:
        raise ValueError(f"a salt has {SALT_BYTES} bytes, this one has {len(salt)}")
    return bytes((kind,)) + sha256(salt + record).digest()


@dataclass(frozen=True, slots=True)
class Frontier:
    """All that appending needs to know of a tree. Raises ValueError for what fits no tree."""

    size: int = 0
    """Leaves in the tree."""
    hashes: tuple[bytes, ...] = ()
    """Roots of the maximal perfect subtrees, largest first: one for each bit set in `size`."""

    def __post_init__(self) -> None:
        if not 0 <= self.size < 2 ** (8 * _SIZE_BYTES):
            raise ValueError(f"{self.size} is no size of a tree")
        if len(self.hashes) != self.size.bit_count():
            raise ValueError(f"a tree of {self.size} has {self.size.bit_count()} subtrees")
        if any(len(each) != HASH_BYTES for each in self.hashes):
            raise ValueError(f"a hash has {HASH_BYTES} bytes")

    def append(self, leaf: bytes) -> "Frontier":
        """The frontier with one leaf hash more."""
        return self.extend((leaf,))

    def extend(self, leaves: Iterable[bytes]) -> "Frontier":
        """The frontier with all these leaf hashes more, in order; about one hash per leaf."""
        size, hashes = self.size, list(self.hashes)
        for node in leaves:
            # Each trailing 1 of the size is a perfect subtree as large as what the leaf has become.
            carry = size
            while carry & 1:
                node = sha256(b"\x01" + hashes.pop() + node).digest()
                carry >>= 1
            hashes.append(node)
            size += 1
        return Frontier(size, tuple(hashes))

    def root(self) -> bytes:
        """The tree's root hash."""
        if not self.hashes:
            return EMPTY_ROOT
        *larger, root = self.hashes
        for subtree in reversed(larger):
            root = node_hash(subtree, root)
        return root

    def to_bytes(self) -> bytes:
        """The size as 8 bytes, big end first, then the hashes."""
        return self.size.to_bytes(_SIZE_BYTES, "big") + b"".join(self.hashes)

    @classmethod
    def from_bytes(cls, stored: bytes) -> Self:
        """Read what `to_bytes` wrote. Raises ValueError for anything else."""
        size, hashes = stored[:_SIZE_BYTES], stored[_SIZE_BYTES:]
        if len(size) != _SIZE_BYTES:
            raise ValueError("a stored frontier begins with 8 bytes of size")
        return cls(
            int.from_bytes(size, "big"),
            tuple(hashes[at : at + HASH_BYTES] for at in range(0, len(hashes), HASH_BYTES)),
        )
