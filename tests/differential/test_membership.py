"""Proofs of membership: the library judges each as the reference does, and neither believes a forged one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from settlement.chain import compile as compiler
from settlement.chain.abi import Interface
from settlement.chain.anvil import Anvil
from settlement.chain.claims import absence_arguments, inclusion_arguments
from settlement.chain.client import Chain
from settlement.chain.sign import Signer
from settlement.reference import membership, merkle
from settlement.reference.membership import Absence, Inclusion, Neighbour

HARNESS = "tests/contracts/harness/Proofs.sol"

HASHES = st.one_of(
    st.binary(min_size=32, max_size=32), st.integers(0, 40).map(lambda n: n.to_bytes(32, "big"))
)
"""Anything, or close neighbours, of which many are in a book and many are not."""
BOOKS = st.lists(HASHES, unique=True, max_size=9).map(sorted)

Judge = Callable[..., bool]


@pytest.fixture(scope="module")
def judge() -> Iterator[Judge]:
    """Asks the library on a chain and the reference, and requires one answer."""
    sources = {**compiler.read_sources(), HARNESS: (compiler.ROOT / HARNESS).read_text()}
    job = {
        "language": "Solidity",
        "sources": {name: {"content": text} for name, text in sources.items() if "Exchange" not in name},
        "settings": {
            **compiler.compiler_settings(),
            "outputSelection": {HARNESS: {"*": ["abi", "evm.bytecode.object"]}},
        },
    }
    built = compiler._run_solc(job, compiler.ROOT)[HARNESS]["Proofs"]
    abi = Interface(built["abi"])
    with Anvil() as anvil:
        chain = Chain(anvil.rpc_url)
        code = bytes.fromhex(built["evm"]["bytecode"]["object"])
        at = chain.send(Signer(anvil.private_keys[0]), None, code).contract
        assert at is not None

        def ask(name: str, count: int, root: bytes, order_hash: bytes, proof: Any) -> bool:
            told = inclusion_arguments(proof) if name == "includes" else absence_arguments(proof)
            (found,) = abi.decode(name, chain.call(at, abi.encode(name, count, root, order_hash, told)))
            assert found == getattr(membership, name)(count, root, order_hash, proof)
            return bool(found)

        yield ask


def root_of(book: list[bytes]) -> bytes:
    return merkle.root([merkle.leaf_hash(one) for one in book])


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(book=BOOKS, other=HASHES)
def test_every_hash_is_shown_to_be_in_or_out_and_never_both(
    judge: Judge, book: list[bytes], other: bytes
) -> None:
    count, root = len(book), root_of(book)
    for one in {*book, other}:
        place, gap = membership.prove_inclusion(book, one), membership.prove_absence(book, one)
        assert (place is None) == (gap is not None) == (one not in book)
        if place is not None:
            assert judge("includes", count, root, one, place)
        if gap is not None:
            assert judge("lacks", count, root, one, gap)


@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(book=BOOKS.filter(bool), other=HASHES, data=st.data())
def test_no_forged_proof_shows_what_is_not_so(
    judge: Judge, book: list[bytes], other: bytes, data: st.DataObject
) -> None:
    """Any mixture of true paths, places and hashes: what it shows is true, or it shows nothing.

    A count that is too high helps nobody; that none is too low is what clearing proves of a book.
    """
    count, root = len(book), root_of(book)
    leaves = [merkle.leaf_hash(one) for one in book]
    some_hash = st.sampled_from(
        [*book, other, merkle.ZERO, leaves[0], merkle.node_hash(leaves[0], leaves[-1])]
    )
    place = st.one_of(st.integers(0, count + 1), st.sampled_from([2**20 - 1, 2**20, 2**256 - 1]))
    path = place.filter(lambda at: at <= merkle.MOST_LEAVES).map(lambda at: merkle.proof(leaves, at))
    neighbour = st.builds(Neighbour, some_hash, path)
    asked, claimed = data.draw(some_hash), data.draw(st.integers(count, count + 2))

    proof: Any = data.draw(st.builds(Inclusion, place, path))
    if judge("includes", claimed, root, asked, proof):
        assert asked in book
        assert book.index(asked) == proof.index
    proof = data.draw(st.builds(Absence, place, neighbour, neighbour))
    if judge("lacks", count, root, asked, proof):
        assert asked not in book


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(book=BOOKS.filter(bool), data=st.data())
def test_a_proof_changed_in_one_place_shows_nothing(
    judge: Judge, book: list[bytes], data: st.DataObject
) -> None:
    count, root = len(book), root_of(book)
    one = data.draw(st.sampled_from(book))
    place = membership.prove_inclusion(book, one)
    assert place is not None
    level = data.draw(st.integers(0, merkle.DEPTH - 1))
    changed = list(place.siblings)
    changed[level] = merkle.node_hash(changed[level], changed[level])
    assert not judge("includes", count, root, one, replace(place, siblings=tuple(changed)))
    assert not judge("includes", count, root, one, replace(place, index=place.index ^ 1 << level))
    assert not judge("includes", place.index, root, one, place)
    assert not judge("includes", count, merkle.node_hash(root, root), one, place)
