"""Random days over trees of zones on an embedded chain and in the reference: equal bit for bit.

Each transaction is checked twice. The operator and the settler compute with the reference what it leaves, and
stop at another hash. Afterwards the audit replays all of it through the reference: every event, token, slot
of cash and lane must be the same, and prices those of the matcher.
"""

from __future__ import annotations

import os
import random
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "chain"))

from tree_chain import TreeChain, running_tree_chain, tree_world

from settlement.chain import events
from settlement.chain.chunks import Limits
from settlement.chain.exchange import Stage
from settlement.chain.operator import ClearedSession
from settlement.reference.flexible import SignedFlexible
from settlement.reference.orders import SignedOrder

SEEDS = range(int(os.environ.get("TREE_DAYS", "32")))


@pytest.fixture(scope="module")
def trees() -> Iterator[TreeChain]:
    with running_tree_chain() as found:
        yield found


@pytest.mark.parametrize("seed", SEEDS)
def test_a_random_day_over_a_tree_is_the_same_on_chain_and_in_the_reference(
    trees: TreeChain, seed: int
) -> None:
    dice = random.Random(seed)
    grid = tree_world.draw_grid(dice)
    with trees.turned_back():
        trees.open_day(grid)
        session = trees.open_session(
            windows=dice.randint(1, 4), **draw_kind(dice), **tree_world.draw_range(dice)
        )
        orders = trees.draw_book(dice, session, dice.choice((12, 30, 40, 40, seed % 3)))
        orders = trees.submit_some(session, orders, most=dice.choice((0, 2, 5)))
        cleared = trees.clear(session, orders, Limits(bytes=dice.choice((4_000, 9_000, 120_000))))
        assert trees.exchange.session(session.epoch)[1] is Stage.PROVED
        if dice.random() < 0.7:
            trees.settle(dice, grid)
        told = Counter(type(event).__name__ for event in events.events_of(trees.exchange))
        found = trees.audited()
        assert found.difference is None, found.difference and found.difference.as_json()
        assert found.checks["proofs"].count == 1
        assert told["ZoneJoined"] >= grid.zones
        _assert_told(cleared, told)
        shown = ("ScheduleCleared", "ProceedsDonated", "ZoneAdvanced", "ZoneJoined", "NetworkPaid")
        print(seed, grid.zones, "zones", _flexible(orders), "flexible", *(told[one] for one in shown))


def draw_kind(dice: random.Random) -> dict[str, int]:
    """Mostly energy, sometimes flexibility, which keeps no reserves."""
    kind = dice.choice((0, 0, 0, 1, 2))
    return {"kind": kind, "buy_reserve": 0, "sell_reserve": 0} if kind else {}


def _assert_told(cleared: ClearedSession, told: Counter[str]) -> None:
    assert told["ScheduleIneligible"] == len(cleared.ineligible)
    assert told["ScheduleCleared"] == len(cleared.fills) - len(cleared.ineligible)


def _flexible(orders: Sequence[SignedOrder]) -> int:
    return sum(isinstance(order, SignedFlexible) for order in orders)
