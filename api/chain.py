"""Reads of the chain while a request waits: bounded in time, in gas, and to the one node of the settings.

Only the node of the settings is ever called. What a contract answers is data: no URL or gateway that it names
is followed (EIP-3668 is not spoken), so a wallet cannot make the service call anywhere.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import httpx

from settlement.chain.abi import exchange_interface, interface
from settlement.chain.errors import ChainError, ContractRevert, NodeError
from settlement.chain.rpc import Call, as_revert, refusal, request, tag, to_bytes, to_hex
from settlement.errors import InputError

MOST_ANSWER_BYTES = 16 * 1024 * 1024
BATCH = 100
"""JSON-RPC requests in one HTTP request."""


class ChainReader:
    """One node's chain, read only."""

    def __init__(self, rpc: str, exchange: bytes, timeout_s: float) -> None:
        """`rpc` is an http(s) URL, `exchange` the Exchange's address."""
        if not rpc.startswith(("http://", "https://")):
            raise InputError(f"the API reads the chain over http: give TRELLIS_RPC an http(s) URL, not {rpc}")
        self.exchange = exchange
        self._http = httpx.AsyncClient(timeout=timeout_s, follow_redirects=False, trust_env=False)
        self._rpc = rpc
        self._ids = itertools.count(1)
        self._chain_id: int | None = None
        self._authority: bytes | None = None

    async def close(self) -> None:
        await self._http.aclose()

    # Requests -------------------------------------------------------------------------------------------

    async def rpc(self, method: str, *params: Any) -> Any:
        """One JSON-RPC request. NodeError if it is refused or nobody answers in time."""
        answer = await self._post(method, self._request(method, params))
        if not isinstance(answer, dict) or "error" in answer:
            raise refusal(method, answer.get("error", {}) if isinstance(answer, dict) else {})
        return answer.get("result")

    async def rpc_many(self, requests: Sequence[tuple[str, Sequence[Any]]], batch: int = BATCH) -> list[Any]:
        """Many JSON-RPC requests, `batch` in each HTTP request; their results in order. NodeError for the
        first that is refused, with the node's own code and words.
        """
        found: list[Any] = []
        for start in range(0, len(requests), batch):
            part = requests[start : start + batch]
            for (method, _), answer in zip(part, await self._answers(part), strict=True):
                if not isinstance(answer, dict) or "error" in answer:
                    raise refusal(method, answer.get("error") if isinstance(answer, dict) else answer)
                found.append(answer.get("result"))
        return found

    async def call_many(self, calls: Sequence[Call], block: int | None = None) -> list[bytes]:
        """Reads of one block in one request. ContractRevert if one of them is refused."""
        requests = [("eth_call", (request(None, one.to, one.data), tag(block))) for one in calls]
        answers = await self._answers(requests)
        for answer in answers:
            if "error" in answer:
                raise as_revert(refusal("eth_call", answer["error"]))
        return [to_bytes(answer["result"]) for answer in answers]

    async def _answers(self, requests: Sequence[tuple[str, Sequence[Any]]]) -> list[Any]:
        """Answers to a batch, in its order."""
        method = requests[0][0]
        sent = [self._request(each, params) for each, params in requests]
        answers = await self._post(method, sent)
        if not isinstance(answers, list) or len(answers) != len(sent):
            raise NodeError(method, "it does not take several requests at once")
        by_id = {answer.get("id"): answer for answer in answers if isinstance(answer, dict)}
        if any(one["id"] not in by_id for one in sent):
            raise NodeError(method, "it left out an answer")
        return [by_id[one["id"]] for one in sent]

    async def execute(self, to: bytes | None, data: bytes, gas: int) -> bytes | None:
        """What a call, or without `to` a creation, would answer with so much gas; None if it fails."""
        call = request(None, to, data) | {"gas": hex(gas)}
        try:
            return to_bytes(await self.rpc("eth_call", call, "latest"))
        except NodeError as error:
            if error.__cause__ is not None:  # there was no answer, or none that can be read
                raise
            return None  # it reverted, ran out of gas or is no code: the node says so in many ways

    async def _post(self, method: str, body: Any) -> Any:
        try:
            answer = await self._http.post(self._rpc, json=body)
            if len(answer.content) > MOST_ANSWER_BYTES:
                raise NodeError(method, "its answer is too long")
            return answer.json()
        except httpx.HTTPError as cause:
            raise NodeError(method, f"it does not answer ({type(cause).__name__})") from cause
        except ValueError as cause:
            raise NodeError(method, "its answer is no JSON") from cause

    def _request(self, method: str, params: Sequence[Any]) -> dict[str, Any]:
        return {"jsonrpc": "2.0", "id": next(self._ids), "method": method, "params": list(params)}

    # The chain ------------------------------------------------------------------------------------------

    async def chain_id(self) -> int:
        """Asked for once."""
        if self._chain_id is None:
            self._chain_id = int(await self.rpc("eth_chainId"), 16)
        return self._chain_id

    async def block_number(self) -> int:
        return int(await self.rpc("eth_blockNumber"), 16)

    async def code(self, address: bytes) -> bytes:
        return to_bytes(await self.rpc("eth_getCode", to_hex(address), "latest"))

    # The deployment -------------------------------------------------------------------------------------

    async def authority(self) -> bytes:
        """Address of the AccessManager, which the Exchange never changes by itself; asked for once."""
        if self._authority is None:
            abi = exchange_interface()
            (answer,) = await self.call_many([Call(self.exchange, abi.encode("authority"))])
            if not answer:
                raise ChainError(f"no Exchange at {to_hex(self.exchange)}: set TRELLIS_EXCHANGE")
            self._authority = bytes(abi.decode("authority", answer)[0])
        return self._authority

    async def member_and_roles(self, account: bytes, roles: Sequence[int]) -> tuple[int, int, list[bool]]:
        """Block number, the packed word of the member there, and for each role whether the account has it."""
        exchange, manager = exchange_interface(), interface("Administration")
        authority, block = await self.authority(), await self.block_number()
        calls = [Call(self.exchange, exchange.encode("memberOf", account))]
        calls += [Call(authority, manager.encode("hasRole", role, account)) for role in roles]
        word, *held = await self.call_many(calls, block)
        try:
            member = int(exchange.decode("memberOf", word)[0])
            return block, member, [bool(manager.decode("hasRole", one)[0]) for one in held]
        except Exception as cause:
            raise ContractRevert("") from cause
