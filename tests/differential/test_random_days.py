"""Random days to their very end on an embedded chain and in the reference: both do and refuse the same, and
leave the same, to the last event and the last word of storage: the audit replays the chain from its calldata.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import partial

import pytest
from day_mirror import assert_same, assert_told, grant, start
from random_aftermath import go_on, outcomes
from random_days import live
from tree_chain import TreeChain, running_tree_chain

SEEDS = range(int(os.environ.get("RANDOM_DAYS", "10")))


@pytest.fixture(scope="module")
def trees() -> Iterator[TreeChain]:
    with running_tree_chain() as found:
        grant(found)
        yield found


@pytest.mark.parametrize("seed", SEEDS)
def test_a_random_day_ends_the_same_on_chain_and_in_the_reference(trees: TreeChain, seed: int) -> None:
    with trees.turned_back():
        since = trees.chain.block_number() + 1
        lived = live(seed, start=partial(start, trees))
        assert_same(trees, lived.exchange)
        go_on(seed, lived)
        assert_same(trees, lived.exchange)
        assert_told(trees, lived.exchange, since)
        found = trees.audited()
        assert found.difference is None, found.difference and found.difference.as_json()
        print(seed, len(lived.recorder.steps), "transactions", *outcomes(lived))
