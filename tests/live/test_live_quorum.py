"""Three oracle nodes at one broker, each with its own session and store."""

from __future__ import annotations

import random
from pathlib import Path

from live_world import (
    FIRST,
    WINDOW_S,
    Node,
    meter,
    needs_mosquitto,
    published,
    registry,
    running_broker,
    signed,
)

from oracle.day import Day
from oracle.estimation import no_history
from oracle.live.store import Store
from oracle.live.wire import join, readings_topic
from oracle.node import DayInputs, OracleNode, Vote, agree
from settlement.reference.eip712 import domain_separator

pytestmark = needs_mosquitto
WINDOWS = 6
SEPARATOR = domain_separator(31337, bytes(20))
TEAM = [OracleNode(bytes(31) + bytes((n,))) for n in (1, 2, 3)]
NODES = tuple(node.address for node in TEAM)


def inputs(node: Node, surplus: int = 50_000) -> DayInputs:
    """What a node computes from: its own store."""
    day = Day(WINDOW_S, FIRST, WINDOWS)
    with Store(node.data, read_only=True) as store:
        received = store.day(day).batch
    meters = registry()
    history = no_history(len(meters.series), day)
    prices = (surplus,) * WINDOWS, (300_000,) * WINDOWS
    return DayInputs(1, day, meters, received, history, *prices, day_key=bytes(32))


def vote(n: int, given: DayInputs) -> Vote:
    return TEAM[n].vote(given, SEPARATOR)[0]


def test_a_node_killed_in_mid_stream_or_lying_changes_nothing_and_catches_up(tmp_path: Path) -> None:
    names = ("oracle-1", "oracle-2", "oracle-3")
    rng = random.Random(3)
    total = len(registry()) * 2 * WINDOWS
    with running_broker(tmp_path, oracles=names) as broker:
        nodes = [Node(broker, tmp_path / name, name) for name in names]
        try:
            for node in nodes:
                node.start()
            for node in nodes:
                node.wait_connected()
            for n in range(len(registry())):
                if n == 2:
                    nodes[2].kill()
                readings = [signed(n, w, reg, 100 * n + w) for w in range(WINDOWS) for reg in (1, 2)]
                rng.shuffle(readings)
                topic = readings_topic(meter(n).meter_id)
                payloads = [join([each]) for each in (*readings, readings[0])]
                published(broker.meter_login(n), *((topic, payload) for payload in payloads))
            for node in nodes[:2]:
                node.wait_stored(total)
            without = agree((vote(n, inputs(nodes[n])) for n in (0, 1)), NODES, 2, SEPARATOR)
            assert [(d.node, d.why) for d in without.dissents] == [(NODES[2], "did not vote")]
            stale = [vote(n, inputs(node)) for n, node in enumerate(nodes)]
            assert agree(stale, NODES, 2, SEPARATOR).digest == without.digest

            nodes[2].start()
            nodes[2].wait_stored(total)
            prices = (50_000, 1, 50_000)
            lying = [vote(n, inputs(node, prices[n])) for n, node in enumerate(nodes)]
            agreement = agree(lying, NODES, 2, SEPARATOR)
            assert agreement.digest == without.digest
            assert [d.node for d in agreement.dissents] == [NODES[1]]
            whole = agree((vote(n, inputs(nodes[n])) for n in range(3)), NODES, 2, SEPARATOR)
            assert (whole.digest, whole.dissents) == (without.digest, ())
        finally:
            for node in nodes:
                node.kill()
