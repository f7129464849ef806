"""What a round was traded at, read from the transactions that proved it.

Settlement pays back at clearing prices. The Exchange keeps their hashes; the words are in the calldata of
`closeZone` and `postHeader`.
"""

from __future__ import annotations

from typing import Any

from settlement.chain.calldata import arguments, function_of
from settlement.chain.errors import WrongProgress
from settlement.chain.exchange import Exchange
from settlement.chain.rpc import Log, to_bytes, to_hex
from settlement.chain.steps import logs_of
from settlement.reference.potential import Potential
from settlement.reference.potential import unpack as unpack_potential
from settlement.reference.prices import RoundPrices


def round_prices(exchange: Exchange, epoch: int, zone: int) -> RoundPrices:
    """The potentials of a proved session in a zone. WrongProgress if the zone was never closed."""
    close = _call(exchange, logs_of(exchange, "ZoneJoined", epoch, zone)[:1], "closeZone", epoch)
    post = _call(exchange, logs_of(exchange, "HeaderPosted", epoch)[-1:], "postHeader", epoch)
    _, energy_and_marginals = close[2]
    return RoundPrices(energy_and_marginals.energy, _unpacked(post[1]))


def _call(exchange: Exchange, logs: list[Log], name: str, epoch: int) -> tuple[Any, ...]:
    """The arguments of the transaction that told this."""
    for log in logs:
        sent = exchange.chain.rpc("eth_getTransactionByHash", to_hex(log.tx_hash))
        data = to_bytes(sent["input"])
        entry = function_of(data)
        if entry is not None and entry.name == name:
            return arguments(entry, data)
    raise WrongProgress(f"session {epoch} has no {name} on this chain: its prices cannot be read")


def _unpacked(words: tuple[int, ...]) -> tuple[Potential, ...]:
    return tuple(map(unpack_potential, words))
