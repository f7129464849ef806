"""Certificates of a broker: an authority of its own, and a server certificate that it signs.

P-256 keys, PEM files, private ones readable by their owner only. What is there is kept: the authority always
(meters trust it), the server's certificate while it names the same hosts and is valid for another month.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from oracle.errors import BadBroker

AUTHORITY_VALID = timedelta(days=3650)
SERVER_VALID = timedelta(days=397)
RENEWED_BEFORE = timedelta(days=30)


class Issued(NamedTuple):
    """A certificate and its key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey


def issue(folder: Path, hosts: tuple[str, ...], now: datetime | None = None) -> None:
    """Make `ca.crt`, `ca.key`, `server.crt` and `server.key` in a folder, as far as they are not there.
    BadBroker if what is there cannot be read.
    """
    now = now or datetime.now(UTC)
    folder.mkdir(parents=True, exist_ok=True)
    authority = _kept(folder, "ca") or _save(folder, "ca", _authority(now))
    server = _kept(folder, "server")
    if server is None or not _fits(server.certificate, hosts, authority.certificate, now):
        _save(folder, "server", _server(hosts, authority, now))


def _authority(now: datetime) -> Issued:
    key = ec.generate_private_key(ec.SECP256R1())
    name = _name("Trellis meters' broker authority")
    usage = x509.KeyUsage(
        digital_signature=False,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=True,
        crl_sign=True,
        encipher_only=False,
        decipher_only=False,
    )
    builder = (
        _builder(name, name, key, now, AUTHORITY_VALID)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
    )
    return Issued(builder.sign(key, hashes.SHA256()), key)


def _server(hosts: tuple[str, ...], authority: Issued, now: datetime) -> Issued:
    key = ec.generate_private_key(ec.SECP256R1())
    issuer = authority.certificate.subject
    by = x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.key.public_key())
    builder = (
        _builder(_name(hosts[0]), issuer, key, now, SERVER_VALID)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([_alternative(host) for host in hosts]), critical=False)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(by, critical=False)
    )
    return Issued(builder.sign(authority.key, hashes.SHA256()), key)


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, now: datetime, valid: timedelta
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))  # clocks of meters differ
        .not_valid_after(now + valid)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common[:64])])


def _address(host: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(host)
    except ValueError:
        return None


def _alternative(host: str) -> x509.GeneralName:
    address = _address(host)
    return x509.DNSName(host) if address is None else x509.IPAddress(address)


def _fits(server: x509.Certificate, hosts: tuple[str, ...], ca: x509.Certificate, now: datetime) -> bool:
    names = server.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    lasts = server.not_valid_after_utc > now + RENEWED_BEFORE
    return lasts and server.issuer == ca.subject and set(names) == {_alternative(host) for host in hosts}


def _kept(folder: Path, name: str) -> Issued | None:
    certificate, key = folder / f"{name}.crt", folder / f"{name}.key"
    if not certificate.exists() and not key.exists():
        return None
    try:
        found = serialization.load_pem_private_key(key.read_bytes(), None)
        if isinstance(found, ec.EllipticCurvePrivateKey):
            return Issued(x509.load_pem_x509_certificate(certificate.read_bytes()), found)
    except (OSError, ValueError, TypeError) as cause:
        raise BadBroker(
            folder, f"{name}.crt and {name}.key cannot be read: restore or remove both"
        ) from cause
    raise BadBroker(folder, f"{name}.key is no elliptic-curve key: remove {name}.crt and {name}.key")


def _save(folder: Path, name: str, issued: Issued) -> Issued:
    pem = issued.key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    write_private(folder / f"{name}.key", pem)
    (folder / f"{name}.crt").write_bytes(issued.certificate.public_bytes(serialization.Encoding.PEM))
    return issued


def write_private(path: Path, content: bytes) -> None:
    """A file that only its owner can read, from its first byte on; replaced as a whole."""
    draft = path.with_name(path.name + ".new")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as file:
        file.write(content)
    draft.replace(path)
