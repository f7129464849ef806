"""Who may send and who may deploy: Subnet-EVM's two lists, kept on chain and changed by the administrator.

An address has a role on each list. Whoever has none cannot send anything (a node refuses it before it enters
a pool), or deploys in vain. Prosumers need neither: what they sign is sent by somebody who is on the list.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Any

from settlement.chain.abi import CODEC
from settlement.chain.client import Chain
from settlement.chain.pending import Pace
from settlement.chain.sign import Signer
from settlement.errors import InputError
from settlement.network.folder import ADMINISTRATOR, Network
from settlement.network.genesis import SENDER_WEI
from settlement.reference.eip712 import keccak

DEPLOYERS = bytes.fromhex("0200000000000000000000000000000000000000")
SENDERS = bytes.fromhex("0200000000000000000000000000000000000002")
GAS = 100_000


class Role(IntEnum):
    """What an address is on a list."""

    NONE, ENABLED, ADMINISTRATOR, MANAGER = range(4)


@dataclass(frozen=True)
class Rights:
    """Of one address."""

    address: bytes
    send: Role
    deploy: Role

    def as_json(self) -> dict[str, Any]:
        return {
            "address": "0x" + self.address.hex(),
            "send": self.send != Role.NONE,
            "deploy": self.deploy != Role.NONE,
            "administrator": self.send == Role.ADMINISTRATOR,
        }


def chain_of(network: Network) -> Chain:
    """A client of all validators."""
    return Chain(network.rpcs, chain_id=network.chain_id, pace=Pace())


def administrator(network: Network, path: Path | None) -> Signer:
    return network.key(ADMINISTRATOR, path)


def rights(chain: Chain, address: bytes) -> Rights:
    return Rights(address, _role(chain, SENDERS, address), _role(chain, DEPLOYERS, address))


def allow(chain: Chain, key: Signer, address: bytes, *, deploy: bool) -> Rights:
    """Lets an address send, and deploy too if so asked; what it pays fees with is given to it."""
    _require_administrator(chain, key)
    before = rights(chain, address)
    if before.send == Role.NONE:
        _set(chain, key, SENDERS, "setEnabled(address)", address)
    if deploy and before.deploy == Role.NONE:
        _set(chain, key, DEPLOYERS, "setEnabled(address)", address)
    missing = SENDER_WEI - int(chain.rpc("eth_getBalance", "0x" + address.hex(), "latest"), 16)
    if missing > 0:
        chain.send(key, address, b"", gas=21_000, value_wei=missing)
    return rights(chain, address)


def disallow(chain: Chain, key: Signer, address: bytes) -> Rights:
    """Takes both away. An administrator is not put off its own list: nobody could put it back."""
    _require_administrator(chain, key)
    before = rights(chain, address)
    if Role.ADMINISTRATOR in (before.send, before.deploy):
        raise InputError(f"0x{address.hex()} is an administrator of the lists: it stays")
    for place, role in ((SENDERS, before.send), (DEPLOYERS, before.deploy)):
        if role != Role.NONE:
            _set(chain, key, place, "setNone(address)", address)
    return rights(chain, address)


def _require_administrator(chain: Chain, key: Signer) -> None:
    if _role(chain, SENDERS, key.address) != Role.ADMINISTRATOR:
        raise InputError(f"0x{key.address.hex()} is no administrator of the lists: name its key with --key")


def _role(chain: Chain, place: bytes, address: bytes) -> Role:
    return Role(int.from_bytes(chain.call(place, list_call("readAllowList(address)", address)), "big"))


def _set(chain: Chain, key: Signer, place: bytes, what: str, address: bytes) -> None:
    chain.send(key, place, list_call(what, address), gas=GAS)


def list_call(signature: str, address: bytes) -> bytes:
    """Calldata for a list, of one address."""
    return keccak(signature.encode())[:4] + CODEC.encode(["address"], [address])
