"""The network is cut in two parts of validators, each in a namespace of its own, and healed."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from clearing_load import clearing, finish, told
from conftest import free_ports
from network_world import Validators

from settlement.network import avalanche, boot
from settlement.network.engine import Engine
from settlement.network.folder import Network, Validator, read_network

BRIDGE, OTHER, PREFIX = "trlbr0", "trlbr1", "trlv"
SUBNET, MASK = "10.213.77", 24
CLIENT = f"{SUBNET}.254"
CUT_S = 15


def ip(*words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["ip", *words], capture_output=True, text=True, check=check)


def host(number: int) -> str:
    return f"{SUBNET}.{number}"


def lay_out(count: int) -> None:
    """A namespace for each validator, all on one bridge, on which the client is too."""
    for bridge in (BRIDGE, OTHER):
        ip("link", "add", bridge, "type", "bridge")
        ip("link", "set", bridge, "up")
    ip("addr", "add", f"{CLIENT}/{MASK}", "dev", BRIDGE)
    for number in range(1, count + 1):
        name = f"{PREFIX}{number}"
        ip("netns", "add", name)
        ip("link", "add", name, "type", "veth", "peer", "name", "eth0", "netns", name)
        ip("link", "set", name, "master", BRIDGE, "up")
        ip("-n", name, "addr", "add", f"{host(number)}/{MASK}", "dev", "eth0")
        for device in ("lo", "eth0"):
            ip("-n", name, "link", "set", device, "up")


def clear_away(count: int) -> None:
    for number in range(1, count + 1):
        ip("netns", "del", f"{PREFIX}{number}", check=False)
    for bridge in (BRIDGE, OTHER):
        ip("link", "del", bridge, check=False)


def plug(numbers: Sequence[int], bridge: str) -> None:
    """Puts these validators' cables into a bridge: bridges do not know each other."""
    for number in numbers:
        ip("link", "set", f"{PREFIX}{number}", "master", bridge)


@pytest.fixture(scope="module")
def apart(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Validators]:
    """Five validators, each in its namespace."""
    count = 5
    try:
        clear_away(count)
        lay_out(count)
    except (OSError, subprocess.CalledProcessError) as error:
        clear_away(count)
        why = error.stderr.strip() if isinstance(error, subprocess.CalledProcessError) else error
        pytest.skip(f"namespaces cannot be made here, root makes them: {why}")
    folder = tmp_path_factory.mktemp("cut") / "net"
    boot.init(folder, count, lambda _: None, first_port=free_ports(40), movable_clock=True)
    network = read_network(folder)
    network.with_(validators=tuple(replace(one, host=host(one.number)) for one in network.validators))
    plain = avalanche.command

    def inside(network: Network, validator: Validator, engine: Engine, descriptors: int) -> list[str]:
        words = plain(network, validator, engine, descriptors)
        return ["ip", "netns", "exec", f"{PREFIX}{validator.number}", *words]

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(avalanche, "command", inside)
        try:
            boot.up(folder, lambda _: None)
            yield Validators(folder)
        finally:
            boot.down(folder, lambda _: None)
            clear_away(count)


def heights(validators: Validators, numbers: Sequence[int]) -> dict[int, int | None]:
    found = {one.id: one.height for one in validators.status().validators}
    return {number: found[number] for number in numbers}


@pytest.mark.smoke
def test_a_network_cut_in_three_and_two_halts_and_goes_on_once_healed(apart: Validators) -> None:
    with clearing(apart, 1, 2, 3) as found:
        plug((4, 5), OTHER)
        cut = time.monotonic()
        time.sleep(CUT_S / 3)
        halted = heights(apart, (1, 2, 3))
        time.sleep(CUT_S)
        assert heights(apart, (1, 2, 3)) == halted, "three of five go on alone"
        assert list(heights(apart, (4, 5)).values()) == [None, None]
        plug((4, 5), BRIDGE)
        healed = time.monotonic()
        print(f"receipts again {found.receipt_after(healed):.1f} s after it was healed")
    told(f"cut in three and two for {healed - cut:.0f} s", found)
    finish(apart, found)


def test_one_validator_cut_off_has_all_of_the_chain_once_healed(apart: Validators) -> None:
    with clearing(apart, 1, 2, 3) as found:
        plug((5,), OTHER)
        time.sleep(CUT_S)
        plug((5,), BRIDGE)
    told(f"one cut off for {CUT_S} s", found)
    finish(apart, found)


def test_a_folder_that_names_no_hosts_is_of_this_host_alone(tmp_path: Path) -> None:
    boot.init(tmp_path, 4, lambda _: None)
    file = tmp_path / "network.json"
    file.write_text(file.read_text().replace('"host": "127.0.0.1"', '"other": ""'))
    assert {one.host for one in read_network(tmp_path).validators} == {"127.0.0.1"}
