"""Whether an account signed a digest: with its key, or as a contract wallet.

    signature                     account            judged by
    ends in the magic of EIP-6492 a wallet,          one eth_call that deploys it if need be and asks it
                                  deployed or not
    anything else                 has code           its `isValidSignature` (EIP-1271), one eth_call
    65 bytes                      has no code        recovery of the key (low s; v 0, 1, 27 or 28)

Logins only: orders are signed by keys, and no order makes an external call.
"""

from __future__ import annotations

from enum import StrEnum
from functools import cache

from eth_abi.exceptions import DecodingError

from api.chain import ChainReader
from settlement.chain.abi import CODEC
from settlement.chain.compile import compile_contracts
from settlement.reference import eip712
from settlement.reference.errors import InvalidSignature

MOST_BYTES = 8192
"""Of a signature with everything that is wrapped around it."""
MAGIC_6492 = bytes.fromhex("6492" * 16)
IS_VALID = bytes.fromhex("1626ba7e")
"""Selector of `isValidSignature(bytes32,bytes)`, and what it answers if the signature is valid (EIP-1271)."""


class SignedBy(StrEnum):
    """How a signature was made."""

    KEY = "key"
    CONTRACT = "contract"
    COUNTERFACTUAL = "counterfactual"


class BadSignature(Exception):
    """The account did not sign this."""


async def verify(chain: ChainReader, account: bytes, digest: bytes, signature: bytes, gas: int) -> SignedBy:
    """How `account` signed the 32 bytes `digest`. BadSignature if it did not; ChainError if nobody can tell.

    A contract may use so much `gas` to judge.
    """
    if not 0 < len(signature) <= MOST_BYTES:
        raise BadSignature(f"a signature has 1 to {MOST_BYTES} bytes, not {len(signature)}")
    if signature.endswith(MAGIC_6492):
        await _counterfactual(chain, account, digest, signature, gas)
        return SignedBy.COUNTERFACTUAL
    if await chain.code(account):
        await _contract(chain, account, digest, signature, gas)
        return SignedBy.CONTRACT
    if recovered(digest, signature) != account:
        raise BadSignature("another key than the account's signed, or another message")
    return SignedBy.KEY


def recovered(digest: bytes, signature: bytes) -> bytes:
    """The address whose key signed. Wallets write v as 27 or 28, some hardware as 0 or 1."""
    if len(signature) == 65 and signature[64] < 2:
        signature = signature[:64] + bytes([signature[64] + 27])
    try:
        return eip712.recover(digest, signature)
    except InvalidSignature as cause:
        raise BadSignature("it is no signature of 65 bytes with low s") from cause


@cache
def _judge() -> bytes:
    return compile_contracts()["WalletSignature"].linked()


async def _contract(chain: ChainReader, account: bytes, digest: bytes, signature: bytes, gas: int) -> None:
    data = IS_VALID + CODEC.encode(["bytes32", "bytes"], [digest, signature])
    answer = await chain.execute(account, data, gas)
    if answer is None or len(answer) < 32 or answer[:32] != IS_VALID.ljust(32, b"\0"):
        raise BadSignature("the contract wallet does not accept the signature (EIP-1271)")


async def _counterfactual(
    chain: ChainReader, account: bytes, digest: bytes, wrapped: bytes, gas: int
) -> None:
    try:
        factory, call, inner = CODEC.decode(["address", "bytes", "bytes"], wrapped[:-32])
    except (DecodingError, ValueError, OverflowError) as cause:
        raise BadSignature("what is wrapped is no (address, bytes, bytes) (EIP-6492)") from cause
    types = ["address", "bytes32", "address", "bytes", "bytes"]
    arguments = CODEC.encode(types, [account, digest, factory, call, inner])
    answer = await chain.execute(None, _judge() + arguments, gas)
    if answer != (1).to_bytes(32, "big"):
        raise BadSignature("the wallet does not accept the signature, deployed or not (EIP-6492)")
