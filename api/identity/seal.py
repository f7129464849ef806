"""Identities sealed with AES-256-GCM (NIST SP 800-38D) under the keys of a file.

The file has a key a line, `NAME BASE64`, of 32 bytes; the last one seals, all of them open. What a seal is of
is bound into it: one account's cannot be put in another's place, nor an old one in a newer's.
"""

from __future__ import annotations

import base64
import hmac
import json
import re
import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from settlement.errors import InputError

KEY_BYTES, NONCE_BYTES = 32, 12
_NAME = re.compile(r"[a-z0-9-]{1,16}")


@dataclass(frozen=True)
class Person:
    """An identity."""

    legal_name: str
    contact: str
    metering_points: tuple[str, ...]


@dataclass(frozen=True)
class Opened:
    """What is behind a seal."""

    person: Person
    commitment_key: bytes
    """Random, of this version of the identity: without it a commitment says nothing."""

    @property
    def commitment(self) -> str:
        """What the log keeps of what was told: HMAC-SHA-256, hex."""
        return hmac.new(self.commitment_key, _canonical(self.person), "sha256").hexdigest()


def new(person: Person) -> Opened:
    """A person about to be sealed."""
    return Opened(person, secrets.token_bytes(32))


class CannotOpen(Exception):
    """The seal is of another account or version, was changed, or its key is not in the file."""


class Seals:
    """Seals and opens with the keys of a file."""

    def __init__(self, keys: Mapping[str, bytes]) -> None:
        """By name; the last one seals."""
        self._keys, self.current = dict(keys), list(keys)[-1]

    def seal(self, account: bytes, version: int, opened: Opened) -> bytes:
        """Nonce and ciphertext, under the current key."""
        nonce = secrets.token_bytes(NONCE_BYTES)
        told = {"person": asdict(opened.person), "commitment_key": opened.commitment_key.hex()}
        about = _about(account, version, self.current)
        return nonce + AESGCM(self._keys[self.current]).encrypt(nonce, json.dumps(told).encode(), about)

    def open(self, account: bytes, version: int, key: str, sealed: bytes) -> Opened:
        """CannotOpen if it is not what was sealed for this account and version."""
        if key not in self._keys:
            raise CannotOpen(f"the key {key} is not in the file of TRELLIS_IDENTITY_KEY_FILE")
        nonce, about = sealed[:NONCE_BYTES], _about(account, version, key)
        try:
            told = json.loads(AESGCM(self._keys[key]).decrypt(nonce, sealed[NONCE_BYTES:], about))
        except InvalidTag as cause:
            raise CannotOpen("the seal is not of this account and version, or was changed") from cause
        fields = told["person"]
        points = tuple(fields["metering_points"])
        person = Person(fields["legal_name"], fields["contact"], points)
        return Opened(person, bytes.fromhex(told["commitment_key"]))


def _about(account: bytes, version: int, key: str) -> bytes:
    return b"trellis identity\x00" + account + version.to_bytes(8, "big") + key.encode()


def _canonical(person: Person) -> bytes:
    return json.dumps(asdict(person), sort_keys=True, separators=(",", ":")).encode()


def load(file: Path | None) -> Seals | None:
    """The keys of a file; None without one. InputError, naming the line and never the key, if it is wrong."""
    if file is None:
        return None
    try:
        lines = file.read_text().splitlines()
    except OSError as cause:
        raise InputError(f"TRELLIS_IDENTITY_KEY_FILE {file} cannot be read: {cause.strerror}") from cause
    keys: dict[str, bytes] = {}
    for number, line in enumerate(lines, start=1):
        name, _, text = line.strip().partition(" ")
        if not name:
            continue
        try:
            key = base64.b64decode(text, validate=True)
        except ValueError:
            key = b""
        if len(key) != KEY_BYTES or not _NAME.fullmatch(name) or name in keys:
            raise InputError(f"{file}, line {number}: give a new name and base64 of {KEY_BYTES} bytes")
        keys[name] = key
    if not keys:
        raise InputError(f"{file} has no key: a line is a name and base64 of {KEY_BYTES} random bytes")
    return Seals(keys)
