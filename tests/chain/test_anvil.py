"""The embedded chain: up in a moment, the same on every start, gone afterwards."""

from __future__ import annotations

import os
import signal
import socket
import time
from pathlib import Path

import pytest
from eth_account import Account
from web3 import HTTPProvider, IPCProvider, Web3

from settlement.chain import anvil as anvil_module
from settlement.chain.anvil import BLOCK_GAS_LIMIT, HOST, TX_GAS_CAP, Anvil
from settlement.errors import InputError, MissingPrerequisite, TrellisError

GENESIS = 1_750_000_000


def transfer(client: Web3, chain: Anvil, gas: int = 21_000) -> bytes:
    sender, recipient = (Account.from_key(key) for key in chain.private_keys[:2])
    fields = {"to": recipient.address, "value": 1, "gas": gas, "gasPrice": 0, "chainId": chain.chain_id}
    nonce = client.eth.get_transaction_count(sender.address)
    signed = sender.sign_transaction({**fields, "nonce": nonce})
    return client.eth.send_raw_transaction(signed.raw_transaction)


def test_it_answers_with_the_chosen_chain() -> None:
    with Anvil(chain_id=2020, timestamp=GENESIS) as chain:
        client = Web3(HTTPProvider(chain.rpc_url))
        genesis = client.eth.get_block(0)
        assert (client.eth.chain_id, genesis["timestamp"]) == (2020, GENESIS)
        assert (genesis["gasLimit"], genesis["baseFeePerGas"]) == (BLOCK_GAS_LIMIT, 0)


def test_a_funded_account_sends_at_no_price_over_ipc() -> None:
    with Anvil() as chain:
        client = Web3(IPCProvider(chain.ipc_path))
        receipt = client.eth.wait_for_transaction_receipt(transfer(client, chain), poll_latency=0.002)
        assert (receipt["status"], receipt["gasUsed"], receipt["effectiveGasPrice"]) == (1, 21_000, 0)


def test_the_cap_of_a_transaction_is_enforced_on_osaka() -> None:
    with Anvil(hardfork="osaka") as chain:
        client = Web3(IPCProvider(chain.ipc_path))
        client.eth.wait_for_transaction_receipt(transfer(client, chain, TX_GAS_CAP), poll_latency=0.002)
        with pytest.raises(Exception, match="tx_gas_limit_cap"):
            transfer(client, chain, TX_GAS_CAP + 1)


def test_it_is_gone_after_its_context() -> None:
    with Anvil() as chain:
        process, folder = chain._process, chain.ipc_path.parent
    assert process is not None
    assert process.poll() is not None
    assert not folder.exists()


def test_old_states_are_kept_beside_the_chain_and_are_gone_with_it() -> None:
    with Anvil() as chain:
        states = chain.ipc_path.parent / "states"
        for _ in range(1_100):
            chain.rpc("evm_mine")
        assert any(states.rglob("*.json"))
    assert not states.exists()


def test_state_outlives_a_stop(tmp_path: Path) -> None:
    state = tmp_path / "state.json"
    with Anvil(state=state) as chain:
        chain.rpc("anvil_mine", "0x5")
    with Anvil(state=state) as chain:
        assert int(chain.rpc("eth_blockNumber"), 16) == 5


def test_a_taken_port_is_one_clear_line() -> None:
    with socket.socket() as listener:
        listener.bind((HOST, 0))
        listener.listen()
        port = listener.getsockname()[1]
        with pytest.raises(InputError, match=f"port {port} is taken") as caught, Anvil(port=port):
            pass
    assert "\n" not in caught.value.message


def test_a_missing_binary_is_one_clear_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(anvil_module.shutil, "which", lambda _: None)
    with pytest.raises(MissingPrerequisite, match="make setup"):
        anvil_module.find_anvil(tmp_path)


def test_a_refusal_to_start_quotes_the_node(tmp_path: Path) -> None:
    log = tmp_path / "anvil.log"
    with pytest.raises(TrellisError, match="did not start"):
        Anvil(hardfork="marmalade", log=log).start()
    assert "marmalade" in log.read_text()


def test_a_stuck_node_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(anvil_module, "STOP_TIMEOUT_S", 0.2)
    chain = Anvil().start()
    process = chain._process
    assert process is not None
    os.kill(process.pid, signal.SIGSTOP)  # it no longer hears SIGTERM
    before = time.monotonic()
    chain.stop()
    assert process.poll() is not None
    assert time.monotonic() - before < 5
