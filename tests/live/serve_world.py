"""A community's oracle: a real chain, a real Mosquitto, nodes and a settling service as processes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from key_files import keystore_file
from live_world import Broker, free_port, published, wait_for
from months import Month
from service_world import TZ, registry_of, write_prices

from oracle import registry_file
from oracle.live import broker
from oracle.live.wire import join, readings_topic
from oracle.messages import SignedReading
from oracle.voting import keys
from oracle.voting.keys import Secret
from settlement.chain.deploy import write_deployment
from settlement.chain.sign import Signer

NAMES = ("oracle-1", "oracle-2", "oracle-3")


@dataclass
class Process:
    """A `trellis` command that runs until it is told to stop."""

    arguments: tuple[str, ...]
    log: Path
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self.log.open("ab") as log:
            command = [sys.executable, "-m", "settlement.cli", *self.arguments]
            self.process = subprocess.Popen(command, stdout=log, stderr=log)

    def kill(self) -> None:
        if self.process is not None and self.process.poll() is None:
            os.kill(self.process.pid, signal.SIGKILL)
            self.process.wait()

    def terminate(self) -> int:
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)

    def events(self, name: str) -> list[dict[str, Any]]:
        """What it told of one kind, by all its runs."""
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        found = [json.loads(line) for line in lines if line.startswith("{") and line.endswith("}")]
        return [event for event in found if event["event"] == name]

    def wait_told(self, name: str, times: int = 1, seconds: float = 120) -> None:
        what = f"{times} x {name} of {self.log.name}"
        wait_for(lambda: len(self.events(name)) >= times, what, seconds)


@dataclass
class Live:
    """Everything of it, in one folder."""

    month: Month
    root: Path
    nodes: list[Process] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.registry = registry_of(self.month)
        self.broker = Broker(self.root / "broker", free_port(), False, NAMES)
        plan = broker.Plan(self.broker.folder, tuple(self.registry), NAMES, (), self.broker.port)
        broker.write(plan)
        self.broker.credentials = json.loads((self.broker.folder / "credentials.json").read_text())
        (self.root / "meters.json").write_text(registry_file.dump(self.registry))
        (self.root / "secret.json").write_text(keys.dump(Secret(self.month.date(0), bytes(range(32)))))
        write_deployment(self.month.exchange.deployment, self.root / "deployment.json")
        for name, signer in zip(NAMES, self.month.cast.oracles, strict=True):
            self._write_node(name, signer)
        self.nodes = [
            Process(
                ("oracle", "serve", "--json", "--config", str(self.config(name))), self.root / f"{name}.log"
            )
            for name in NAMES
        ]

    def config(self, name: str) -> Path:
        return self.root / f"{name}.toml"

    def _write_node(self, name: str, signer: Signer) -> None:
        key = keystore_file(self.root, signer)
        write_prices(self.root / f"{name}.csv", self.month, range(self.month.days))
        self.config(name).write_text(
            f"""\
name = "{name}"
data = "{name}"
registry = "meters.json"
prices = "{name}.csv"
key = "{key}"
secret = "secret.json"
time_zone = "{TZ}"

[broker]
url = "{self.broker.url}"
password_file = "broker/credentials.json"

[chain]
rpc = ["{self.month.anvil.rpc_url}"]
deployment = "deployment.json"
clock = "chain"

[voting]
look_s = 0.3
tell_s = 1
turn_s = 2
"""
        )

    def settling(self, signer: Signer) -> Process:
        """`trellis settlement run` with the folders of all nodes."""
        key = keystore_file(self.root, signer)
        folders = [part for name in NAMES for part in ("--data", str(self.root / name))]
        chain = ("--rpc", self.month.anvil.rpc_url, "--deployment", str(self.root / "deployment.json"))
        own = ("--key-file", key, "--every", "0.5", "--clock", "chain", "--json")
        return Process(("settlement", "run", *chain, *own, *folders), self.root / "settling.log")

    def publish(self, readings: list[SignedReading]) -> None:
        """As their meters would, each what it has in one payload."""
        by_meter: dict[bytes, list[SignedReading]] = {}
        for one in readings:
            by_meter.setdefault(one.message[1:33], []).append(one)
        for meter, own in by_meter.items():
            published(self.broker.login(meter.hex()), (readings_topic(meter), join(own)))

    def stop(self) -> None:
        """Kills what still runs."""
        for process in self.nodes:
            process.kill()
        if self.broker.process is not None:
            self.broker.kill()
