"""How the P-chain writes ids, addresses and numbers.

number       big endian, 2, 4 or 8 bytes
id           32 bytes; as text CB58: base 58 of the bytes and the last 4 of their SHA-256
node         20 bytes, RIPEMD-160 of SHA-256 of the DER certificate; as text "NodeID-" and CB58
address      20 bytes, RIPEMD-160 of SHA-256 of the compressed public key; as text the chain's letter,
             "-" and bech32 (BIP 173) with the prefix "custom"
transaction  as text "0x", the bytes and the last 4 of their SHA-256 in hex
"""

from __future__ import annotations

import hashlib

import coincurve
from Crypto.Hash import RIPEMD160

from settlement.errors import InputError

NODE_PREFIX = "NodeID-"
CHECK_BYTES = 4

_BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_BECH32 = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
_BECH32_GENERATOR = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)


def sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def short_hash(data: bytes) -> bytes:
    """20 bytes."""
    return RIPEMD160.new(sha256(data)).digest()


def u16(value: int) -> bytes:
    return value.to_bytes(2, "big")


def u32(value: int) -> bytes:
    return value.to_bytes(4, "big")


def u64(value: int) -> bytes:
    return value.to_bytes(8, "big")


def with_check(data: bytes) -> bytes:
    return data + sha256(data)[-CHECK_BYTES:]


# CB58 ---------------------------------------------------------------------------------------------------


def cb58(data: bytes) -> str:
    checked = with_check(data)
    number, digits = int.from_bytes(checked, "big"), ""
    while number:
        number, digit = divmod(number, 58)
        digits = _BASE58[digit] + digits
    return "1" * _leading(checked, 0) + digits


def from_cb58(text: str, size: int) -> bytes:
    """`size` bytes. InputError for another size, other letters, or a check that does not fit."""
    number = 0
    for letter in text:
        if letter not in _BASE58:
            raise InputError(f"{text!r} is no id: {letter!r} is not a letter of base 58")
        number = number * 58 + _BASE58.index(letter)
    zeros = len(text) - len(text.lstrip("1"))
    found = bytes(zeros) + number.to_bytes(-(-number.bit_length() // 8), "big")
    data = found[:-CHECK_BYTES]
    if len(data) != size or with_check(data) != found:
        raise InputError(f"{text!r} is no id of {size} bytes: look it up again")
    return data


def _leading(data: bytes, byte: int) -> int:
    return next((at for at, one in enumerate(data) if one != byte), len(data))


def node_id(certificate: bytes) -> str:
    """Of a validator, by its certificate in DER."""
    return NODE_PREFIX + cb58(short_hash(certificate))


def node_bytes(text: str) -> bytes:
    """20 bytes of a "NodeID-…". InputError."""
    if not text.startswith(NODE_PREFIX):
        raise InputError(f"{text!r} is no validator: its id begins with {NODE_PREFIX}")
    return from_cb58(text.removeprefix(NODE_PREFIX), 20)


# Addresses ----------------------------------------------------------------------------------------------


def short_address(secret: bytes) -> bytes:
    """20 bytes of a secp256k1 key, as the P-chain counts them; the EVM's are others."""
    return short_hash(coincurve.PrivateKey(secret).public_key.format())


def bech32_address(chain: str, address: bytes, prefix: str = "custom") -> str:
    """`P-custom1…`."""
    number = int.from_bytes(address, "big")
    data = [number >> shift & 31 for shift in range(len(address) * 8 - 5, -1, -5)]
    expanded = [ord(c) >> 5 for c in prefix] + [0] + [ord(c) & 31 for c in prefix]
    check = _polymod([*expanded, *data, *(0,) * 6]) ^ 1
    data += [check >> 5 * (5 - at) & 31 for at in range(6)]
    return f"{chain}-{prefix}1" + "".join(_BECH32[value] for value in data)


def _polymod(values: list[int]) -> int:
    check = 1
    for value in values:
        top = check >> 25
        check = (check & 0x1FFFFFF) << 5 ^ value
        for bit, generator in enumerate(_BECH32_GENERATOR):
            check ^= generator if top >> bit & 1 else 0
    return check
