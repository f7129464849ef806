"""Transactions on disk before they are sent, so that whoever restarts sends the same bytes and no others.

Between a transaction's sending and its receipt a process may die. It cannot know whether a node took what it
sent; were it to sign again, with another nonce, both could be mined. What is in the outbox can be sent again
by anyone, any number of times: it has one nonce, and is mined once.
"""

from __future__ import annotations

import os
import re
import secrets
from dataclasses import dataclass
from pathlib import Path

from settlement.errors import InputError
from settlement.reference.eip712 import keccak

_NAME = re.compile(r"(\d{12})-([0-9a-f]{64})")


@dataclass(frozen=True)
class Kept:
    """A signed transaction whose receipt was not seen."""

    nonce: int
    tx_hash: bytes
    raw: bytes


class Outbox:
    """A folder of one sender on one chain: a file a transaction, named by nonce and hash."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as cause:
            raise InputError(f"{folder} cannot be made: {cause.strerror}") from cause

    def keep(self, nonce: int, raw: bytes) -> None:
        """It is on disk when this returns."""
        partial = self.folder / f".{secrets.token_hex(8)}"
        with partial.open("wb") as file:
            file.write(raw)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, self._file(nonce, keccak(raw)))
        self._sync()

    def done(self, tx_hash: bytes) -> None:
        """It was mined, refused, or can never be mined any more."""
        for file in self.folder.glob(f"*-{tx_hash.hex()}"):
            file.unlink(missing_ok=True)

    def kept(self) -> list[Kept]:
        """Lowest nonce first. A file that does not hold what its name says was not written whole: nothing
        of it was sent.
        """
        found = []
        for file in sorted(self.folder.iterdir()):
            named = _NAME.fullmatch(file.name)
            raw = file.read_bytes() if named else b""
            if named and keccak(raw).hex() == named[2]:
                found.append(Kept(int(named[1]), bytes.fromhex(named[2]), raw))
            else:
                file.unlink(missing_ok=True)
        return found

    def _file(self, nonce: int, tx_hash: bytes) -> Path:
        return self.folder / f"{nonce:012d}-{tx_hash.hex()}"

    def _sync(self) -> None:
        descriptor = os.open(self.folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
