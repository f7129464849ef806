"""The client of one chain: sign, send, wait, read. What real networks would not take is not sent.

Everything goes through `Chain.rpc`, the one place that knows the node's address; several addresses would
be tried there. Reads right after a send may be stale on some nodes, so every send waits for its receipt.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from typing import Any

from eth_account import Account
from web3 import Web3
from web3.middleware import ExtraDataToPOAMiddleware
from web3.types import RPCEndpoint

from settlement.chain.abi import decode_error
from settlement.chain.anvil import TX_GAS_CAP
from settlement.chain.errors import (
    ChainError,
    ContractRevert,
    GasLimitExceeded,
    NodeError,
    OutOfGas,
    TransactionLost,
    WrongChain,
)
from settlement.chain.rpc import (
    Call,
    Log,
    Receipt,
    as_revert,
    check_size,
    log,
    provider,
    receipt,
    refusal,
    request,
    tag,
    to_bytes,
    to_hex,
)
from settlement.chain.sign import Signer

MOST_GAS = TX_GAS_CAP - 77_216  # 16.7M
POLL_S = 0.002
RECEIPT_TIMEOUT_S = 60
GAS_SLACK = 2_000_000  # what a caller had used before it delegated
BATCH = 500


class Chain:
    """A node's chain. `rpc` is an http(s) URL or the path of an IPC socket."""

    def __init__(
        self, rpc: str, *, chain_id: int | None = None, gas_price: int = 0, eip1559: bool = False
    ) -> None:
        """`gas_price` in wei, 0 or 1 here; with `eip1559` it is the fee cap and there is no tip."""
        self._provider = provider(rpc)
        self.web3 = Web3(self._provider)
        self.web3.middleware_onion.inject(ExtraDataToPOAMiddleware, layer=0)
        self.gas_price, self.eip1559 = gas_price, eip1559
        self._nonces: dict[bytes, int] = {}
        self._lock = threading.Lock()
        self.chain_id = int(self.rpc("eth_chainId"), 16)
        if chain_id not in (None, self.chain_id):
            raise WrongChain(self.chain_id, chain_id or 0)

    # Requests -------------------------------------------------------------------------------------------

    def rpc(self, method: str, *params: Any) -> Any:
        """One JSON-RPC request. NodeError if it is refused or nobody answers."""
        try:
            answer = self._provider.make_request(RPCEndpoint(method), list(params))
        except (OSError, ValueError) as cause:
            raise NodeError(method, f"it does not answer ({cause})") from cause
        if "error" in answer:
            raise refusal(method, answer["error"])
        return answer.get("result")

    def call(self, to: bytes, data: bytes, *, sender: bytes | None = None, block: int | None = None) -> bytes:
        """Reads a contract. ContractRevert if it refuses."""
        return self._executed("eth_call", request(sender, to, data), tag(block))

    def call_many(self, calls: Sequence[Call], *, block: int | None = None) -> list[bytes]:
        """Many reads in few requests, of one block."""
        at = tag(self.block_number() if block is None else block)
        found: list[bytes] = []
        for start in range(0, len(calls), BATCH):
            found += self._batch(calls[start : start + BATCH], at)
        return found

    def _batch(self, calls: Sequence[Call], at: str) -> list[bytes]:
        requests: Any = [("eth_call", [request(None, one.to, one.data), at]) for one in calls]
        answers: Any = self._provider.make_batch_request(requests)
        if isinstance(answers, dict):
            raise refusal("eth_call", answers.get("error", {}))
        for answer in answers:
            if "error" in answer:
                raise as_revert(refusal("eth_call", answer["error"]))
        return [
            to_bytes(answer["result"]) for answer in sorted(answers, key=lambda answer: int(answer["id"]))
        ]

    def _executed(self, method: str, *params: Any) -> bytes:
        try:
            return to_bytes(self.rpc(method, *params))
        except NodeError as error:
            raise as_revert(error) from error

    # Blocks ---------------------------------------------------------------------------------------------

    def block_number(self) -> int:
        return int(self.rpc("eth_blockNumber"), 16)

    def now(self, block: int | None = None) -> int:
        """Time of a block, Unix seconds; of the latest if none is named."""
        return int(self.rpc("eth_getBlockByNumber", tag(block), False)["timestamp"], 16)

    def logs(
        self, address: bytes, first: int, last: int | None = None, topics: Sequence[bytes | None] = ()
    ) -> list[Log]:
        """The contract's events of blocks `first` to `last` (or the latest), both inclusive."""
        wanted = {
            "address": to_hex(address),
            "fromBlock": hex(first),
            "toBlock": tag(last),
            "topics": [None if topic is None else to_hex(topic) for topic in topics],
        }
        return [log(raw) for raw in self.rpc("eth_getLogs", wanted)]

    def code(self, address: bytes) -> bytes:
        return to_bytes(self.rpc("eth_getCode", to_hex(address), "latest"))

    # Transactions ---------------------------------------------------------------------------------------

    def estimate(self, sender: bytes, to: bytes | None, data: bytes) -> int:
        """Gas the call would use. ContractRevert if it would be refused."""
        try:
            return int(self.rpc("eth_estimateGas", request(sender, to, data)), 16)
        except NodeError as error:
            raise as_revert(error) from error

    def send(self, signer: Signer, to: bytes | None, data: bytes, *, gas: int | None = None) -> Receipt:
        """Signs, sends and waits. With `gas` nothing is estimated, and a refusal costs a transaction."""
        return self.wait(self.submit(signer, to, data, gas=gas))

    def submit(self, signer: Signer, to: bytes | None, data: bytes, *, gas: int | None = None) -> bytes:
        """Signs and sends; the hash to wait for."""
        check_size(len(data))
        limit = self._with_margin(self.estimate(signer.address, to, data)) if gas is None else gas
        if limit > MOST_GAS:
            raise GasLimitExceeded(limit, MOST_GAS)
        with self._lock:
            nonce = self._next_nonce(signer.address)
            raw = self._signed(signer, to, data, limit, nonce)
            check_size(len(raw))
            try:
                tx_hash = to_bytes(self.rpc("eth_sendRawTransaction", to_hex(raw)))
            except NodeError as error:
                self._nonces.pop(signer.address, None)
                raise as_revert(error) from error
            self._nonces[signer.address] = nonce + 1
        return tx_hash

    def wait(self, tx_hash: bytes, timeout_s: int = RECEIPT_TIMEOUT_S) -> Receipt:
        """The receipt. ContractRevert if the transaction failed, TransactionLost if none comes in time."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            raw = self.rpc("eth_getTransactionReceipt", to_hex(tx_hash))
            if raw is not None:
                if int(raw["status"], 16) != 1:
                    raise self._why(tx_hash, raw)
                return receipt(raw)
            time.sleep(POLL_S)
        raise TransactionLost(tx_hash, timeout_s)

    def forget_nonces(self) -> None:
        """Asks the chain again for everyone's next nonce (after it was turned back)."""
        with self._lock:
            self._nonces.clear()

    def _next_nonce(self, sender: bytes) -> int:
        if sender not in self._nonces:
            self._nonces[sender] = int(self.rpc("eth_getTransactionCount", to_hex(sender), "pending"), 16)
        return self._nonces[sender]

    def _with_margin(self, estimate: int) -> int:
        """A tenth more than estimated, but no more than is allowed if the estimate itself is."""
        if estimate > MOST_GAS:
            raise GasLimitExceeded(estimate, MOST_GAS)
        return min(estimate + estimate // 10, MOST_GAS)

    def _signed(self, signer: Signer, to: bytes | None, data: bytes, gas: int, nonce: int) -> bytes:
        fields: dict[str, Any] = {
            "nonce": nonce,
            "gas": gas,
            "value": 0,
            "data": data,
            "chainId": self.chain_id,
        }
        if to is not None:
            fields["to"] = to
        if self.eip1559:
            fields |= {"type": 2, "maxFeePerGas": self.gas_price, "maxPriorityFeePerGas": 0}
        else:
            fields["gasPrice"] = self.gas_price
        return bytes(Account.sign_transaction(fields, signer.secret).raw_transaction)

    def _why(self, tx_hash: bytes, raw: Any) -> ChainError:
        """What a failed transaction failed with: traced, or else called again on the block before."""
        sent = self.rpc("eth_getTransactionByHash", to_hex(tx_hash))
        why = self._traced(tx_hash) or self._why_again(sent, int(raw["blockNumber"], 16) - 1)
        used, gas = int(raw["gasUsed"], 16), int(sent["gas"], 16)
        # A delegated call that runs out leaves its caller a 64th.
        silent = isinstance(why, ContractRevert) and not why.name
        return OutOfGas(gas) if silent and used * 64 >= gas * 63 - GAS_SLACK else why

    def _traced(self, tx_hash: bytes) -> ChainError | None:
        try:
            trace = self.rpc("debug_traceTransaction", to_hex(tx_hash), {"tracer": "callTracer"})
        except NodeError:
            return None
        return decode_error(to_bytes(trace.get("output", "0x")))

    def _why_again(self, sent: Any, block: int) -> ChainError:
        fields = {"from": sent["from"], "to": sent["to"], "data": sent["input"], "gas": sent["gas"]}
        again = {name: value for name, value in fields.items() if value is not None}
        try:
            self._executed("eth_call", again, hex(block))
        except ChainError as error:
            return error
        return ContractRevert("")


class AnvilClock:
    """Time and snapshots, which only an embedded chain lets anyone set."""

    def __init__(self, chain: Chain) -> None:
        self.chain = chain

    def advance_to(self, timestamp: int) -> None:
        """Mines a block at `timestamp`, Unix seconds, which is not before the latest block's."""
        if timestamp > self.chain.now():
            self.chain.rpc("evm_setNextBlockTimestamp", timestamp)
        self.chain.rpc("evm_mine")

    def next_block_at(self, timestamp: int) -> None:
        """The next transaction is mined at `timestamp`."""
        self.chain.rpc("evm_setNextBlockTimestamp", timestamp)

    def snapshot(self) -> str:
        return str(self.chain.rpc("evm_snapshot"))

    def revert(self, snapshot: str) -> None:
        """Back to a snapshot, which is used up by it."""
        self.chain.rpc("evm_revert", snapshot)
        self.chain.forget_nonces()
