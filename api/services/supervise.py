"""Services as child processes of one command: started in order, started again when they die, stopped in the
reverse order.

Each is in a session of its own, so that Ctrl-C reaches the supervisor alone. Their numbers are kept in a
file: should the supervisor itself be killed, the next one in the same folder ends what was left.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from api.logs import event
from settlement.errors import TrellisError
from settlement.network.processes import Running

START_TIMEOUT_S = 90.0
GRACE_S = 20.0
"""From SIGTERM to SIGKILL."""
POLL_S = 0.1
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 30.0
"""Before a service that died is started again: doubled each time."""
WELL_S = 60.0
"""After so long a service is forgiven its deaths."""
PROCESSES = "processes.json"


class NotReady(TrellisError):
    """A service did not come up."""

    exit_code = 1


@dataclass(frozen=True)
class Service:
    """One process."""

    name: str
    command: Callable[[], Sequence[str | Path]]
    """Asked at every start."""
    place: str
    """What it offers and where, for people."""
    is_ready: Callable[[], bool]
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass
class Child:
    """A service that was started."""

    service: Service
    process: subprocess.Popen[bytes]
    started: float
    restarts: int = 0
    ready: bool = False
    pause_s: float = FIRST_PAUSE_S
    again_at: float = 0.0
    """When it is started again, if it is dead."""


class Supervisor:
    """The services of one folder."""

    def __init__(self, folder: Path, tell: Callable[[str], None], stop: threading.Event) -> None:
        """Once `stop` is set nothing is started any more."""
        self.folder, self.tell, self.stopping = folder, tell, stop
        self.logs = folder / "logs"
        self.logs.mkdir(parents=True, exist_ok=True)
        self.children: list[Child] = []

    # Starting -------------------------------------------------------------------------------------------

    def start(self, service: Service, timeout_s: float = START_TIMEOUT_S) -> None:
        """Returns once it is ready. NotReady, with its last words, if it ends or takes too long, or if the
        supervisor was told to stop.
        """
        child = Child(service, self._spawn(service), time.monotonic())
        self.children.append(child)
        self._write()
        while not service.is_ready():
            if child.process.poll() is not None:
                raise NotReady(f"{service.name} ended at its start: {self.last_words(service)}")
            if time.monotonic() > child.started + timeout_s:
                raise NotReady(
                    f"{service.name} is not ready after {timeout_s:.0f} s: {self.last_words(service)}"
                )
            if self.stopping.wait(POLL_S):
                raise NotReady(f"told to stop before {service.name} was ready")
        child.ready = True
        event("service_ready", service=service.name, pid=child.process.pid)
        self._write()

    def _spawn(self, service: Service) -> subprocess.Popen[bytes]:
        with self.log_of(service).open("ab") as output:
            return subprocess.Popen(
                [str(part) for part in service.command()],
                cwd=self.folder,
                env={**os.environ, **service.environment},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    def log_of(self, service: Service) -> Path:
        return self.logs / f"{service.name}.log"

    def last_words(self, service: Service) -> str:
        """The last line it wrote, and where the rest is."""
        file = self.log_of(service)
        lines = [line.strip() for line in file.read_text(errors="replace").splitlines() if line.strip()]
        return f"{lines[-1] if lines else 'it said nothing'} (its log is {file})"

    # Watching -------------------------------------------------------------------------------------------

    def watch(self, each: Callable[[], None]) -> None:
        """Until it is told to stop: starts again what died, ever later; `each` is called now and then."""
        while not self.stopping.wait(POLL_S):
            for child in self.children:
                self._look_after(child)
            each()

    def _look_after(self, child: Child) -> None:
        now, ended = time.monotonic(), child.process.poll()
        if ended is None:
            if not child.ready and child.service.is_ready():
                child.ready = True
                self.tell(f"{child.service.name} runs again")
                event("service_ready", service=child.service.name, pid=child.process.pid)
                self._write()
            elif child.ready and now > child.started + WELL_S:
                child.pause_s = FIRST_PAUSE_S
        elif not child.again_at:
            child.ready, child.again_at = False, now + child.pause_s
            _kill_group(child.process.pid)  # what it may have left
            how = f"by signal {-ended}" if ended < 0 else f"with code {ended}"
            self.tell(f"{child.service.name} ended {how}: it is started again in {child.pause_s:g} s")
            event(
                "service_ended", logging.ERROR, service=child.service.name, code=ended, again_in=child.pause_s
            )
            self._write()
        elif now >= child.again_at:
            child.pause_s = min(2 * child.pause_s, LONGEST_PAUSE_S)
            child.process, child.started = self._spawn(child.service), now
            child.restarts, child.again_at = child.restarts + 1, 0.0
            self._write()

    # Stopping -------------------------------------------------------------------------------------------

    def stop(self, before_last: Callable[[], None], grace_s: float = GRACE_S) -> None:
        """All but the first together, then the first, which the others depend on; `before_last` comes
        between. Nothing of them is left.
        """
        self._stop([child.process for child in self.children[1:]], grace_s)
        if self.children:
            if self.children[0].process.poll() is None:
                before_last()
            self._stop([self.children[0].process], grace_s)
        self.children.clear()
        (self.folder / PROCESSES).unlink(missing_ok=True)

    def _stop(self, processes: Sequence[subprocess.Popen[bytes]], grace_s: float) -> None:
        end_families([one.pid for one in processes if one.poll() is None], grace_s)
        for one in processes:
            one.wait()

    # What is known outside ------------------------------------------------------------------------------

    def told(self) -> list[dict[str, Any]]:
        return [
            {
                "name": child.service.name,
                "pid": child.process.pid,
                "ready": child.ready,
                "restarts": child.restarts,
                "place": child.service.place,
                "log": str(self.log_of(child.service)),
            }
            for child in self.children
        ]

    def _write(self) -> None:
        found = []
        for child in self.children:
            try:
                created = psutil.Process(child.process.pid).create_time()
            except psutil.Error:
                continue
            found.append({"name": child.service.name, "pid": child.process.pid, "created": created})
        partial = self.folder / f"{PROCESSES}.partial"
        partial.write_text(json.dumps(found) + "\n")
        os.replace(partial, self.folder / PROCESSES)


def end_leftovers(folder: Path) -> int:
    """Ends what a supervisor that was killed left behind; how many."""
    try:
        noted = json.loads((folder / PROCESSES).read_text())
        found = [Running(int(one["pid"]), float(one["created"])) for one in noted]
    except (OSError, ValueError, KeyError, TypeError):
        return 0
    alive = [one.pid for one in reversed(found) if one.process() is not None]
    end_families(alive, GRACE_S)
    (folder / PROCESSES).unlink(missing_ok=True)
    return len(alive)


def end_families(pids: Sequence[int], grace_s: float) -> None:
    """SIGTERM to processes that a supervisor started; SIGKILL to what is left of them and of theirs after
    the time.
    """
    heads = []
    for pid in pids:
        try:
            head = psutil.Process(pid)
            head.send_signal(signal.SIGTERM)
            heads.append(head)
        except psutil.Error:
            continue
    psutil.wait_procs(heads, grace_s)
    for head in heads:
        _kill_group(head.pid)
    psutil.wait_procs(heads, GRACE_S)


def _kill_group(pid: int) -> None:
    """Each was started as the head of a group of its own."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)
