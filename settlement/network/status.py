"""How a network is: each validator, and whether all have the same chain."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import Any

from settlement.errors import InputError
from settlement.network import avalanche, processes
from settlement.network.errors import NetworkError
from settlement.network.folder import Network, Validator
from settlement.network.http import ask


@dataclass(frozen=True)
class ValidatorStatus:
    """One validator, as it is now."""

    id: int
    """Its number in the folder."""
    node_id: str
    pid: int | None
    rpc: str | None
    """None before the chain exists."""
    alive: bool
    """Its process runs."""
    answers: bool
    """Its chain answers."""
    height: int | None
    """None where it does not answer."""
    hash: str | None
    """Of its block at the common height."""
    peers: int | None
    memory_bytes: int
    """Resident, of the node and its plugin."""


@dataclass(frozen=True)
class NetworkStatus:
    """All of them."""

    validators: tuple[ValidatorStatus, ...]
    height: int | None
    """The lowest of those that answer: what all have."""

    @property
    def agree(self) -> bool:
        """All that answer have the same block there."""
        return len({one.hash for one in self.validators if one.hash}) <= 1

    @property
    def healthy(self) -> bool:
        return self.agree and all(one.answers for one in self.validators)

    def as_json(self) -> dict[str, Any]:
        return {
            "healthy": self.healthy,
            "agree": self.agree,
            "height": self.height,
            "validators": [asdict(one) for one in self.validators],
        }


def status(network: Network) -> NetworkStatus:
    """Asks every member at once. InputError for a network whose processes are not this host's."""
    if not network.members:
        raise InputError(f"{network.folder} is for {network.engine}, whose own tools tell how it is")
    with ThreadPoolExecutor(len(network.members)) as pool:
        heights = list(pool.map(lambda one: _height(network, one), network.members))
        common = min((height for height in heights if height is not None), default=None)
        answers = pool.map(lambda one, height: _one(network, one, height, common), network.members, heights)
        return NetworkStatus(tuple(answers), common)


def _one(network: Network, validator: Validator, height: int | None, common: int | None) -> ValidatorStatus:
    process = processes.running(network, validator)
    known = height is not None and common is not None
    return ValidatorStatus(
        id=validator.number,
        node_id=validator.identity.node_id,
        pid=process.pid if process else None,
        rpc=network.rpc(validator) if network.chain else None,
        alive=process is not None,
        answers=height is not None,
        height=height,
        hash=_hash(network, validator, common) if known and common is not None else None,
        peers=_peers(validator) if process else None,
        memory_bytes=process.memory_bytes() if process else 0,
    )


def _height(network: Network, validator: Validator) -> int | None:
    if network.chain is None or processes.running(network, validator) is None:
        return None
    try:
        return int(ask(network.rpc(validator), "eth_blockNumber", [], 5), 16)
    except NetworkError:
        return None


def _hash(network: Network, validator: Validator, height: int) -> str | None:
    try:
        block = ask(network.rpc(validator), "eth_getBlockByNumber", [hex(height), False], 5)
    except NetworkError:
        return None
    return str(block["hash"]) if block else None


def _peers(validator: Validator) -> int | None:
    try:
        return avalanche.peers(validator)
    except NetworkError:
        return None
