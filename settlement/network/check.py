"""What Trellis needs of a chain, asked of it from outside: nothing is deployed, nothing can be mined.

Two transactions are offered to each node. Both are signed by a key made up for the purpose, whose account is
empty, and move 1 wei that it has not got: every node must refuse them, and why it does is what is wanted.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from eth_account import Account

from settlement.chain.client import BATCH, MOST_GAS
from settlement.chain.rpc import TX_BYTES_CAP
from settlement.chain.sign import Signer
from settlement.network.errors import NetworkError, Refused
from settlement.network.http import ask, ask_many
from settlement.network.lists import SENDERS, Role, list_call
from settlement.reference.eip712 import keccak

PROBE = "0x" + 36 * "0" + "7e57"
"""An address where nothing is."""
LAG_BLOCKS = 20
LOG_BLOCKS = 1_000
SIZE = TX_BYTES_CAP - 4_096
"""Bytes of calldata of the large transaction, the largest that is ever sent and some room."""

LONDON = bytes.fromhex("46600052485047506001600160" + "1b50" + "60206000f3")
"""CHAINID, kept; BASEFEE (new in london), SELFBALANCE, SHL; returns the chain id."""
GAS_LEFT = bytes.fromhex("5a60005260206000f3")

OVERSIZED = ("oversized", "too large", "size", "exceed", "413")
UNKNOWN_SENDER = ("non-allow listed", "not authorized", "not permitted")
"""What Subnet-EVM and Besu say of a sender who is on no list."""


@dataclass(frozen=True)
class Check:
    """One thing that is needed."""

    name: str
    passed: bool
    reason: str
    """What was found, and where it failed what to do."""


def check(rpcs: Sequence[str]) -> list[Check]:
    """All of them; those of a single node for each in turn, up to the first that fails."""
    answers = _one("answers", lambda: _answers(rpcs))
    if not answers.passed:
        return [answers]
    single = (
        ("EVM version", _evm),
        ("signatures", _ecrecover),
        ("block gas limit", _gas_limit),
        ("gas of a call", _call_gas),
        ("transaction size", _size),
        ("permissioning", _permissioning),
        ("logs", _logs),
        ("batches", _batches),
        ("finality", _finality),
    )
    each = [_one(name, _on_all(rpcs, run)) for name, run in single]
    return [answers, _one("nodes agree", lambda: _agree(rpcs)), *each]


class _Failed(Exception):
    """A check does not hold."""


def _one(name: str, run: Callable[[], str]) -> Check:
    try:
        return Check(name, True, run())
    except (_Failed, NetworkError) as failed:
        return Check(name, False, str(failed))
    except (KeyError, TypeError, ValueError) as cause:
        return Check(name, False, f"an answer is not well formed ({type(cause).__name__}: {cause})")


def _on_all(rpcs: Sequence[str], run: Callable[[str], str]) -> Callable[[], str]:
    def on_all() -> str:
        found = ""
        for rpc in rpcs:
            try:
                found = run(rpc)
            except (_Failed, Refused) as failed:
                raise _Failed(f"{failed} ({rpc})" if len(rpcs) > 1 else str(failed)) from failed
        return found

    return on_all


# All nodes ----------------------------------------------------------------------------------------------


def _answers(rpcs: Sequence[str]) -> str:
    chains = {rpc: int(ask(rpc, "eth_chainId", []), 16) for rpc in rpcs}
    if len(set(chains.values())) > 1:
        raise _Failed(f"the nodes are of different chains: {chains}")
    return f"{len(rpcs)} of {len(rpcs)} nodes, chain {chains[rpcs[0]]}"


def _agree(rpcs: Sequence[str]) -> str:
    heights = [int(ask(rpc, "eth_blockNumber", []), 16) for rpc in rpcs]
    common = min(heights)
    hashes = {rpc: ask(rpc, "eth_getBlockByNumber", [hex(common), False])["hash"] for rpc in rpcs}
    if len(set(hashes.values())) > 1:
        raise _Failed(f"they have different blocks {common}: {hashes}")
    if max(heights) - common > LAG_BLOCKS:
        behind = rpcs[heights.index(common)]
        raise _Failed(f"{behind} is {max(heights) - common} blocks behind: see whether it has peers")
    return f"one block {common}, {hashes[rpcs[0]]}"


# One node -----------------------------------------------------------------------------------------------


def _run_code(rpc: str, code: bytes, gas: int) -> int:
    """What code returns, run where nothing is deployed; the first word of it."""
    call = {"to": PROBE, "data": "0x", "gas": hex(gas)}
    found = ask(rpc, "eth_call", [call, "latest", {PROBE: {"code": "0x" + code.hex()}}])
    return int(found, 16) if found != "0x" else 0


def _evm(rpc: str) -> str:
    if _run_code(rpc, LONDON, 1_000_000) != int(ask(rpc, "eth_chainId", []), 16):
        raise _Failed("the EVM does not run london's opcodes: activate london in the genesis")
    return "runs london's opcodes"


def _ecrecover(rpc: str) -> str:
    signer, digest = Signer(secrets.token_bytes(32)), keccak(b"trellis network check")
    signature = signer.sign_digest(digest)
    data = digest + bytes(31) + signature[64:] + signature[:64]
    found = ask(rpc, "eth_call", [{"to": "0x" + 39 * "0" + "1", "data": "0x" + data.hex()}, "latest"])
    if bytes.fromhex(found[2:])[12:] != signer.address:
        raise _Failed("ecrecover at address 1 does not recover a signer")
    return "ecrecover answers"


def _gas_limit(rpc: str) -> str:
    limit = int(ask(rpc, "eth_getBlockByNumber", ["latest", False])["gasLimit"], 16)
    if limit < MOST_GAS:
        raise _Failed(f"a block takes {limit:,} gas, less than a transaction's {MOST_GAS:,}: raise it")
    return f"{limit:,}, at least {MOST_GAS:,}"


def _call_gas(rpc: str) -> str:
    left = _run_code(rpc, GAS_LEFT, MOST_GAS)
    if left < MOST_GAS - 100_000:
        raise _Failed(f"a call gets {left:,} gas where {MOST_GAS:,} are asked: raise the node's cap for RPC")
    return f"a call gets {MOST_GAS:,}"


def _offer(rpc: str, data: bytes) -> str:
    """Why a transaction of somebody unknown is refused."""
    fields = {
        "nonce": 0,
        "gas": 21_000 + 16 * len(data),
        "gasPrice": 2 * int(ask(rpc, "eth_gasPrice", []), 16) + 1,
        "to": PROBE,
        "value": 1,
        "data": data,
        "chainId": int(ask(rpc, "eth_chainId", []), 16),
    }
    raw = Account.sign_transaction(fields, secrets.token_bytes(32)).raw_transaction
    try:
        ask(rpc, "eth_sendRawTransaction", ["0x" + raw.hex()])
    except Refused as refused:
        return str(refused).lower()
    return "taken"


def _size(rpc: str) -> str:
    why = _offer(rpc, bytes(SIZE))
    if any(word in why for word in OVERSIZED):
        raise _Failed(f"a transaction of {SIZE:,} bytes is too large here: {why}")
    return f"{SIZE:,} bytes are not too many"


def _permissioning(rpc: str) -> str:
    why, client = _offer(rpc, b""), str(ask(rpc, "web3_clientVersion", []))
    if any(word in why for word in UNKNOWN_SENDER):
        return "an unknown sender is refused"
    if _has_list(rpc):
        return "an unknown sender has no role on the chain's list of senders"
    if client.lower().startswith("anvil"):
        return "none: an embedded chain, of one machine"
    raise _Failed(f"an unknown sender is refused only because {why}: put senders on a list")


def _has_list(rpc: str) -> bool:
    """Subnet-EVM looks at the balance first, so its list is asked."""
    data = list_call("readAllowList(address)", secrets.token_bytes(20))
    found = ask(rpc, "eth_call", [{"to": "0x" + SENDERS.hex(), "data": "0x" + data.hex()}, "latest"])
    return len(found) == 66 and int(found, 16) == Role.NONE


def _logs(rpc: str) -> str:
    head = int(ask(rpc, "eth_blockNumber", []), 16)
    first = max(0, head - LOG_BLOCKS)
    found = ask(rpc, "eth_getLogs", [{"fromBlock": hex(first), "toBlock": hex(head)}])
    if not isinstance(found, list):
        raise _Failed("eth_getLogs gives no list")
    return f"{len(found)} in blocks {first} to {head}"


def _batches(rpc: str) -> str:
    count = len(ask_many(rpc, [("eth_chainId", [])] * BATCH))
    if count != BATCH:
        raise _Failed(f"{count} of {BATCH} questions of a batch are answered: raise the node's limit")
    return f"{BATCH} questions at once"


def _finality(rpc: str) -> str:
    head = int(ask(rpc, "eth_blockNumber", []), 16)
    try:
        block = ask(rpc, "eth_getBlockByNumber", ["finalized", False])
    except Refused:
        block = None
    if block is None:
        if _is_qbft(rpc):
            return "QBFT: every block is final"
        raise _Failed("the node knows no finalized block: wait for one, or take a chain with finality")
    return f"finalized up to block {int(block['number'], 16)} of {head}"


def _is_qbft(rpc: str) -> bool:
    try:
        return bool(ask(rpc, "qbft_getValidatorsByBlockNumber", ["latest"]))
    except NetworkError:
        return False
