"""What a network begins with: the primary network's genesis, the EVM's, and the settings of both.

The figures here were measured (docs/network.md): a base fee of 1 wei, since with 0 no block is ever built;
120M gas a block, since larger ones stall consensus after a missed turn; weight 5 a validator, since consensus
samples units of weight and halts where too few are left.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Sequence
from typing import Any

from settlement.network.codec import bech32_address, short_address
from settlement.network.identity import Identity
from settlement.network.pchain import DELEGATION_SHARE, STAKE_NANO

GAS_LIMIT = 120_000_000
BASE_FEE_WEI = 1
WEIGHT = 5
STAKE_S = 365 * 86_400
"""How long the primary network's first stakes last: see docs/network.md, Renewal."""
FUNDS_NANO = 10**15
"""The administrator's, for transactions and for the stake of validators that join."""
SENDER_WEI = 10**24
ADMINISTRATOR_WEI = 10**30
BLOCK_DELAY_NS = 200_000_000
DATABASE = {"cacheSize": 64 << 20, "memTableSize": 16 << 20, "maxOpenFiles": 1024}
"""Of the chain's database. Its own settings reserve 400 MB of disk for a chain that has nothing in it."""
NO_ADDRESS = "0x" + 40 * "0"


def primary(
    network_id: int, identities: Sequence[Identity], administrator: bytes, stake: bytes, start: int
) -> dict[str, Any]:
    """The primary network's genesis. `administrator` and `stake` are secrets of 32 bytes: what is staked is
    locked at the second, since a locked address could not pay.
    """
    fund, staked = (bech32_address("X", short_address(secret)) for secret in (administrator, stake))
    locked = [{"amount": len(identities) * STAKE_NANO, "locktime": start + 7 * 86_400}]
    return {
        "networkID": network_id,
        "startTime": start,
        "initialStakeDuration": STAKE_S,
        "initialStakeDurationOffset": 60,
        "initialStakedFunds": [staked],
        "allocations": [
            _allocation(staked, locked),
            _allocation(fund, [{"amount": FUNDS_NANO}]),
        ],
        "initialStakers": [_staker(one, fund) for one in identities],
        "cChainGenesis": json.dumps(_unused_chain(network_id)),
        "message": "trellis",
    }


def _allocation(address: str, schedule: list[dict[str, int]]) -> dict[str, Any]:
    return {"ethAddr": NO_ADDRESS, "avaxAddr": address, "initialAmount": 0, "unlockSchedule": schedule}


def _staker(identity: Identity, reward: str) -> dict[str, Any]:
    signer = {
        "publicKey": "0x" + identity.public_key.hex(),
        "proofOfPossession": "0x" + identity.proof.hex(),
    }
    return {
        "nodeID": identity.node_id,
        "rewardAddress": reward,
        "delegationFee": DELEGATION_SHARE,
        "signer": signer,
    }


def _unused_chain(network_id: int) -> dict[str, Any]:
    """Every primary network has a C-chain; this one's holds nothing."""
    return {
        "config": {"chainId": network_id + 1},
        "nonce": "0x0",
        "timestamp": "0x5FCB13D0",
        "extraData": "0x00",
        "gasLimit": "0x5f5e100",
        "difficulty": "0x0",
        "mixHash": "0x" + 64 * "0",
        "coinbase": NO_ADDRESS,
        "alloc": {},
        "number": "0x0",
        "gasUsed": "0x0",
        "parentHash": "0x" + 64 * "0",
    }


# The EVM ------------------------------------------------------------------------------------------------


def evm(chain_id: int, administrator: bytes, senders: Iterable[bytes], start: int) -> dict[str, Any]:
    """Subnet-EVM's genesis: the administrator keeps both lists, `senders` are on both from the start."""
    known = list(senders)
    alloc = {_bare(administrator): {"balance": hex(ADMINISTRATOR_WEI)}}
    alloc |= {_bare(one): {"balance": hex(SENDER_WEI)} for one in known}
    return {
        "config": {
            "chainId": chain_id,
            "homesteadBlock": 0,
            "eip150Block": 0,
            "eip155Block": 0,
            "eip158Block": 0,
            "byzantiumBlock": 0,
            "constantinopleBlock": 0,
            "petersburgBlock": 0,
            "istanbulBlock": 0,
            "muirGlacierBlock": 0,
            "feeConfig": {
                "gasLimit": GAS_LIMIT,
                "minBaseFee": BASE_FEE_WEI,
                "targetGas": 10**15,
                "baseFeeChangeDenominator": 10**6,
                "minBlockGasCost": 0,
                "maxBlockGasCost": 0,
                "blockGasCostStep": 0,
                "targetBlockRate": 1,
            },
            "txAllowListConfig": _list(administrator, known),
            "contractDeployerAllowListConfig": _list(administrator, known),
        },
        "alloc": alloc,
        "nonce": "0x0",
        "timestamp": hex(start),
        "extraData": "0x",
        "gasLimit": hex(GAS_LIMIT),
        "difficulty": "0x0",
        "mixHash": "0x" + 64 * "0",
        "coinbase": NO_ADDRESS,
        "number": "0x0",
        "gasUsed": "0x0",
        "parentHash": "0x" + 64 * "0",
    }


def _list(administrator: bytes, enabled: Sequence[bytes]) -> dict[str, Any]:
    found: dict[str, Any] = {"blockTimestamp": 0, "adminAddresses": [_address(administrator)]}
    return found | ({"enabledAddresses": [_address(one) for one in enabled]} if enabled else {})


def _address(address: bytes) -> str:
    return "0x" + address.hex()


def _bare(address: bytes) -> str:
    return address.hex()


# Settings -----------------------------------------------------------------------------------------------


def subnet_settings() -> dict[str, Any]:
    """Only validators may connect, and see what is sent."""
    return {"validatorOnly": True, "proposerMinBlockDelay": BLOCK_DELAY_NS}


def chain_settings() -> dict[str, Any]:
    """Every node keeps all state, so that each can answer an audit."""
    return {
        "pruning-enabled": False,
        "state-sync-enabled": False,
        "eth-apis": [
            "eth",
            "eth-filter",
            "net",
            "web3",
            "internal-eth",
            "internal-blockchain",
            "internal-transaction",
            "internal-tx-pool",
            "debug",
            "debug-tracer",
        ],
        "rpc-gas-cap": GAS_LIMIT,
        "database-config": base64.b64encode(json.dumps(DATABASE).encode()).decode(),
        "batch-request-limit": 1000,
        "api-max-blocks-per-request": 0,
        "tx-pool-price-limit": BASE_FEE_WEI,
        "tx-pool-account-slots": 1024,
        "tx-pool-account-queue": 1024,
        "push-gossip-frequency": "50ms",
        "pull-gossip-frequency": "500ms",
        "local-txs-enabled": True,
    }
