"""What the operator promises and what a trader takes back (docs/formats.md, EIP-712)."""

from dataclasses import dataclass

from settlement.reference import eip712
from settlement.reference.eip712 import keccak
from settlement.reference.words import check_hash, check_uint, word

RECEIPT_TYPE_HASH = keccak(b"Receipt(bytes32 session,bytes32 hash,uint32 sequence)")
CANCEL_TYPE_HASH = keccak(b"Cancel(bytes32 orderHash,bytes32 session)")


@dataclass(frozen=True)
class Receipt:
    """The operator's word that an order is in, or its cancel."""

    session: bytes
    hash: bytes
    """Of the order, or of the cancel."""
    sequence: int
    """Below the session's `max_orders`."""

    def struct_hash(self) -> bytes:
        hashes = check_hash("session", self.session) + check_hash("hash", self.hash)
        return keccak(RECEIPT_TYPE_HASH + hashes + word(check_uint("sequence", self.sequence, 32)))


@dataclass(frozen=True)
class Cancel:
    """A trader's word that it takes an order back."""

    order_hash: bytes
    session: bytes

    def struct_hash(self) -> bytes:
        hashes = check_hash("order_hash", self.order_hash) + check_hash("session", self.session)
        return keccak(CANCEL_TYPE_HASH + hashes)


def digest(separator: bytes, message: Receipt | Cancel) -> bytes:
    """What is signed; of a Cancel, also the hash that its receipt is for."""
    return eip712.digest(separator, message.struct_hash())


@dataclass(frozen=True)
class SignedReceipt:
    """A receipt as it is shown: session and hash are known from what it is shown with."""

    sequence: int
    signature: bytes
    """`r ‖ s ‖ v` of the session's receipt signer."""
