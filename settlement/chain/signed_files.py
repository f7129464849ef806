"""What a quorum of oracle nodes signed, as files: whoever settles takes it from there.

    signed/<struct hash, 64 hex digits>.json

    {"format": "trellis-signed-1", "kind": "posting" or "correction",
     "message": {its fields, bytes in hex}, "parts": ["0x…", …], "signatures": ["0x…", …]}

A file is named by what it holds, so it is never another's. Nothing in it needs to be believed: the hash is
the chain's, the parts have the hashes that the message names, and the contract judges the signatures.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar

from settlement.chain.corrector import SignedCorrection
from settlement.chain.rpc import to_bytes, to_hex
from settlement.chain.settler import SignedPosting
from settlement.errors import InputError
from settlement.reference import correction as corrections
from settlement.reference import posting as postings
from settlement.reference.correction import Correction
from settlement.reference.eip712 import keccak
from settlement.reference.errors import Refused
from settlement.reference.posting import Posting

FOLDER, FORMAT = "signed", "trellis-signed-1"
MOST_FILE = 1 << 30

Signed = SignedPosting | SignedCorrection
M = TypeVar("M", Posting, Correction)


def hash_of(signed: Signed) -> bytes:
    """The struct hash of what was signed: it names the file."""
    if isinstance(signed, SignedPosting):
        return postings.struct_hash(signed.posting)
    return corrections.struct_hash(signed.correction)


def write(folder: Path, signed: Signed) -> Path:
    """Put it into a node's folder, on disk when it returns; over an earlier one of the same hash, whose
    signatures may be fewer. InputError if it cannot be written.
    """
    if isinstance(signed, SignedPosting):
        kind, message, parts = "posting", _plain(signed.posting), signed.parts
    else:
        kind, message, parts = "correction", _plain(signed.correction), signed.differences
    document = {
        "format": FORMAT,
        "kind": kind,
        "message": message,
        "parts": [to_hex(part) for part in parts],
        "signatures": [to_hex(one) for one in signed.signatures],
    }
    path = path_of(folder, hash_of(signed))
    draft = path.with_suffix(".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(draft, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            json.dump(document, file)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except OSError as cause:
        raise InputError(f"{path} cannot be written: {cause.strerror}") from cause
    return path


def path_of(folder: Path, hash_: bytes) -> Path:
    """Where a node's folder has what has this struct hash."""
    return folder / FOLDER / f"{hash_.hex()}.json"


def find(folders: Iterable[Path], hash_: bytes) -> Signed | None:
    """What has this struct hash, from the first of some nodes' folders that has it whole; None if none does.
    InputError for a file that is none.
    """
    for folder in folders:
        path = path_of(folder, hash_)
        if path.exists():
            return read(path)
    return None


def read(path: Path) -> Signed:
    """InputError unless it is whole: its name the hash of its message, its parts those that it names."""
    try:
        if path.stat().st_size > MOST_FILE:
            raise InputError(f"{path} is too large for what a zone's day can be")
        found = _signed(json.loads(path.read_bytes()))
        sound = hash_of(found).hex() == path.stem and _is_whole(found)
    except (OSError, ValueError, KeyError, TypeError, RecursionError, AttributeError, Refused) as cause:
        raise InputError(f"{path} is no file of what oracle nodes signed ({cause})") from cause
    if not sound:
        raise InputError(f"{path} is not what its name or its message says: take it from another node")
    return found


def _signed(document: Mapping[str, Any]) -> Signed:
    if document["format"] != FORMAT:
        raise ValueError(f"its format is not {FORMAT}")
    parts = tuple(map(to_bytes, document["parts"]))
    signatures = tuple(map(to_bytes, document["signatures"]))
    if document["kind"] == "posting":
        return SignedPosting(_message(Posting, document["message"]), parts, signatures)
    return SignedCorrection(_message(Correction, document["message"]), parts, signatures)


def _is_whole(signed: Signed) -> bool:
    if isinstance(signed, SignedPosting):
        return tuple(map(keccak, signed.parts)) == signed.posting.parts
    return tuple(map(keccak, signed.differences)) == signed.correction.parts


def _plain(message: Posting | Correction) -> dict[str, Any]:
    return {one.name: _told(getattr(message, one.name)) for one in fields(message)}


def _told(value: Any) -> Any:
    if isinstance(value, bytes):
        return to_hex(value)
    return [_told(one) for one in value] if isinstance(value, tuple) else int(value)


def _message(kind: type[M], plain: Mapping[str, Any]) -> M:
    return kind(**{one.name: _value(plain[one.name]) for one in fields(kind)})


def _value(value: Any) -> Any:
    if isinstance(value, str):
        return to_bytes(value)
    if isinstance(value, list):
        return tuple(map(_value, value))
    if not isinstance(value, int):
        raise TypeError(f"{value!r} is neither a number nor hex")
    return value
