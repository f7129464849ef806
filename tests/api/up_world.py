"""`trellis up` as its user runs it, and a member who trades through it."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil

from api.auth import siwe
from settlement.chain.sign import Signer

TRELLIS = (sys.executable, "-m", "settlement.cli")
START_S = 150


def free_ports(count: int) -> list[int]:
    """Of which nobody takes one twice."""
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    found = [int(one.getsockname()[1]) for one in sockets]
    for one in sockets:
        one.close()
    return found


def command(*arguments: object) -> subprocess.CompletedProcess[str]:
    """One of our commands, to its end."""
    return subprocess.run([*TRELLIS, *map(str, arguments)], capture_output=True, text=True, timeout=120)


@dataclass
class Up:
    """A running `trellis up`."""

    folder: Path
    process: subprocess.Popen[str]
    told: dict[str, Any]

    @property
    def api(self) -> str:
        return str(self.told["api"])

    def services(self) -> dict[str, psutil.Process]:
        """By name, as they run now."""
        found = json.loads((self.folder / "processes.json").read_text())
        return {one["name"]: psutil.Process(one["pid"]) for one in found if psutil.pid_exists(one["pid"])}

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(60)

    def wait_until(self, holds: Any, what: str, seconds: float = 60) -> None:
        deadline = time.monotonic() + seconds
        while not holds():
            assert time.monotonic() < deadline, what
            time.sleep(0.1)

    def ready(self) -> dict[str, Any] | None:
        try:
            answer = httpx.get(f"{self.api}/readyz", timeout=5)
        except httpx.HTTPError:
            return None
        return dict(answer.json()) if answer.status_code == 200 else None


@contextmanager
def running_up(folder: Path, ports: list[int], *more: str) -> Iterator[Up]:
    """Ready; killed with all of its children if a test has not stopped it."""
    options = ("--data", str(folder), "--api-port", str(ports[0]), "--rpc-port", str(ports[1]))
    process = subprocess.Popen(
        [*TRELLIS, "up", *options, "--mqtt-port", str(ports[2]), "--json", *more],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    try:
        line = process.stdout.readline()
        assert line, process.stderr.read()
        yield Up(folder, process, json.loads(line))
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait(60)
        process.stdout.close()
        process.stderr.close()


def left_over(services: dict[str, psutil.Process]) -> list[str]:
    """Names of those that still run."""
    return [
        name for name, one in services.items() if one.is_running() and one.status() != psutil.STATUS_ZOMBIE
    ]


class Trader:
    """A member's wallet and its calls of the API."""

    def __init__(self, up: Up, wallet: Signer) -> None:
        self.wallet, self.http = wallet, httpx.Client(base_url=up.api, timeout=20)
        account = "0x" + wallet.address.hex()
        message = self.post("/v1/auth/challenge", account=account)["message"]
        signature = "0x" + wallet.sign_digest(siwe.digest(message)).hex()
        token = self.post("/v1/auth/login", message=message, signature=signature)["access_token"]
        self.http.headers["Authorization"] = f"Bearer {token}"

    def post(self, path: str, **body: Any) -> dict[str, Any]:
        answer = self._asked("POST", path, body)
        assert answer.status_code in (200, 201), answer.text
        return dict(answer.json())

    def get(self, path: str) -> dict[str, Any]:
        answer = self._asked("GET", path, None)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def _asked(self, method: str, path: str, body: Any) -> httpx.Response:
        """Asked again while something behind the API does not answer, as a client would."""
        deadline = time.monotonic() + 60
        while True:
            answer = self.http.request(method, path, json=body)
            if answer.status_code != 503 or time.monotonic() > deadline:
                return answer
            time.sleep(0.5)

    def open_session(self) -> dict[str, Any]:
        """The session that takes orders."""
        found = self.get("/v1/sessions")["items"]
        return next(one for one in found if one["stage"] == "open")

    def buy(self, wh: int) -> dict[str, Any]:
        """An order of one window, drawn up by the API and signed here; its receipt."""
        session = self.open_session()
        terms = {
            "session": session["id"],
            "side": 0,
            "quality": 0,
            "firstWindow": session["first_window"],
            "quantityWh": [str(wh)],
            "limitMicroPerKWh": ["200000"],
        }
        typed = self.post("/v1/orders/typed-data", primary_type="Schedule", message=terms)
        document = typed.get("typed_data", typed)
        signature = "0x" + self.wallet.sign_typed_data(document).hex()
        return self.post(
            "/v1/orders", primary_type="Schedule", message=document["message"], signature=signature
        )


def no_secrets(folder: Path, secrets: list[str]) -> bool:
    """Whether no log has one of these."""
    texts = [file.read_text(errors="replace") for file in (folder / "logs").iterdir()]
    return not any(secret in text for text in texts for secret in secrets)


def killed(process: psutil.Process) -> None:
    os.kill(process.pid, signal.SIGKILL)
