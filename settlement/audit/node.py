"""Questions to a node, many at once. What it answers is only read here, never believed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, TypeVar

from requests.exceptions import RequestException
from web3.types import RPCEndpoint

from settlement.audit.findings import Difference
from settlement.chain.errors import NoAnswer, NodeError
from settlement.chain.rpc import provider, refusal, tag, to_bytes, to_hex

BATCH = 200

Question = tuple[str, Sequence[Any]]
"""A method and its parameters."""

T = TypeVar("T")


class Node:
    """One node, by the address of its JSON-RPC."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._provider = provider(url)

    def ask(self, method: str, *params: Any) -> Any:
        """The answer to one question. NodeError if it is refused, or nobody answers."""
        try:
            answer = self._provider.make_request(RPCEndpoint(method), list(params))
        except (OSError, ValueError, RequestException) as cause:
            raise NoAnswer(method, f"no node answers at {self.url} ({cause})") from cause
        return _result(method, answer)

    def ask_many(self, questions: Iterable[Question]) -> Iterator[Any]:
        """The answers in order, a batch at a time."""
        rest = iter(questions)
        while batch := list(islice(rest, BATCH)):
            yield from self._ask_batch(batch)

    def _ask_batch(self, batch: Sequence[Question]) -> list[Any]:
        method = batch[0][0]
        try:
            answers: Any = self._provider.make_batch_request([(RPCEndpoint(m), list(p)) for m, p in batch])
        except (OSError, ValueError, RequestException) as cause:
            raise NoAnswer(method, f"no node answers at {self.url} ({cause})") from cause
        if not isinstance(answers, list) or len(answers) != len(batch):
            raise NodeError(method, f"{self.url} does not answer several questions at once")
        ordered = sorted(answers, key=lambda answer: int(answer["id"]))
        return [_result(m, answer) for (m, _), answer in zip(batch, ordered, strict=True)]

    # What is asked --------------------------------------------------------------------------------------

    def chain_id(self) -> int:
        return int(self.ask("eth_chainId"), 16)

    def head(self) -> int:
        """Number of the latest block."""
        return int(self.ask("eth_blockNumber"), 16)

    def code(self, address: bytes, block: int | None = None) -> bytes:
        return to_bytes(self.ask("eth_getCode", to_hex(address), tag(block)))

    def call(self, to: bytes, data: bytes, block: int | None = None) -> bytes:
        return to_bytes(self.ask("eth_call", {"to": to_hex(to), "data": to_hex(data)}, tag(block)))

    def calls(self, calls: Iterable[tuple[bytes, bytes]], block: int) -> Iterator[bytes]:
        """What many reads return, each a contract and calldata, as of a block."""
        at = hex(block)
        questions = (("eth_call", [{"to": to_hex(to), "data": to_hex(data)}, at]) for to, data in calls)
        return map(to_bytes, self.ask_many(questions))

    def first_block_of(self, address: bytes, head: int) -> int:
        """The block that created a contract which exists at `head`, by halving."""
        low, high = 0, head
        while low < high:
            middle = (low + high) >> 1
            if self.code(address, middle):
                high = middle
            else:
                low = middle + 1
        return low


def _result(method: str, answer: Any) -> Any:
    if not isinstance(answer, dict) or "error" in answer:
        raise refusal(method, answer.get("error") if isinstance(answer, dict) else answer)
    return answer.get("result")


def read(parse: Callable[[Any], T], raw: Any, check: str, what: str) -> T:
    """What an answer says, or a Difference: an honest node's answers have the form that is agreed."""
    try:
        return parse(raw)
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as cause:
        raise Difference(check, f"{what} is not well formed ({type(cause).__name__}: {cause})") from cause
