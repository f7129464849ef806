"""Validators as processes of this host: started, found again by another command, stopped in order."""

from __future__ import annotations

import errno
import json
import os
import resource
import signal
import socket
import subprocess
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from settlement.network.errors import NetworkError, NotStarted
from settlement.network.folder import Network, Validator

FILE, OUTPUT = "process.json", "output.log"
STOP_TIMEOUT_S = 60.0
MOST_DESCRIPTORS = 16_384
LEAST_DESCRIPTORS = 4_096


@dataclass(frozen=True)
class Running:
    """A validator's process."""

    pid: int
    created: float
    """When it began, as the system counts: a number alone may be another process's by now."""

    def process(self) -> psutil.Process | None:
        """None once it has ended."""
        try:
            found = psutil.Process(self.pid)
            same = abs(found.create_time() - self.created) < 1
            return found if same and found.status() != psutil.STATUS_ZOMBIE else None
        except psutil.Error:
            return None

    def family(self) -> list[psutil.Process]:
        """The node and its plugin; empty once ended."""
        found = self.process()
        return [] if found is None else [found, *_children(found)]

    def memory_bytes(self) -> int:
        """Resident, of the node and its plugin; 0 once ended."""
        total = 0
        for one in self.family():
            try:
                total += one.memory_info().rss
            except psutil.Error:
                continue
        return total


def running(network: Network, validator: Validator) -> Running | None:
    """The process of a validator, by whichever command it was started."""
    try:
        fields = json.loads((network.home(validator) / FILE).read_text())
        found = Running(int(fields["pid"]), float(fields["created"]))
    except (OSError, ValueError, RecursionError, KeyError, TypeError):
        return None
    return found if found.process() is not None else None


def check_host(validators: Iterable[Validator]) -> int:
    """Descriptors a validator gets. NetworkError if a port is taken or there are too few."""
    for one in validators:
        for port in (one.rpc_port, one.peer_port):
            if _taken(one.host, port):
                raise NetworkError(
                    f"port {port} of validator {one.number} is taken: stop what listens there, "
                    "or begin a network with another --port"
                )
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if most != resource.RLIM_INFINITY and most < LEAST_DESCRIPTORS:
        raise NetworkError(
            f"a process may open {most} files here, and a validator needs {LEAST_DESCRIPTORS}: "
            "raise the hard limit (`ulimit -Hn`, LimitNOFILE= in systemd)"
        )
    return MOST_DESCRIPTORS if most == resource.RLIM_INFINITY else min(most, MOST_DESCRIPTORS)


def start(
    network: Network, validator: Validator, command: Sequence[str], settings: Mapping[str, str] | None = None
) -> Running:
    """Starts it, in a session of its own: it outlives this command. `settings` join its environment."""
    home = network.home(validator)
    with (home / OUTPUT).open("ab") as output:
        process = subprocess.Popen(
            [str(part) for part in command],
            cwd=network.folder,  # where the engine with a movable clock finds it
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env={**(settings or {}), **os.environ},
            start_new_session=True,
        )
    try:
        created = psutil.Process(process.pid).create_time()
    except psutil.Error as cause:
        raise NotStarted(f"validator {validator.number} ended at once: {last_words(home)}") from cause
    _watched[process.pid] = process
    found = Running(process.pid, created)
    partial = home / f"{FILE}.partial"
    partial.write_text(json.dumps({"pid": found.pid, "created": found.created}) + "\n")
    os.replace(partial, home / FILE)
    return found


_watched: dict[int, subprocess.Popen[bytes]] = {}
"""Children of this process: an ended one is a zombie until it is asked for."""


def ended(found: Running) -> bool:
    child = _watched.get(found.pid)
    return child.poll() is not None if child is not None else found.process() is None


def stop(network: Network, validators: Iterable[Validator], timeout_s: float = STOP_TIMEOUT_S) -> None:
    """SIGTERM to all, so that databases are closed; SIGKILL to what is left after the time."""
    found = [(one, running(network, one)) for one in validators]
    alive = [one for _, one in found if one is not None]
    families = [family for one in alive for family in one.family()]
    for one in alive:
        _signal(one, signal.SIGTERM)
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline and not all(map(ended, alive)):
        time.sleep(0.05)
    for process in families:  # also a plugin that its node left behind
        try:
            process.kill()
            process.wait(5)
        except psutil.Error:
            continue
    for one in alive:
        _watched.pop(one.pid, None)
    for validator, _ in found:
        (network.home(validator) / FILE).unlink(missing_ok=True)


def _children(process: psutil.Process) -> list[psutil.Process]:
    try:
        return list(process.children(recursive=True))
    except psutil.Error:
        return []


def _signal(found: Running, number: signal.Signals) -> None:
    process = found.process()
    if process is not None:
        process.send_signal(number)


def last_words(home: Path) -> str:
    """The last line it wrote, and where the rest is."""
    try:
        lines = (home / OUTPUT).read_text(errors="replace").splitlines()
    except OSError:
        lines = []
    said = next((line.strip() for line in reversed(lines) if line.strip()), "it said nothing")
    return f"{said} (its logs are in {home})"


def _taken(host: str, port: int) -> bool:
    """An address that is not this host's is nobody's here: the validator itself will say so."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            return error.errno != errno.EADDRNOTAVAIL
    return False
