"""`trellis bench network`: clearings on a permissioned network of validators on this host, at a steady pace.

The same homes clear two days. The first fills storage that was empty and is not measured; of the second all
that is cleared counts, from the first transaction sent to the last receipt:

    before     seal, commit, match, header, and what each transaction leaves to the next: `prepare_s`
    measured   sign and send one clearing after another at the rate of `--mgas`, and watch blocks
    after      close and prove; every receipt looked up

A latency counts from when a transaction was due, sent or not, so that a client that falls behind shows.
"""

from __future__ import annotations

import argparse
import os
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from settlement.bench.chain import plan_calls
from settlement.bench.community import WINDOWS, Shape
from settlement.bench.on_validators import ValidatorsCommunity, validators
from settlement.bench.registry import Figures, Tell
from settlement.chain import books, operator, prepared
from settlement.chain.client import MOST_GAS, Chain
from settlement.errors import CheckFailed
from settlement.network import processes
from settlement.network.folder import Network, Validator

SCHEDULE_GAS = 48 * 2_340
"""Of a schedule in steady state, to know how many a run needs."""
FIRST_GAS = 12_000_000
"""Of a clearing, until one is mined."""
POLL_S = 0.03
WAIT_S = 180.0
MILLION = 1_000_000


@dataclass(frozen=True)
class Calls:
    """A day, ready to be cleared."""

    header: bytes
    clears: tuple[bytes, ...]
    close: bytes
    prepare_s: float
    """From the closed gate on."""


@dataclass
class Watch:
    """Blocks as one node accepts them."""

    chain: Chain
    seen: dict[bytes, float] = field(default_factory=dict)
    """When the block of a transaction was seen, monotonic seconds."""
    blocks: list[tuple[int, int, int]] = field(default_factory=list)
    """Number, gas and transactions, of those that have any."""
    over: threading.Event = field(default_factory=threading.Event)

    last: int | None = None
    """The latest block that was looked at."""

    def run(self) -> None:
        while not self.over.is_set():
            self.look()
            time.sleep(POLL_S)

    def look(self) -> None:
        """Takes what is new; the first look only says where to begin."""
        head = self.chain.block_number()
        for number in range((head if self.last is None else self.last) + 1, head + 1):
            self._take(number)
        self.last = head

    def _take(self, number: int) -> None:
        block = self.chain.rpc("eth_getBlockByNumber", hex(number), False)
        now, hashes = time.monotonic(), block["transactions"]
        self.seen |= {bytes.fromhex(one[2:]): now for one in hashes}
        if hashes:
            self.blocks.append((number, int(block["gasUsed"], 16), len(hashes)))


@dataclass(frozen=True)
class Burdens:
    """What processes have used so far."""

    validators_cpu_s: float
    client_cpu_s: float
    disk_bytes: int
    """Of one validator's databases, the mean."""


@dataclass(frozen=True)
class Paced:
    """One paced run."""

    seconds: float
    """From the first transaction sent to the last receipt."""
    latencies_s: tuple[float, ...]
    """Ascending."""
    gas: int
    sizes: int
    """Bytes of calldata."""
    blocks: int
    before: Burdens
    after: Burdens

    def latency_s(self, share: float) -> float:
        return self.latencies_s[min(len(self.latencies_s) - 1, int(share * len(self.latencies_s)))]


def measure(arguments: argparse.Namespace, tell: Tell) -> Figures:
    """Boots a network, clears two days on it, and takes it down."""
    rate = arguments.mgas * MILLION
    schedules = -(-rate * arguments.seconds // SCHEDULE_GAS)
    shape = Shape(homes=-(-schedules // arguments.steps), steps=arguments.steps)
    load = os.getloadavg()[0]
    with validators(arguments.validators, tell) as network:
        tell(f"register {shape.homes:,} homes ...")
        community = ValidatorsCommunity(network, shape)
        day = community.next_day()
        clear_day(community, day, rate, tell)
        found, calls = clear_day(community, day + 1, rate, tell)
        memory = max(
            one.memory_bytes() for each in network.members if (one := processes.running(network, each))
        )
    told = figures(shape, found, len(network.members))
    return told | {
        "offered_gas_per_s": rate,
        "prepare_s": round(calls.prepare_s, 2),
        "prepare_s_per_schedule": round(calls.prepare_s * WINDOWS / shape.window_orders, 6),
        "validator_memory_mb": memory >> 20,
        "load_before": round(load, 2),
    }


def figures(shape: Shape, found: Paced, members: int) -> dict[str, int | float]:
    """What a run comes to."""
    entries, seconds = shape.window_orders, found.seconds
    before, after = found.before, found.after
    return {
        "window_orders_per_s": round(entries / seconds),
        "validators": members,
        "gas_per_s": round(found.gas / seconds),
        "p50_s": round(found.latency_s(0.5), 2),
        "p95_s": round(found.latency_s(0.95), 2),
        "p99_s": round(found.latency_s(0.99), 2),
        "seconds": round(seconds, 2),
        "window_orders": entries,
        "transactions": len(found.latencies_s),
        "blocks": found.blocks,
        "blocks_per_s": round(found.blocks / seconds, 2),
        "gas": found.gas,
        "gas_per_window_order": round(found.gas / entries, 1),
        "calldata_bytes_per_window_order": round(found.sizes / entries, 2),
        "disk_bytes_per_window_order": round((after.disk_bytes - before.disk_bytes) / entries, 2),
        "validators_cores": round((after.validators_cpu_s - before.validators_cpu_s) / seconds, 2),
        "client_cores": round((after.client_cpu_s - before.client_cpu_s) / seconds, 2),
    }


# A day --------------------------------------------------------------------------------------------------


def clear_day(community: ValidatorsCommunity, day: int, rate: int, tell: Tell) -> tuple[Paced, Calls]:
    """Opens a day, and clears it at a pace to the proof."""
    tell(f"sign {community.shape.window_orders // WINDOWS:,} schedules, commit, match ...")
    calls = prepare(community, day)
    exchange, sender = community.exchange, community.operator
    exchange.send_data(sender, calls.header, gas=MOST_GAS)
    tell(f"clear in {len(calls.clears)} transactions, {rate // MILLION} Mgas offered a second ...")
    found = send_paced(community, calls.clears, rate)
    exchange.send_data(sender, calls.close, gas=MOST_GAS)
    tell(
        f"  {found.gas / found.seconds / MILLION:.1f} Mgas a second for {found.seconds:.0f} s, "
        f"p95 {found.latency_s(0.95):.2f} s"
    )
    return found, calls


def prepare(community: ValidatorsCommunity, day: int) -> Calls:
    """What an operator does between the gate and its first clearing, and all calldata after it."""
    session, orders = community.open(day)
    started, exchange = time.monotonic(), community.exchange
    sealed = operator.seal(exchange, session, orders)
    operator.commit(exchange, community.operator, session, sealed)
    accounts = exchange.accounts(sealed.accounts())
    ready = prepared.prepare(session, sealed, books.judge(session, sealed, accounts))
    header, *clears, close = plan_calls(ready, dict.fromkeys(accounts, community.lanes))
    return Calls(header, tuple(clears), close, time.monotonic() - started)


# The load -----------------------------------------------------------------------------------------------


def send_paced(community: ValidatorsCommunity, calls: Sequence[bytes], rate: int) -> Paced:
    """Sends each when it is due, at so much gas a second. CheckFailed if any is lost, ContractRevert."""
    network, sender = community.network, community.operator
    chain, watch = Chain(network.rpcs[0]), Watch(Chain(network.rpcs[0]))
    due: list[float] = []
    hashes: list[bytes] = []
    watch.look()
    watching = threading.Thread(target=watch.run)
    watching.start()
    before, start = burdens(network), time.monotonic()
    try:
        for call in calls:
            due.append(due[-1] + _gas_each(watch) / rate if due else start)
            time.sleep(max(0.0, due[-1] - time.monotonic()))
            hashes.append(chain.submit(sender, community.exchange.address, call, gas=MOST_GAS))
        _await(watch, hashes)
    finally:
        watch.over.set()
        watching.join()
    after, end = burdens(network), max(watch.seen[one] for one in hashes)
    community.chain.forget_nonces()
    gas = sum(chain.wait(one).gas_used for one in hashes)  # each must have succeeded
    latencies = sorted(watch.seen[one] - at for one, at in zip(hashes, due, strict=True))
    return Paced(end - start, tuple(latencies), gas, sum(map(len, calls)), len(watch.blocks), before, after)


def _gas_each(watch: Watch) -> float:
    """Of a transaction: the mean of those that are mined."""
    mined = sum(count for _, _, count in watch.blocks)
    return sum(gas for _, gas, _ in watch.blocks) / mined if mined else FIRST_GAS


def _await(watch: Watch, hashes: Sequence[bytes]) -> None:
    deadline = time.monotonic() + WAIT_S
    while missing := [one for one in hashes if one not in watch.seen]:
        if time.monotonic() > deadline:
            raise CheckFailed(f"{len(missing)} of {len(hashes)} clearings have no receipt in {WAIT_S:.0f} s")
        time.sleep(POLL_S)


def burdens(network: Network) -> Burdens:
    """Of all processes of the network's members, and of this one."""
    cpu_s, disk = 0.0, 0
    for one in network.members:
        process = processes.running(network, one)
        cpu_s += sum(map(_cpu_s, process.family())) if process else 0.0
        disk += database_bytes(network, one)
    return Burdens(cpu_s, _cpu_s(psutil.Process()), disk // len(network.members))


def _cpu_s(process: psutil.Process) -> float:
    try:
        times = process.cpu_times()
        return float(times.user + times.system)
    except psutil.Error:
        return 0.0


def database_bytes(network: Network, validator: Validator) -> int:
    """Of the node's own and of the chain's."""
    data = network.home(validator) / "data"
    return disk_bytes(data / "db") + disk_bytes(data / "chainData")


def disk_bytes(folder: Path) -> int:
    """What its files take; those that a database removes meanwhile take nothing."""
    total = 0
    for file in folder.rglob("*"):
        try:
            total += file.stat().st_blocks * 512 if file.is_file() else 0
        except OSError:
            continue
    return total
