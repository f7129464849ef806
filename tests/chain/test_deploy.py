"""A deployment: everything in its place, and nobody may more than their role."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from chain_world import STRANGER, World

from settlement.chain import abi, deploy
from settlement.chain.abi import CODEC, exchange_interface
from settlement.chain.deploy import (
    AUDITOR,
    EXCHANGE_RIGHTS,
    GUARDIAN,
    MINTER,
    OPERATOR,
    ORACLE,
    REGISTRAR,
    REGULATOR,
)
from settlement.chain.errors import ContractRevert, NodeError, WrongChain
from settlement.chain.sign import Signer
from settlement.errors import InputError
from settlement.reference.posting import default_posting


def answer(world: World, sender: bytes, name: str) -> str:
    """The error that a call with empty arguments meets; empty if it passed."""
    call = empty_call(name)
    try:
        world.chain.call(world.exchange.address, call, sender=sender)
    except ContractRevert as revert:
        return revert.name
    except NodeError:
        return "no error"
    return "no error"


def empty_call(name: str) -> bytes:
    """Of `settle` the one that not everyone may send: of a day by default."""
    if name == "settle":
        unposted = abi.posting_tuple(default_posting(0, 0, 0, 0))
        return abi.settle(unposted, b"", abi.run_carry_tuple(None), abi.prices_array(()))
    entry = exchange_interface().function(name)
    return entry.selector + CODEC.encode(entry.types, [_zero(kind) for kind in entry.types])


def _zero(kind: str) -> object:
    """The least value of a type."""
    if kind.endswith("[]"):
        return []
    if kind.endswith("[20]"):
        return [bytes(32)] * 20
    if kind.startswith("("):
        return tuple(_zero(part) for part in _parts(kind[1:-1]))
    return {"bool": False, "address": bytes(20)}.get(kind, b"" if kind.startswith("bytes") else 0)


def _parts(kinds: str) -> list[str]:
    found, depth, start = [], 0, 0
    for at, letter in enumerate(kinds + ","):
        depth += (letter == "(") - (letter == ")")
        if letter == "," and depth == 0:
            found.append(kinds[start:at])
            start = at + 1
    return found


@pytest.mark.parametrize("role", sorted(EXCHANGE_RIGHTS))
def test_a_role_may_what_it_says_and_nothing_else(world: World, role: int) -> None:
    account = Signer(bytes([role]) * 32).address
    deploy.grant(world.chain, world.admin, world.deployment, role, [account])
    for owner, names in EXCHANGE_RIGHTS.items():
        for name in names:
            refused = answer(world, account, name) == "AccessManagedUnauthorized"
            assert refused is (owner != role), name
    deploy.revoke(world.chain, world.admin, world.deployment, role, account)
    for name in EXCHANGE_RIGHTS[role]:
        assert answer(world, account, name) == "AccessManagedUnauthorized"


def test_every_restricted_function_has_one_role(world: World) -> None:
    """Whoever has no role, the administrator included, is refused exactly there."""
    names = [name for rights in EXCHANGE_RIGHTS.values() for name in rights]
    assert len(set(names)) == len(names)
    everything = set(exchange_interface().functions) - {"setAuthority"}  # the AccessManager's alone
    for sender in (STRANGER.address, bytes(19) + b"\x01"):
        met = {name: answer(world, sender, name) for name in everything}
        assert {name for name, error in met.items() if error == "AccessManagedUnauthorized"} == set(names)


def test_only_a_minter_mints(world: World) -> None:
    with pytest.raises(ContractRevert, match="AccessManagedUnauthorized"):
        world.token.mint(world.operator, STRANGER.address, 1)
    deploy.grant(world.chain, world.admin, world.deployment, MINTER, [world.operator.address])
    world.token.mint(world.operator, STRANGER.address, 1)
    assert world.token.balance(STRANGER.address) == 1


def test_modules_answer_to_nobody_directly(world: World) -> None:
    for module in world.deployment.modules:
        for name in ("postHeader", "postMetering", "setQuorum"):
            with pytest.raises((ContractRevert, NodeError)):
                world.chain.call(module, empty_call(name), sender=world.operator.address)


def test_deployment_json_is_written_and_read_back(world: World, tmp_path: Path) -> None:
    path = tmp_path / "deployment.json"
    deploy.write_deployment(world.deployment, path)
    assert json.loads(path.read_text()) == {
        "chain_id": world.chain.chain_id,
        "exchange": "0x" + world.exchange.address.hex(),
        "block": world.deployment.block,
    }
    assert deploy.read_deployment(world.chain, path) == world.deployment
    assert world.deployment.separator == world.model.separator


def test_what_is_no_deployment_is_told(world: World, tmp_path: Path) -> None:
    path = tmp_path / "deployment.json"
    with pytest.raises(InputError, match=r"no deployment\.json"):
        deploy.read_deployment(world.chain, path)
    for text in ("{", "[]", '{"chain_id": 1}', '{"chain_id": 1, "block": 1, "exchange": "0xzz"}'):
        path.write_text(text)
        with pytest.raises(InputError, match=r"no deployment\.json"):
            deploy.read_deployment(world.chain, path)
    fields = {"chain_id": 5, "block": 1, "exchange": "0x" + "11" * 20}
    path.write_text(json.dumps(fields))
    with pytest.raises(WrongChain):
        deploy.read_deployment(world.chain, path)
    path.write_text(json.dumps(fields | {"chain_id": world.chain.chain_id}))
    with pytest.raises(InputError, match="no contract at"):
        deploy.read_deployment(world.chain, path)


def test_roles_are_numbered_for_ever() -> None:
    assert (OPERATOR, ORACLE, REGISTRAR, GUARDIAN, MINTER) == (1, 2, 3, 4, 5)
    assert (AUDITOR, REGULATOR) == (6, 7)
