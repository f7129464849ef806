"""Validators and nodes are lost while somebody sends: nothing is lost or done twice."""

from __future__ import annotations

import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import pytest
from network_world import ROOT, Validators

from settlement.chain.client import Chain
from settlement.chain.errors import ChainError, NodeError
from settlement.chain.pending import Pace
from settlement.chain.rpc import Receipt
from settlement.chain.sign import Signer
from settlement.network import boot, lists

SENDERS = 4
PAUSE_S = 0.1


@dataclass
class Load:
    """Senders that send without end, each the next when the last has its receipt."""

    chain: Chain
    receipts: dict[bytes, list[Receipt]] = field(default_factory=dict)
    refused: list[ChainError] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)

    def send(self, signer: Signer) -> None:
        mined = self.receipts.setdefault(signer.address, [])
        while not self.over.is_set():
            try:
                hash_ = self.chain.submit(signer, signer.address, b"", gas=21_000)
                mined.append(self.chain.wait(hash_, timeout_s=180))
                self.times.append(time.monotonic())
            except ChainError as error:
                self.refused.append(error)
                return
            time.sleep(PAUSE_S)

    @property
    def longest_pause_s(self) -> float:
        """Between two receipts of anybody."""
        return max((b - a for a, b in pairwise(sorted(self.times))), default=0.0)


@pytest.fixture(scope="module")
def senders(five: Validators) -> list[Signer]:
    return [five.admit() for _ in range(SENDERS)]


@contextmanager
def load(validators: Validators, senders: list[Signer], *first: int) -> Iterator[Load]:
    """Under way while the block runs; afterwards every receipt is everywhere, once."""
    chain = validators.chain(*first)
    chain.pace = Pace()
    before = {one.address: nonce(validators, one, 5) for one in senders}
    found = Load(chain)
    with ThreadPoolExecutor(SENDERS) as pool:
        running = [pool.submit(found.send, one) for one in senders]
        time.sleep(2)
        try:
            yield found
            time.sleep(2)
        finally:
            found.over.set()
        for one in running:
            one.result()
    boot.up(validators.folder, lambda _: None)
    validators.wait_until_equal()
    for one in senders:
        mined = found.receipts[one.address]
        assert len({each.tx_hash for each in mined}) == len(mined) > 0
        for number in range(1, 6):
            assert nonce(validators, one, number) == before[one.address] + len(mined)
            for receipt in mined:
                told = validators.chain(number).rpc("eth_getTransactionReceipt", "0x" + receipt.tx_hash.hex())
                assert int(told["blockNumber"], 16) == receipt.block


def nonce(validators: Validators, signer: Signer, number: int) -> int:
    asked = "0x" + signer.address.hex()
    return int(validators.chain(number).rpc("eth_getTransactionCount", asked, "latest"), 16)


def told(name: str, found: Load) -> None:
    count = sum(map(len, found.receipts.values()))
    print(f"{name}: {count} receipts, longest pause {found.longest_pause_s:.1f} s")


def test_one_validator_is_killed_and_the_others_go_on(validators: Validators, senders: list[Signer]) -> None:
    with load(validators, senders, 1, 2) as found:
        validators.kill(5)
        time.sleep(15)
    told("one killed", found)
    assert not found.refused
    assert found.longest_pause_s < 20


def test_the_node_that_is_asked_dies_and_another_takes_over(
    validators: Validators, senders: list[Signer]
) -> None:
    with load(validators, senders, 2, 3, 4) as found:
        validators.kill(2)
        time.sleep(10)
    told("the RPC node killed", found)
    assert not found.refused
    assert found.chain.nodes.current != validators.network.rpcs[1]


def test_two_killed_halt_the_chain_and_one_back_lets_it_go_on(
    validators: Validators, senders: list[Signer]
) -> None:
    with load(validators, senders, 1, 2, 3) as found:
        validators.kill(4)
        validators.kill(5)
        time.sleep(6)
        halted = len(found.times)
        time.sleep(6)
        assert len(found.times) == halted
        started = time.monotonic()
        boot.up(validators.folder, lambda _: None)
        while len(found.times) == halted and time.monotonic() < started + 90:
            time.sleep(0.2)
        print(f"blocks again {time.monotonic() - started:.1f} s after the restart began")
    told("two killed", found)
    assert not found.refused


def test_a_validator_that_hangs_for_20_s_is_waited_for_or_passed_over(
    validators: Validators, senders: list[Signer]
) -> None:
    with load(validators, senders, 1, 2) as found, validators.frozen(4):
        time.sleep(20)
    told("one frozen for 20 s", found)
    assert not found.refused


def test_each_validator_is_restarted_in_turn(validators: Validators, senders: list[Signer]) -> None:
    with load(validators, senders, 1, 2, 3, 4, 5) as found:
        for number in range(1, 6):
            validators.kill(number)
            boot.up(validators.folder, lambda _: None)
    told("each restarted in turn", found)
    assert not found.refused


def test_a_validator_that_lost_its_disk_has_all_of_the_chain_again(
    validators: Validators, senders: list[Signer]
) -> None:
    network = validators.network
    with load(validators, senders, 1, 2) as found:
        validators.kill(3)
        shutil.rmtree(network.home(network.find("3")) / "data")
        started = time.monotonic()
        boot.up(validators.folder, lambda _: None)
        print(f"caught up {time.monotonic() - started:.1f} s after the restart began")
    told("one wiped", found)
    assert not found.refused


def test_a_sender_dropped_from_the_list_is_refused_at_once_and_nobody_else_is(
    validators: Validators, senders: list[Signer]
) -> None:
    dropped, key = senders[0], validators.administrator
    permits = lists.chain_of(validators.network)
    with load(validators, senders, 1) as found:
        lists.disallow(permits, key, dropped.address)
        time.sleep(3)
    lists.allow(permits, key, dropped.address, deploy=False)
    told("one sender dropped", found)
    (error,) = found.refused
    assert isinstance(error, NodeError)
    assert "non-allow listed address" in str(error)


def test_a_day_goes_on_when_its_node_dies_before_the_clearing(validators: Validators, tmp_path: Path) -> None:
    options = ["--network", str(validators.folder), "--out", str(tmp_path), "--homes", "6"]
    command = [sys.executable, "-u", "-m", "settlement.cli", "demo", *options]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as demo:
        assert demo.stdout is not None
        for line in demo.stdout:
            if line.startswith("✓ order"):
                validators.kill(1)
            elif line.startswith("✓ clear"):
                print(line.strip())
                boot.up(validators.folder, lambda _: None)  # the audit asks all five
        assert demo.wait(300) == 0
