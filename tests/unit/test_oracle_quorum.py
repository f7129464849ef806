"""m-of-n oracle nodes, each with a store of its own: one that is offline or lies changes nothing."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from oracle_world import (
    DAY,
    NODE_KEYS,
    NODES,
    SEPARATOR,
    batch,
    inputs,
    meter,
    reading,
    registry,
    signed,
)

from oracle.live.judge import Delivery, judge
from oracle.live.store import Store, merged
from oracle.live.wire import join
from oracle.messages import SignedReading, encode
from oracle.node import Agreement, DayInputs, OracleNode, Vote, agree
from oracle.posting import sign_posting
from oracle.registry import MeterRegistry

QUORUM = 2
REGISTRY = registry()
TEAM = [OracleNode(key) for key in NODE_KEYS]


def received(folder: Path, readings: list[SignedReading], seed: int) -> Store:
    """A node's own store, filled by its own broker connection: in another order, with repetitions and
    rubbish, in batches of other sizes.
    """
    rng = random.Random(seed)
    arriving = [*readings, *rng.choices(readings, k=9)]
    rng.shuffle(arriving)
    store = Store(folder)
    while arriving:
        size = rng.randint(1, 5)
        now, arriving = arriving[:size], arriving[size:]
        deliveries = [Delivery(each.message[1:33], join([each])) for each in now]
        store.write(judge([*deliveries, Delivery(None, rng.randbytes(40))], REGISTRY), seed)
    return store


@pytest.fixture
def stores(tmp_path: Path) -> list[Store]:
    """Three nodes that all heard everything."""
    return [received(tmp_path / str(n), list(batch()), n) for n in range(3)]


def own(store: Store) -> DayInputs:
    return inputs(store.day(DAY).batch)


def vote(node: int, given: DayInputs) -> Vote:
    return TEAM[node].vote(given, SEPARATOR)[0]


def honest(stores: list[Store]) -> Agreement:
    return agree((vote(n, own(store)) for n, store in enumerate(stores)), NODES, QUORUM, SEPARATOR)


def test_three_nodes_with_their_own_stores_agree(stores: list[Store]) -> None:
    agreement = honest(stores)
    assert agreement.signers == tuple(sorted(NODES))
    assert agreement.dissents == ()


def test_one_node_offline_changes_nothing(stores: list[Store]) -> None:
    everybody = honest(stores)
    for absent in range(3):
        votes = [vote(n, own(store)) for n, store in enumerate(stores) if n != absent]
        agreement = agree(votes, NODES, QUORUM, SEPARATOR)
        assert (agreement.posted, agreement.digest) == (everybody.posted, everybody.digest)
        assert [dissent.node for dissent in agreement.dissents] == [NODES[absent]]


STOLEN = MeterRegistry([meter(0), meter(1), meter(2, account=meter(0).account)], members=[meter(2).account])
Lie = Callable[[DayInputs], DayInputs]
LIES: dict[str, Lie] = {
    "withholds a meter": lambda given: replace(
        given, batch=tuple(each for each in given.batch if each.message[1:33] != meter(1).meter_id)
    ),
    "withholds everything": lambda given: replace(given, batch=()),
    "makes up a value": lambda given: replace(
        given,
        batch=(*given.batch, SignedReading(encode(reading(0, 1, 0, 9_999, 9)), bytes(64))),
        surplus=(1,) * DAY.windows,
    ),
    "gives a meter to another account": lambda given: replace(given, registry=STOLEN),
    "has other prices": lambda given: replace(given, deficit=(300_001,) * DAY.windows),
    "has another salt": lambda given: replace(given, day_key=bytes(32)),
}


@pytest.mark.parametrize("lie", LIES.values(), ids=list(LIES))
@pytest.mark.parametrize("liar", range(3))
def test_one_node_that_lies_changes_nothing_and_is_named(stores: list[Store], lie: Lie, liar: int) -> None:
    everybody = honest(stores)
    votes = [vote(n, lie(own(store)) if n == liar else own(store)) for n, store in enumerate(stores)]
    agreement = agree(votes, NODES, QUORUM, SEPARATOR)
    assert (agreement.posted, agreement.digest) == (everybody.posted, everybody.digest)
    assert [(d.node, "another posting" in d.why) for d in agreement.dissents] == [(NODES[liar], True)]


@pytest.mark.parametrize("liar", range(3))
def test_one_node_that_signs_what_it_did_not_compute_changes_nothing(stores: list[Store], liar: int) -> None:
    everybody = honest(stores)
    votes = [vote(n, own(store)) for n, store in enumerate(stores)]
    votes[liar] = replace(votes[liar], digest=bytes(32), signature=sign_posting(bytes(32), NODE_KEYS[liar]))
    agreement = agree(votes, NODES, QUORUM, SEPARATOR)
    assert (agreement.posted, agreement.digest) == (everybody.posted, everybody.digest)


def test_a_reading_that_a_node_alone_received_counts_for_all_once_it_is_passed_on(tmp_path: Path) -> None:
    readings = list(batch())
    partial = [received(tmp_path / str(n), readings[:n] + readings[n + 1 :], n) for n in range(3)]
    days = [store.day(DAY) for store in partial]
    shared = merged(days)
    votes = [vote(n, inputs(shared)) for n in range(3)]
    whole = agree(votes, NODES, QUORUM, SEPARATOR)
    assert whole.dissents == ()
    assert whole.digest == vote(0, inputs()).digest


def test_a_node_cannot_pass_on_what_no_meter_signed(stores: list[Store]) -> None:
    everybody = honest(stores)
    forged = SignedReading(encode(reading(0, 1, 0, 9_999, 9)), signed(0, 1, 0, 1).signature)
    given = Delivery(None, join([forged]), any_meter=True)
    for store in stores:
        store.write(judge([given], REGISTRY), 0)
    assert honest(stores).digest == everybody.digest
