"""Validators, nodes, disks and rights are lost while a session is cleared: nothing is lost or done twice.

Each has a community of its own, whose session is cleared in a hundred small transactions; at the end it is
proved, and `trellis audit` passes on every validator.
"""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from clearing_load import SMALL, clearing, finish, held, told
from network_world import Validators
from pool_flood import Flood

from settlement.bench.community import key
from settlement.chain import deploy, operator
from settlement.chain.errors import NodeError, TransactionLost
from settlement.chain.exchange import Exchange
from settlement.network import boot, lists, processes

FLOOD = 10_000
DISK = "900m"
"""More than the half gigabyte under which a validator stops, little enough to fill at once."""


@pytest.mark.smoke
def test_one_validator_is_killed_and_the_others_go_on(validators: Validators) -> None:
    with clearing(validators, 1, 2) as found:
        validators.kill(5)
        time.sleep(15)
    told("one killed", found)
    assert found.longest_pause_s < 30
    finish(validators, found)


def test_the_node_that_is_asked_dies_between_the_transactions_of_a_clearing(validators: Validators) -> None:
    with clearing(validators, 2, 3, 4) as found:
        assert 0 < len(found.receipts) < len(found.calls)
        validators.kill(2)
        time.sleep(10)
    told("the RPC node killed", found)
    assert found.chain.nodes.current != validators.network.rpcs[1]
    finish(validators, found)


def test_two_killed_halt_the_chain_and_it_goes_on_when_they_are_back(validators: Validators) -> None:
    with clearing(validators, 1, 2, 3) as found:
        validators.kill(4)
        validators.kill(5)
        time.sleep(6)
        halted = len(found.times)
        time.sleep(6)
        assert len(found.times) == halted
        started = time.monotonic()
        boot.up(validators.folder, lambda _: None)
        print(f"receipts again {found.receipt_after(started):.1f} s after the restart began")
    told("two killed", found)
    finish(validators, found)


def test_a_validator_that_hangs_for_20_s_is_waited_for_or_passed_over(validators: Validators) -> None:
    with clearing(validators, 1, 2) as found, validators.frozen(4):
        time.sleep(20)
    told("one frozen for 20 s", found)
    finish(validators, found)


def test_each_validator_is_restarted_in_turn(validators: Validators) -> None:
    with clearing(validators, 1, 2, 3, 4, 5) as found:
        for number in range(1, 6):
            validators.kill(number)
            boot.up(validators.folder, lambda _: None)
    told("each restarted in turn", found)
    finish(validators, found)


def test_a_validator_that_lost_its_disk_has_all_of_the_chain_again(validators: Validators) -> None:
    network = validators.network
    with clearing(validators, 1, 2) as found:
        validators.kill(3)
        shutil.rmtree(network.home(network.find("3")) / "data")
        started = time.monotonic()
        boot.up(validators.folder, lambda _: None)
        print(f"caught up {time.monotonic() - started:.1f} s after the restart began")
    told("one wiped", found)
    finish(validators, found)


# Disk ---------------------------------------------------------------------------------------------------


@contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    """A folder on a small disk of its own, its content moved there; moved back afterwards."""
    aside = folder.with_name("aside")
    folder.rename(aside)
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={DISK}", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if mounted.returncode:
        folder.rmdir()
        aside.rename(folder)
        pytest.skip(f"a small disk cannot be mounted here: {mounted.stderr.decode().strip()}")
    try:
        shutil.copytree(aside, folder, dirs_exist_ok=True)
        shutil.rmtree(aside)
        yield folder
        shutil.copytree(folder, aside)
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)
        folder.rmdir()
        if aside.exists():
            aside.rename(folder)


def fill(folder: Path) -> Path:
    """A file that takes what is left."""
    file = folder / "filling"
    with file.open("wb", buffering=0) as filling:
        for size in (1 << 20, 4_096, 1):
            try:
                while filling.write(bytes(size)) == size:
                    pass
            except OSError:
                continue
    return file


def test_a_full_disk_stops_one_validator_which_goes_on_once_there_is_space(validators: Validators) -> None:
    network = validators.network
    fifth = network.find("5")
    processes.stop(network, [fifth])
    with small_disk(network.home(fifth) / "data") as disk:
        boot.up(validators.folder, lambda _: None)
        with clearing(validators, 1, 2) as found:
            filling = fill(disk)
            assert shutil.disk_usage(disk).free < 1 << 20
            full = time.monotonic()
            while processes.running(network, fifth) and time.monotonic() < full + 20:
                time.sleep(0.2)
            stopped = processes.running(network, fifth) is None
            print(f"stopped {time.monotonic() - full:.1f} s after" if stopped else "it goes on, full")
            filling.unlink()
            processes.stop(network, [fifth])
            boot.up(validators.folder, lambda _: None)
        told("one disk full", found)
        finish(validators, found)
        processes.stop(network, [fifth])
    boot.up(validators.folder, lambda _: None)
    validators.wait_until_equal()


# Senders ------------------------------------------------------------------------------------------------


def test_a_flood_of_10_000_transactions_neither_stops_nor_loses_a_clearing(validators: Validators) -> None:
    flood = Flood(validators, FLOOD)
    with clearing(validators, 1, 2) as found:
        flood.pour()
        flood.wait()
    poured = f"{flood.sent} taken, {flood.refused} refused, {flood.mined} mined"
    told(f"a flood poured in {flood.seconds:.1f} s ({poured})", found)
    finish(validators, found)


def test_a_flood_by_a_stranger_does_not_enter_any_pool(validators: Validators) -> None:
    flood = Flood(validators, FLOOD, admitted=False)
    with clearing(validators, 1, 2) as found:
        flood.pour()
    told(f"a stranger's flood of {flood.refused} in {flood.seconds:.1f} s", found)
    assert (flood.sent, flood.refused) == (0, FLOOD)
    finish(validators, found)


def test_an_operator_put_off_the_list_mid_session_is_refused_and_another_goes_on(
    validators: Validators,
) -> None:
    permits, administrator = lists.chain_of(validators.network), validators.administrator
    with clearing(validators, 1) as found:
        dropped, found.wait_s = found.community.operator, 20
        lists.disallow(permits, administrator, dropped.address)
        while not found.refused:
            time.sleep(0.1)
        refused = time.monotonic()
    refusals = [one for one in found.refused if not isinstance(one, TransactionLost)]  # left in pools
    assert [type(one) for one in refusals] == [NodeError]
    assert "non-allow listed address" in str(refusals[0])
    second = key(9)
    lists.allow(permits, administrator, second.address, deploy=False)
    exchange = Exchange(validators.chain(), found.community.exchange.deployment)
    deploy.grant(
        exchange.chain, found.community.admin, exchange.deployment, deploy.OPERATOR, [second.address]
    )
    at = operator.progress(exchange, found.ready)
    assert at[0].count >= len(found.receipts) > 0
    operator.clear_and_close(exchange, second, found.ready, at, SMALL)
    told(f"the operator dropped; proved by another {time.monotonic() - refused:.1f} s later", found)
    held(validators, found)
