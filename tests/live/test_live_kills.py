"""The broker and the oracles are killed at random points: what a meter was told is stored ends in the store
exactly once, and in the end everything does.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import sqlite3
import time
from pathlib import Path

import pytest
from live_world import Broker, Node, meter, needs_mosquitto, published, running_broker, signed, wait_for

from oracle.live.client import DurableClient
from oracle.live.outbox import Outbox
from oracle.live.store import FILE
from oracle.live.wire import join, readings_topic

pytestmark = needs_mosquitto
METERS = 3
KILLS = 6


def readings_of(n: int, count: int) -> list[bytes]:
    return [signed(n, window).message for window in range(count)]


async def pour(broker: Broker, n: int, count: int, oracles: tuple[str, ...]) -> Outbox:
    """One meter that measures a window every few milliseconds, until all is receipted."""
    outbox = Outbox(broker.meter_login(n), meter(n).meter_id, oracles, resend_s=1)
    delivering = asyncio.create_task(outbox.run())
    for window in range(count):
        outbox.put([signed(n, window)])
        await asyncio.sleep(0.02)
    try:
        async with asyncio.timeout(90):
            await outbox.drained()
    finally:
        delivering.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await delivering
    return outbox


async def havoc(broker: Broker, nodes: list[Node], rng: random.Random, kills: int) -> None:
    """Kill somebody, a while later start it again."""
    for _ in range(kills):
        await asyncio.sleep(rng.uniform(0.05, 0.8))
        victim = rng.choice([broker, *nodes, broker])
        victim.kill()
        await asyncio.sleep(rng.uniform(0, 0.4))
        await asyncio.to_thread(victim.start)


@pytest.mark.timeout(240)
@pytest.mark.parametrize("seed", [1, 2])
def test_every_reading_is_in_every_store_exactly_once_whoever_is_killed(tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    names = ("oracle-1", "oracle-2")
    with running_broker(tmp_path, oracles=names) as broker:
        nodes = [Node(broker, tmp_path / name, name) for name in names]
        for node in nodes:
            node.start()

        async def all_at_once() -> None:
            pouring = (pour(broker, n, 60, names) for n in range(METERS))
            await asyncio.gather(*pouring, havoc(broker, nodes, rng, KILLS))

        try:
            for node in nodes:
                node.wait_connected()
            asyncio.run(all_at_once())
            expected = sorted(message for n in range(METERS) for message in readings_of(n, 60))
            for node in nodes:
                assert node.stored() == expected, f"seed {seed}"
        finally:
            for node in nodes:
                node.kill()


@pytest.mark.timeout(120)
@pytest.mark.parametrize("seed", [11])
def test_what_the_broker_acknowledged_is_stored_once_however_often_the_oracle_is_killed(
    tmp_path: Path, seed: int
) -> None:
    """No receipts here: a plain QoS 1 publisher that sends each message once."""
    rng = random.Random(seed)
    acknowledged: list[bytes] = []
    with running_broker(tmp_path) as broker:
        node = Node(broker, tmp_path / "node")
        node.start()

        async def publish() -> None:
            async with DurableClient(broker.meter_login(0)) as client:
                for window in range(300):
                    await client.publish(readings_topic(meter(0).meter_id), join([signed(0, window)]), qos=1)
                    acknowledged.append(signed(0, window).message)
                    await asyncio.sleep(0.01)

        async def kill() -> None:
            for _ in range(4):
                await asyncio.sleep(rng.uniform(0.2, 1.5))
                node.kill()
                node.start()

        async def both() -> None:
            await asyncio.gather(publish(), kill())

        try:
            node.wait_connected()
            asyncio.run(both())
            assert len(acknowledged) == 300
            wait_for(lambda: len(node.stored()) >= 300, "everything acknowledged", 30)
            assert node.stored() == sorted(acknowledged), f"seed {seed}"
        finally:
            node.kill()


def test_nothing_is_acknowledged_before_it_is_on_disk(tmp_path: Path) -> None:
    """Another process holds the store's lock, so the commit waits; then the node is killed."""
    with running_broker(tmp_path) as broker:
        node = Node(broker, tmp_path / "node")
        node.start()
        try:
            node.wait_connected()
            with contextlib.closing(sqlite3.connect(node.data / FILE, isolation_level=None)) as other:
                other.execute("BEGIN IMMEDIATE")
                published(broker.meter_login(0), (readings_topic(meter(0).meter_id), join([signed(0)])))
                time.sleep(0.5)
                node.kill()
                other.execute("ROLLBACK")
            assert node.stored() == []
            node.start()
            node.wait_stored(1)
            assert node.stored() == [signed(0).message]
        finally:
            node.kill()


def test_processes_that_verify_end_with_a_killed_node(tmp_path: Path) -> None:
    with running_broker(tmp_path) as broker:
        node = Node(broker, tmp_path / "node")
        node.start("--workers", "2")
        try:
            node.wait_connected()
            published(broker.meter_login(0), (readings_topic(meter(0).meter_id), join([signed(0)])))
            node.wait_stored(1)
            assert node.process is not None
            workers = children(node.process.pid)
            assert workers
            node.kill()
            wait_for(lambda: not any(Path(f"/proc/{pid}/fd").exists() for pid in workers), "workers to end")
        finally:
            node.kill()


def children(pid: int) -> list[int]:
    found = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(each) for each in found]
