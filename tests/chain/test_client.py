"""The client: sends and waits, refuses what no network takes, and names what a contract refused."""

from __future__ import annotations

import socket
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from chain_world import PROSUMERS, World

from settlement.chain.client import MOST_GAS, Chain
from settlement.chain.errors import (
    ContractRevert,
    GasLimitExceeded,
    NodeError,
    OutOfGas,
    TransactionTooLarge,
    WrongChain,
)
from settlement.chain.exchange import Exchange
from settlement.chain.rpc import TX_BYTES_CAP, Call
from settlement.chain.sign import Signer
from settlement.errors import InputError


def accept_call(world: World, n: int) -> bytes:
    """A call that anyone may make."""
    return world.exchange.abi.encode("accept", PROSUMERS[0].address, n, 1)


def test_a_transaction_of_too_many_bytes_is_not_sent(world: World) -> None:
    with pytest.raises(TransactionTooLarge) as caught:
        world.chain.send(world.operator, world.exchange.address, bytes(TX_BYTES_CAP + 1), gas=100_000)
    assert caught.value.size == TX_BYTES_CAP + 1


def test_more_gas_than_networks_give_is_not_asked_for(world: World) -> None:
    with pytest.raises(GasLimitExceeded) as caught:
        world.exchange.send_data(world.operator, accept_call(world, 1), gas=MOST_GAS + 1)
    assert caught.value.gas == MOST_GAS + 1


def test_a_revert_has_one_name_before_and_after_sending(world: World) -> None:
    call = world.exchange.abi.encode("executeWithdrawal", PROSUMERS[0].address)
    reverts = []
    for gas in (None, 1_000_000):
        with pytest.raises(ContractRevert) as caught:
            world.exchange.send_data(world.operator, call, gas=gas)
        reverts.append((caught.value.name, caught.value.arguments))
    with pytest.raises(ContractRevert) as caught:
        world.chain.call(world.exchange.address, call)
    reverts.append((caught.value.name, caught.value.arguments))
    assert reverts == [("WithdrawalNotReady", (PROSUMERS[0].address, 0))] * 3


def test_a_node_that_does_not_trace_still_names_the_error(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask = world.chain.rpc

    def rpc(method: str, *params: Any) -> Any:
        if method.startswith("debug_"):
            raise NodeError(method, "the method does not exist", -32601)
        return ask(method, *params)

    monkeypatch.setattr(world.chain, "rpc", rpc)
    with pytest.raises(ContractRevert, match="WithdrawalNotReady"):
        world.exchange.send(world.operator, "executeWithdrawal", PROSUMERS[0].address, gas=500_000)


def test_running_out_of_gas_is_no_revert(world: World) -> None:
    with pytest.raises(OutOfGas) as caught:
        world.exchange.send_data(world.operator, accept_call(world, 2), gas=30_000)
    assert caught.value.gas == 30_000


def test_nonces_go_on_after_refusals(world: World) -> None:
    for n in range(3):
        world.exchange.send_data(world.operator, accept_call(world, n))
        with pytest.raises(ContractRevert):
            world.exchange.send(world.operator, "executeWithdrawal", PROSUMERS[0].address, gas=500_000)
        with pytest.raises(ContractRevert):
            world.exchange.send(world.operator, "executeWithdrawal", PROSUMERS[0].address)


def test_a_nonce_that_somebody_else_used_is_asked_for_again(world: World) -> None:
    other = Chain(world.anvil.rpc_url)
    world.exchange.send_data(world.node, accept_call(world, 5))
    other.send(world.node, world.exchange.address, accept_call(world, 6))
    with pytest.raises(NodeError):
        world.exchange.send_data(world.node, accept_call(world, 7))
    world.exchange.send_data(world.node, accept_call(world, 7))


def test_threads_of_one_sender_do_not_collide(world: World) -> None:
    def send(n: int) -> int:
        return world.exchange.send_data(world.operator, accept_call(world, 100 + n), gas=200_000).block

    with ThreadPoolExecutor(4) as pool:
        blocks = list(pool.map(send, range(20)))
    assert len(blocks) == 20


def test_ipc_and_priced_transactions_work_too(world: World) -> None:
    chain = Chain(str(world.anvil.ipc_path), chain_id=world.chain.chain_id, gas_price=1, eip1559=True)
    exchange = Exchange(chain, world.deployment)
    receipt = exchange.send_data(world.admin, accept_call(world, 9))
    raw = chain.rpc("eth_getTransactionByHash", "0x" + receipt.tx_hash.hex())
    assert (int(raw["type"], 16), int(raw["maxFeePerGas"], 16)) == (2, 1)
    assert exchange.accounts([PROSUMERS[0].address]) == world.exchange.accounts([PROSUMERS[0].address])
    world.chain.forget_nonces()


def test_logs_are_read_by_range(world: World) -> None:
    first = world.exchange.send_data(world.operator, accept_call(world, 11))
    second = world.exchange.send_data(world.operator, accept_call(world, 12))
    logs = world.chain.logs(world.exchange.address, first.block, second.block)
    assert logs == [*first.logs, *second.logs]
    assert world.chain.logs(world.exchange.address, second.block) == list(second.logs)
    assert world.chain.logs(world.exchange.address, second.block, topics=[bytes(32)]) == []


def test_many_reads_are_of_one_block_and_in_order(world: World) -> None:
    addresses = [signer.address for signer in PROSUMERS]
    calls = [Call(world.exchange.address, world.exchange.abi.encode("memberOf", one)) for one in addresses]
    assert world.chain.call_many(calls * 200) == [world.chain.call(c.to, c.data) for c in calls] * 200
    assert world.chain.call_many([]) == []
    bad = Call(world.exchange.address, world.exchange.abi.encode("executeWithdrawal", addresses[0]))
    with pytest.raises(ContractRevert, match="WithdrawalNotReady"):
        world.chain.call_many([calls[0], bad])


def test_another_chain_is_told(world: World) -> None:
    with pytest.raises(WrongChain) as caught:
        Chain(world.anvil.rpc_url, chain_id=1)
    assert (caught.value.found, caught.value.expected) == (world.chain.chain_id, 1)


def test_a_node_that_does_not_answer_is_told() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    with pytest.raises(NodeError, match="does not answer"):
        Chain(f"http://127.0.0.1:{port}")
    with pytest.raises(NodeError, match="does not answer"):
        Chain("/nonexistent/chain.ipc")


def test_a_key_of_another_length_is_told() -> None:
    with pytest.raises(InputError, match="32 bytes"):
        Signer(b"\x01")
    assert Signer("0x" + "11" * 32).address == Signer(b"\x11" * 32).address
