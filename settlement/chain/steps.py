"""What was sent: one step a transaction; and what the chain told earlier."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from settlement.chain.calldata import arguments, function_of
from settlement.chain.errors import NodeError, WrongProgress
from settlement.chain.exchange import Exchange
from settlement.chain.rpc import Log, Receipt, to_bytes, to_hex


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


def call_of(exchange: Exchange, log: Log, name: str) -> tuple[Any, ...]:
    """The arguments of the call that told this event, which one such call tells once.

    WrongProgress if a contract made the call and the node keeps no traces.
    """
    hash_ = to_hex(log.tx_hash)
    data = to_bytes(exchange.chain.rpc("eth_getTransactionByHash", hash_)["input"])
    entry = function_of(data)
    if entry is None or entry.name != name:
        entry, data = exchange.abi.function(name), _inner(exchange, log, name)
    return arguments(entry, data)


def _inner(exchange: Exchange, log: Log, name: str) -> bytes:
    """Calldata of a call that a contract made within a transaction."""
    hash_, own = to_hex(log.tx_hash), to_hex(exchange.address)
    try:
        trace = exchange.chain.rpc("debug_traceTransaction", hash_, {"tracer": "callTracer"})
    except NodeError as cause:
        what = f"transaction {hash_} made its {name} through a contract: ask a node that traces"
        raise WrongProgress(what) from cause
    told = exchange.chain.rpc("eth_getTransactionReceipt", hash_)["logs"]
    same = [one for one in told if one["address"] == own and to_bytes(one["topics"][0]) == log.topics[0]]
    place = [int(one["logIndex"], 16) for one in same].index(log.index)
    selector = exchange.abi.selector(name)
    calls = (
        to_bytes(one["input"]) for one in _frames(trace) if one.get("to") == own and one["type"] == "CALL"
    )
    return [data for data in calls if data[:4] == selector][place]


def _frames(frame: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Every call that was not undone, in the order in which they began."""
    if "error" not in frame:
        yield frame
        for one in frame.get("calls", ()):
            yield from _frames(one)
