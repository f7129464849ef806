"""What makes a validator itself: its certificate, which names it, and its BLS key, which signs.

Both are generated here and never leave the validator's folder. Node id and proof of possession are public
and go into the network's genesis.
"""

from __future__ import annotations

import os
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from settlement.errors import InputError
from settlement.network.codec import node_id

CERTIFICATE, CERTIFICATE_KEY, SIGNER_KEY = "staker.crt", "staker.key", "signer.key"
VALID_FROM, VALID_UNTIL = datetime(2000, 1, 1, tzinfo=UTC), datetime(2120, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Identity:
    """What everyone may know of a validator."""

    node_id: str
    """"NodeID-…", by its certificate."""
    public_key: bytes
    """48 bytes, BLS12-381 G1, compressed."""
    proof: bytes
    """96 bytes: its own public key signed (proof of possession)."""

    def as_json(self) -> dict[str, str]:
        return {
            "node_id": self.node_id,
            "public_key": "0x" + self.public_key.hex(),
            "proof": "0x" + self.proof.hex(),
        }

    @staticmethod
    def from_json(fields: Any) -> Identity:
        return Identity(
            fields["node_id"],
            bytes.fromhex(fields["public_key"].removeprefix("0x")),
            bytes.fromhex(fields["proof"].removeprefix("0x")),
        )


def create(folder: Path) -> Identity:
    """New keys in a folder. InputError if there are any: a validator's name is not to be lost."""
    folder.mkdir(parents=True, exist_ok=True)
    if (folder / CERTIFICATE).exists():
        raise InputError(f"{folder} holds a validator's keys already: choose another folder")
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = _certificate(key)
    pem, no_password = serialization.Encoding.PEM, serialization.NoEncryption()
    write_secret(
        folder / CERTIFICATE_KEY,
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, no_password),
    )
    (folder / CERTIFICATE).write_bytes(certificate.public_bytes(pem))
    secret = _bls_secret()
    write_secret(folder / SIGNER_KEY, secret.to_bytes(32, "big"))
    public, proof = prove_possession(secret)
    return Identity(node_id(certificate.public_bytes(serialization.Encoding.DER)), public, proof)


def prove_possession(secret: int) -> tuple[bytes, bytes]:
    """Public key, and the proof that whoever names it has the secret one (RFC draft BLS, section 3.3)."""
    from py_ecc.bls.ciphersuites import G2ProofOfPossession as Bls

    return bytes(Bls.SkToPk(secret)), bytes(Bls.PopProve(secret))


def write_secret(path: Path, data: bytes) -> None:
    """For the owner's eyes only, from the first byte on."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(data)


def _bls_secret() -> int:
    from py_ecc.optimized_bls12_381.optimized_curve import curve_order

    return secrets.randbelow(curve_order - 1) + 1


def _certificate(key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
    """Self-signed: the network knows validators by its hash, no authority vouches for it."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "validator")])
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(VALID_FROM)
        .not_valid_after(VALID_UNTIL)
        .sign(key, hashes.SHA256())
    )
