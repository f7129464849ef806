"""Transactions of the P-chain: a permissioned subnet, its validators and its chain.

A transaction is a codec version, a type, the base (network, chain, outputs, inputs, memo), what the type
adds, and credentials. Everything is paid from, and changed by, one secp256k1 key: the administrator's. Each
spends one unspent output and returns the rest of it; whatever it does not return is the fee.

    type                            adds
    13  AddSubnetValidator          node, start, end, weight, subnet, authority
    15  CreateChain                 subnet, name, virtual machine, extensions, genesis, authority
    16  CreateSubnet                owner
    23  RemoveSubnetValidator       node, subnet, authority
    25  AddPermissionlessValidator  node, start, end, weight, subnet, signer, stake, owners of rewards, share
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import coincurve

from settlement.network.codec import (
    bech32_address,
    from_cb58,
    node_bytes,
    sha256,
    short_address,
    u16,
    u32,
    u64,
    with_check,
)
from settlement.network.engine import VM_ID
from settlement.network.errors import Refused
from settlement.network.http import ask
from settlement.network.identity import Identity

ADD_SUBNET_VALIDATOR, CREATE_CHAIN, CREATE_SUBNET = 13, 15, 16
REMOVE_SUBNET_VALIDATOR, ADD_PERMISSIONLESS_VALIDATOR = 23, 25
TRANSFER_INPUT, TRANSFER_OUTPUT, CREDENTIAL, SUBNET_AUTHORITY, OWNERS = 5, 7, 9, 10, 11
PROOF_OF_POSSESSION = 28

FEE_NANO = 1_000_000
"""Of the network's own coin, which nobody trades; above what any of these costs."""
STAKE_NANO = 10**13
"""Of each validator on the primary network."""
DELEGATION_SHARE = 20_000
"""Of a million; the least that is allowed. Nobody delegates here."""
PRIMARY_NETWORK = bytes(32)
TX_TIMEOUT_S = 60.0


@dataclass(frozen=True)
class Output:
    """An unspent output of the administrator's."""

    transaction: bytes
    index: bytes
    """4 bytes."""
    asset: bytes
    amount_nano: int


class PChain:
    """The P-chain of one node, as one key sees it."""

    def __init__(self, node_url: str, network_id: int, secret: bytes) -> None:
        """`secret` is the administrator's key, 32 bytes."""
        self.url, self.network_id = f"{node_url}/ext/bc/P", network_id
        self._key = coincurve.PrivateKey(secret)
        self.address = short_address(secret)

    # What is done -----------------------------------------------------------------------------------------

    def create_subnet(self) -> str:
        """The new subnet's id; this key alone changes it."""
        return self._issue(CREATE_SUBNET, u32(OWNERS) + self._owners())

    def add_validator(self, subnet: str, node_id: str, weight: int) -> str:
        """For as long as it is a validator of the primary network."""
        end = self.primary_validators()[node_id]
        window = u64(0) + u64(end) + u64(weight)  # the start is the moment of acceptance
        return self._issue(
            ADD_SUBNET_VALIDATOR, node_bytes(node_id) + window + from_cb58(subnet, 32), authority=True
        )

    def remove_validator(self, subnet: str, node_id: str) -> str:
        body = node_bytes(node_id) + from_cb58(subnet, 32)
        return self._issue(REMOVE_SUBNET_VALIDATOR, body, authority=True)

    def create_chain(self, subnet: str, name: str, genesis: bytes) -> str:
        """The new chain's id; `genesis` is Subnet-EVM's."""
        told = name.encode("ascii")
        body = from_cb58(subnet, 32) + u16(len(told)) + told + from_cb58(VM_ID, 32) + u32(0)
        return self._issue(CREATE_CHAIN, body + u32(len(genesis)) + genesis, authority=True)

    def join(self, identity: Identity, until: int) -> str:
        """A further validator of the primary network, until a Unix second; only such can be a subnet's."""
        asset = self._largest().asset
        window = u64(0) + u64(until) + u64(STAKE_NANO)
        signer = u32(PROOF_OF_POSSESSION) + identity.public_key + identity.proof
        stake = u32(1) + asset + u32(TRANSFER_OUTPUT) + u64(STAKE_NANO) + self._owners()
        owners = 2 * (u32(OWNERS) + self._owners())
        body = node_bytes(identity.node_id) + window + PRIMARY_NETWORK + signer + stake + owners
        return self._issue(ADD_PERMISSIONLESS_VALIDATOR, body + u32(DELEGATION_SHARE), stake_nano=STAKE_NANO)

    # What is asked ----------------------------------------------------------------------------------------

    def primary_validators(self) -> dict[str, int]:
        """When each one's stake ends, Unix seconds."""
        return {one["nodeID"]: int(one["endTime"]) for one in self._validators({})}

    def validators(self, subnet: str) -> dict[str, int]:
        """Weight of each of the subnet's."""
        return {one["nodeID"]: int(one["weight"]) for one in self._validators({"subnetID": subnet})}

    def _validators(self, asked: dict[str, str]) -> list[Any]:
        found = self._ask("getCurrentValidators", asked)["validators"]
        return found if isinstance(found, list) else []

    def _ask(self, method: str, parameters: dict[str, Any]) -> Any:
        return ask(self.url, f"platform.{method}", parameters)

    # How it is sent ---------------------------------------------------------------------------------------

    def _owners(self) -> bytes:
        """No lock, one signature, this key's."""
        return u64(0) + u32(1) + u32(1) + self.address

    def _unspent(self) -> Sequence[Output]:
        wanted = {"addresses": [bech32_address("P", self.address)], "limit": 1024, "encoding": "hex"}
        found = (parse_output(bytes.fromhex(raw[2:])) for raw in self._ask("getUTXOs", wanted)["utxos"])
        return [output for output in found if output is not None]

    def _largest(self) -> Output:
        unspent = self._unspent()
        if not unspent:
            raise Refused("the administrator's key has no funds on the P-chain: is it this network's?")
        return max(unspent, key=lambda output: output.amount_nano)

    def _issue(self, kind: int, body: bytes, *, authority: bool = False, stake_nano: int = 0) -> str:
        """Builds, signs, sends, and waits until it is committed; its id."""
        spent = self._largest()
        rest = spent.amount_nano - FEE_NANO - stake_nano
        if rest <= 0:
            raise Refused("the administrator's funds on the P-chain are used up")
        outputs = u32(1) + spent.asset + u32(TRANSFER_OUTPUT) + u64(rest) + self._owners()
        inputs = u32(1) + spent.transaction + spent.index + spent.asset
        inputs += u32(TRANSFER_INPUT) + u64(spent.amount_nano) + u32(1) + u32(0)
        base = u32(self.network_id) + bytes(32) + outputs + inputs + u32(0)
        signed_by = u32(SUBNET_AUTHORITY) + u32(1) + u32(0) if authority else b""
        unsigned = u16(0) + u32(kind) + base + body + signed_by
        return self._commit(unsigned + self._credentials(unsigned, 2 if authority else 1))

    def _credentials(self, unsigned: bytes, count: int) -> bytes:
        """One for the input, one for the subnet's owner."""
        signature = self._key.sign_recoverable(sha256(unsigned), hasher=None)
        return u32(count) + count * (u32(CREDENTIAL) + u32(1) + bytes(signature))

    def _commit(self, raw: bytes) -> str:
        sent = self._ask("issueTx", {"tx": "0x" + with_check(raw).hex(), "encoding": "hex"})
        tx, deadline = str(sent["txID"]), time.monotonic() + TX_TIMEOUT_S
        while time.monotonic() < deadline:
            found = self._ask("getTxStatus", {"txID": tx})
            if found["status"] == "Committed":
                return tx
            if found["status"] in ("Dropped", "Aborted"):
                raise Refused(f"the P-chain dropped {tx}: {found.get('reason', 'it gives no reason')}")
            time.sleep(0.1)
        raise Refused(
            f"the P-chain has not committed {tx} in {TX_TIMEOUT_S:.0f} s: are enough validators up?"
        )


def parse_output(raw: bytes) -> Output | None:
    """An unspent output as the node encodes it; None if it is locked, or of another kind."""
    data = raw[2:]
    transaction, index, asset, kind = data[:32], data[32:36], data[36:68], data[68:72]
    amount, lock = data[72:80], data[80:88]
    if kind != u32(TRANSFER_OUTPUT) or any(lock):
        return None
    return Output(transaction, index, asset, int.from_bytes(amount, "big"))
