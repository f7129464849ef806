"""What the tests do to a network: ask, kill, freeze, send to it."""

from __future__ import annotations

import json
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from settlement.chain.client import Chain
from settlement.chain.sign import Signer
from settlement.network import lists, processes
from settlement.network.folder import ADMINISTRATOR, OPERATOR, Network, read_network
from settlement.network.status import NetworkStatus, status

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Validators:
    """A network that runs, by its folder."""

    folder: Path

    @property
    def network(self) -> Network:
        return read_network(self.folder)

    @property
    def administrator(self) -> Signer:
        return self.network.key(ADMINISTRATOR)

    @property
    def operator(self) -> Signer:
        return self.network.key(OPERATOR)

    def chain(self, *numbers: int) -> Chain:
        """A client of these validators, in this order; of all without any."""
        network = self.network
        rpcs = [network.rpc(network.find(str(number))) for number in numbers]
        return Chain(rpcs or network.rpcs, chain_id=network.chain_id)

    def status(self) -> NetworkStatus:
        return status(self.network)

    def kill(self, number: int, how: signal.Signals = signal.SIGKILL) -> None:
        """A validator and its plugin, as a host that is gone takes them."""
        network = self.network
        found = processes.running(network, network.find(str(number)))
        assert found is not None
        process = psutil.Process(found.pid)
        family = [process, *process.children(recursive=True)]
        for one in family:
            one.send_signal(how)
        if how == signal.SIGKILL:
            psutil.wait_procs(family, 10)

    @contextmanager
    def frozen(self, number: int) -> Iterator[None]:
        """A validator that hangs for a while."""
        self.kill(number, signal.SIGSTOP)
        try:
            yield
        finally:
            self.kill(number, signal.SIGCONT)

    def admit(self, *, deploy: bool = False) -> Signer:
        """Somebody new who may send."""
        signer = Signer(secrets.token_bytes(32))
        lists.allow(lists.chain_of(self.network), self.administrator, signer.address, deploy=deploy)
        return signer

    def wait_until_equal(self, timeout_s: float = 30) -> NetworkStatus:
        """All at one height, with one hash."""
        deadline = time.monotonic() + timeout_s
        while True:
            found = self.status()
            heights = {one.height for one in found.validators}
            if found.healthy and len(heights) == 1:
                return found
            assert time.monotonic() < deadline, found
            time.sleep(0.2)


def command(*arguments: Any, timeout_s: float = 600, **environment: str) -> subprocess.CompletedProcess[str]:
    """`trellis …`, as a user runs it."""
    import os

    return subprocess.run(
        [sys.executable, "-m", "settlement.cli", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
        env=os.environ | environment,
        cwd=ROOT,
    )


def answer(*arguments: Any) -> Any:
    """What a command prints with --json; it must end well."""
    done = command(*arguments, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
