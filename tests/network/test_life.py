"""A network's life: it comes up, tells how it is, goes down and comes back with all it had."""

from __future__ import annotations

import pytest
from network_world import Validators, answer, command

from settlement.network import boot


@pytest.mark.smoke
def test_all_validators_are_alive_and_have_one_chain(five: Validators) -> None:
    found = answer("network", "status", "--dir", five.folder)
    assert [one["id"] for one in found["validators"]] == [1, 2, 3, 4, 5]
    assert all(one["alive"] and one["pid"] and one["peers"] == 4 for one in found["validators"])
    assert {one["hash"] for one in found["validators"]} == {found["validators"][0]["hash"]}
    assert all(10_000_000 < one["memory_bytes"] < 2**31 for one in found["validators"])


def test_up_of_a_network_that_runs_changes_nothing(five: Validators) -> None:
    before = [one.pid for one in five.status().validators]
    found = answer("network", "up", "--dir", five.folder)
    assert found["rpc"] == five.network.rpcs
    assert [one.pid for one in five.status().validators] == before


def test_down_loses_nothing(validators: Validators) -> None:
    sender = validators.admit()
    receipt = validators.chain().send(sender, sender.address, b"", gas=21_000)
    before = validators.wait_until_equal()
    boot.down(validators.folder, lambda _: None)
    assert not any(one.alive for one in validators.status().validators)
    boot.up(validators.folder, lambda _: None)
    after = validators.wait_until_equal()
    assert (after.height, after.validators[0].hash) == (before.height, before.validators[0].hash)
    for rpc in validators.network.rpcs:
        found = validators.chain().rpc("eth_getTransactionReceipt", "0x" + receipt.tx_hash.hex())
        assert int(found["blockNumber"], 16) == receipt.block, rpc


def test_a_killed_validator_is_told_and_started_again_alone(validators: Validators) -> None:
    pids = [one.pid for one in validators.status().validators]
    validators.kill(3)
    found = answer("network", "status", "--dir", validators.folder)
    assert [one["alive"] for one in found["validators"]] == [True, True, False, True, True]
    boot.up(validators.folder, lambda _: None)
    after = [one.pid for one in validators.wait_until_equal().validators]
    assert [now == then for now, then in zip(after, pids, strict=True)] == [True, True, False, True, True]


@pytest.mark.smoke
def test_the_check_of_a_chain_passes_on_the_validators(five: Validators) -> None:
    found = answer("network", "check", "--rpc", *five.network.rpcs)
    assert found["passed"]
    assert {one["name"] for one in found["checks"]} >= {
        *("nodes agree", "EVM version", "block gas limit", "transaction size", "logs", "finality"),
        "permissioning",
    }


def test_the_check_says_who_does_not_answer(five: Validators) -> None:
    done = command("network", "check", "--rpc", five.network.rpcs[0], "http://127.0.0.1:9/")
    assert done.returncode == 1
    assert "http://127.0.0.1:9/" in done.stdout
