"""EIP-712: what a wallet signs, and whose signature it is (docs/formats.md, EIP-712)."""

from collections.abc import Iterable

import coincurve
from eth_hash.auto import keccak as _keccak

from settlement.reference.errors import InvalidSignature
from settlement.reference.words import address_word, check_hash, word, words

CURVE_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
HIGHEST_S = CURVE_ORDER >> 1


def keccak(data: bytes) -> bytes:
    """Keccak-256, 32 bytes."""
    return _keccak(data)


DOMAIN_TYPE_HASH = keccak(
    b"EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"
)
NAME_HASH = keccak(b"Trellis")
VERSION_HASH = keccak(b"1")


def domain_separator(chain_id: int, contract: bytes) -> bytes:
    """The hash that binds a message to one chain and one Exchange."""
    return keccak(DOMAIN_TYPE_HASH + NAME_HASH + VERSION_HASH + word(chain_id) + address_word(contract))


def hash_array(values: Iterable[int]) -> bytes:
    """An array of integers inside a struct: the hash of its words."""
    return keccak(words(values))


def digest(separator: bytes, struct_hash: bytes) -> bytes:
    """The 32 bytes that are signed; of a Schedule, also the order's hash."""
    return keccak(b"\x19\x01" + check_hash("separator", separator) + check_hash("struct_hash", struct_hash))


def recover(message: bytes, signature: bytes) -> bytes:
    """The address that signed the digest `message`.

    Raises InvalidSignature unless `signature` is `r ‖ s ‖ v`, 65 bytes, with `v` 27 or 28 and `s` in the
    lower half, so that nobody can turn one valid signature into another.
    """
    check_hash("digest", message)
    if len(signature) != 65 or signature[64] not in (27, 28):
        raise InvalidSignature
    if not 0 < int.from_bytes(signature[32:64], "big") <= HIGHEST_S:
        raise InvalidSignature
    try:
        compact = signature[:64] + bytes([signature[64] - 27])
        key = coincurve.PublicKey.from_signature_and_message(compact, message, hasher=None)
    except Exception as cause:  # coincurve raises a bare Exception where nothing recovers
        raise InvalidSignature from cause
    return keccak(key.format(compressed=False)[1:])[12:]
