"""A supervisor starts services in order, starts again what dies, and leaves nothing behind."""

from __future__ import annotations

import json
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from api.services import supervise
from api.services.supervise import NotReady, Service, Supervisor, end_leftovers

SLEEPS = "import time, pathlib; pathlib.Path('{name}.up').touch(); time.sleep(60)"
IGNORES = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); " + SLEEPS
PARENT = (
    "import subprocess, sys; subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)']); "
    + SLEEPS
)


@pytest.fixture
def told() -> list[str]:
    return []


@pytest.fixture
def supervisor(tmp_path: Path, told: list[str]) -> Iterator[Supervisor]:
    found = Supervisor(tmp_path, told.append, threading.Event())
    yield found
    found.stop(lambda: None, grace_s=1)


def service(folder: Path, name: str, code: str = SLEEPS) -> Service:
    file = folder / f"{name}.up"
    return Service(name, lambda: [sys.executable, "-c", code.format(name=name)], "here", file.exists)


def wait_for(holds: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def watching(supervisor: Supervisor) -> threading.Thread:
    thread = threading.Thread(target=supervisor.watch, args=(lambda: None,))
    thread.start()
    return thread


def test_a_service_that_dies_is_started_again(
    supervisor: Supervisor, tmp_path: Path, told: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervise, "FIRST_PAUSE_S", 0.1)
    supervisor.start(service(tmp_path, "one"))
    (child,) = supervisor.children
    child.pause_s = 0.1
    thread, first = watching(supervisor), child.process.pid
    child.process.kill()
    wait_for(lambda: child.restarts == 1 and child.ready)
    assert child.process.pid != first
    assert "one ended by signal 9: it is started again in 0.1 s" in told
    assert child.pause_s == 0.2  # and later each time
    supervisor.stopping.set()
    thread.join()


def test_a_service_that_ends_at_its_start_is_told_with_its_last_words(
    supervisor: Supervisor, tmp_path: Path
) -> None:
    failing = service(tmp_path, "failing", "print('no such file: x'); raise SystemExit(3)")
    with pytest.raises(NotReady, match="failing ended at its start: no such file: x"):
        supervisor.start(failing)


def test_a_service_that_does_not_come_up_is_told(supervisor: Supervisor, tmp_path: Path) -> None:
    slow = service(tmp_path, "slow", "import time; time.sleep(60)")
    with pytest.raises(NotReady, match="slow is not ready after 0 s: it said nothing"):
        supervisor.start(slow, timeout_s=0.3)


@pytest.mark.parametrize("code", [SLEEPS, IGNORES, PARENT])
def test_nothing_is_left_after_a_stop(tmp_path: Path, code: str) -> None:
    found = Supervisor(tmp_path, print, threading.Event())
    found.start(service(tmp_path, "first"))
    found.start(service(tmp_path, "second", code))
    heads = [psutil.Process(child.process.pid) for child in found.children]
    family = [one for head in heads for one in (head, *head.children())]
    order: list[bool] = []
    found.stop(lambda: order.append(heads[0].is_running() and not heads[1].is_running()), grace_s=0.5)
    assert order == [True]
    wait_for(lambda: not any(one.is_running() and one.status() != "zombie" for one in family))
    assert not (tmp_path / supervise.PROCESSES).exists()


def test_what_a_killed_supervisor_left_is_ended_and_no_other_process(tmp_path: Path) -> None:
    lost = Supervisor(tmp_path, print, threading.Event())
    lost.start(service(tmp_path, "one"))
    (child,) = lost.children
    noted = json.loads((tmp_path / supervise.PROCESSES).read_text())
    stranger = {"name": "two", "pid": psutil.Process().pid, "created": 1.0}  # the number is another's now
    (tmp_path / supervise.PROCESSES).write_text(json.dumps([*noted, stranger]))
    assert end_leftovers(tmp_path) == 1
    assert child.process.wait(5) in (0, -signal.SIGTERM)  # 0: somebody else has collected it
    assert end_leftovers(tmp_path) == 0
