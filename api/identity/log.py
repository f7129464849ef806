"""The log of disclosures: each entry's hash covers the one before, so that none is changed or taken out
without breaking the chain behind it. Pure.

An entry has no identity in it, only a keyed commitment to what was told. Erasing an identity erases the key
of its commitments, and leaves the chain as it is.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass

FIRST = "00" * 32
"""What the first entry follows."""


@dataclass(frozen=True)
class Entry:
    """One disclosure. Accounts are `0x` hex, hashes hex."""

    number: int
    """From 1, without gaps."""
    account: str
    regulator: str
    legal_basis: str
    reason: str
    identity_version: int
    commitment: str
    """Of what was told (`seal.Opened.commitment`)."""
    at: int
    """Unix seconds."""
    previous: str
    """Hash of the entry before."""


def hash_of(entry: Entry) -> str:
    """SHA-256 of the entry's canonical JSON, hex."""
    text = json.dumps(asdict(entry), sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(b"trellis disclosure\n" + text.encode()).hexdigest()


@dataclass(frozen=True)
class Verdict:
    """What a log's verification found."""

    entries: int
    head: str
    """Hash of the last entry: whoever keeps it sees later if the log was cut or rewritten."""
    broken: int | None
    """Number of the first entry that does not follow; None if all do."""
    has_expected: bool
    """Whether the head that was expected is on the chain."""

    @property
    def ok(self) -> bool:
        return self.broken is None and self.has_expected


def verify(entries: Iterable[tuple[Entry, str]], expected: str | None = None) -> Verdict:
    """Entries by number with the hashes that are kept of them; `expected` is a head seen before."""
    head, count, seen = FIRST, 0, {FIRST}
    for entry, kept in entries:
        if entry.number != count + 1 or entry.previous != head or hash_of(entry) != kept:
            return Verdict(count, head, count + 1, has_expected=expected is None or expected in seen)
        head, count = kept, count + 1
        seen.add(kept)
    return Verdict(count, head, None, has_expected=expected is None or expected in seen)
