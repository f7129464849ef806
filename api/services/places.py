"""The chain that a demo's day runs on: one of its own, a network's, or one that somebody else runs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

from api.services.cast import Cast
from api.services.measured import MeasuredChain, Spent
from api.services.plan import Plan
from settlement.chain.anvil import Anvil
from settlement.chain.client import AnvilClock, Chain, Clock
from settlement.chain.pending import Pace
from settlement.errors import InputError
from settlement.network import lists
from settlement.network.clock import MovableClock
from settlement.network.folder import AUDITOR, OPERATOR, ORACLE, read_network

WEEK_S = 7 * 86_400
READY_S = 300
"""From now on, to open a session."""


@dataclass(frozen=True)
class Place:
    """Where a day runs."""

    rpcs: tuple[str, ...]
    """Of every node, the auditor's own first."""
    chain: MeasuredChain
    clock: Clock
    oracle_chain: MeasuredChain | None = None
    """The oracle's own node, where it has one."""


@contextmanager
def embedded(plan: Plan, port: int) -> Iterator[Place]:
    """An anvil of its own, at the day that was measured."""
    with Anvil(port=port, timestamp=plan.opens_at, accounts=1) as anvil:
        chain = MeasuredChain(str(anvil.ipc_path))
        yield Place((anvil.rpc_url,), chain, AnvilClock(chain))


def on_network(folder: Path, cast: Cast) -> Place:
    """The validators of a folder, each party at its own. Whoever sends is put on their lists by the
    administrator.
    """
    network = read_network(folder)
    chain_id, spent = network.chain_id, Spent()
    chain, oracle_chain = (
        MeasuredChain(network.rpcs_of(party), account=spent, chain_id=chain_id, pace=Pace())
        for party in (OPERATOR, f"{ORACLE}-1")
    )
    key = lists.administrator(network, None)
    clock = MovableClock(network, chain, key)
    permits = lists.chain_of(network)
    for sender in (cast.admin, cast.operator, cast.oracles[0], cast.relay):
        lists.allow(permits, key, sender.address, deploy=sender is cast.admin)
    return Place(tuple(network.rpcs_of(AUDITOR)), chain, clock, oracle_chain)


def on_nodes(rpcs: list[str]) -> Place:
    """An anvil that runs somewhere. InputError for a chain whose clock nobody can move from outside."""
    chain = MeasuredChain(rpcs)
    client = str(chain.rpc("web3_clientVersion"))
    if not client.lower().startswith("anvil"):
        raise InputError(
            f"a day on {client} would take days: only an anvil's clock can be moved from outside; "
            "name a network's folder with --network"
        )
    return Place(tuple(rpcs), chain, AnvilClock(chain))


def weeks_until(plan: Plan, chain: Chain) -> int:
    """How many weeks later the day is delivered, so that its session opens after the chain's time."""
    behind = chain.now() - plan.opens_at
    return -(-(behind + READY_S) // WEEK_S) if behind > 0 else 0


def later(plan: Plan, weeks: int) -> Plan:
    """The same day so many weeks later."""
    return replace(plan, day=plan.day + timedelta(weeks=weeks))
