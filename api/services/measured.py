"""A chain that keeps account of what was sent, and a clock that is told to whoever goes by it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from settlement.chain.client import RECEIPT_TIMEOUT_S, Chain, Clock
from settlement.chain.rpc import Receipt, to_bytes
from settlement.chain.sign import Signer


@dataclass
class Spent:
    """What was sent by everyone."""

    phase: str = ""
    by_phase: dict[str, list[int]] = field(default_factory=dict)
    """Transactions, gas and bytes."""


class MeasuredChain(Chain):
    """A chain that keeps account of what was sent, by phase; with `account`, in another's."""

    def __init__(self, rpc: str | Sequence[str], *, account: Spent | None = None, **options: Any) -> None:
        super().__init__(rpc, **options)
        self.account = account or Spent()
        self._pending: dict[bytes, tuple[str, int]] = {}

    def submit(self, signer: Signer, to: bytes | None, data: bytes, *, gas: int | None = None) -> bytes:
        tx_hash = super().submit(signer, to, data, gas=gas)
        self._pending[tx_hash] = self.account.phase, len(data)
        return tx_hash

    def wait(self, tx_hash: bytes, timeout_s: int = RECEIPT_TIMEOUT_S) -> Receipt:
        receipt = super().wait(tx_hash, timeout_s)
        if tx_hash in self._pending:
            phase, size = self._pending.pop(tx_hash)
            spent = self.account.by_phase.setdefault(phase, [0, 0, 0])
            for place, amount in enumerate((1, receipt.gas_used, size)):
                spent[place] += amount
        return receipt

    def count_in(self, tx_hash: bytes) -> None:
        """Takes a transaction into the account that somebody else sent."""
        sent = self.rpc("eth_getTransactionByHash", "0x" + tx_hash.hex())
        self._pending[tx_hash] = self.account.phase, len(to_bytes(sent["input"]))
        self.wait(tx_hash)

    @property
    def spent(self) -> dict[str, list[int]]:
        return self.account.by_phase


@dataclass
class ToldClock:
    """The chain's clock, and who is told where it is when it was moved."""

    clock: Clock
    chain: Chain
    tell: Callable[[float], None]
    """Takes Unix seconds."""

    def advance_to(self, timestamp: int) -> None:
        self.clock.advance_to(timestamp)
        self.tell(self.chain.now())
