"""Several nodes of one chain, asked as if they were one: whoever does not answer is passed over.

A node that takes over may be behind. What was read from another must not be unknown again, so it is asked
only once it has the highest block that was seen. Which node answers matters neither to what is sent, whose
bytes have the same hash everywhere, nor to an audit, which asks each node itself.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from web3 import HTTPProvider, IPCProvider
from web3.types import RPCEndpoint

from settlement.chain.errors import NoAnswer
from settlement.chain.rpc import TIMEOUT_S, provider
from settlement.errors import InputError

SEVERAL_TIMEOUT_S = 10
"""For an answer, where another node can be asked."""
CATCH_UP_S = 10.0
CATCH_UP_POLL_S = 0.05

Ask = Callable[[HTTPProvider | IPCProvider], Any]


class Nodes:
    """The nodes at some addresses, each an http(s) URL or the path of an IPC socket."""

    def __init__(self, rpcs: Sequence[str]) -> None:
        """InputError without an address."""
        if not rpcs:
            raise InputError("no node is named: give at least one RPC address")
        self.rpcs = tuple(rpcs)
        several = len(rpcs) > 1
        timeout_s = SEVERAL_TIMEOUT_S if several else TIMEOUT_S
        self._providers = [provider(one, timeout_s=timeout_s, again=not several) for one in rpcs]
        self._at = 0
        self._lock = threading.Lock()
        self.seen = 0
        """The highest block that a node told of."""

    @property
    def first(self) -> HTTPProvider | IPCProvider:
        return self._providers[0]

    @property
    def current(self) -> str:
        """Address of the node that is asked first."""
        return self.rpcs[self._at]

    def ask(self, method: str, parameters: Sequence[Any]) -> Any:
        """The raw answer of the first node that gives one. NoAnswer if none does."""
        return self._first_answer(method, lambda one: one.make_request(RPCEndpoint(method), list(parameters)))

    def ask_many(self, method: str, questions: Any) -> Any:
        """The same for a batch of one method."""
        return self._first_answer(method, lambda one: one.make_batch_request(questions))

    def ask_each(self, method: str, parameters: Sequence[Any]) -> list[Any]:
        """The raw answers of all nodes that give one, in their order."""
        found = []
        for one in self._providers:
            try:
                found.append(one.make_request(RPCEndpoint(method), list(parameters)))
            except (OSError, ValueError):
                continue
        return found

    def see(self, block: int) -> None:
        """A block is known to exist."""
        self.seen = max(self.seen, block)

    def _first_answer(self, method: str, ask: Ask) -> Any:
        last: Exception | None = None
        for _ in self._providers:
            at = self._at
            try:
                return ask(self._providers[at])
            except (OSError, ValueError) as cause:
                last = cause
                self._pass_over(at)
        told = "it does not answer" if len(self.rpcs) == 1 else f"none of {len(self.rpcs)} nodes answers"
        raise NoAnswer(method, f"{told} ({last})") from last

    def _pass_over(self, at: int) -> None:
        """The next node that has what was seen; the next at all if none has."""
        with self._lock:
            if self._at != at or len(self.rpcs) == 1:
                return  # another thread has done so
            others = [(at + step) % len(self.rpcs) for step in range(1, len(self.rpcs))]
            self._at = self._caught_up(others)

    def _caught_up(self, others: Sequence[int]) -> int:
        deadline = time.monotonic() + CATCH_UP_S
        while True:
            heights = {one: self._height(one) for one in others}
            found = next((one for one in others if heights[one] >= self.seen), None)
            if found is not None:
                return found
            if max(heights.values()) < 0 or time.monotonic() > deadline:
                return others[0]
            time.sleep(CATCH_UP_POLL_S)

    def _height(self, at: int) -> int:
        """-1 if it does not answer."""
        try:
            answer = self._providers[at].make_request(RPCEndpoint("eth_blockNumber"), [])
            return int(answer["result"], 16)
        except (OSError, ValueError, KeyError, TypeError):
            return -1
