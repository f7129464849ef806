"""The positional tree and its frontier."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from settlement.reference import merkle
from settlement.reference.errors import InvalidProof, TooManyLeaves

LEAVES = st.lists(st.binary(min_size=32, max_size=32).map(merkle.leaf_hash), max_size=12, unique=True)


@given(LEAVES)
def test_the_frontier_has_the_root_of_the_leaves_it_read(leaves: list[bytes]) -> None:
    frontier = merkle.Frontier()
    for leaf in leaves:
        frontier = frontier.append(leaf)
    assert frontier.root() == merkle.root(leaves)
    assert frontier.count == len(leaves)


@given(LEAVES, st.integers(0, 15))
def test_every_position_is_proved_filled_or_empty(leaves: list[bytes], index: int) -> None:
    leaf = leaves[index] if index < len(leaves) else merkle.ZERO
    assert merkle.verify(merkle.root(leaves), leaf, index, merkle.proof(leaves, index))


@given(LEAVES.filter(bool), st.integers(0, 19), st.data())
def test_a_changed_leaf_position_or_sibling_is_not_proved(
    leaves: list[bytes], at: int, data: st.DataObject
) -> None:
    index = data.draw(st.integers(0, len(leaves) - 1))
    root, proof = merkle.root(leaves), merkle.proof(leaves, index)
    assert not merkle.verify(root, merkle.leaf_hash(leaves[index]), index, proof)
    changed = (*proof[:at], merkle.leaf_hash(proof[at]), *proof[at + 1 :])
    assert not merkle.verify(root, leaves[index], index, changed)
    assert not merkle.verify(root, leaves[index], index ^ 1, proof)


def test_an_empty_tree_has_the_root_of_zeros() -> None:
    assert merkle.root([]) == merkle.Frontier().root() == merkle.ZEROS[20]


def test_a_proof_of_the_wrong_length_or_beyond_the_tree_is_refused() -> None:
    for index, length in ((0, 19), (0, 21), (1 << 20, 20), (-1, 20)):
        with pytest.raises(InvalidProof):
            merkle.verify(merkle.ZERO, merkle.ZERO, index, [merkle.ZERO] * length)


def test_a_full_tree_takes_no_more() -> None:
    full = merkle.Frontier(merkle.MOST_LEAVES, (merkle.leaf_hash(merkle.ZERO),) * 20)
    with pytest.raises(TooManyLeaves):
        full.append(merkle.ZERO)
