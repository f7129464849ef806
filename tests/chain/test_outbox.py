"""What a killed sender left is sent again as it was, mined once, or given up when it never can be."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from chain_world import STRANGER, World

from settlement.chain import resume
from settlement.chain.client import Chain
from settlement.chain.errors import ChainError, NoAnswer, NodeError
from settlement.chain.outbox import Outbox
from settlement.chain.rpc import to_hex
from settlement.chain.transaction import Transaction

SOMEWHERE = b"\x07" * 20


@pytest.fixture
def chain(turned_back: World, tmp_path: Path) -> Iterator[Chain]:
    """A client with an outbox; mining is on again afterwards."""
    yield Chain(turned_back.anvil.rpc_url, outbox=Outbox(tmp_path / "outbox"))
    turned_back.chain.rpc("evm_setAutomine", True)


def outbox_of(chain: Chain) -> Outbox:
    assert chain.outbox is not None
    return chain.outbox


def signed(chain: Chain, nonce: int, data: bytes = b"x", gas: int = 50_000) -> bytes:
    return STRANGER.sign_transaction(Transaction(chain.chain_id, nonce, gas, 0, SOMEWHERE, 0, data))


def test_what_was_kept_and_never_sent_is_sent(chain: Chain) -> None:
    start = chain.count(STRANGER.address)
    for nonce in (start, start + 1):
        outbox_of(chain).keep(nonce, signed(chain, nonce))
    again = resume.finish(chain, outbox_of(chain), STRANGER)
    assert [one.nonce for one in again] == [start, start + 1]
    assert chain.count(STRANGER.address) == start + 2
    assert outbox_of(chain).kept() == []
    assert resume.finish(chain, outbox_of(chain), STRANGER) == []


def test_what_is_in_a_pool_is_waited_for_and_not_doubled(chain: Chain) -> None:
    start = chain.count(STRANGER.address)
    raw = signed(chain, start)
    outbox_of(chain).keep(start, raw)
    chain.rpc("evm_setAutomine", False)
    chain.rpc("eth_sendRawTransaction", to_hex(raw))
    threading.Timer(0.5, chain.rpc, ("evm_mine",)).start()
    (one,) = resume.finish(chain, outbox_of(chain), STRANGER)
    assert chain.rpc("eth_getTransactionReceipt", to_hex(one.tx_hash))["status"] == "0x1"
    assert chain.count(STRANGER.address, "pending") == start + 1


def test_what_another_of_its_nonce_has_overtaken_is_given_up(chain: Chain) -> None:
    start = chain.count(STRANGER.address)
    outbox_of(chain).keep(start, signed(chain, start, b"late"))
    chain.rpc("eth_sendRawTransaction", to_hex(signed(chain, start, b"first")))
    deadline = time.monotonic() + 10
    while chain.count(STRANGER.address) == start:
        assert time.monotonic() < deadline
    assert resume.finish(chain, outbox_of(chain), STRANGER) == []
    assert outbox_of(chain).kept() == []


def test_what_every_node_refuses_is_given_up(chain: Chain) -> None:
    start = chain.count(STRANGER.address)
    outbox_of(chain).keep(start, signed(chain, start, gas=1_000))  # less than any transaction takes
    assert resume.finish(chain, outbox_of(chain), STRANGER) == []
    assert (outbox_of(chain).kept(), chain.count(STRANGER.address)) == ([], start)


def test_what_failed_on_chain_is_done_too(turned_back: World, chain: Chain) -> None:
    start = chain.count(STRANGER.address)
    data = turned_back.exchange.abi.encode("pause")  # a stranger may not
    failing = Transaction(chain.chain_id, start, 200_000, 0, turned_back.exchange.address, 0, data)
    outbox_of(chain).keep(start, STRANGER.sign_transaction(failing))
    assert len(resume.finish(chain, outbox_of(chain), STRANGER)) == 1
    assert outbox_of(chain).kept() == []


def test_without_its_outbox_a_sender_waits_for_its_pool(
    chain: Chain, monkeypatch: pytest.MonkeyPatch
) -> None:
    chain.rpc("evm_setAutomine", False)
    chain.rpc("eth_sendRawTransaction", to_hex(signed(chain, chain.count(STRANGER.address))))
    monkeypatch.setattr(resume, "QUIET_S", 0.3)
    with pytest.raises(ChainError, match="wait in a node's pool for 0 s"):
        resume.finish(chain, outbox_of(chain), STRANGER)
    chain.rpc("evm_mine")
    assert resume.finish(chain, outbox_of(chain), STRANGER) == []


def test_what_is_sent_is_kept_until_it_is_known(chain: Chain, monkeypatch: pytest.MonkeyPatch) -> None:
    kept: list[int] = []
    real = chain.nodes.ask

    def watched(method: str, parameters: list[object]) -> object:
        if method == "eth_sendRawTransaction":
            kept.append(len(outbox_of(chain).kept()))
        return real(method, parameters)

    monkeypatch.setattr(chain.nodes, "ask", watched)
    chain.send(STRANGER, SOMEWHERE, b"", gas=30_000)
    assert (kept, outbox_of(chain).kept()) == ([1], [])
    with pytest.raises(NodeError):
        chain.send(STRANGER, SOMEWHERE, b"", gas=1_000)
    assert outbox_of(chain).kept() == []

    def silent(method: str, parameters: list[object]) -> object:
        if method == "eth_sendRawTransaction":
            raise NoAnswer(method, "it does not answer")
        return real(method, parameters)

    monkeypatch.setattr(chain.nodes, "ask", silent)
    with pytest.raises(NoAnswer):
        chain.send(STRANGER, SOMEWHERE, b"", gas=30_000)
    assert len(outbox_of(chain).kept()) == 1  # somebody may have it


def test_a_file_that_was_not_written_whole_is_nothing(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path)
    outbox.keep(3, b"transaction")
    (tmp_path / f"{4:012d}-{'ab' * 32}").write_bytes(b"half")
    (tmp_path / ".0123456789abcdef").write_bytes(b"half")
    assert [one.nonce for one in outbox.kept()] == [3]
    assert len(list(tmp_path.iterdir())) == 1
