"""Signing what participants and the operator sign: digests by the reference, secp256k1 by coincurve."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any, Protocol

import coincurve
from eth_abi.exceptions import EncodingError
from eth_account.messages import encode_typed_data

from settlement.chain.transaction import Transaction
from settlement.errors import InputError
from settlement.reference import eip712, orders
from settlement.reference.flexible import FlexibleSchedule, SignedFlexible
from settlement.reference.schedule import Schedule, SignedSchedule


class Message(Protocol):
    """A Withdrawal, Transfer or Acceptance of `settlement.reference.messages`."""

    def struct_hash(self) -> bytes: ...


def _bytes_of(key: bytes | str) -> bytes:
    return bytes.fromhex(key.removeprefix("0x")) if isinstance(key, str) else key


class Signer:
    """Who signs: a private key in this process. `RemoteSigner` asks another process instead."""

    def __init__(self, private_key: bytes | str) -> None:
        """32 bytes, or their hex with or without 0x."""
        secret = (
            bytes.fromhex(private_key.removeprefix("0x")) if isinstance(private_key, str) else private_key
        )
        if len(secret) != 32:
            raise InputError(f"a private key is 32 bytes, not {len(secret)}")
        self._secret = secret
        try:
            self._key = coincurve.PrivateKey(secret)
        except ValueError:
            raise InputError("a private key is not 0, and below the order of the curve") from None

    @property
    def secret(self) -> bytes:
        """The private key. InputError of a signer that does not have it."""
        return self._secret

    @cached_property
    def address(self) -> bytes:
        return eip712.keccak(self._key.public_key.format(compressed=False)[1:])[12:]

    def sign_digest(self, digest: bytes) -> bytes:
        """`r ‖ s ‖ v` with low s, v 27 or 28, the nonce after RFC 6979."""
        signature = self._key.sign_recoverable(digest, hasher=None)
        return bytes(signature[:64]) + bytes([27 + signature[64]])

    def sign_transaction(self, transaction: Transaction) -> bytes:
        """The bytes to send."""
        return transaction.signed(self.sign_digest(transaction.digest))

    def sign_typed_data(self, document: Mapping[str, Any]) -> bytes:
        """The signature of an EIP-712 document: types, primaryType, domain, message."""
        return self.sign_digest(typed_data_digest(document))

    def __repr__(self) -> str:
        return f"{type(self).__name__}(0x{self.address.hex()})"


def typed_data_digest(document: Mapping[str, Any]) -> bytes:
    """What is signed of an EIP-712 document. InputError if it is none."""
    try:
        found = encode_typed_data(full_message=dict(document))
    except (ValueError, TypeError, KeyError, AttributeError, EncodingError) as cause:
        raise InputError(f"the typed data are not well formed ({cause}): give an EIP-712 document") from cause
    return eip712.keccak(b"\x19" + found.version + found.header + found.body)


def sign_schedule(signer: Signer, separator: bytes, order: Schedule) -> SignedSchedule:
    """The schedule with its trader's signature under the Exchange's domain separator."""
    return SignedSchedule(order, signer.sign_digest(orders.order_hash(separator, order)))


def sign_flexible(signer: Signer, separator: bytes, order: FlexibleSchedule) -> SignedFlexible:
    """The flexible schedule with its trader's signature; its split is found later."""
    signature = signer.sign_digest(orders.order_hash(separator, order))
    return SignedFlexible(order, signature, (0,) * order.windows)


def sign_message(signer: Signer, separator: bytes, message: Message) -> bytes:
    """The signature of a message that anyone may relay: a withdrawal, transfer, acceptance, key grant ..."""
    return signer.sign_digest(eip712.digest(separator, message.struct_hash()))
