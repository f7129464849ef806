"""What was sent: one step a transaction; and what the chain told earlier."""

from __future__ import annotations

from dataclasses import dataclass

from settlement.chain.exchange import Exchange
from settlement.chain.rpc import Log, Receipt


@dataclass(frozen=True)
class Step:
    """One transaction of the operator's or the settler's."""

    name: str
    tx_hash: bytes
    block: int
    gas_used: int
    count: int = 0
    """Schedules, accounts or zones it was about."""


def step(name: str, receipt: Receipt, count: int = 0) -> Step:
    return Step(name, receipt.tx_hash, receipt.block, receipt.gas_used, count)


def logs_of(exchange: Exchange, name: str, *indexed: int) -> list[Log]:
    """An event's logs with these first indexed values."""
    topic = next(topic for topic, entry in exchange.abi.events.items() if entry.name == name)
    topics = [topic, *(value.to_bytes(32, "big") for value in indexed)]
    return exchange.chain.logs(exchange.address, exchange.deployment.block, topics=topics)
