"""What `trellis bench scale --measure` measures: bytes, events, replay and a grid on an embedded chain, and
disk on validators.

A day counts as what it adds to days before it, so that deploying and registering are not in it.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from settlement.audit.audit import audit
from settlement.audit.node import Node
from settlement.bench.community import Community, Shape
from settlement.bench.on_validators import ValidatorsCommunity, validators
from settlement.bench.registry import Tell
from settlement.bench.trees import ZONES, grid_of
from settlement.chain.anvil import Anvil
from settlement.chain.exchange import grid_arguments
from settlement.errors import CheckFailed
from settlement.network import boot
from settlement.network.errors import NetworkError
from settlement.network.folder import Network
from settlement.reference.session import Grid

HOMES = 200
DISK_DAYS = 6
VALIDATORS = 5
TABLES = (".sst", ".ldb")
"""Pebble's and LevelDB's."""
NEXT = 3
"""From the first of two days that follow each other to the first of the next two: both must be over."""


@dataclass(frozen=True)
class Written:
    """What a range of blocks holds."""

    blocks: int
    """Bytes of the blocks."""
    events: int
    """Bytes of addresses, topics and data."""


def measured(tell: Tell) -> dict[str, float]:
    """Every figure that this host can measure, under its name in the constants."""
    found = on_anvil(tell)
    try:
        return found | {"measured_disk_bytes_per_home_day": round(disk_a_home_day(tell), 1)}
    except NetworkError as error:
        tell(f"disk stays as it was measured elsewhere: {error.message}")
        return found


def on_anvil(tell: Tell) -> dict[str, float]:
    """Two days, then two more, which count."""
    tell(f"scale: {HOMES} homes trade and settle four days, audited after two and after all ...")
    with Anvil(timestamp=Community.starts_at()) as anvil:
        community = Community(anvil, Shape(homes=HOMES))
        grid = grid_figures(community)
        two_days(community, 1)
        before, block = audit_s(community, anvil.rpc_url), community.chain.block_number()
        two_days(community, 1 + NEXT)
        after = audit_s(community, anvil.rpc_url)
        written = written_in(community, range(block + 1, community.chain.block_number() + 1))
    days = 2 * HOMES
    return grid | {
        "measured_block_bytes_per_home_day": round(written.blocks / days, 1),
        "measured_receipt_bytes_per_home_day": round(written.events / days, 1),
        "measured_audit_s_per_home_day": round((after - before) / days, 6),
    }


def two_days(community: Community, first: int) -> None:
    """Two days that follow each other, traded and settled."""
    days = (first, first + 1)
    for day in days:
        community.trade(day)
    for day in days:
        community.settle(day)


def audit_s(community: Community, rpc: str) -> float:
    """Processor time of an audit of everything so far. CheckFailed if it finds a difference."""
    start = time.process_time()
    found = audit([Node(rpc)], community.exchange.address)
    if not found.ok:
        raise CheckFailed("the audit of what was just settled finds a difference: run `trellis audit`")
    return time.process_time() - start


def written_in(community: Community, numbers: Iterable[int]) -> Written:
    blocks = events = 0
    for number in numbers:
        block = community.chain.rpc("eth_getBlockByNumber", hex(number), False)
        blocks += int(block["size"], 16)
        receipts = community.chain.rpc("eth_getBlockReceipts", hex(number))
        events += sum(event_bytes(log) for one in receipts for log in one["logs"])
    return Written(blocks, events)


def event_bytes(log: Any) -> int:
    """Of an address, the topics and the data."""
    return 20 + 32 * len(log["topics"]) + (len(log["data"]) - 2) // 2


def grid_figures(community: Community) -> dict[str, float]:
    """What one more zone adds to setting a grid."""
    gas, size = _grid(community, grid_of(community.shape))
    least_gas, least_size = _grid(community, community.grid)
    return {
        "measured_grid_gas_per_zone": round((gas - least_gas) / (ZONES - 1), 1),
        "measured_grid_bytes_per_zone": round((size - least_size) / (ZONES - 1), 1),
    }


def _grid(community: Community, grid: Grid) -> tuple[int, int]:
    """Gas and bytes of setting it."""
    data = community.exchange.abi.encode("setGrid", grid_arguments(grid))
    chain, to = community.chain, community.exchange.address
    return chain.estimate(community.admin.address, to, data), len(data)


def disk_a_home_day(tell: Tell) -> float:
    """By what a validator's tables grow."""
    days = 2 * (DISK_DAYS // 2)
    tell(f"disk: {HOMES} homes trade and settle {days + 2} days on {VALIDATORS} validators ...")
    with validators(VALIDATORS, tell) as network:
        community = ValidatorsCommunity(network, Shape(homes=HOMES))
        first, sizes = community.next_day(), []
        for start in range(first, first + NEXT * (days // 2 + 1), NEXT):
            two_days(community, start)
            if start == first:
                sizes.append(table_bytes(network, tell))
        sizes.append(table_bytes(network, tell))
    return (sizes[-1] - sizes[0]) / (len(network.members) * days * HOMES)


def table_bytes(network: Network, tell: Tell) -> int:
    """Of all validators' tables, once all that was written is in them: a database that is opened moves its
    journal into tables, and a journal's file is as large as it was reserved.
    """
    boot.down(network.folder, tell)
    boot.up(network.folder, tell)
    boot.down(network.folder, tell)
    data = (network.home(one) / "data" for one in network.members)
    tables = (file for folder in data for file in folder.rglob("*") if file.suffix in TABLES)
    total = sum(file.stat().st_size for file in tables)
    boot.up(network.folder, tell)
    return total
