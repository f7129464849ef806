"""The check sums of telegrams and frames.

ARC      DSMR P1 companion standard 5.0.2, section 6.2: polynomial x^16 + x^15 + x^2 + 1, least significant
         bit first, initial value 0, no final exclusive or
X-25     SML transport (BSI TR-03109-1 annex IV, section 8; ISO/IEC 13239): x^16 + x^12 + x^5 + 1, least
         significant bit first, initial value and final exclusive or 0xFFFF
KERMIT   as X-25 with initial value and final exclusive or 0: some meters send it in X-25's place
BCC      IEC 62056-21 section 6.1, by ISO 1155: exclusive or of all bytes
"""

from __future__ import annotations

from functools import reduce
from operator import xor

ARC_POLYNOMIAL = 0xA001
CCITT_POLYNOMIAL = 0x8408


def _entry(polynomial: int, byte: int) -> int:
    for _ in range(8):
        byte = (byte >> 1) ^ polynomial if byte & 1 else byte >> 1
    return byte


ARC_TABLE = tuple(_entry(ARC_POLYNOMIAL, byte) for byte in range(256))
CCITT_TABLE = tuple(_entry(CCITT_POLYNOMIAL, byte) for byte in range(256))


def _crc(table: tuple[int, ...], data: bytes, crc: int) -> int:
    for byte in data:
        crc = crc >> 8 ^ table[(crc ^ byte) & 0xFF]
    return crc


def crc16_arc(data: bytes) -> int:
    """CRC-16/ARC of a DSMR telegram from its '/' to its '!', both included."""
    return _crc(ARC_TABLE, data, 0)


def crc16_x25(data: bytes) -> int:
    """CRC-16/X-25 of an SML file or message."""
    return _crc(CCITT_TABLE, data, 0xFFFF) ^ 0xFFFF


def crc16_kermit(data: bytes) -> int:
    """CRC-16/KERMIT, which some meters put where SML asks for X-25."""
    return _crc(CCITT_TABLE, data, 0)


def bcc(data: bytes) -> int:
    """Block check character of IEC 62056-21: all bytes after STX, ETX included."""
    return reduce(xor, data, 0)
