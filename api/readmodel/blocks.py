"""What is read of the chain, block by block."""

from __future__ import annotations

from dataclasses import dataclass

from settlement.chain.rpc import Log


@dataclass(frozen=True, slots=True)
class Head:
    """A block's place in the chain."""

    number: int
    hash: bytes
    parent: bytes
    time: int
    """Unix seconds."""


@dataclass(frozen=True, slots=True)
class Sent:
    """A transaction that told something."""

    hash: bytes
    position: int
    """In its block."""
    sender: bytes
    to: bytes | None
    data: bytes
    logs: tuple[Log, ...]
    """Of the contracts that are read, in their order."""


@dataclass(frozen=True, slots=True)
class ReadBlock:
    """A block with all that it told."""

    head: Head
    sent: tuple[Sent, ...]


@dataclass(frozen=True, slots=True)
class Watched:
    """The deployment whose events are read."""

    chain_id: int
    exchange: bytes
    token: bytes
    authority: bytes
    window_length: int
    """Seconds."""
    max_pause: int
    """Seconds."""

    @property
    def contracts(self) -> tuple[bytes, ...]:
        return self.exchange, self.token, self.authority
