"""What travels between the client and a node: hex in and out, receipts, logs, refusals."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from web3 import HTTPProvider, IPCProvider

from settlement.chain.abi import decode_error
from settlement.chain.errors import ChainError, ContractRevert, NodeError, TransactionTooLarge

TX_BYTES_CAP = 128 * 1024
TIMEOUT_S = 60

_HEX = re.compile(r"0x[0-9a-fA-F]*")


@dataclass(frozen=True, slots=True)
class Log:
    """One event as the chain keeps it."""

    address: bytes
    topics: tuple[bytes, ...]
    data: bytes
    block: int
    index: int
    tx_hash: bytes


@dataclass(frozen=True, slots=True)
class Receipt:
    """A transaction that was mined and succeeded."""

    tx_hash: bytes
    block: int
    gas_used: int
    logs: tuple[Log, ...]
    contract: bytes | None
    """Address of the contract it created, if any."""


@dataclass(frozen=True, slots=True)
class Call:
    """A read of a contract."""

    to: bytes
    data: bytes


def provider(rpc: str, *, timeout_s: int = TIMEOUT_S, again: bool = True) -> HTTPProvider | IPCProvider:
    """An http(s) URL or the path of an IPC socket; with `again`, HTTP is tried several times."""
    if not rpc.startswith(("http://", "https://")):
        return IPCProvider(rpc, timeout=timeout_s)
    if again:
        return HTTPProvider(rpc, request_kwargs={"timeout": timeout_s})
    return HTTPProvider(rpc, request_kwargs={"timeout": timeout_s}, exception_retry_configuration=None)


def to_hex(data: bytes) -> str:
    return "0x" + data.hex()


def to_bytes(text: str | None) -> bytes:
    return bytes.fromhex((text or "0x").removeprefix("0x"))


def tag(block: int | None) -> str:
    """How a block is named; None is the latest."""
    return "latest" if block is None else hex(block)


def request(sender: bytes | None, to: bytes | None, data: bytes) -> dict[str, str]:
    """The transaction object of a read or an estimate."""
    fields = {"data": to_hex(data)}
    if sender is not None:
        fields["from"] = to_hex(sender)
    if to is not None:
        fields["to"] = to_hex(to)
    return fields


def check_size(size: int) -> None:
    if size > TX_BYTES_CAP:
        raise TransactionTooLarge(size, TX_BYTES_CAP)


def log(raw: Any) -> Log:
    return Log(
        address=to_bytes(raw["address"]),
        topics=tuple(map(to_bytes, raw["topics"])),
        data=to_bytes(raw["data"]),
        block=int(raw["blockNumber"], 16),
        index=int(raw["logIndex"], 16),
        tx_hash=to_bytes(raw["transactionHash"]),
    )


def receipt(raw: Any) -> Receipt:
    created = raw.get("contractAddress")
    return Receipt(
        tx_hash=to_bytes(raw["transactionHash"]),
        block=int(raw["blockNumber"], 16),
        gas_used=int(raw["gasUsed"], 16),
        logs=tuple(map(log, raw["logs"])),
        contract=to_bytes(created) if created else None,
    )


def refusal(method: str, error: Any) -> NodeError:
    """A JSON-RPC error. Nodes put a revert's data under `data`, some one level deeper."""
    if not isinstance(error, dict):
        return NodeError(method, str(error))
    data = error.get("data")
    if isinstance(data, dict):
        data = data.get("data") or data.get("result")
    found = _HEX.fullmatch(data) if isinstance(data, str) else None
    return NodeError(
        method, str(error.get("message", "")), int(error.get("code", 0)), to_bytes(found and found[0])
    )


def as_revert(error: NodeError) -> ChainError:
    """The contract's own error, where the node refused because the contract did."""
    if error.data:
        return decode_error(error.data)
    return ContractRevert("") if error.code == 3 or "revert" in str(error) else error
