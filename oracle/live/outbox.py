"""A meter's side: what it has measured is kept until the oracles say that it is on disk.

A PUBACK is no reason to forget a reading: it tells that the broker has it, perhaps in memory only. A payload
leaves the outbox when every awaited oracle has receipted it, and is sent again after a while until then.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Iterable

import aiomqtt

from oracle.live.backoff import Backoff
from oracle.live.client import DurableClient, Login
from oracle.live.wire import (
    Receipt,
    decode_receipt,
    digest,
    join,
    oracle_of,
    readings_topic,
    receipts_topic,
)
from oracle.messages import SignedReading

RESEND_S = 10.0


class Outbox:
    """What one meter, or a gateway for it, still has to deliver."""

    def __init__(
        self, login: Login, meter_id: bytes, oracles: Iterable[str], *, resend_s: float = RESEND_S
    ) -> None:
        """`oracles` are the names of all nodes that must have a reading before it is forgotten."""
        self._login, self._meter_id, self._oracles = login, meter_id, frozenset(oracles)
        self._resend_s = resend_s
        self._waiting: dict[bytes, tuple[bytes, set[str]]] = {}
        self._sent_s: dict[bytes, float] = {}
        self._changed = asyncio.Event()
        self._backoff = Backoff()
        self.refused: list[Receipt] = []
        """Receipts that refuse some of a payload's records: for somebody to look at."""

    def put(self, readings: Iterable[SignedReading]) -> bytes:
        """Queue one payload of 1 to 512 readings; its digest."""
        payload = join(readings)
        key = digest(payload)
        self._waiting.setdefault(key, (payload, set()))
        self._changed.set()
        return key

    def __len__(self) -> int:
        """How many payloads are not receipted by every oracle yet."""
        return len(self._waiting)

    async def run(self) -> None:
        """Deliver until cancelled, through whatever happens to the connection."""
        while True:
            with contextlib.suppress(aiomqtt.MqttError):
                await self._session()
            await asyncio.sleep(self._backoff.next_s())

    async def drained(self) -> None:
        """Wait until everything is receipted."""
        while self._waiting:
            await asyncio.sleep(0.01)

    async def _session(self) -> None:
        async with DurableClient(self._login) as client:
            await client.subscribe(receipts_topic(self._meter_id, "+"), qos=0)
            self._backoff.reset()
            self._sent_s.clear()
            receiving = asyncio.create_task(self._receive(client))
            try:
                while not receiving.done():
                    await self._send_due(client)
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(self._changed.wait(), self._resend_s / 4)
                    self._changed.clear()
                receiving.result()
            finally:
                receiving.cancel()

    async def _send_due(self, client: DurableClient) -> None:
        for key in list(self._waiting):
            now_s = time.monotonic()
            if key in self._waiting and now_s - self._sent_s.get(key, -self._resend_s) >= self._resend_s:
                await client.publish(readings_topic(self._meter_id), self._waiting[key][0], qos=1)
                self._sent_s[key] = now_s

    async def _receive(self, client: DurableClient) -> None:
        async for message in client.messages:
            receipt, oracle = decode_receipt(bytes(message.payload)), oracle_of(str(message.topic))
            if receipt is None or oracle not in self._oracles or receipt.digest not in self._waiting:
                continue
            if receipt.refused:
                self.refused.append(receipt)
            heard = self._waiting[receipt.digest][1]
            heard.add(oracle)
            if heard >= self._oracles:
                del self._waiting[receipt.digest]
                self._sent_s.pop(receipt.digest, None)
