"""Prices that are not the rule's, with the best ranks there can be: no equal ranks and no circle hold them.

Against the reference alone, over many trees, so that a slip in both implementations shows too.
"""

from __future__ import annotations

import os
import random
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "chain"))

from tree_chain import tree_world
from tree_ranks import RANKS
from tree_script import Plan, plan_of

from settlement.reference.errors import EnergyUnsupported, QualityUnsupported

SEEDS = range(int(os.environ.get("TREE_RANKS", "100")))


def attacks(kind: str, honest: Plan) -> Iterator[Plan]:
    return RANKS[kind](random.Random(kind), honest)


@pytest.mark.parametrize("seed", SEEDS)
def test_no_other_price_is_held_by_any_ranks(seed: int) -> None:
    tree = tree_world.draw(seed, **tree_world.draw_range(random.Random(seed)))
    opened, honest = tree.exchange.state, plan_of(tree.prepared, tree.exchange.separator)
    for kind in RANKS:
        for plan in attacks(kind, honest):
            tree.exchange.state = opened.copy()
            ready = replace(tree.prepared, header=plan.header, zones=plan.zones)
            with pytest.raises((EnergyUnsupported, QualityUnsupported)):
                replace(tree, prepared=ready).bring()
