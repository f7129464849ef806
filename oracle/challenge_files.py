"""What a challenge is made of, as files: an oracle's opening of a reading, and a meter's signed read.

    {"zone": 0, "day": 12345,
     "opening": {"message": "0x…52", "flag": 0, "salt": "0x…32", "index": 7, "proof": ["0x…32", … 20]},
     "read": {"message": "0x…52", "signature": "0x…64", "public_key": "0x…"},
     "signature": "0x…65"}

One file may have all of it, or only `opening`'s or `read`'s fields. `day` is the index of the day's first
window. What is left out is read from the chain where it can be: zone, day, and the meter's present key.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec

from oracle.commitments import Opening
from oracle.day import FLAGS
from oracle.errors import BadMessage
from oracle.messages import MESSAGE_BYTES, SIGNATURE_BYTES, Reading, SignedReading, decode
from settlement.errors import InputError
from settlement.reference import merkle
from settlement.reference.challenge import ReadingChallenge

HEX = re.compile(r"(0x)?([0-9a-fA-F]{2})*")
SALT_BYTES = HASH_BYTES = 32
MOST_FILE = 1 << 20
ACCOUNT_SIGNATURE_BYTES = 65


@dataclass(frozen=True)
class Told:
    """A meter's read as somebody brings it."""

    signed: SignedReading
    reading: Reading
    key: tuple[int, int] | None
    """The meter's public point in that window; None for its present one."""


@dataclass(frozen=True)
class Opened:
    """An oracle's opening as somebody brings it."""

    opening: Opening
    committed: Reading
    zone: int | None
    day: int | None
    """Index of the day's first window."""
    signature: bytes
    """The account's over a challenge; empty if it did not sign yet."""


def read_opening(file: Path) -> Opened:
    """InputError, naming the field."""
    found = _document(file, "--opening")
    fields = _section(found, "opening", "--opening")
    message = _hex(fields, "message", "--opening", MESSAGE_BYTES)
    flag, index = (_number(fields, name, "--opening") for name in ("flag", "index"))
    if flag not in FLAGS:
        raise InputError(f"--opening {file}, flag: {flag} is none: 0 actual, 1 estimated, 2 default")
    proof = fields.get("proof")
    if not isinstance(proof, list):
        raise InputError(f"--opening {file}, proof: give the list of hashes that the oracle gave")
    siblings = tuple(_hex({"proof": one}, "proof", "--opening", HASH_BYTES) for one in proof)
    if len(siblings) != merkle.DEPTH:
        raise InputError(f"--opening {file}, proof: has {len(siblings)} hashes, not {merkle.DEPTH}")
    salt = _hex(fields, "salt", "--opening", SALT_BYTES)
    signature = b""
    if "signature" in found and "opening" in found:
        signature = _hex(found, "signature", "--opening", ACCOUNT_SIGNATURE_BYTES)
    zone, day = (_number(found, name, "--opening") if name in found else None for name in ("zone", "day"))
    opening = Opening(message, flag, salt, index, siblings)
    return Opened(opening, _reading(message, f"--opening {file}"), zone, day, signature)


def read_signed(given: str, option: str = "--read") -> Told:
    """A file, or the record as meters publish it in hex: message (52 bytes), signature (64)."""
    dense = given.removeprefix("0x")
    if len(dense) == 2 * (MESSAGE_BYTES + SIGNATURE_BYTES) and HEX.fullmatch(dense):
        record = bytes.fromhex(dense)
        message, signature, key = record[:MESSAGE_BYTES], record[MESSAGE_BYTES:], None
    else:
        fields = _section(_document(Path(given), option), "read", option)
        message = _hex(fields, "message", option, MESSAGE_BYTES)
        signature = _hex(fields, "signature", option, SIGNATURE_BYTES)
        key = _point(fields, option) if "public_key" in fields else None
    return Told(SignedReading(message, signature), _reading(message, f"{option} {given[:60]}"), key)


def to_json(challenge: ReadingChallenge) -> dict[str, Any]:
    """The whole of a challenge, for whoever sends it. It discloses the salt of this reading, and no other."""
    read = challenge.read
    told: dict[str, Any] = {
        "zone": challenge.zone,
        "day": challenge.day,
        "opening": opening_json(
            Opening(
                challenge.committed, challenge.flag, challenge.salt, challenge.index, tuple(challenge.proof)
            )
        ),
        "read": {
            "message": "0x" + read.message.hex(),
            "signature": "0x" + (read.r + read.s).hex(),
            "public_key": "0x04" + (read.x + read.y).hex(),
        },
    }
    return told | ({"signature": "0x" + challenge.signature.hex()} if challenge.signature else {})


def opening_json(opening: Opening) -> dict[str, Any]:
    """What a node gives the account whose reading it is."""
    return {
        "message": "0x" + opening.message.hex(),
        "flag": opening.flag,
        "salt": "0x" + opening.salt.hex(),
        "index": opening.index,
        "proof": ["0x" + one.hex() for one in opening.proof],
    }


# Reading ------------------------------------------------------------------------------------------------


def _document(file: Path, option: str) -> dict[str, Any]:
    try:
        with file.open("rb") as stream:
            text = stream.read(MOST_FILE).decode()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not text"
        raise InputError(f"{option} {str(file)[:60]} cannot be read: {reason}") from None
    try:
        found = json.loads(text)
    except json.JSONDecodeError as error:
        raise InputError(f"{option} {file}, line {error.lineno}, column {error.colno}: {error.msg}") from None
    except RecursionError:
        raise InputError(f"{option} {file}: nested too deeply") from None
    except ValueError:  # what Python reads of digits is bounded
        raise InputError(f"{option} {file}: holds a number of too many digits") from None
    if not isinstance(found, dict):
        raise InputError(f"{option} {file}: must be one JSON object")
    return found


def _section(found: dict[str, Any], name: str, option: str) -> dict[str, Any]:
    section = found.get(name, found)
    if not isinstance(section, dict):
        raise InputError(f"{option}, {name}: must be a JSON object")
    return section


def _hex(fields: dict[str, Any], key: str, option: str, size: int) -> bytes:
    text = fields.get(key)
    if not isinstance(text, str) or not HEX.fullmatch(text):
        raise InputError(f"{option}, {key}: must be there, in hex")
    data = bytes.fromhex(text.removeprefix("0x"))
    if len(data) != size:
        raise InputError(f"{option}, {key}: has {len(data)} bytes, not {size}")
    return data


def _number(fields: dict[str, Any], key: str, option: str) -> int:
    found = fields.get(key)
    if not isinstance(found, int) or isinstance(found, bool) or not 0 <= found < 1 << 32:
        raise InputError(f"{option}, {key}: must be a whole number from 0, below 2^32")
    return found


def _point(fields: dict[str, Any], option: str) -> tuple[int, int]:
    text = fields["public_key"]
    try:
        data = bytes.fromhex(str(text).removeprefix("0x"))
        numbers = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), data).public_numbers()
    except ValueError:
        raise InputError(f"{option}, public_key: no point of P-256, 33 or 65 bytes in hex") from None
    return numbers.x, numbers.y


def _reading(message: bytes, where: str) -> Reading:
    try:
        return decode(message)
    except BadMessage as fault:
        raise InputError(f"{where}, message: {fault.message}") from None
