"""Transactions, receipts and headers as the bytes that the chain hashes.

Of transactions: legacy (with and without a chain id), with access list (EIP-2930), with fee cap (EIP-1559).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import coincurve
import rlp
from trie.hexary import HexaryTrie

from settlement.chain.rpc import Log, log, to_bytes
from settlement.reference.eip712 import keccak

Json = dict[str, Any]

EMPTY_BLOOM = bytes(256)
KNOWN_TYPES = (0, 1, 2)


def number(raw: Json, name: str) -> int:
    return int(raw[name], 16)


def kind_of(raw: Json) -> int:
    return int(raw.get("type") or "0x0", 16)


# Transactions -------------------------------------------------------------------------------------------


def _payload(raw: Json) -> list[Any]:
    """What is signed, without the chain id that a legacy transaction ends with."""
    kind = kind_of(raw)
    call = [
        number(raw, "gas"),
        to_bytes(raw.get("to")),
        number(raw, "value"),
        to_bytes(raw["input"]),
    ]
    if kind == 0:
        return [number(raw, "nonce"), number(raw, "gasPrice"), *call]
    access = [
        [to_bytes(one["address"]), [to_bytes(key) for key in one["storageKeys"]]]
        for one in raw.get("accessList") or ()
    ]
    fees = ["gasPrice"] if kind == 1 else ["maxPriorityFeePerGas", "maxFeePerGas"]
    head = [number(raw, "chainId"), number(raw, "nonce"), *(number(raw, name) for name in fees)]
    return [*head, *call, access]


def encode_transaction(raw: Json) -> bytes:
    """Its bytes. ValueError for a type that is not known."""
    kind, signature = kind_of(raw), [number(raw, "r"), number(raw, "s")]
    if kind not in KNOWN_TYPES:
        raise ValueError(f"transactions of type {kind} are not known")
    if kind == 0:
        return bytes(rlp.encode([*_payload(raw), number(raw, "v"), *signature]))
    return bytes([kind]) + bytes(rlp.encode([*_payload(raw), _parity(raw), *signature]))


def created_by(raw: Json, sender: bytes) -> bytes:
    """The address of the contract that the transaction creates."""
    return keccak(rlp.encode([sender, number(raw, "nonce")]))[12:]


def _parity(raw: Json) -> int:
    return number(raw, "yParity" if "yParity" in raw else "v")


def chain_of(raw: Json) -> int | None:
    """The chain that it was signed for; None if for any."""
    if kind_of(raw):
        return number(raw, "chainId")
    v = number(raw, "v")
    return None if v in (27, 28) else (v - 35) >> 1


def sender_of(raw: Json) -> bytes:
    """Who signed it. ValueError if nobody can have."""
    payload, kind, chain = _payload(raw), kind_of(raw), chain_of(raw)
    if kind:
        signed, parity = bytes([kind]) + rlp.encode(payload), _parity(raw)
    elif chain is None:
        signed, parity = rlp.encode(payload), number(raw, "v") - 27
    else:
        signed, parity = rlp.encode([*payload, chain, 0, 0]), (number(raw, "v") - 35) & 1
    r, s = (number(raw, name).to_bytes(32, "big") for name in ("r", "s"))
    try:
        compact = r + s + bytes([parity])
        key = coincurve.PublicKey.from_signature_and_message(compact, keccak(signed), hasher=None)
    except Exception as cause:  # coincurve raises a bare Exception where nothing recovers
        raise ValueError("no key recovers from its signature") from cause
    return keccak(key.format(compressed=False)[1:])[12:]


# Receipts -----------------------------------------------------------------------------------------------


def bloom_of(logs: Sequence[Log]) -> bytes:
    """The filter of these logs: three bits for each address and topic."""
    bits = 0
    for one in logs:
        for item in (one.address, *one.topics):
            digest = keccak(item)
            for at in (0, 2, 4):
                bits |= 1 << (int.from_bytes(digest[at : at + 2], "big") & 2047)
    return bits.to_bytes(256, "big")


def logs_of(raw: Json) -> tuple[Log, ...]:
    return tuple(map(log, raw["logs"]))


def encode_receipt(raw: Json) -> bytes:
    """Its bytes, with the filter recomputed from its logs."""
    logs = logs_of(raw)
    told = [[one.address, list(one.topics), one.data] for one in logs]
    body = rlp.encode([number(raw, "status"), number(raw, "cumulativeGasUsed"), bloom_of(logs), told])
    kind = kind_of(raw)
    return (bytes([kind]) if kind else b"") + bytes(body)


# Blocks -------------------------------------------------------------------------------------------------


def root_of(items: Sequence[bytes]) -> bytes:
    """Root of the tree of a block's transactions or receipts, by position."""
    tree = HexaryTrie({})
    for index, item in enumerate(items):
        tree[rlp.encode(index)] = item
    return bytes(tree.root_hash)


_HEADER = (
    *("parentHash", "sha3Uncles", "miner", "stateRoot", "transactionsRoot", "receiptsRoot", "logsBloom"),
    *("difficulty", "number", "gasLimit", "gasUsed", "timestamp", "extraData", "mixHash", "nonce"),
)
_LATER = (
    *("baseFeePerGas", "blockGasCost", "withdrawalsRoot", "blobGasUsed", "excessBlobGas"),
    *("parentBeaconBlockRoot", "requestsHash"),
)
"""What later forks append, in their order, and Subnet-EVM (blockGasCost)."""
_NUMBERS = {
    *("difficulty", "number", "gasLimit", "gasUsed", "timestamp"),
    *("baseFeePerGas", "blockGasCost", "blobGasUsed", "excessBlobGas"),
}


def encode_header(raw: Json) -> bytes:
    """Its header's bytes."""
    names = [*_HEADER, *(name for name in _LATER if raw.get(name) is not None)]
    return bytes(rlp.encode([number(raw, n) if n in _NUMBERS else to_bytes(raw[n]) for n in names]))


def header_hash(raw: Json) -> bytes:
    """The block's hash by its header, where the chain hashes headers as Ethereum does."""
    return keccak(encode_header(raw))
