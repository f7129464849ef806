"""Who may send, deploy and validate, seen from outside."""

from __future__ import annotations

import secrets

import pytest
from network_world import Validators, answer, command

from settlement.chain.errors import ChainError, NodeError
from settlement.chain.sign import Signer
from settlement.network import lists, members
from settlement.network.lists import Role

ONE_BYTE_CONTRACT = bytes.fromhex("600160005360016000f3")  # whose code is 0x01
GAS = 200_000


def funded(validators: Validators) -> Signer:
    """Somebody who has what gas costs, and no place on a list."""
    signer, chain = Signer(secrets.token_bytes(32)), validators.chain()
    chain.send(validators.administrator, signer.address, b"", gas=21_000, value_wei=10**18)
    return signer


@pytest.mark.smoke
def test_whoever_is_on_no_list_cannot_send_to_any_validator(five: Validators) -> None:
    stranger = funded(five)
    for number in range(1, 6):
        with pytest.raises(NodeError, match="non-allow listed address"):
            five.chain(number).send(stranger, stranger.address, b"", gas=21_000)


@pytest.mark.smoke
def test_whoever_is_allowed_sends_until_it_is_not_any_more(five: Validators) -> None:
    stranger, folder = funded(five), five.folder
    address = "0x" + stranger.address.hex()
    assert answer("network", "allow", "--dir", folder, address)["send"]
    chain = five.chain(2)
    assert chain.send(stranger, stranger.address, b"", gas=21_000).block
    assert not answer("network", "disallow", "--dir", folder, address)["send"]
    with pytest.raises(NodeError, match="non-allow listed address"):
        chain.send(stranger, stranger.address, b"", gas=21_000)


@pytest.mark.smoke
def test_whoever_may_send_but_not_deploy_deploys_in_vain(five: Validators) -> None:
    sender, chain = five.admit(), five.chain(3)
    with pytest.raises(ChainError):
        chain.send(sender, None, ONE_BYTE_CONTRACT, gas=GAS)
    last = chain.rpc("eth_getBlockByNumber", "latest", True)
    mined = [one for one in last["transactions"] if one["from"] == "0x" + sender.address.hex()]
    receipt = chain.rpc("eth_getTransactionReceipt", mined[0]["hash"])
    assert (int(receipt["status"], 16), int(receipt["gasUsed"], 16)) == (0, GAS)


def test_whoever_may_deploy_does(five: Validators) -> None:
    receipt = five.chain(4).send(five.admit(deploy=True), None, ONE_BYTE_CONTRACT, gas=GAS)
    assert receipt.contract is not None
    assert five.chain(5).code(receipt.contract) == b"\x01"


def test_the_operators_key_changes_no_list(five: Validators) -> None:
    chain, stranger = five.chain(), secrets.token_bytes(20)
    call = lists.list_call("setEnabled(address)", stranger)
    with pytest.raises(ChainError):
        chain.send(five.operator, lists.SENDERS, call, gas=lists.GAS)
    assert lists.rights(chain, stranger).send == Role.NONE
    key = five.folder / "keys" / "operator.key"
    done = command("network", "allow", "--dir", five.folder, "0x" + stranger.hex(), "--key", key)
    assert done.returncode == 2
    assert "no administrator" in done.stderr


def test_an_administrator_is_not_put_off_its_own_list(five: Validators) -> None:
    done = command("network", "disallow", "--dir", five.folder, "0x" + five.administrator.address.hex())
    assert done.returncode == 2
    assert "administrator" in done.stderr


def test_the_operators_key_changes_no_validators(five: Validators) -> None:
    key = five.folder / "keys" / "operator.key"
    done = command("network", "remove-validator", "--dir", five.folder, 2, "--key", key)
    assert done.returncode == 2
    assert "funds" in done.stderr
    assert len(five.network.members) == 5


def test_a_validator_is_removed_and_added_again_while_the_chain_goes_on(validators: Validators) -> None:
    sender = validators.admit()
    members.remove(validators.folder, "2", None, lambda _: None)
    assert [one.number for one in validators.network.members] == [1, 3, 4, 5]
    validators.chain().send(sender, sender.address, b"", gas=21_000)
    assert command("network", "remove-validator", "--dir", validators.folder, 3).returncode == 2
    members.add(validators.folder, "2", None, lambda _: None)
    validators.chain().send(sender, sender.address, b"", gas=21_000)
    assert len(validators.wait_until_equal().validators) == 5


def test_a_sixth_validator_joins_has_the_whole_chain_and_leaves(validators: Validators) -> None:
    new = members.add(validators.folder, None, None, lambda _: None)
    found = validators.wait_until_equal()
    assert [one.id for one in found.validators] == [1, 2, 3, 4, 5, new.number]
    assert found.validators[-1].peers == 5
    members.remove(validators.folder, str(new.number), None, lambda _: None)
    assert len(validators.wait_until_equal().validators) == 5
