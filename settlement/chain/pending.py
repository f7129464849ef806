"""What was sent and is not known to be mined: kept, so that it can be sent again, and counted, so that a
network is not given more than it takes.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass


@dataclass(frozen=True)
class Pace:
    """The most that is in flight at once."""

    gas: int = 60_000_000
    """Half a block of the networks that `trellis network` makes."""
    size: int = 512 * 1024
    """Bytes of signed transactions: they pass from every node to every other."""


@dataclass(frozen=True)
class Sent:
    """A signed transaction."""

    raw: bytes
    gas: int


class Pending:
    """Transactions in flight, oldest first."""

    def __init__(self) -> None:
        self._sent: dict[bytes, Sent] = {}
        self._lock = threading.Lock()

    def add(self, tx_hash: bytes, sent: Sent) -> None:
        with self._lock:
            self._sent[tx_hash] = sent

    def done(self, tx_hash: bytes) -> None:
        with self._lock:
            self._sent.pop(tx_hash, None)

    def all(self) -> list[Sent]:
        with self._lock:
            return list(self._sent.values())

    def in_the_way(self, pace: Pace, new: Sent) -> bytes | None:
        """The oldest, if `new` besides all would be too much; something alone never is."""
        with self._lock:
            gas = sum(one.gas for one in self._sent.values()) + new.gas
            size = sum(len(one.raw) for one in self._sent.values()) + len(new.raw)
            if not self._sent or (gas <= pace.gas and size <= pace.size):
                return None
            return next(iter(self._sent))

    def clear(self) -> None:
        with self._lock:
            self._sent.clear()
