"""The log's tree: published vectors, its own definition, and proofs that were tampered with."""

from collections.abc import Iterator
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.log.merkle import Frontier, leaf_data
from partners.merkle import (
    EMPTY_ROOT,
    ProofInvalid,
    consistency_proof,
    inclusion_proof,
    inclusion_proofs,
    leaf_hash,
    node_hash,
    root_of,
    verify_consistency,
    verify_inclusion,
)

# The test tree of Certificate Transparency's reference implementation: leaf data, then the root of
# the tree that ends with it.
CT_TREE = [
    ("", "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"),
    ("00", "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"),
    ("10", "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77"),
    ("2021", "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7"),
    ("3031", "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4"),
    ("40414243", "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef"),
    ("5051525354555657", "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c"),
    (
        "606162636465666768696a6b6c6d6e6f",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    ),
]
CT_LEAVES = [leaf_hash(bytes.fromhex(data)) for data, _ in CT_TREE]
CT_ROOTS = [bytes.fromhex(root) for _, root in CT_TREE]

hashes = st.binary(min_size=32, max_size=32)
LARGEST = 70
leaves_of_trees = st.integers(0, LARGEST).map(
    lambda size: [leaf_hash(b"%d" % number) for number in range(size)]
)


def test_the_empty_tree_has_the_hash_of_nothing() -> None:
    empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert EMPTY_ROOT.hex() == Frontier().root().hex() == root_of([]).hex() == empty


@pytest.mark.parametrize("size", range(1, 9))
def test_the_tree_of_certificate_transparency_has_its_published_roots(size: int) -> None:
    assert root_of(CT_LEAVES[:size]) == CT_ROOTS[size - 1]
    assert Frontier().extend(CT_LEAVES[:size]).root() == CT_ROOTS[size - 1]


def test_the_published_inclusion_proof_is_ours() -> None:
    # Leaf 6 (counted from 1) of the full tree.
    assert [step.hex() for step in inclusion_proof(CT_LEAVES, 5)] == [
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ]


def test_the_published_consistency_proof_is_ours() -> None:
    assert [step.hex() for step in consistency_proof(CT_LEAVES, 6)] == [
        "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ]


def test_leaves_and_nodes_are_hashed_apart() -> None:
    left, right = CT_LEAVES[:2]
    assert leaf_hash(left + right) == sha256(b"\0" + left + right).digest()
    assert node_hash(left, right) == sha256(b"\1" + left + right).digest()


def test_leaf_data_is_a_type_byte_and_a_salted_commitment() -> None:
    salt = bytes(range(32))
    assert leaf_data(7, salt, b"record") == b"\x07" + sha256(salt + b"record").digest()


@pytest.mark.parametrize("salt", [b"", bytes(31), bytes(33)])
def test_a_salt_of_another_size_is_refused(salt: bytes) -> None:
    # Otherwise bytes could move between salt and record, and one leaf would open in two ways.
    with pytest.raises(ValueError, match="salt"):
        leaf_data(1, salt, b"record")


@pytest.mark.parametrize("kind", [-1, 256])
def test_a_leaf_kind_fits_a_byte(kind: int) -> None:
    with pytest.raises(ValueError, match="byte"):
        leaf_data(kind, bytes(32), b"record")


@given(leaves_of_trees)
def test_extending_is_appending_one_by_one_is_the_recursive_definition(leaves: list[bytes]) -> None:
    one_by_one = Frontier()
    for leaf in leaves:
        one_by_one = one_by_one.append(leaf)
    assert Frontier().extend(leaves) == one_by_one
    assert one_by_one.size == len(leaves)
    assert one_by_one.root() == root_of(leaves)


@given(leaves_of_trees, st.data())
def test_a_tree_may_be_extended_in_any_two_parts(leaves: list[bytes], data: st.DataObject) -> None:
    cut = data.draw(st.integers(0, len(leaves)))
    assert Frontier().extend(leaves[:cut]).extend(leaves[cut:]) == Frontier().extend(leaves)


@given(leaves_of_trees)
def test_a_frontier_is_read_back_as_it_was_stored(leaves: list[bytes]) -> None:
    frontier = Frontier().extend(leaves)
    stored = frontier.to_bytes()
    assert Frontier.from_bytes(stored) == frontier
    for damaged in (stored[:-1], stored + b"\0", stored + bytes(32), stored[:7]):
        with pytest.raises(ValueError, match=r"subtrees|bytes"):
            Frontier.from_bytes(damaged)


@pytest.mark.parametrize(
    ("size", "subtrees"),
    [(-1, ()), (0, (bytes(32),)), (1, ()), (3, (bytes(32),)), (1, (bytes(31),)), (2**64, (b"",))],
)
def test_a_frontier_that_fits_no_tree_cannot_be_made(size: int, subtrees: tuple[bytes]) -> None:
    with pytest.raises(ValueError, match=r"size|subtrees|bytes"):
        Frontier(size, subtrees)


def test_every_inclusion_proof_of_every_small_tree_verifies_at_its_own_place_only() -> None:
    for size in range(1, 20):
        leaves = [leaf_hash(b"%d" % number) for number in range(size)]
        root = root_of(leaves)
        for index, leaf in enumerate(leaves):
            proof = inclusion_proof(leaves, index)
            verify_inclusion(index, size, leaf, proof, root)
            for elsewhere in set(range(-1, size + 1)) - {index}:
                with pytest.raises(ProofInvalid):
                    verify_inclusion(elsewhere, size, leaf, proof, root)


def test_every_consistency_proof_of_every_small_tree_verifies() -> None:
    leaves = [leaf_hash(b"%d" % number) for number in range(20)]
    roots = [root_of(leaves[:size]) for size in range(len(leaves) + 1)]
    for second in range(len(leaves) + 1):
        for first in range(second + 1):
            proof = consistency_proof(leaves[:second], first)
            verify_consistency(first, second, proof, roots[first], roots[second])


def tampered(proof: tuple[bytes, ...]) -> Iterator[tuple[bytes, ...]]:
    """Each step flipped in one bit, left out, doubled; and steps added at either end."""
    for at, step in enumerate(proof):
        flipped = bytes([step[0] ^ 1]) + step[1:]
        yield (*proof[:at], flipped, *proof[at + 1 :])
        yield (*proof[:at], *proof[at + 1 :])
        yield (*proof[:at], step, step, *proof[at + 1 :])
    yield (*proof, bytes(32))
    yield (bytes(32), *proof)


@given(leaves_of_trees.filter(bool), st.data(), hashes)
def test_t08_an_inclusion_proof_with_anything_changed_is_refused(
    leaves: list[bytes], data: st.DataObject, other: bytes
) -> None:
    size, root = len(leaves), root_of(leaves)
    index = data.draw(st.integers(0, size - 1))
    proof = inclusion_proof(leaves, index)
    verify_inclusion(index, size, leaves[index], proof, root)
    for changed in tampered(proof):
        with pytest.raises(ProofInvalid):
            verify_inclusion(index, size, leaves[index], changed, root)
    for leaf, claimed in ((other, root), (leaves[index], other)):
        with pytest.raises(ProofInvalid, match="another root"):
            verify_inclusion(index, size, leaf, proof, claimed)


@given(leaves_of_trees.filter(bool), st.data(), hashes)
def test_t08_a_consistency_proof_with_anything_changed_is_refused(
    leaves: list[bytes], data: st.DataObject, other: bytes
) -> None:
    second = len(leaves)
    first = data.draw(st.integers(0, second))
    roots = root_of(leaves[:first]), root_of(leaves)
    proof = consistency_proof(leaves, first)
    verify_consistency(first, second, proof, *roots)
    for changed in tampered(proof):
        with pytest.raises(ProofInvalid):
            verify_consistency(first, second, changed, *roots)
    with pytest.raises(ProofInvalid):
        verify_consistency(first, second, proof, other, roots[1])
    if first:
        with pytest.raises(ProofInvalid):
            verify_consistency(first, second, proof, roots[0], other)


@given(leaves_of_trees.filter(lambda leaves: len(leaves) > 1), st.data())
def test_t08_a_tree_whose_past_was_rewritten_has_no_consistency_proof(
    leaves: list[bytes], data: st.DataObject
) -> None:
    first = data.draw(st.integers(1, len(leaves) - 1))
    at = data.draw(st.integers(0, first - 1))
    rewritten = [*leaves[:at], leaf_hash(b"another record"), *leaves[at + 1 :]]
    with pytest.raises(ProofInvalid):
        verify_consistency(
            first,
            len(leaves),
            consistency_proof(rewritten, first),
            root_of(leaves[:first]),
            root_of(rewritten),
        )


def test_proofs_for_sizes_that_cannot_be_are_refused() -> None:
    root = CT_ROOTS[0]
    for index, size in ((0, 0), (1, 1), (-1, 1)):
        with pytest.raises(ProofInvalid, match="no leaf"):
            verify_inclusion(index, size, CT_LEAVES[0], (), root)
        with pytest.raises(ValueError, match="no leaf"):
            inclusion_proof(CT_LEAVES[:size], index)
    for first, second in ((2, 1), (-1, 1)):
        with pytest.raises(ProofInvalid, match="cannot begin"):
            verify_consistency(first, second, (), root, root)
        with pytest.raises(ValueError, match="no part"):
            consistency_proof(CT_LEAVES[:second], first)


def test_all_proofs_at_once_are_those_of_each_leaf() -> None:
    for size in range(34):
        leaves = [leaf_hash(bytes([number])) for number in range(size)]
        assert inclusion_proofs(leaves) == tuple(
            inclusion_proof(leaves, index) for index in range(size)
        )
