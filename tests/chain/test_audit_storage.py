"""Roots of storage: proved against a block, and recomputed from words."""

import pytest
from audit_world import run_day
from chain_world import World

from settlement.audit import proof
from settlement.audit.findings import Difference
from settlement.audit.node import Node
from settlement.chain.rpc import to_bytes, to_hex


def test_the_root_over_all_words_is_the_one_proved_against_the_block(world: World) -> None:
    run_day(world)
    node, head = Node(world.anvil.rpc_url), world.chain.block_number()
    words = proof.dumped_words(node, world.exchange.address)
    assert len(words) > 50
    assert proof.root_of(words) == proof.proved_root(node, world.exchange.address, head)
    other = dict(words)
    other[min(words)] += 1
    assert proof.root_of(other) != proof.root_of(words)


def test_an_account_that_the_state_root_does_not_prove_is_a_difference(world: World) -> None:
    node, head = Node(world.anvil.rpc_url), world.chain.block_number()
    told = node.ask("eth_getProof", to_hex(world.exchange.address), [], hex(head))
    nodes = [to_bytes(one) for one in told["accountProof"]]
    for root, path in ((bytes(32), nodes), (bytes([1]) * 32, nodes[1:]), (bytes([1]) * 32, [])):
        with pytest.raises(Difference, match="not proved"):
            proof.storage_root_of(root, world.exchange.address, path)
