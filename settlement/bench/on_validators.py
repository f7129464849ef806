"""A community on a network of validators, which a bench boots in a folder that is gone afterwards.

Its chain cannot be turned back and goes on from the host's time, so days are numbered from the next one that
begins after that. Deadlines are reached by the movable clock of docs/network.md.
"""

from __future__ import annotations

import socket
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from eth_account import Account

from settlement.bench.community import DAY_S, FIRST_HOME, MIDNIGHT, REGISTRATION_GAS, Community, Shape, key
from settlement.bench.registry import Tell
from settlement.chain.client import Chain
from settlement.chain.pending import Pace
from settlement.chain.rpc import to_hex
from settlement.errors import CheckFailed
from settlement.network import boot, lists
from settlement.network.clock import MovableClock
from settlement.network.errors import NetworkError
from settlement.network.folder import HOST, Network

ADMINISTRATOR, OPERATOR = key(FIRST_HOME - 2), key(FIRST_HOME - 1)
SEND_AT_ONCE, MOST_IN_FLIGHT = 100, 400
MINED_TIMEOUT_S = 60.0
PORTS = range(22_000, 60_000, 100)


@contextmanager
def validators(count: int, tell: Tell) -> Iterator[Network]:
    """A healthy network, whose processes and folder are gone afterwards. NetworkError, NoEngine."""
    with tempfile.TemporaryDirectory(prefix="trellis-bench-") as place:
        folder = Path(place) / "network"
        boot.init(folder, count, tell, first_port=free_ports(2 * boot.MOST_VALIDATORS), movable_clock=True)
        try:
            yield boot.up(folder, tell)
        finally:
            boot.down(folder, tell)


def free_ports(count: int) -> int:
    """The first of so many neighbouring ports that nobody uses."""
    for first in PORTS:
        try:
            for port in range(first, first + count):
                with socket.socket() as probe:
                    probe.bind((HOST, port))
        except OSError:
            continue
        return first
    raise NetworkError(
        f"no {count} neighbouring ports are free from {PORTS.start} on: stop what listens there"
    )


class ValidatorsCommunity(Community):
    """Homes that trade on validators."""

    def __init__(self, network: Network, shape: Shape) -> None:
        self.network = network
        self.chain = Chain(network.rpcs, chain_id=network.chain_id, pace=Pace())
        administrator = lists.administrator(network, None)
        self.clock = MovableClock(network, self.chain, administrator)
        self.admin, self.operator = ADMINISTRATOR, OPERATOR
        for sender in (ADMINISTRATOR, OPERATOR):
            lists.allow(self.chain, administrator, sender.address, deploy=sender is ADMINISTRATOR)
        self._settle_in(shape)

    def _send_all(self, name: str, calls: Sequence[tuple[Any, ...]]) -> None:
        """In batches: a receipt each would take longer than mining. CheckFailed if they are not mined."""
        chain, done = self.chain, 0
        first = self._nonce("pending")
        encoded = [self.exchange.abi.encode(name, *one) for one in calls]
        for start in range(0, len(encoded), SEND_AT_ONCE):
            batch = encoded[start : start + SEND_AT_ONCE]
            raws = [self._signed(data, nonce) for nonce, data in enumerate(batch, start=first + start)]
            chain.nodes.ask_many(
                "eth_sendRawTransaction", [("eth_sendRawTransaction", [raw]) for raw in raws]
            )
            while start + len(batch) - done > MOST_IN_FLIGHT:
                done = self._nonce("latest") - first
        deadline = time.monotonic() + MINED_TIMEOUT_S
        while self._nonce("latest") < first + len(encoded):
            if time.monotonic() > deadline:
                raise CheckFailed(
                    f"not every {name} is mined in {MINED_TIMEOUT_S:.0f} s: see the validators' logs"
                )
            time.sleep(0.1)
        chain.forget_nonces()

    def _nonce(self, block: str) -> int:
        return int(self.chain.rpc("eth_getTransactionCount", to_hex(self.admin.address), block), 16)

    def _signed(self, data: bytes, nonce: int) -> str:
        fields = {
            "to": self.exchange.address,
            "data": data,
            "nonce": nonce,
            "gas": REGISTRATION_GAS,
            "gasPrice": self.chain.gas_price,
            "value": 0,
            "chainId": self.chain.chain_id,
        }
        return to_hex(bytes(Account.sign_transaction(fields, self.admin.secret).raw_transaction))

    def next_day(self) -> int:
        """The first whose session is still to be opened."""
        return -(-(self.chain.now() - MIDNIGHT) // DAY_S) + 1
