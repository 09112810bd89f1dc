"""Trees of hashes: roots, proofs, and their verification.

Pure. Sources: RFC 6962 section 2.1 for the hashes and the proofs' contents, RFC 9162 sections
2.1.3.2 and 2.1.4.2 for their verification. SHA-256 throughout; every hash is 32 bytes. The
functions over all leaf hashes follow the RFC's recursive definitions.
"""

from collections.abc import Iterator, Sequence
from hashlib import sha256
from typing import Final

from partners.errors import PointclearError

HASH_BYTES: Final = 32
EMPTY_ROOT: Final = sha256(b"").digest()


class ProofInvalid(PointclearError):
    """A proof does not show what it is said to show. Its text names the fault, on one line."""


def leaf_hash(data: bytes) -> bytes:
    """The hash of a leaf's data."""
    return sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """The hash of an inner node."""
    return sha256(b"\x01" + left + right).digest()


def root_of(leaves: Sequence[bytes]) -> bytes:
    """The root over all these leaf hashes (RFC 6962, MTH)."""
    return _root(leaves, 0, len(leaves)) if leaves else EMPTY_ROOT


def inclusion_proof(leaves: Sequence[bytes], index: int) -> tuple[bytes, ...]:
    """Proof that the leaf at `index` is in the tree of `leaves` (RFC 6962, PATH), nearest first.

    Raises ValueError for an index outside.
    """
    if not 0 <= index < len(leaves):
        raise ValueError(f"a tree of {len(leaves)} has no leaf {index}")
    return tuple(_path(leaves, index, 0, len(leaves)))


def inclusion_proofs(leaves: Sequence[bytes]) -> tuple[tuple[bytes, ...], ...]:
    """The proof of every leaf; about as much work as a few of them alone."""
    proofs: list[list[bytes]] = [[] for _ in leaves]
    if leaves:
        _grow(leaves, proofs, 0, len(leaves))
    return tuple(map(tuple, proofs))


def consistency_proof(leaves: Sequence[bytes], first_size: int) -> tuple[bytes, ...]:
    """Proof that the tree of the first `first_size` leaves begins that of all (RFC 6962, PROOF).

    Empty for sizes 0 and all, which need none. Raises ValueError for a size outside.
    """
    if not 0 <= first_size <= len(leaves):
        raise ValueError(f"a tree of {len(leaves)} has no part of size {first_size}")
    if first_size == 0:
        return ()
    return tuple(_subproof(leaves, first_size, 0, len(leaves), True))


def verify_inclusion(
    index: int, size: int, leaf: bytes, proof: Sequence[bytes], root: bytes
) -> None:
    """Accept that leaf hash `leaf` stands at `index` in the tree of `size` and `root`, or raise.

    Raises ProofInvalid.
    """
    if not 0 <= index < size:
        raise ProofInvalid(f"a tree of {size} has no leaf {index}")
    node, last, computed = index, size - 1, leaf
    for step in proof:
        if last == 0:
            raise ProofInvalid("the inclusion proof is too long")
        if node & 1 or node == last:
            computed = node_hash(step, computed)
            while not node & 1 and node:
                node, last = node >> 1, last >> 1
        else:
            computed = node_hash(computed, step)
        node, last = node >> 1, last >> 1
    if last:
        raise ProofInvalid("the inclusion proof is too short")
    if computed != root:
        raise ProofInvalid("the inclusion proof leads to another root")


def verify_consistency(
    first_size: int, second_size: int, proof: Sequence[bytes], first_root: bytes, second_root: bytes
) -> None:
    """Accept that the first tree is the beginning of the second, or raise ProofInvalid.

    The empty tree begins every tree, and a tree itself: both with an empty proof.
    """
    if not 0 <= first_size <= second_size:
        raise ProofInvalid(f"a tree of {second_size} cannot begin with one of {first_size}")
    if first_size in (0, second_size):
        if proof:
            raise ProofInvalid("the consistency proof is too long")
        if first_root != (second_root if first_size == second_size else EMPTY_ROOT):
            raise ProofInvalid("the first root is not that of its size")
        return
    steps = iter(proof)
    # A first tree that is one perfect subtree is its own first step, and is left out of the proof.
    is_perfect = first_size & (first_size - 1) == 0
    start = first_root if is_perfect else next(steps, None)
    if start is None:
        raise ProofInvalid("the consistency proof is too short")
    from_first, from_second = _roots_by(steps, start, first_size, second_size)
    if from_first != first_root:
        raise ProofInvalid("the consistency proof leads to another first root")
    if from_second != second_root:
        raise ProofInvalid("the consistency proof leads to another second root")


def _roots_by(
    steps: Iterator[bytes], start: bytes, first_size: int, second_size: int
) -> tuple[bytes, bytes]:
    """The two roots to which a consistency proof leads (RFC 9162, 2.1.4.2, steps 3 to 5)."""
    node, last = first_size - 1, second_size - 1
    while node & 1:
        node, last = node >> 1, last >> 1
    from_first = from_second = start
    for step in steps:
        if last == 0:
            raise ProofInvalid("the consistency proof is too long")
        if node & 1 or node == last:
            from_first, from_second = node_hash(step, from_first), node_hash(step, from_second)
            while not node & 1 and node:
                node, last = node >> 1, last >> 1
        else:
            from_second = node_hash(from_second, step)
        node, last = node >> 1, last >> 1
    if last:
        raise ProofInvalid("the consistency proof is too short")
    return from_first, from_second


def _split(size: int) -> int:
    """The largest power of two below `size`, where RFC 6962 divides a tree."""
    return 1 << (size - 1).bit_length() - 1


def _root(leaves: Sequence[bytes], start: int, end: int) -> bytes:
    if end - start == 1:
        return leaves[start]
    middle = start + _split(end - start)
    return node_hash(_root(leaves, start, middle), _root(leaves, middle, end))


def _path(leaves: Sequence[bytes], index: int, start: int, end: int) -> list[bytes]:
    if end - start == 1:
        return []
    middle = start + _split(end - start)
    if index < middle:
        return [*_path(leaves, index, start, middle), _root(leaves, middle, end)]
    return [*_path(leaves, index, middle, end), _root(leaves, start, middle)]


def _grow(leaves: Sequence[bytes], proofs: list[list[bytes]], start: int, end: int) -> bytes:
    """The root of a subtree; each leaf's proof grows by the other half's, upwards."""
    if end - start == 1:
        return leaves[start]
    middle = start + _split(end - start)
    left, right = _grow(leaves, proofs, start, middle), _grow(leaves, proofs, middle, end)
    for proof in proofs[start:middle]:
        proof.append(right)
    for proof in proofs[middle:end]:
        proof.append(left)
    return node_hash(left, right)


def _subproof(
    leaves: Sequence[bytes], first_end: int, start: int, end: int, known: bool
) -> list[bytes]:
    """`known` says that the verifier holds this subtree's root: it is the first tree itself."""
    if first_end == end:
        return [] if known else [_root(leaves, start, end)]
    middle = start + _split(end - start)
    if first_end <= middle:
        return [*_subproof(leaves, first_end, start, middle, known), _root(leaves, middle, end)]
    return [*_subproof(leaves, first_end, middle, end, False), _root(leaves, start, middle)]
