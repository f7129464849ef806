"""A session of many small clearings under way while something is broken, and what must hold of it then."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise

from network_world import Validators, answer

from settlement.bench.chain import plan_calls
from settlement.bench.community import Shape
from settlement.bench.on_validators import ValidatorsCommunity
from settlement.chain import books, operator, prepared
from settlement.chain.chunks import Limits
from settlement.chain.client import Chain
from settlement.chain.errors import ChainError
from settlement.chain.exchange import Exchange, Stage
from settlement.chain.pending import Pace
from settlement.chain.prepared import Prepared
from settlement.chain.rpc import Receipt
from settlement.chain.sign import Signer
from settlement.network import boot

SHAPE = Shape(homes=60, steps=10)
SMALL = Limits(gas=1_600_000)
"""Of a clearing: so a session has as many as a fault takes."""
CLEARING_GAS = 4_000_000
PAUSE_S = 0.4
"""Between two clearings: as much as validators clear beside whatever else runs on their host."""


@dataclass
class Clearing:
    """One session between its header and its proof: clearings sent in turn, receipts awaited in turn."""

    community: ValidatorsCommunity
    ready: Prepared
    chain: Chain
    calls: Sequence[bytes]
    close: bytes
    hashes: list[bytes] = field(default_factory=list)
    receipts: list[Receipt] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    """When each receipt came, monotonic seconds."""
    refused: list[ChainError] = field(default_factory=list)
    hurry: threading.Event = field(default_factory=threading.Event)
    """The fault is over: what is left is sent without pauses."""
    started: float = 0.0
    wait_s: int = 180
    """For a receipt."""

    def run(self) -> None:
        sent: queue.Queue[bytes | None] = queue.Queue()
        waiting = threading.Thread(target=self._wait, args=(sent,))
        waiting.start()
        self.started = time.monotonic()
        try:
            for call in self.calls:
                to, gas = self.community.exchange.address, CLEARING_GAS
                self.hashes.append(self.chain.submit(self.community.operator, to, call, gas=gas))
                sent.put(self.hashes[-1])
                self.hurry.wait(PAUSE_S)
        except ChainError as error:
            self.refused.append(error)
        sent.put(None)
        waiting.join()

    def _wait(self, sent: queue.Queue[bytes | None]) -> None:
        while (one := sent.get()) is not None:
            try:
                self.receipts.append(self.chain.wait(one, timeout_s=self.wait_s))
                self.times.append(time.monotonic())
            except ChainError as error:
                self.refused.append(error)

    @property
    def longest_pause_s(self) -> float:
        """Between two receipts, or until the first."""
        return max((b - a for a, b in pairwise([self.started, *self.times])), default=0.0)

    def receipt_after(self, moment: float, timeout_s: float = 90) -> float:
        """Seconds from a moment to the next receipt."""
        while not self.times or self.times[-1] < moment:
            assert time.monotonic() < moment + timeout_s, "no receipt"
            time.sleep(0.05)
        return next(one for one in self.times if one >= moment) - moment


def prepare(validators: Validators, *first: int, shape: Shape = SHAPE) -> Clearing:
    """A community of its own, up to the header; clearings go by these validators, in this order."""
    community = ValidatorsCommunity(validators.network, shape)
    session, orders = community.open(community.next_day())
    exchange, sender = community.exchange, community.operator
    sealed = operator.seal(exchange, session, orders)
    operator.commit(exchange, sender, session, sealed)
    accounts = exchange.accounts(sealed.accounts())
    ready = prepared.prepare(session, sealed, books.judge(session, sealed, accounts))
    header, *clears, close = plan_calls(ready, dict.fromkeys(accounts, community.lanes), SMALL)
    exchange.send_data(sender, header)
    chain = validators.chain(*first)
    chain.pace = Pace()
    return Clearing(community, ready, chain, clears, close)


@contextmanager
def clearing(validators: Validators, *first: int, shape: Shape = SHAPE) -> Iterator[Clearing]:
    """Under way while the block runs; then what is left is sent, and all validators come up."""
    found = prepare(validators, *first, shape=shape)
    running = threading.Thread(target=found.run)
    running.start()
    time.sleep(2)
    try:
        yield found
        assert len(found.hashes) < len(found.calls), "the session was cleared before the fault was over"
    finally:
        found.hurry.set()
        running.join()
    boot.up(validators.folder, lambda _: None)
    validators.wait_until_equal()


def finish(validators: Validators, found: Clearing) -> None:
    """Proves the session, of which nothing was refused; then what must hold."""
    assert not found.refused
    assert len(found.receipts) == len(found.hashes)
    exchange = Exchange(validators.chain(), found.community.exchange.deployment)
    exchange.send_data(found.community.operator, found.close)
    held(validators, found)


def held(validators: Validators, found: Clearing) -> None:
    """It is proved; a receipt is in one block of all nodes, once, or of none; every node passes the audit."""
    exchange = Exchange(validators.chain(), found.community.exchange.deployment)
    assert exchange.session(found.ready.session.epoch)[1] is Stage.PROVED
    validators.wait_until_equal()
    mined = {one.tx_hash: one.block for one in found.receipts}
    assert len(mined) == len(found.receipts)
    sent = nonce(validators, found.community.operator, 1)
    for number in range(1, 6):
        assert nonce(validators, found.community.operator, number) == sent
        for tx_hash in found.hashes:
            told = validators.chain(number).rpc("eth_getTransactionReceipt", "0x" + tx_hash.hex())
            assert (int(told["blockNumber"], 16) if told else None) == mined.get(tx_hash)
    audited(validators, exchange)


def audited(validators: Validators, exchange: Exchange) -> None:
    """`trellis audit` on every validator: alone, and compared with all others."""
    nodes = [part for rpc in validators.network.rpcs for part in ("--rpc", rpc)]
    told = answer("audit", *nodes, "--address", "0x" + exchange.address.hex())
    assert all(one["ok"] for one in told["checks"]), told


def nonce(validators: Validators, signer: Signer, number: int) -> int:
    asked = "0x" + signer.address.hex()
    return int(validators.chain(number).rpc("eth_getTransactionCount", asked, "latest"), 16)


def told(name: str, found: Clearing) -> None:
    print(f"{name}: {len(found.receipts)} clearings, longest pause {found.longest_pause_s:.1f} s")
