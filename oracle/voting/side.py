"""Ballots on the connection that readings come over.

Nothing is retained by the broker: a node says everything that is not on chain again every few seconds, and
the broker keeps for a node that is away what it has not acknowledged. So nobody has to clear what is past,
and meters, whose broker it is, cannot leave anything on it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from oracle.live.wire import ALL_BALLOTS, ballots_topic
from oracle.voting.engine import Engine


class BallotSide:
    """What a node's service publishes and reads besides readings (`oracle.live.service.Side`)."""

    topics = ALL_BALLOTS

    def __init__(self, engine: Engine, name: str, every_s: float, loop: asyncio.AbstractEventLoop) -> None:
        """`loop` is the one that the service runs in."""
        self.topic, self.every_s = ballots_topic(name), every_s
        self.changed = asyncio.Event()
        self._engine = engine
        self._loop = loop
        engine.changed = self.wake

    def wake(self) -> None:
        """There is something new to tell; from any thread."""
        self._loop.call_soon_threadsafe(self.changed.set)

    def take(self, payloads: Sequence[bytes]) -> None:
        """Keep the ballots that came, also the node's own."""
        for payload in payloads:
            self._engine.hear(payload)

    def outgoing(self) -> list[bytes]:
        """The node's ballots of runs that are not on chain."""
        return self._engine.outgoing()
