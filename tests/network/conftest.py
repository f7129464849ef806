"""Five validators for all tests of this folder: `make test-network`."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator

import pytest
from network_world import Validators

from settlement.network import boot
from settlement.network.engine import find_engine
from settlement.network.errors import NoEngine

CHOSEN = "TRELLIS_NETWORK"


def why_not() -> str | None:
    """Why these tests cannot run, or are not to."""
    if not os.environ.get(CHOSEN):
        return f"minutes of five validators: run `make test-network`, or set {CHOSEN}=1"
    try:
        find_engine(movable=True)
    except NoEngine as error:
        return str(error)
    return None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    reason = why_not()
    for item in items:
        if "tests/network" in item.nodeid:
            item.add_marker(pytest.mark.timeout(900))
            if reason:
                item.add_marker(pytest.mark.skip(reason=reason))


def free_ports(count: int) -> int:
    """The first of so many neighbouring ports that nobody uses."""
    for first in range(21_000, 60_000, 100):
        try:
            for port in range(first, first + count):
                with socket.socket() as probe:
                    probe.bind(("127.0.0.1", port))
        except OSError:
            continue
        return first
    raise RuntimeError("no free ports")


@pytest.fixture(scope="session")
def five(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Validators]:
    """A healthy network of five, whose clock can be moved."""
    folder = tmp_path_factory.mktemp("network") / "net"
    told: list[str] = []
    boot.init(folder, 5, told.append, first_port=free_ports(40), movable_clock=True)
    try:
        boot.up(folder, told.append)
        yield Validators(folder)
    finally:
        print("\n".join(told))
        boot.down(folder, told.append)


@pytest.fixture
def validators(five: Validators) -> Iterator[Validators]:
    """The same, healthy again after the test."""
    yield five
    boot.up(five.folder, lambda _: None)
