"""The chain that the tests of a module run on: an anvil of their own, or the network that
TRELLIS_NETWORK_DIR names.

A network cannot be turned back, and its time only goes on. So the tests of a process share one world there,
whose day is the next one that begins after the chain's time.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from settlement.chain.anvil import Anvil, development_keys
from settlement.chain.client import AnvilClock, Chain
from settlement.chain.sign import Signer
from settlement.network import lists
from settlement.network.clock import MovableClock
from settlement.network.folder import Network, read_network

SENDERS = 3
SLOT = 16
"""Windows of a slot: days have the same place in theirs on every chain."""
DAY_S = 86_400
SET_UP_S = 1_200


@dataclass(frozen=True)
class ChainPlace:
    """A running chain."""

    node: Any
    chain: Chain
    clock: Any


class NetworkNode:
    """What the tests ask of a node, of a network's first."""

    def __init__(self, network: Network) -> None:
        self.rpc_url = network.rpcs[0]
        self.private_keys = development_keys(SENDERS)


class NetworkClock(MovableClock):
    """A network's time, which does not go back."""

    def snapshot(self) -> str:
        return ""

    def revert(self, snapshot: str) -> None:
        """The process ends with the test."""


def network() -> Network | None:
    folder = os.environ.get("TRELLIS_NETWORK_DIR")
    return read_network(Path(folder)) if folder else None


def day_of_the_world(embedded: int, window_length: int) -> int:
    """First window of the day: a fixed one, or a network's next with the same place in a slot."""
    found = network()
    if found is None:
        return embedded
    earliest = lists.chain_of(found).now() + SET_UP_S + DAY_S
    windows = -(-earliest // window_length) - embedded
    return embedded + -(-windows // SLOT) * SLOT


@contextmanager
def running_chain(timestamp: int, hardfork: str, senders: Iterable[bytes] = ()) -> Iterator[ChainPlace]:
    """A chain at a time, with accounts that may send and deploy, and `senders` that may send."""
    found = network()
    if found is not None:
        yield _on_network(found, timestamp, senders)
        return
    with Anvil(timestamp=timestamp, hardfork=hardfork) as anvil:
        chain = Chain(anvil.rpc_url)
        yield ChainPlace(anvil, chain, AnvilClock(chain))


def _on_network(found: Network, timestamp: int, senders: Iterable[bytes]) -> ChainPlace:
    chain, key = lists.chain_of(found), lists.administrator(found, None)
    node = NetworkNode(found)
    for secret in node.private_keys:
        lists.allow(chain, key, Signer(secret).address, deploy=True)
    for sender in senders:
        lists.allow(chain, key, sender, deploy=False)
    clock = NetworkClock(found, chain, key)
    clock.advance_to(timestamp)
    return ChainPlace(node, chain, clock)
