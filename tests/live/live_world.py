"""A real Mosquitto, real `trellis oracle run` processes and meters that publish to them."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from oracle import registry_file
from oracle.live import broker
from oracle.live.client import Address, DurableClient, Login
from oracle.live.store import Store
from oracle.messages import Reading, SignedReading, meter_id, private_key, public_point, sign
from oracle.registry import Meter, MeterRegistry

WINDOW_S = 1800
FIRST = 1_792_882_800 // WINDOW_S
"""2026-10-24T23:00Z: where 2026-10-25 begins in London."""
METERS = 4

MOSQUITTO = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")
needs_mosquitto = pytest.mark.skipif(
    MOSQUITTO is None, reason="mosquitto is not installed: apt-get install mosquitto, or put it on PATH"
)


def serial(n: int) -> str:
    return f"LIVE-{n}"


def meter(n: int) -> Meter:
    return Meter(meter_id(serial(n)), *public_point(private_key(1000 + n)), bytes(19) + bytes((n + 1,)))


def registry(count: int = METERS) -> MeterRegistry:
    return MeterRegistry(meter(n) for n in range(count))


def signed(n: int, window: int = 0, register: int = 1, wh: int = 100, sequence: int = 1) -> SignedReading:
    reading = Reading(meter_id(serial(n)), register, WINDOW_S, FIRST + window, wh, sequence)
    return sign(reading, private_key(1000 + n))


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(holds: Callable[[], bool], what: str, seconds: float = 20) -> None:
    """Until it holds; AssertionError naming `what` if it does not in time."""
    until = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < until, f"waited {seconds} s for {what}"
        time.sleep(0.02)


@dataclass
class Broker:
    """A Mosquitto with the configuration that `trellis oracle broker-config` writes."""

    folder: Path
    port: int
    tls: bool
    oracles: tuple[str, ...]
    process: subprocess.Popen[bytes] | None = None
    credentials: dict[str, str] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return str(self.address)

    @property
    def address(self) -> Address:
        return Address("localhost" if self.tls else "127.0.0.1", self.port, self.tls)

    def start(self) -> None:
        log = (self.folder / "log").open("ab")
        command = [str(MOSQUITTO), "-c", str(self.folder / "mosquitto.conf")]
        self.process = subprocess.Popen(command, stdout=log, stderr=log)
        wait_for(self.listens, f"mosquitto to listen: {(self.folder / 'log').read_text()[-500:]}")

    def listens(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def login(self, username: str, password: str | None = None) -> Login:
        ca = self.folder / "tls" / "ca.crt" if self.tls else None
        return Login(self.address, username, password or self.credentials[username], ca)

    def meter_login(self, n: int) -> Login:
        return self.login(meter_id(serial(n)).hex())


@dataclass
class Node:
    """A `trellis oracle run` process with a folder of its own."""

    broker: Broker
    data: Path
    name: str = "oracle-1"
    process: subprocess.Popen[bytes] | None = None

    def start(self, *more: str) -> None:
        ca = ("--tls-ca", str(self.broker.folder / "tls" / "ca.crt")) if self.broker.tls else ()
        command = [
            *(sys.executable, "-m", "settlement.cli", "oracle", "run", "--json", "--status-every", "0.2"),
            *("--broker", self.broker.url, "--registry", str(self.broker.folder / "registry.json")),
            *("--data", str(self.data), "--username", self.name),
            *("--password-file", str(self.broker.folder / "credentials.json"), *ca, *more),
        ]
        self.data.mkdir(exist_ok=True)
        log = self.log.open("ab")
        self.process = subprocess.Popen(command, stdout=log, stderr=log)

    @property
    def log(self) -> Path:
        return self.data / "log"

    def events(self, name: str) -> list[dict[str, object]]:
        """What it told of one kind, by all its runs."""
        lines = self.log.read_text().splitlines()
        found = [json.loads(line) for line in lines if line.startswith("{") and line.endswith("}")]
        return [event for event in found if event["event"] == name]

    def wait_connected(self, times: int = 1) -> None:
        wait_for(lambda: len(self.events("connected")) >= times, f"{self.name} to connect")

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def terminate(self) -> int:
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(10)

    def stored(self) -> list[bytes]:
        """Messages in its store, ascending, as often as they are there."""
        if not (self.data / "readings.sqlite").exists():
            return []
        with Store(self.data, read_only=True) as store:
            rows = store._connection.execute("SELECT message FROM reading ORDER BY message")
            return [row[0] for row in rows]

    def counters(self) -> dict[str, int]:
        with Store(self.data, read_only=True) as store:
            return store.counters()

    def wait_stored(self, count: int, seconds: float = 20) -> None:
        wait_for(lambda: len(self.stored()) >= count, f"{count} stored readings", seconds)


@contextmanager
def running_broker(
    folder: Path, *, tls: bool = False, oracles: tuple[str, ...] = ("oracle-1",)
) -> Iterator[Broker]:
    """A broker for `registry()`; killed at the end."""
    port = free_port()
    hosts = ("localhost", "127.0.0.1") if tls else ()
    broker.write(broker.Plan(folder, tuple(registry()), oracles, hosts, port))
    (folder / "registry.json").write_text(registry_file.dump(registry()))
    running = Broker(folder, port, tls, oracles)
    running.credentials = json.loads((folder / "credentials.json").read_text())
    running.start()
    try:
        yield running
    finally:
        running.kill()


@contextmanager
def running_node(broker: Broker, data: Path, name: str = "oracle-1", *more: str) -> Iterator[Node]:
    """An oracle node, connected; killed at the end."""
    node = Node(broker, data, name)
    node.start(*more)
    try:
        node.wait_connected()
        yield node
    finally:
        if node.process is not None and node.process.poll() is None:
            os.kill(node.process.pid, signal.SIGKILL)
            node.process.wait()


async def publish(login: Login, messages: list[tuple[str, bytes]]) -> None:
    """Publish (topic, payload) pairs at QoS 1, each acknowledged before the next; MqttError."""
    async with DurableClient(login) as client:
        for topic, payload in messages:
            await client.publish(topic, payload, qos=1)


def published(login: Login, *messages: tuple[str, bytes]) -> None:
    asyncio.run(publish(login, list(messages)))
