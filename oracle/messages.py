"""The 52-byte message that a meter signs (docs/formats.md, Metering).

    byte  0      0x01, the version
          1..32  meterId      keccak("trellis/meter" ‖ serial utf-8)
         33      register     1 import (OBIS 1.8.0), 2 export (2.8.0)
         34..35  windowLength seconds: 300, 900, 1800 or 3600
         36..39  windowIndex  unix_start // windowLength
         40..43  wh           energy of the window, below 2^30
         44..51  sequence     the meter's counter: of one reading, the highest counts

The signature is ECDSA P-256 over the SHA-256 of those bytes, 64 bytes `r ‖ s`. Real meters emit `s` in
either half, so both are accepted; `normalise` gives the lower one, which is what contracts take. A signature
therefore never identifies anything: `Reading.key` does.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils

from oracle.errors import BadMessage, BadMeterKey
from settlement.reference.eip712 import keccak

VERSION = 1
MESSAGE_BYTES = 52
SIGNATURE_BYTES = 64
IMPORT, EXPORT = 1, 2
REGISTERS = (IMPORT, EXPORT)
WINDOW_LENGTHS_S = (300, 900, 1800, 3600)
WH_BOUND = 1 << 30
"""Energy of one window lies below this, Wh."""
P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551

_VERIFY = ec.ECDSA(hashes.SHA256())
_SIGN = ec.ECDSA(hashes.SHA256(), deterministic_signing=True)


class ReadingKey(NamedTuple):
    """What identifies a reading within one window length; sorts as the commitments do."""

    meter_id: bytes
    register: int
    window_index: int

    def __str__(self) -> str:
        return f"0x{self.meter_id.hex()}/{self.register}/{self.window_index}"


@dataclass(frozen=True, slots=True)
class Reading:
    """One register's energy in one window. BadMessage if a field is out of range."""

    meter_id: bytes
    """32 bytes."""
    register: int
    """1 import, 2 export."""
    window_length_s: int
    """300, 900, 1800 or 3600."""
    window_index: int
    """uint32, unix_start // window_length_s."""
    wh: int
    """uint32. All of it decodes, so that what a meter signed can be shown; intake refuses 2^30 and above."""
    sequence: int
    """uint64."""

    def __post_init__(self) -> None:
        if len(self.meter_id) != 32:
            raise BadMessage(self.meter_id, "a meter id is 32 bytes")
        if self.register not in REGISTERS:
            raise BadMessage(self.meter_id, f"register {self.register} is neither 1 nor 2")
        if self.window_length_s not in WINDOW_LENGTHS_S:
            raise BadMessage(self.meter_id, f"no window lasts {self.window_length_s} s")
        for name, bits in (("window_index", 32), ("wh", 32), ("sequence", 64)):
            if not 0 <= getattr(self, name) < 1 << bits:
                raise BadMessage(self.meter_id, f"{name} {getattr(self, name)} does not fit {bits} bits")

    @property
    def key(self) -> ReadingKey:
        """Meter, register and window."""
        return ReadingKey(self.meter_id, self.register, self.window_index)

    @property
    def start_s(self) -> int:
        """Unix seconds of the start of its window."""
        return self.window_index * self.window_length_s

    @property
    def end_s(self) -> int:
        """Unix seconds of the end of its window."""
        return self.start_s + self.window_length_s


@dataclass(frozen=True, slots=True)
class SignedReading:
    """A message as it arrived: both fields are raw bytes that nobody has checked yet."""

    message: bytes
    signature: bytes


def meter_id(serial: str) -> bytes:
    """The 32-byte id under which a meter is known on chain, from its serial number."""
    return keccak(b"trellis/meter" + serial.encode())


def encode(reading: Reading) -> bytes:
    """The 52 bytes that are signed."""
    return b"".join(
        (
            bytes((VERSION,)),
            reading.meter_id,
            bytes((reading.register,)),
            reading.window_length_s.to_bytes(2, "big"),
            reading.window_index.to_bytes(4, "big"),
            reading.wh.to_bytes(4, "big"),
            reading.sequence.to_bytes(8, "big"),
        )
    )


def decode(message: bytes) -> Reading:
    """The reading whose encoding is exactly `message`; BadMessage if there is none."""
    if len(message) != MESSAGE_BYTES:
        raise BadMessage(message[:64], f"{len(message)} bytes instead of {MESSAGE_BYTES}")
    if message[0] != VERSION:
        raise BadMessage(message, f"version {message[0]} instead of {VERSION}")
    return Reading(
        meter_id=bytes(message[1:33]),
        register=message[33],
        window_length_s=int.from_bytes(message[34:36], "big"),
        window_index=int.from_bytes(message[36:40], "big"),
        wh=int.from_bytes(message[40:44], "big"),
        sequence=int.from_bytes(message[44:52], "big"),
    )


def private_key(secret: int) -> ec.EllipticCurvePrivateKey:
    """The P-256 key of a scalar; BadMeterKey unless it lies in [1, n - 1]. The scalar is never shown."""
    if not 0 < secret < P256_ORDER:
        raise BadMeterKey("(private)", "the scalar is not in [1, n - 1]")
    return ec.derive_private_key(secret, ec.SECP256R1())


def public_point(key: ec.EllipticCurvePrivateKey) -> tuple[int, int]:
    """The key's public point (x, y), as the registry and the contract hold it."""
    numbers = key.public_key().public_numbers()
    return numbers.x, numbers.y


def sign(reading: Reading, key: ec.EllipticCurvePrivateKey) -> SignedReading:
    """The reading, signed with a nonce after RFC 6979 (the same bytes every time) and low `s`."""
    message = encode(reading)
    r, s = utils.decode_dss_signature(key.sign(message, _SIGN))
    return SignedReading(message, normalise(_raw(r, s)))


def verify(message: bytes, signature: bytes, key: ec.EllipticCurvePublicKey) -> bool:
    """Whether `signature` (64 bytes, `s` in either half) is the key's over `message`. Raises nothing."""
    if len(signature) != SIGNATURE_BYTES:
        return False
    r, s = _split(signature)
    if not (0 < r < P256_ORDER and 0 < s < P256_ORDER):
        return False
    try:
        key.verify(utils.encode_dss_signature(r, s), message, _VERIFY)
    except InvalidSignature:
        return False
    return True


def normalise(signature: bytes) -> bytes:
    """The same signature with `s` in the lower half, 64 bytes; BadMessage if it has another length."""
    if len(signature) != SIGNATURE_BYTES:
        raise BadMessage(signature[:64], f"a signature is {SIGNATURE_BYTES} bytes, not {len(signature)}")
    r, s = _split(signature)
    return _raw(r, P256_ORDER - s) if P256_ORDER >> 1 < s < P256_ORDER else signature


def _split(signature: bytes) -> tuple[int, int]:
    return int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")


def _raw(r: int, s: int) -> bytes:
    return r.to_bytes(32, "big") + s.to_bytes(32, "big")
