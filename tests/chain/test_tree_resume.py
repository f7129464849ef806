"""An operator and a settler of a tree are stopped after every transaction, and go on where they were."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from tree_chain import TreeChain, running_tree_chain, world

from settlement.chain import operator, settler
from settlement.chain.chunks import Limits
from settlement.chain.client import Chain
from settlement.chain.exchange import Stage
from settlement.reference.session import NO_PARENT, UNLIMITED_WH, Grid

GRID = Grid(
    (0, 3), (1, 0), (NO_PARENT, 0, 0, 0, 1), (0, 500, 1, 9_000, 40), (UNLIMITED_WH, 700, 1, UNLIMITED_WH, 0)
)
SMALL = Limits(bytes=4_000)


class Stopped(Exception):
    """The machine went down after a transaction."""


@pytest.fixture(scope="module")
def trees() -> Iterator[TreeChain]:
    with running_tree_chain() as found:
        found.open_day(GRID)
        yield found


def once(monkeypatch: pytest.MonkeyPatch, run: Callable[[], Any]) -> bool:
    """Runs until one transaction is mined; whether anything was left to send."""
    send = Chain.wait

    def stop(self: Chain, tx_hash: bytes, *args: Any) -> Any:
        send(self, tx_hash, *args)
        raise Stopped

    with monkeypatch.context() as patched:
        patched.setattr(Chain, "wait", stop)
        try:
            run()
        except Stopped:
            return True
        return False


def test_an_operator_that_is_stopped_after_every_transaction_comes_to_the_proof(
    trees: TreeChain, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = trees.open_session()
    orders = trees.draw_book(random.Random(5), session, 40)
    trees.clock.advance_to(session.params.gate)
    sealed = operator.seal(trees.exchange, session, orders)
    times = 0
    while once(monkeypatch, lambda: operator.run(trees.exchange, trees.operator, session, sealed, SMALL)):
        times += 1
    assert trees.exchange.session(session.epoch)[1] is Stage.PROVED
    done = operator.run(trees.exchange, trees.operator, session, sealed)
    assert done.steps == ()
    assert times >= 1 + 1 + 2 * GRID.zones
    assert trees.audited().difference is None


def test_a_settler_that_is_stopped_after_every_transaction_certifies_the_day(
    trees: TreeChain, monkeypatch: pytest.MonkeyPatch
) -> None:
    trees.clock.advance_to(world.DAY_END)
    postings, times = trees.postings(random.Random(6), GRID), 0
    while once(monkeypatch, lambda: settler.run(trees.exchange, trees.node, *postings)):
        times += 1
    assert times == len(postings) + 2 * sum(len(one.parts) for one in postings)
    assert trees.exchange.zone_under_way(world.DAY) == (GRID.zones, 0)
    assert trees.audited().difference is None
