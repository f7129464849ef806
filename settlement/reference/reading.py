"""The message that a meter signs, and the oracles' commitment to it (docs/formats.md, Metering).

| 0       | 1..32   | 33       | 34..35       | 36..39      | 40..43 | 44..51   |
| version | meterId | register | windowLength | windowIndex | wh     | sequence |
"""

from dataclasses import dataclass

from settlement.reference.eip712 import keccak
from settlement.reference.errors import NotTheSameReading
from settlement.reference.words import check_hash, check_uint

VERSION = 1
MESSAGE_BYTES = 52
IMPORT, EXPORT = 1, 2


@dataclass(frozen=True)
class Reading:
    """One register's energy in one window, as a meter signs it. Any value that fits its field."""

    meter: bytes
    """32 bytes."""
    register: int
    window_length: int
    """Seconds."""
    window_index: int
    wh: int
    sequence: int
    """The meter's counter: of one reading, the highest counts."""

    @property
    def key(self) -> bytes:
        """What identifies the reading: a hash of meter, register and window."""
        place = self.register.to_bytes(1, "big") + self.window_index.to_bytes(4, "big")
        return keccak(self.meter + place)

    @property
    def sign(self) -> int:
        """1 of what is exported, -1 of what is imported."""
        return 1 if self.register == EXPORT else -1


def encode(reading: Reading) -> bytes:
    """The 52 bytes that are signed. ValueOutOfRange if a field does not fit."""
    fields = (
        ("register", reading.register, 1),
        ("windowLength", reading.window_length, 2),
        ("windowIndex", reading.window_index, 4),
        ("wh", reading.wh, 4),
        ("sequence", reading.sequence, 8),
    )
    return (
        bytes([VERSION])
        + check_hash("meterId", reading.meter)
        + b"".join(check_uint(name, value, 8 * size).to_bytes(size, "big") for name, value, size in fields)
    )


def decode(message: bytes) -> Reading:
    """The reading of a message; NotTheSameReading if its length or version is another's."""
    if len(message) != MESSAGE_BYTES or message[0] != VERSION:
        raise NotTheSameReading
    return Reading(
        meter=bytes(message[1:33]),
        register=message[33],
        window_length=int.from_bytes(message[34:36], "big"),
        window_index=int.from_bytes(message[36:40], "big"),
        wh=int.from_bytes(message[40:44], "big"),
        sequence=int.from_bytes(message[44:52], "big"),
    )


def commitment(salt: bytes, message: bytes, flag: int) -> bytes:
    """The leaf that stands for a message and its flag (`posting.ACTUAL`, ...)."""
    flagged = message + check_uint("flag", flag, 8).to_bytes(1, "big")
    return keccak(b"\x00" + check_hash("salt", salt) + flagged)
