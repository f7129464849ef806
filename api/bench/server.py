"""The API as a process: started, killed, started again."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path

from settlement.errors import TrellisError

HOST = "127.0.0.1"
START_S = 60


class Server:
    """One process of the API on a port of its own."""

    def __init__(self, settings: Mapping[str, str], folder: Path) -> None:
        """`settings` are the values of TRELLIS_ variables, by their names without the prefix."""
        self._environment = os.environ | {"TRELLIS_" + name: value for name, value in settings.items()}
        self._log = folder / "server.log"
        self._process: subprocess.Popen[bytes] | None = None
        with socket.socket() as probe:
            probe.bind((HOST, 0))
            self.port = int(probe.getsockname()[1])

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}"

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Answers once this returns. TrellisError if it does not."""
        options = ("--loop", "uvloop", "--http", "httptools", "--no-access-log", "--log-level", "warning")
        command = [sys.executable, "-m", "uvicorn", "--factory", "api.asgi:app"]
        command += ["--host", HOST, "--port", str(self.port), *options]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, env=self._environment)
        deadline = time.monotonic() + START_S
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                last = self._log.read_text(errors="replace").strip().splitlines()[-1:]
                raise TrellisError(f"the API does not start: {''.join(last) or 'it said nothing'}")
            time.sleep(0.05)

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(self.url + "/healthz", timeout=1):
                return True
        except (urllib.error.URLError, OSError):
            return False

    def kill(self) -> None:
        """SIGKILL: nothing that it had in mind is done any more."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def stop(self) -> None:
        """SIGTERM, as a service manager does."""
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(15)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None
