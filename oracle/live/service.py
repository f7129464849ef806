"""`trellis oracle run`: from the broker to the store, for as long as it takes.

    connect ─ subscribe ─ receive ─ judge ─ store ─ acknowledge ─ receipt
       ▲                                      │
       └── backoff ◀── connection or disk ────┘

A message is acknowledged after the transaction that holds it, never before. Whatever fails in between (the
connection, the disk, this process) leaves it unacknowledged, so the broker delivers it again, and the store
knows it. Judging and storing run in one worker thread, so that keepalives go on.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import aiomqtt

from oracle import registry_file
from oracle.errors import BadBroker
from oracle.intake import Verifier, verify_all
from oracle.live.backoff import Backoff
from oracle.live.client import DurableClient, Login, refused_credentials
from oracle.live.judge import Delivery, judge
from oracle.live.store import Store
from oracle.live.wire import ALL_READINGS, Receipt, encode_receipt, meter_of, receipts_topic
from settlement.errors import TrellisError

BATCH = 500
"""Payloads of one transaction at most."""


class Side(Protocol):
    """What else travels on the node's connection."""

    topics: str
    """A filter of topics to read."""
    topic: str
    """Where the node publishes."""
    every_s: float
    """How often everything is published again."""
    changed: asyncio.Event
    """Set when there is something to publish at once."""

    def take(self, payloads: Sequence[bytes]) -> None:
        """Keep what came; it is acknowledged afterwards. sqlite3.Error if it cannot be kept. Called from one
        thread of its own.
        """
        ...

    def outgoing(self) -> list[bytes]:
        """Everything that is to be known now; from the same thread."""
        ...


Report = Callable[[str, Mapping[str, object]], None]
"""Told of each event: a name and its figures. Nothing secret is among them."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What a node runs with."""

    login: Login
    registry: Path
    """Read at the start, and again at SIGHUP."""
    oracle: str
    """The node's name in the topics of its receipts."""
    status_s: float = 30
    """How often it reports."""
    verifier: Verifier = verify_all


class Service:
    """One oracle node's intake."""

    def __init__(self, settings: Settings, store: Store, report: Report, side: Side | None = None) -> None:
        """BadRegistry if there is no registry to begin with."""
        self._side = side
        self._settings, self._store, self._report = settings, store, report
        self._registry = registry_file.read(settings.registry)
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="store")
        self._backoff = Backoff()
        self._stop = asyncio.Event()
        self._connected = False
        self._ever_connected = False

    async def run(self) -> None:
        """Until SIGTERM, SIGINT or `stop`. BadBroker if the broker refuses the very first connection for its
        credentials.
        """
        with self._signals():
            ticking = asyncio.create_task(self._tick())
            try:
                while not self._stop.is_set():
                    await self._session()
            finally:
                ticking.cancel()
                self._worker.shutdown()
                self._report("stopped", self._status())

    def stop(self) -> None:
        """Finish what was begun, and end."""
        self._stop.set()

    def reload(self) -> None:
        """Read the registry again; the one before stays if that fails."""
        try:
            self._registry = registry_file.read(self._settings.registry)
        except TrellisError as error:
            self._report("registry refused", {"why": error.message})
        else:
            self._report("registry", {"meters": len(self._registry)})

    async def _session(self) -> None:
        """One connection, and the pause after it."""
        try:
            async with DurableClient(self._settings.login) as client:
                await self._subscribe(client)
                telling = asyncio.create_task(self._tell(client))
                try:
                    await self._consume(client)
                finally:
                    telling.cancel()
        except aiomqtt.MqttError as error:
            if refused_credentials(error) and not self._ever_connected:
                raise BadBroker(self._settings.login.address, f"it refuses this user ({error})") from error
            self._report("disconnected", {"why": str(error)})
        except sqlite3.Error as error:
            self._report("store failed", {"why": str(error)})
        finally:
            self._connected = False
        if not self._stop.is_set():
            await self._pause(self._backoff.next_s())

    async def _subscribe(self, client: DurableClient) -> None:
        topics = [ALL_READINGS] if self._side is None else [ALL_READINGS, self._side.topics]
        codes = await client.subscribe([(topic, 1) for topic in topics])
        if any(getattr(code, "value", code) >= 128 for code in codes):
            raise BadBroker(self._settings.login.address, "it refuses the subscription to its topics")
        self._connected = self._ever_connected = True
        self._report("connected", {"broker": str(self._settings.login.address)})

    async def _consume(self, client: DurableClient) -> None:
        stopping = asyncio.create_task(self._stop.wait())
        try:
            while not self._stop.is_set():
                receiving = asyncio.create_task(client.receive(BATCH))
                await asyncio.wait((receiving, stopping), return_when=asyncio.FIRST_COMPLETED)
                if not receiving.done():
                    receiving.cancel()
                    return
                await self._take(client, receiving.result())
        finally:
            stopping.cancel()

    async def _take(self, client: DurableClient, messages: list[aiomqtt.Message]) -> None:
        """Store a batch, then acknowledge it, then tell the meters."""
        beside = [m for m in messages if self._side is not None and m.topic.matches(self._side.topics)]
        readings = [m for m in messages if m not in beside]
        deliveries = [Delivery(meter_of(str(m.topic)), bytes(m.payload)) for m in readings]
        loop = asyncio.get_running_loop()
        if self._side is not None and beside:
            payloads = [bytes(one.payload) for one in beside]
            await loop.run_in_executor(self._worker, self._side.take, payloads)
        receipts = await loop.run_in_executor(self._worker, self._keep, deliveries)
        client.acknowledge(messages)
        self._backoff.reset()  # not at the connection: what fails after each one should wait longer too
        for delivery, receipt in zip(deliveries, receipts, strict=True):
            if delivery.meter_id is not None:  # QoS 0: a meter that misses it sends again, and gets another
                topic = receipts_topic(delivery.meter_id, self._settings.oracle)
                await client.publish(topic, encode_receipt(receipt), qos=0)

    async def _tell(self, client: DurableClient) -> None:
        """Publishes what the side has to tell, at once when it changes and every so often. What the broker
        did not take is told the next time.
        """
        while self._side is not None:
            payloads = await asyncio.get_running_loop().run_in_executor(self._worker, self._outgoing)
            for payload in payloads:
                with contextlib.suppress(aiomqtt.MqttError):
                    await client.publish(self._side.topic, payload, qos=1)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._side.changed.wait(), self._side.every_s)
            self._side.changed.clear()

    def _outgoing(self) -> list[bytes]:
        try:
            return [] if self._side is None else self._side.outgoing()
        except (sqlite3.Error, TrellisError) as error:
            self._report("nothing told", {"why": str(error)})
            return []

    def _keep(self, deliveries: list[Delivery]) -> list[Receipt]:
        verdicts = judge(deliveries, self._registry, self._settings.verifier)
        return self._store.write(verdicts, int(time.time()))

    def _status(self) -> dict[str, object]:
        return {"connected": self._connected, "meters": len(self._registry), **self._store.counters()}

    async def _tick(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(self._settings.status_s)
            self._report("status", await loop.run_in_executor(self._worker, self._status))

    async def _pause(self, seconds: float) -> None:
        self._report("waiting", {"seconds": round(seconds, 2)})
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stop.wait(), seconds)

    @contextlib.contextmanager
    def _signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        handlers = {signal.SIGTERM: self.stop, signal.SIGINT: self.stop, signal.SIGHUP: self.reload}
        for number, handler in handlers.items():
            loop.add_signal_handler(number, handler)
        try:
            yield
        finally:
            for number in handlers:
                loop.remove_signal_handler(number)
