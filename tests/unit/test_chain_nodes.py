"""Several nodes asked as one: who is passed over, and what is sent again."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from settlement.chain import client
from settlement.chain.client import Chain
from settlement.chain.errors import NoAnswer, NodeError, TransactionLost
from settlement.chain.nodes import Nodes
from settlement.chain.pending import Pace, Pending, Sent
from settlement.chain.sign import Signer
from settlement.errors import InputError
from settlement.reference.eip712 import keccak

SENDER = Signer(b"\x11" * 32)
RAW = "eth_sendRawTransaction"
CHAIN_ID = 7


class Ledger:
    """A chain that nodes share: who mined what, by hash."""

    def __init__(self) -> None:
        self.mined: dict[str, int] = {}
        self.height = 1


class Node:
    """A scripted node over real HTTP."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger, self.alive, self.mines = ledger, True, True
        self.behind, self.pending = 0, 0
        self.refuses: str | None = None
        self.falls_silent_on: str | None = None
        self.got: list[str] = []

    def answer(self, method: str, parameters: Any) -> Any:
        told: dict[str, Callable[[], Any]] = {
            "eth_chainId": lambda: hex(CHAIN_ID),
            "eth_blockNumber": lambda: hex(self.ledger.height - self.behind),
            "eth_getBlockByNumber": lambda: {"baseFeePerGas": "0x1", "timestamp": "0x1"},
            "eth_getTransactionCount": lambda: hex(self.pending),
            "eth_getTransactionReceipt": lambda: self._receipt(parameters[0]),
            RAW: lambda: self._take(parameters[0]),
        }
        return told[method]()

    def _take(self, raw: str) -> str:
        tx_hash = "0x" + keccak(bytes.fromhex(raw[2:])).hex()
        self.got.append(tx_hash)
        if self.refuses:
            raise ValueError(self.refuses)
        if self.mines:
            self.ledger.mined[tx_hash] = self.ledger.mined.get(tx_hash, 0) + 1
        return tx_hash

    def _receipt(self, tx_hash: str) -> Any:
        if tx_hash not in self.ledger.mined:
            return None
        place = {"transactionHash": tx_hash, "blockNumber": hex(self.ledger.height), "gasUsed": "0x1"}
        return place | {"logs": [], "status": "0x1", "contractAddress": None}


@contextmanager
def serving(node: Node) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if not node.alive:
                self.close_connection = True
                return
            told: dict[str, Any] = {"jsonrpc": "2.0", "id": asked["id"]}
            try:
                told["result"] = node.answer(asked["method"], asked["params"])
            except ValueError as refused:
                told["error"] = {"code": -32000, "message": str(refused)}
            if node.falls_silent_on == asked["method"]:
                node.alive, self.close_connection = False, True
                return
            body = json.dumps(told).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Says nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def pair(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Node, Node, list[str]]]:
    """Two nodes of one chain, and their addresses."""
    monkeypatch.setattr(client, "RESEND_S", 0.2)
    ledger = Ledger()
    first, second = Node(ledger), Node(ledger)
    with serving(first) as one, serving(second) as two:
        yield first, second, [one, two]


def send(chain: Chain) -> bytes:
    return chain.submit(SENDER, b"\x22" * 20, b"", gas=21_000)


def test_no_address_is_an_error() -> None:
    with pytest.raises(InputError, match="RPC address"):
        Nodes([])


def test_a_node_that_does_not_answer_is_passed_over(pair: tuple[Node, Node, list[str]]) -> None:
    first, _, rpcs = pair
    chain = Chain(rpcs)
    first.alive = False
    assert chain.block_number() == 1
    assert chain.nodes.current == rpcs[1]


def test_when_none_answers_it_is_said_of_how_many(pair: tuple[Node, Node, list[str]]) -> None:
    first, second, rpcs = pair
    chain = Chain(rpcs)
    first.alive = second.alive = False
    with pytest.raises(NoAnswer, match="none of 2 nodes answers"):
        chain.block_number()


def test_a_node_that_is_behind_does_not_take_over(pair: tuple[Node, Node, list[str]]) -> None:
    first, second, rpcs = pair
    with serving(Node(first.ledger)) as third:
        chain = Chain([*rpcs, third])
        first.ledger.height, second.behind = 9, 4
        assert chain.block_number() == 9
        first.alive = False
        assert chain.block_number() == 9
        assert chain.nodes.current == third


def test_a_transaction_whose_node_dies_as_it_takes_it_is_mined_once(
    pair: tuple[Node, Node, list[str]],
) -> None:
    first, _, rpcs = pair
    chain = Chain(rpcs)
    first.falls_silent_on = RAW
    tx_hash = send(chain)
    assert chain.wait(tx_hash).tx_hash == tx_hash
    assert list(first.ledger.mined) == ["0x" + tx_hash.hex()]


def test_a_transaction_that_one_node_forgot_is_sent_again_through_all(
    pair: tuple[Node, Node, list[str]],
) -> None:
    first, second, rpcs = pair
    first.mines = False
    chain = Chain(rpcs)
    tx_hash = send(chain)
    assert chain.wait(tx_hash).tx_hash == tx_hash
    assert second.got == ["0x" + tx_hash.hex()]


def test_earlier_transactions_of_a_sender_are_sent_again_too(pair: tuple[Node, Node, list[str]]) -> None:
    first, second, rpcs = pair
    first.mines = False
    chain = Chain(rpcs)
    hashes = [send(chain), send(chain)]
    chain.wait(hashes[1])
    assert second.got == ["0x" + one.hex() for one in hashes]


def test_a_refusal_after_a_silence_is_no_refusal(pair: tuple[Node, Node, list[str]]) -> None:
    first, second, rpcs = pair
    chain = Chain(rpcs)
    first.falls_silent_on, second.refuses = RAW, "nonce too low"
    assert chain.wait(send(chain)).block == 1


def test_a_refusal_by_a_node_that_answers_is_told(pair: tuple[Node, Node, list[str]]) -> None:
    first, second, rpcs = pair
    chain = Chain(rpcs)
    first.refuses = "cannot issue transaction from non-allow listed address"
    with pytest.raises(NodeError, match="non-allow listed"):
        send(chain)
    assert second.got == []


def test_the_next_nonce_is_the_highest_that_any_node_knows(pair: tuple[Node, Node, list[str]]) -> None:
    first, second, rpcs = pair
    first.pending, second.pending = 3, 5
    chain = Chain(rpcs)
    assert chain._next_nonce(SENDER.address) == 5


def test_what_is_lost_everywhere_is_told_in_time(pair: tuple[Node, Node, list[str]]) -> None:
    first, second, rpcs = pair
    first.mines = second.mines = False
    chain = Chain(rpcs)
    with pytest.raises(TransactionLost):
        chain.wait(send(chain), timeout_s=1)
    assert len(second.got) >= 2
    assert len({*first.got, *second.got}) == 1


def test_the_price_of_gas_is_the_chains_base_fee(pair: tuple[Node, Node, list[str]]) -> None:
    assert Chain(pair[2]).gas_price == 1
    assert Chain(pair[2], gas_price=0).gas_price == 0


def test_a_party_waits_until_its_node_has_a_block_that_anothers_has(
    pair: tuple[Node, Node, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second, rpcs = pair
    first.ledger.height, second.behind = 9, 4
    threading.Timer(0.2, lambda: setattr(second, "behind", 0)).start()
    chain = Chain(rpcs[::-1])
    chain.wait_for_block(Chain(rpcs).block_number())
    assert chain.block_number() == 9
    monkeypatch.setattr(client, "RECEIPT_TIMEOUT_S", 0.2)
    with pytest.raises(NoAnswer, match="stays below block 10"):
        chain.wait_for_block(10)


# The pace -----------------------------------------------------------------------------------------------


def test_no_more_gas_or_bytes_are_in_flight_than_the_pace_allows() -> None:
    pending, pace = Pending(), Pace(gas=100, size=50)
    assert pending.in_the_way(pace, Sent(bytes(80), 1_000)) is None
    pending.add(b"1", Sent(bytes(20), 60))
    assert pending.in_the_way(pace, Sent(bytes(20), 40)) is None
    assert pending.in_the_way(pace, Sent(bytes(20), 41)) == b"1"
    assert pending.in_the_way(pace, Sent(bytes(31), 1)) == b"1"
    pending.done(b"1")
    assert pending.in_the_way(pace, Sent(bytes(31), 101)) is None


def test_a_paced_client_sends_the_next_once_the_oldest_is_mined(pair: tuple[Node, Node, list[str]]) -> None:
    first, _, rpcs = pair
    chain = Chain(rpcs, pace=Pace(gas=30_000))
    hashes = [send(chain) for _ in range(3)]
    assert first.got == ["0x" + one.hex() for one in hashes]
    assert [chain.wait(one).tx_hash for one in hashes] == hashes
