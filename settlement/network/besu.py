"""A network of Besu validators under QBFT, as files: what a consortium starts on its own hosts.

Nothing here was run on a Besu: its images are not to be had on the machines this is developed on. What can be
checked without one is (tests/unit/test_network_besu.py); docs/network.md says so too.

    genesis.json        QBFT over the validators' addresses, london, no base fee
    permissions.toml    accounts that may send, nodes that may connect
    static-nodes.json   where every node finds the others
    compose.yaml        validators and a node for RPC, each with its health check and volume
    validators/1/key …  a node's secp256k1 key, hex; rpc/key
"""

from __future__ import annotations

import json
import secrets
import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import coincurve
import rlp

from settlement.chain.sign import Signer
from settlement.errors import InputError
from settlement.network.folder import ADMINISTRATOR, FILE, OPERATOR, Network, locked
from settlement.network.genesis import GAS_LIMIT
from settlement.network.identity import write_secret

BESU = "besu"
IMAGE = "hyperledger/besu:25.7.0"
LEAST, MOST = 4, 20
"""Validators: with fewer than 4, QBFT bears no failure at all."""
BLOCK_PERIOD_S, REQUEST_TIMEOUT_S, EPOCH_BLOCKS = 1, 4, 30_000
VANITY = bytes(32)
QBFT_MIX_HASH = "0x63746963616c2062797a616e74696e65206661756c7420746f6c6572616e6365"
"""By which a block says that QBFT made it."""
SUBNET, P2P_PORT, RPC_PORT = "172.28.65", 30_303, 8_545
GENESIS, PERMISSIONS, STATIC_NODES, COMPOSE = (
    "genesis.json",
    "permissions.toml",
    "static-nodes.json",
    "compose.yaml",
)


@dataclass(frozen=True)
class BesuNode:
    """One node of the network."""

    name: str
    """Its service, and its folder."""
    secret: bytes
    """32 bytes."""
    ip: str

    @property
    def public_key(self) -> bytes:
        """64 bytes, both coordinates."""
        return bytes(coincurve.PrivateKey(self.secret).public_key.format(compressed=False)[1:])

    @property
    def address(self) -> bytes:
        """By which QBFT knows a validator."""
        return Signer(self.secret).address

    @property
    def enode(self) -> str:
        return f"enode://{self.public_key.hex()}@{self.ip}:{P2P_PORT}"


def init(folder: Path, validators: int, chain_id: int) -> Network:
    """Writes everything. InputError for too few validators for QBFT, or a folder in use."""
    if not LEAST <= validators <= MOST:
        raise InputError(f"--validators {validators} is out of range: {LEAST} to {MOST} for Besu")
    with locked(folder):
        if (folder / FILE).exists():
            raise InputError(f"{folder} holds a network already: choose another folder")
        nodes = [_node(f"validator{number}", 10 + number) for number in range(1, validators + 1)]
        rpc = _node("rpc", 10)
        for node in (*nodes, rpc):
            (folder / node.name).mkdir()
            write_secret(folder / node.name / "key", node.secret.hex().encode())
        senders = [_new_key(folder, name) for name in (ADMINISTRATOR, OPERATOR)]
        everyone = [*nodes, rpc]
        _write_json(folder / GENESIS, genesis(chain_id, [node.address for node in nodes]))
        _write_json(folder / STATIC_NODES, [node.enode for node in everyone])
        write_permissions(folder, senders, [node.enode for node in everyone])
        (folder / COMPOSE).write_text(yaml(compose(nodes, rpc)))
        found = Network(folder, BESU, chain_id, chain_id, False, None, None, ())
        found.save()
    return found


def _node(name: str, host: int) -> BesuNode:
    return BesuNode(name, secrets.token_bytes(32), f"{SUBNET}.{host}")


def _new_key(folder: Path, name: str) -> bytes:
    """The address of a new key."""
    (folder / "keys").mkdir(exist_ok=True)
    secret = secrets.token_bytes(32)
    write_secret(folder / "keys" / f"{name}.key", secret.hex().encode() + b"\n")
    return Signer(secret).address


def _write_json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, indent=2) + "\n")


# Genesis ------------------------------------------------------------------------------------------------


def extra_data(validators: Sequence[bytes]) -> bytes:
    """RLP of vanity, validators, no vote, round 0, no seals: what QBFT reads the first validators from."""
    return bytes(rlp.encode([VANITY, sorted(validators), [], b"", []]))


def validators_of(extra: bytes) -> list[bytes]:
    """The addresses in a block's extra data. InputError for anything else."""
    try:
        vanity, validators, _vote, _round, _seals = rlp.decode(extra)
    except (rlp.DecodingError, ValueError, TypeError) as cause:
        raise InputError(f"this is no extra data of QBFT: {cause}") from cause
    if len(vanity) != 32 or not all(isinstance(one, bytes) and len(one) == 20 for one in validators):
        raise InputError("this is no extra data of QBFT: 32 bytes and addresses of 20 are expected")
    return list(validators)


def genesis(chain_id: int, validators: Sequence[bytes]) -> dict[str, Any]:
    """London from the first block, and nobody pays for gas."""
    forks = ("homestead", "eip150", "eip155", "eip158", "byzantium", "constantinople", "petersburg")
    later = ("istanbul", "muirGlacier", "berlin", "london")
    return {
        "config": {
            "chainId": chain_id,
            **{f"{fork}Block": 0 for fork in (*forks, *later)},
            "zeroBaseFee": True,
            "qbft": {
                "blockperiodseconds": BLOCK_PERIOD_S,
                "requesttimeoutseconds": REQUEST_TIMEOUT_S,
                "epochlength": EPOCH_BLOCKS,
            },
        },
        "nonce": "0x0",
        "timestamp": "0x0",
        "gasLimit": hex(GAS_LIMIT),
        "difficulty": "0x1",
        "mixHash": QBFT_MIX_HASH,
        "coinbase": "0x" + 40 * "0",
        "extraData": "0x" + extra_data(validators).hex(),
        "alloc": {},
    }


# Permissions --------------------------------------------------------------------------------------------


def write_permissions(folder: Path, accounts: Iterable[bytes], enodes: Iterable[str]) -> None:
    """The file that every node reads at its start and on `perm_reloadPermissionsFromFile`."""
    listed = json.dumps(sorted("0x" + account.hex() for account in accounts))
    (folder / PERMISSIONS).write_text(
        f"accounts-allowlist={listed}\nnodes-allowlist={json.dumps(list(enodes))}\n"
    )


def read_permissions(folder: Path) -> tuple[list[bytes], list[str]]:
    """Accounts and nodes. InputError."""
    try:
        found = tomllib.loads((folder / PERMISSIONS).read_text())
        accounts = [bytes.fromhex(one.removeprefix("0x")) for one in found["accounts-allowlist"]]
        return accounts, list(found["nodes-allowlist"])
    except (OSError, ValueError, RecursionError, KeyError) as cause:
        raise InputError(f"{folder / PERMISSIONS} is not well formed: {cause}") from cause


def change_account(folder: Path, address: bytes, *, allowed: bool) -> None:
    """Puts an account on the list of senders, or off it; nodes have to read the file again."""
    accounts, enodes = read_permissions(folder)
    kept = {*accounts, address} if allowed else set(accounts) - {address}
    write_permissions(folder, kept, enodes)


# Compose ------------------------------------------------------------------------------------------------


def compose(nodes: Sequence[BesuNode], rpc: BesuNode) -> dict[str, Any]:
    """A service for each node; only the RPC node's port is published, on this host alone."""
    services = {node.name: _service(node) for node in nodes}
    services[rpc.name] = _service(rpc) | {"ports": [f"127.0.0.1:{RPC_PORT}:{RPC_PORT}"]}
    return {
        "name": "trellis",
        "services": services,
        "networks": {"chain": {"ipam": {"config": [{"subnet": f"{SUBNET}.0/24"}]}}},
        "volumes": {node.name: {} for node in (*nodes, rpc)},
    }


def _service(node: BesuNode) -> dict[str, Any]:
    liveness = f"exec 3<>/dev/tcp/127.0.0.1/{RPC_PORT} && printf 'GET /liveness HTTP/1.0\\r\\n\\r\\n' >&3"
    return {
        "image": IMAGE,
        "restart": "unless-stopped",
        "command": _options(node),
        "volumes": [
            f"{node.name}:/data",
            f"./{GENESIS}:/config/{GENESIS}:ro",
            f"./{STATIC_NODES}:/config/{STATIC_NODES}:ro",
            f"./{PERMISSIONS}:/config/{PERMISSIONS}",
            f"./{node.name}/key:/config/key:ro",
        ],
        "networks": {"chain": {"ipv4_address": node.ip}},
        "healthcheck": {
            "test": ["CMD", "bash", "-c", f"{liveness} && grep -q '200 OK' <&3"],
            "interval": "10s",
            "timeout": "5s",
            "retries": 6,
            "start_period": "60s",
        },
        "stop_grace_period": "60s",
    }


def _options(node: BesuNode) -> list[str]:
    apis = "ETH,NET,WEB3,QBFT,TXPOOL,DEBUG" if node.name == "rpc" else "ETH,NET,WEB3,QBFT,PERM"
    options = {
        "data-path": "/data",
        "data-storage-format": "FOREST",  # keeps old state: an audit may ask for it
        "sync-mode": "FULL",
        "genesis-file": f"/config/{GENESIS}",
        "node-private-key-file": "/config/key",
        "static-nodes-file": f"/config/{STATIC_NODES}",
        "discovery-enabled": "false",
        "p2p-host": node.ip,
        "p2p-port": P2P_PORT,
        "min-gas-price": 0,
        "tx-pool": "sequenced",
        "permissions-accounts-config-file-enabled": "true",
        "permissions-accounts-config-file": f"/config/{PERMISSIONS}",
        "permissions-nodes-config-file-enabled": "true",
        "permissions-nodes-config-file": f"/config/{PERMISSIONS}",
        "rpc-http-enabled": "true",
        "rpc-http-host": "0.0.0.0",
        "rpc-http-port": RPC_PORT,
        "rpc-http-api": apis,
        "rpc-http-max-batch-size": 1000,
        "rpc-gas-cap": GAS_LIMIT,
        "host-allowlist": "*",
    }
    return [f"--{name}={value}" for name, value in options.items()]


def yaml(value: Any, indent: int = 0) -> str:
    """Mappings, lists, strings and numbers as YAML; every string in quotes, so that none is read as other."""
    pad = "  " * indent
    if isinstance(value, dict) and value:
        return "".join(f"{pad}{key}:{_below(one, indent)}" for key, one in value.items())
    if isinstance(value, list) and value:
        return "".join(f"{pad}-{_below(one, indent)}" for one in value)
    return f"{pad}{json.dumps(value)}\n"


def _below(value: Any, indent: int) -> str:
    nested = isinstance(value, dict | list) and value
    return "\n" + yaml(value, indent + 1) if nested else f" {json.dumps(value)}\n"
