"""ECDSA over the curves that meters sign with (FIPS 186-5, SEC 1, RFC 5639), and keys as files spell them.

A signature is DER or r || s; an s above half the order is as good as its mirror image (real meters emit it
every other time). So bytes of a signature identify nothing. A key is a SubjectPublicKeyInfo, which names
its curve, or the bare point, `04 || x || y`, `x || y` or compressed, of the curve that the record names.

`cryptography` has every curve of OCMF's table 22 but secp192k1. What it lacks is refused by name.
"""

from __future__ import annotations

import base64
import re
from typing import Final

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

CURVES: Final[dict[str, ec.EllipticCurve]] = {
    "secp192r1": ec.SECP192R1(),
    "secp224r1": ec.SECP224R1(),
    "secp256r1": ec.SECP256R1(),
    "secp384r1": ec.SECP384R1(),
    "secp521r1": ec.SECP521R1(),
    "secp256k1": ec.SECP256K1(),
    "brainpoolP256r1": ec.BrainpoolP256R1(),
    "brainpoolP384r1": ec.BrainpoolP384R1(),
    "brainpoolP512r1": ec.BrainpoolP512R1(),
}
SYNONYMS: Final = {
    "brainpool256r1": "brainpoolP256r1",
    "brainpool384r1": "brainpoolP384r1",
    "brainpool512r1": "brainpoolP512r1",
    "prime192v1": "secp192r1",
    "prime256v1": "secp256r1",
    "prime384v1": "secp384r1",
}
HASHES: Final[dict[str, hashes.HashAlgorithm]] = {
    "SHA256": hashes.SHA256(),
    "SHA384": hashes.SHA384(),
    "SHA512": hashes.SHA512(),
}
LACKING: Final = {
    "2b8104001f": "secp192k1",
    "2b81040020": "secp224k1",
    "2b2403030208010103": "brainpoolP192r1",
    "2b2403030208010105": "brainpoolP224r1",
    "2b2403030208010109": "brainpoolP320r1",
}
"""Named by their object identifier in a key, and not in `cryptography`."""
MOST_KEY_BYTES: Final = 4096

HEX = re.compile(r"(?:[0-9A-Fa-f]{2})+")
INFO = re.compile(rb"\x30(?:[\x00-\x7f]|\x81.|\x82..)\x30", re.DOTALL)
"""How a SubjectPublicKeyInfo opens: a sequence in a sequence."""
PEM = re.compile(r"-----BEGIN PUBLIC KEY-----(.*?)-----END PUBLIC KEY-----", re.DOTALL)


class BadKey(ValueError):
    """A sentence: why nothing can be verified with this key."""


def known(curve: str) -> str:
    """The name under which `CURVES` has it; the same name for a curve that it lacks."""
    return SYNONYMS.get(curve, curve)


def unpacked(text: str, encoding: str = "") -> bytes | None:
    """Bytes written as hexadecimal (blanks and 0x allowed) or base64; None for neither. Content goes before
    `encoding`: files call hexadecimal "plain"."""
    dense = "".join(text.split())
    if encoding != "base64" and HEX.fullmatch(bare := dense.removeprefix("0x")):
        return bytes.fromhex(bare)
    try:
        return base64.b64decode(dense, validate=True) if dense else None
    except ValueError:  # binascii.Error is one; text that is no ASCII is another
        return None


def key_bytes(text: str) -> bytes | None:
    """A key from PEM, hexadecimal or base64 text; None for anything else."""
    found = PEM.search(text)
    if found:
        return unpacked(found.group(1), "base64")
    key = unpacked(text)
    return key if key and len(key) <= MOST_KEY_BYTES else None


def load(key: bytes, curve: str = "") -> ec.EllipticCurvePublicKey:
    """The key, on `curve` if one is named. Raises `BadKey`."""
    wanted = known(curve)
    if curve and wanted not in CURVES:
        raise BadKey(f"the curve {curve} is not supported")
    if not INFO.match(key):
        return _of_point(key, wanted)
    found = _of_info(key)
    if wanted and found.curve.name != CURVES[wanted].name:
        raise BadKey(f"the key is on the curve {found.curve.name}, the record is signed on {wanted}")
    return found


def _of_info(key: bytes) -> ec.EllipticCurvePublicKey:
    try:
        found = serialization.load_der_public_key(key)
    except (ValueError, UnsupportedAlgorithm) as fault:
        for identifier, name in LACKING.items():
            if bytes.fromhex(identifier) in key:
                raise BadKey(f"the curve {name} is not supported") from fault
        raise BadKey("the public key is no point of a known curve") from fault
    if not isinstance(found, ec.EllipticCurvePublicKey):
        raise BadKey("the public key is of no elliptic curve")
    return found


def _of_point(key: bytes, curve: str) -> ec.EllipticCurvePublicKey:
    named = CURVES.get(curve) or {48: CURVES["secp192r1"], 96: CURVES["secp384r1"]}.get(
        len(key) & ~1, CURVES["secp256r1"]
    )
    point = b"\x04" + key if len(key) == 2 * size(named) else key
    try:
        return ec.EllipticCurvePublicKey.from_encoded_point(named, point)
    except (ValueError, UnsupportedAlgorithm) as fault:
        raise BadKey(f"the public key is no point of {curve or named.name}") from fault


def size(curve: ec.EllipticCurve) -> int:
    """Bytes of a coordinate."""
    return -(-curve.key_size // 8)


def der(signature: bytes, curve: ec.EllipticCurve) -> bytes | None:
    """The signature in DER, whichever way it was written; None if it is neither."""
    try:
        return encode_dss_signature(*decode_dss_signature(signature))
    except ValueError:
        pass
    half = size(curve)
    if len(signature) != 2 * half:
        return None
    return encode_dss_signature(
        int.from_bytes(signature[:half], "big"), int.from_bytes(signature[half:], "big")
    )


def fault(
    message: bytes, signature: bytes, key: bytes | None, curve: str = "", digest: str = "SHA256"
) -> str:
    """Why the signature over exactly these bytes does not hold; empty if it does."""
    if known(curve) not in CURVES and curve:
        return f"the curve {curve} is not supported"
    if key is None:
        return "no public key: the file brings none, give one with --public-key"
    try:
        public = load(key, curve)
        packed = der(signature, public.curve)
        if packed is None:
            return f"the signature of {len(signature)} bytes is neither DER nor r || s"
        public.verify(packed, message, ec.ECDSA(HASHES[digest]))
    except BadKey as reason:
        return str(reason)
    except (InvalidSignature, ValueError, UnsupportedAlgorithm):
        return "the signature does not hold"
    return ""
