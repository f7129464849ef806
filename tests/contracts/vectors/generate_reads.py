"""Writes reads.json: what meters signed, by `cryptography`, and signatures that are none, for Reads.t.sol.

Run by hand from the checkout, after a change of the message:

    .venv/bin/python tests/contracts/vectors/generate_reads.py

The result depends on nothing but this file: signatures are deterministic (RFC 6979).
"""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils

ROOT = Path(__file__).resolve().parents[3]
sys.path[:0] = [str(ROOT)]

from oracle.messages import EXPORT, IMPORT, Reading, encode  # noqa: E402
from settlement.reference.eip712 import keccak  # noqa: E402

P = 0xFFFFFFFF00000001000000000000000000000000FFFFFFFFFFFFFFFFFFFFFFFF
N = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551

Case = dict[str, Any]
Signature = tuple[int, int]
Point = tuple[int, int]

SIGN = ec.ECDSA(hashes.SHA256(), deterministic_signing=True)
VERIFY = ec.ECDSA(hashes.SHA256())


def word(value: int) -> str:
    return f"0x{value:064x}"


def key_of(label: str) -> ec.EllipticCurvePrivateKey:
    """A test key, never used elsewhere."""
    secret = 1 + int.from_bytes(hashlib.sha256(f"trellis test meter {label}".encode()).digest()) % (N - 1)
    return ec.derive_private_key(secret, ec.SECP256R1())


def point_of(key: ec.EllipticCurvePrivateKey) -> Point:
    numbers = key.public_key().public_numbers()
    return numbers.x, numbers.y


def sign(key: ec.EllipticCurvePrivateKey, message: bytes) -> Signature:
    """The signature whose `s` is in the lower half."""
    r, s = utils.decode_dss_signature(key.sign(message, SIGN))
    return r, min(s, N - s)


def message_of(index: int) -> bytes:
    register = IMPORT if index % 2 else EXPORT
    wh = (0, 1, 900, (1 << 30) - 1)[index % 4]
    return encode(
        Reading(keccak(b"meter" + bytes([index])), register, 1800, 972_288 + index, wh, index << 40)
    )


def case(name: str, message: bytes, signature: Signature, point: Point, valid: bool) -> Case:
    """One line of the table. Whatever is valid, `cryptography` has verified here."""
    if valid:
        r, s = signature
        public = ec.EllipticCurvePublicNumbers(*point, ec.SECP256R1()).public_key()
        public.verify(utils.encode_dss_signature(r, s), message, VERIFY)
    return {
        "name": name,
        "message": "0x" + message.hex(),
        "digest": "0x" + hashlib.sha256(message).hexdigest(),
        "r": word(signature[0]),
        "s": word(signature[1]),
        "x": word(point[0]),
        "y": word(point[1]),
        "valid": valid,
    }


def valid_cases() -> list[Case]:
    found = []
    for index in range(8):
        key, message = key_of(str(index)), message_of(index)
        found.append(case(f"signed {index}", message, sign(key, message), point_of(key), True))
    return found


def refused_cases() -> list[Case]:
    key, other, message = key_of("0"), key_of("1"), message_of(0)
    (r, s), (x, y) = sign(key, message), point_of(key)
    ec.EllipticCurvePublicNumbers(x, y, ec.SECP256R1()).public_key().verify(
        utils.encode_dss_signature(r, N - s), message, VERIFY
    )  # that of the high s is a signature, which contracts do not take
    changed = message[:43] + bytes([message[43] ^ 1]) + message[44:]
    table: list[tuple[str, bytes, Signature, Point]] = [
        ("high s", message, (r, N - s), (x, y)),
        ("another message", changed, (r, s), (x, y)),
        ("another key", message, (r, s), point_of(other)),
        ("the mirrored key", message, (r, s), (x, P - y)),
        ("r and s exchanged", message, (min(s, N - 1), min(r, N - r)), (x, y)),
        ("r of zero", message, (0, s), (x, y)),
        ("s of zero", message, (r, 0), (x, y)),
        ("both zero", message, (0, 0), (x, y)),
        ("r of the order", message, (N, s), (x, y)),
        ("s of the order", message, (r, N), (x, y)),
        ("no point", message, (r, s), (x, y ^ 1)),
        ("the point at infinity", message, (r, s), (0, 0)),
        ("x beyond the field", message, (r, s), (x + P if x + P < 1 << 256 else P, y)),
    ]
    return [case(name, text, signature, point, False) for name, text, signature, point in table]


def main() -> None:
    cases = valid_cases() + refused_cases()
    path = Path(__file__).with_name("reads.json")
    path.write_text(json.dumps({"cases": cases}, indent=0) + "\n")
    print(f"{path.relative_to(ROOT)}: {len(cases)} cases, {path.stat().st_size} bytes")


if __name__ == "__main__":
    main()
