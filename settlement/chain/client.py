"""The client of one chain: sign, send, wait, read. What real networks would not take is not sent.

Everything goes through `Chain.rpc`, behind which are one or several nodes (`nodes.py`). Reads right after a
send may be stale on some nodes, so every send waits for its receipt. On the chains of docs/network.md what
has a receipt is final.

A transaction that may have been sent is never signed anew: the same bytes are sent again, through another
node if need be, and can only be mined once. Its nonce stays taken until it is known to be refused.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from typing import Any, Protocol

from settlement.chain.abi import decode_error
from settlement.chain.anvil import TX_GAS_CAP
from settlement.chain.errors import (
    ChainError,
    ContractRevert,
    GasLimitExceeded,
    NoAnswer,
    NodeError,
    OutOfGas,
    TransactionLost,
    WrongChain,
)
from settlement.chain.nodes import Nodes
from settlement.chain.outbox import Outbox
from settlement.chain.pending import Pace, Pending, Sent
from settlement.chain.rpc import (
    Call,
    Log,
    Receipt,
    as_revert,
    check_size,
    log,
    receipt,
    refusal,
    request,
    tag,
    to_bytes,
    to_hex,
)
from settlement.chain.sign import Signer
from settlement.chain.transaction import Transaction
from settlement.reference.eip712 import keccak

MOST_GAS = TX_GAS_CAP - 77_216  # 16.7M
POLL_S, SLOWEST_POLL_S = 0.002, 0.1
"""Between two looks for a receipt: at first, and after a while."""
RECEIPT_TIMEOUT_S = 60
RESEND_S = 5.0
"""After so long without a receipt the same transaction is sent again, to every node."""
GAS_SLACK = 2_000_000  # what a caller had used before it delegated
BATCH = 500


class Chain:
    """The chain of one node, or of several. `rpc` is an http(s) URL or the path of an IPC socket, or some."""

    def __init__(
        self,
        rpc: str | Sequence[str],
        *,
        chain_id: int | None = None,
        gas_price: int | None = None,
        eip1559: bool = False,
        pace: Pace | None = None,
        outbox: Outbox | None = None,
    ) -> None:
        """`gas_price` in wei; None is the base fee. With `eip1559` it is the fee cap and there is no tip.
        With an outbox, of one sender, what is sent is on disk before.
        """
        self.nodes = Nodes([rpc] if isinstance(rpc, str) else rpc)
        self.eip1559, self.pace, self.outbox = eip1559, pace, outbox
        self._nonces: dict[bytes, int] = {}
        self._in_flight = Pending()
        self._lock = threading.Lock()
        self.chain_id = int(self.rpc("eth_chainId"), 16)
        if chain_id not in (None, self.chain_id):
            raise WrongChain(self.chain_id, chain_id or 0)
        self.gas_price = self._base_fee() if gas_price is None else gas_price

    # Requests -------------------------------------------------------------------------------------------

    def rpc(self, method: str, *params: Any) -> Any:
        """One JSON-RPC request. NodeError if it is refused or nobody answers."""
        answer = self.nodes.ask(method, params)
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
        answers = self.nodes.ask_many("eth_call", requests)
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
        found = int(self.rpc("eth_blockNumber"), 16)
        self.nodes.see(found)
        return found

    def wait_for_block(self, number: int) -> None:
        """Until the node that answers has a block that another party's has. NoAnswer if it never gets it."""
        deadline = time.monotonic() + RECEIPT_TIMEOUT_S
        while self.block_number() < number:
            if time.monotonic() > deadline:
                raise NoAnswer("eth_blockNumber", f"{self.nodes.current} stays below block {number}")
            time.sleep(POLL_S)

    def _base_fee(self) -> int:
        """Wei; 0 on chains without one."""
        return int(self.rpc("eth_getBlockByNumber", "latest", False).get("baseFeePerGas", "0x0"), 16)

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

    def estimate(self, sender: bytes, to: bytes | None, data: bytes, value_wei: int = 0) -> int:
        """Gas the call would use. ContractRevert if it would be refused."""
        asked = request(sender, to, data) | ({"value": hex(value_wei)} if value_wei else {})
        try:
            return int(self.rpc("eth_estimateGas", asked), 16)
        except NodeError as error:
            raise as_revert(error) from error

    def send(
        self, signer: Signer, to: bytes | None, data: bytes, *, gas: int | None = None, value_wei: int = 0
    ) -> Receipt:
        """Signs, sends and waits. With `gas` nothing is estimated, and a refusal costs a transaction."""
        if value_wei:
            return self.wait(self._submit(signer, to, data, gas, value_wei))
        return self.wait(self.submit(signer, to, data, gas=gas))

    def submit(self, signer: Signer, to: bytes | None, data: bytes, *, gas: int | None = None) -> bytes:
        """Signs and sends; the hash to wait for."""
        return self._submit(signer, to, data, gas, 0)

    def _submit(
        self, signer: Signer, to: bytes | None, data: bytes, gas: int | None, value_wei: int
    ) -> bytes:
        check_size(len(data))
        limit = self._with_margin(self.estimate(signer.address, to, data, value_wei)) if gas is None else gas
        if limit > MOST_GAS:
            raise GasLimitExceeded(limit, MOST_GAS)
        with self._lock:
            nonce = self._next_nonce(signer.address)
            sent = Sent(self._signed(signer, to, data, limit, nonce, value_wei), limit)
            check_size(len(sent.raw))
            self._make_room(sent)
            tx_hash = keccak(sent.raw)
            self._nonces[signer.address] = nonce + 1
            self._in_flight.add(tx_hash, sent)
            if self.outbox is not None:
                self.outbox.keep(nonce, sent.raw)
            self._first_send(signer, tx_hash, sent)
        return tx_hash

    def _first_send(self, signer: Signer, tx_hash: bytes, sent: Sent) -> None:
        """A refusal means it was not taken, unless a node that fell silent may have taken it before."""
        before = self.nodes.current
        try:
            self.rpc("eth_sendRawTransaction", to_hex(sent.raw))
        except NodeError as error:
            silent = isinstance(error, NoAnswer) or self.nodes.current != before
            if silent and len(self.nodes.rpcs) > 1:
                return  # sent or not: `wait` sends it again until there is a receipt
            self._nonces.pop(signer.address, None)
            if isinstance(error, NoAnswer):
                self._in_flight.done(tx_hash)  # but it stays in the outbox: it may have been taken
            else:
                self.outbox_done(tx_hash)
            raise as_revert(error) from error

    def _make_room(self, new: Sent) -> None:
        """Waits while too much is in flight."""
        while self.pace and (oldest := self._in_flight.in_the_way(self.pace, new)) is not None:
            self._mined(oldest, RECEIPT_TIMEOUT_S)
            self._in_flight.done(oldest)

    def wait(self, tx_hash: bytes, timeout_s: int = RECEIPT_TIMEOUT_S) -> Receipt:
        """The receipt. ContractRevert if the transaction failed, TransactionLost if none comes in time."""
        raw = self._mined(tx_hash, timeout_s)
        self.outbox_done(tx_hash)
        self.nodes.see(int(raw["blockNumber"], 16))
        if int(raw["status"], 16) != 1:
            raise self._why(tx_hash, raw)
        return receipt(raw)

    def outbox_done(self, tx_hash: bytes) -> None:
        """A transaction is known to be mined, or never to be."""
        self._in_flight.done(tx_hash)
        if self.outbox is not None:
            self.outbox.done(tx_hash)

    def _mined(self, tx_hash: bytes, timeout_s: float) -> Any:
        """The raw receipt; meanwhile the transaction is sent again. TransactionLost."""
        start, pause, again = time.monotonic(), POLL_S, RESEND_S
        while (waited := time.monotonic() - start) < timeout_s:
            raw = self._receipt(tx_hash)
            if raw is not None:
                return raw
            if waited > again:
                self._send_again()
                again += RESEND_S
            time.sleep(pause)
            pause = min(pause * 1.1, SLOWEST_POLL_S)
        raise TransactionLost(tx_hash, int(timeout_s))

    def _receipt(self, tx_hash: bytes) -> Any:
        try:
            return self.rpc("eth_getTransactionReceipt", to_hex(tx_hash))
        except NoAnswer:
            if len(self.nodes.rpcs) == 1:
                raise
            return None  # they may come back before the time is over

    def _send_again(self) -> None:
        """The same bytes of all that is in flight, since each waits for its sender's earlier ones, to all
        nodes: one that has them refuses them, and they are mined once.
        """
        for sent in self._in_flight.all() if len(self.nodes.rpcs) > 1 else ():
            self.nodes.ask_each("eth_sendRawTransaction", [to_hex(sent.raw)])

    def count(self, sender: bytes, at: str = "latest") -> int:
        """How many transactions of a sender there are, mined or, with `pending`, known to a node."""
        return int(self.rpc("eth_getTransactionCount", to_hex(sender), at), 16)

    def forget_nonces(self) -> None:
        """Asks the chain again for everyone's next nonce (after it was turned back)."""
        with self._lock:
            self._nonces.clear()
            self._in_flight.clear()

    def _next_nonce(self, sender: bytes) -> int:
        """The highest that any node knows: one that is behind must not make a transaction replace another."""
        if sender not in self._nonces:
            method, asked = "eth_getTransactionCount", [to_hex(sender), "pending"]
            told = [int(self.rpc(method, *asked), 16)]
            if len(self.nodes.rpcs) > 1:
                told += [
                    int(one["result"], 16) for one in self.nodes.ask_each(method, asked) if "result" in one
                ]
            self._nonces[sender] = max(told)
        return self._nonces[sender]

    def _with_margin(self, estimate: int) -> int:
        """A tenth more than estimated, but no more than is allowed if the estimate itself is."""
        if estimate > MOST_GAS:
            raise GasLimitExceeded(estimate, MOST_GAS)
        return min(estimate + estimate // 10, MOST_GAS)

    def _signed(
        self, signer: Signer, to: bytes | None, data: bytes, gas: int, nonce: int, value_wei: int
    ) -> bytes:
        terms = (self.chain_id, nonce, gas, self.gas_price)
        return signer.sign_transaction(Transaction(*terms, to, value_wei, data, self.eip1559))

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


class Clock(Protocol):
    """The time of a chain that can be moved on."""

    def advance_to(self, timestamp: int) -> None:
        """A block at `timestamp`, Unix seconds, or after."""


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
        # What was mined just before may still be in the pool, and would count for its sender's next nonce.
        self.chain.rpc("anvil_dropAllTransactions")
        self.chain.forget_nonces()
