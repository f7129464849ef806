"""Where the salts of commitments come from, and what erasing one achieves.

    salt = HMAC-SHA256(day key, "trellis/salt" ‖ zone(4) ‖ posting sequence(4) ‖ message(52) ‖ flag(1))

The oracle nodes must arrive at one commitments root without exchanging a salt for each reading, so salts are
derived from one 32-byte *day key* that the nodes share for one posting. The life of a day key:

    1. every node derives it from the secret of the date on which the run is due, and goes on to the next
       date's, from which it cannot be made again (`oracle.voting.keys`);
    2. every node derives the salts, computes the posting, signs, and keeps the salts (`oracle.run_files`);
    3. when the posting is on chain, every node deletes the day key. From here on a salt exists only in the
       stores;
    4. to erase a reading, every node deletes its salts (and its copies of the read), of every run: each run
       commits anew, under a day key and salts of its own. Other readings keep their salts, and their proofs
       need of an erased neighbour only its commitment: totals (`oracle.totals`) and proofs stay valid.

What this gives
- Hiding: a register's Wh has few likely values, so an unsalted hash would be guessed in a moment.
  HMAC-SHA256 is a pseudorandom function: without the day key and without the salt, a commitment says nothing
  about the read.
- Independence: the whole message, the flag and the posting's sequence are under the HMAC, so no two
  commitments share a salt, and a disclosed salt (a challenge, an audit) helps with no other reading and no
  other run of it.
- Agreement: a node with another key or another reading gets another root, and is simply not in the quorum.

What it does not give
- Erasure while the day key lives: with it, whoever guesses the read recomputes the salt. Step 3 is what
  makes step 4 mean anything, and the shell must do it (the key is never in a `Computed` value, so it cannot
  be stored by accident).
- Erasure against a node that keeps the key or the salts: forgetting is a promise of all n nodes, not of a
  quorum.
- Secrecy from the oracle nodes themselves: they see every read in the clear; that is their task.
- Secrecy of what follows from the posted total: it is public, and with an account's other reads of a window
  open the erased one is what is left. Erase all of that window, then the total says no more than it did.
- Secrecy of a read that was disclosed: an opening that somebody else has copied cannot be called back.
- A meter does not know the day key. A participant who wants to open a commitment asks any node for the
  opening, salt included. A challenge needs it too: beside the meter's signed message, which has no salt, it
  shows what was committed to. What every node has erased can be challenged by nobody.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from oracle.cells import RECORD_BYTES, Cells, cells_of, records
from oracle.day import Mask, MeterDay
from oracle.errors import ErasedSalt, OutOfRange, UnknownReading
from oracle.messages import Reading, ReadingKey, encode

SALT_BYTES = 32
DAY_KEY_BYTES = 32


@dataclass(frozen=True, eq=False, repr=False)
class Salts(Mapping[ReadingKey, bytes]):
    """The salts of a posting's readings, but for those that were erased."""

    cells: Cells
    blob: bytes
    """32 bytes a cell; zeros where it was erased."""
    kept: Mask
    """(N,)"""

    def __getitem__(self, key: ReadingKey) -> bytes:
        place = self.cells.place(key) if key in self.cells else None
        if place is None or not self.kept[place]:
            raise KeyError(key)
        return self.blob[SALT_BYTES * place : SALT_BYTES * (place + 1)]

    def __iter__(self) -> Iterator[ReadingKey]:
        return (self.cells[int(place)] for place in np.flatnonzero(self.kept))

    def __len__(self) -> int:
        return int(self.kept.sum())

    def whole(self) -> bytes:
        """All of them in the order of the cells; ErasedSalt for the first that is not there."""
        if not self.kept.all():
            raise ErasedSalt(self.cells[int(self.kept.argmin())])
        return self.blob


def derive(day_key: bytes, zone: int, posting_sequence: int, reading: Reading, flag: int) -> bytes:
    """The 32-byte salt of one reading in one posting; OutOfRange if the key is not 32 bytes."""
    return _finish(_begin(day_key, zone, posting_sequence), encode(reading) + bytes((flag,)))


def derive_all(day_key: bytes, zone: int, posting_sequence: int, readings: MeterDay) -> Salts:
    """A salt for every cell of the day that is in service, as `derive` makes them. OutOfRange;
    UnknownReading if a reading is still missing.
    """
    cells, begun = cells_of(readings), _begin(day_key, zone, posting_sequence)
    blob = records(readings, cells)
    starts = range(0, len(blob), RECORD_BYTES)
    salts = b"".join([_finish(begun, blob[start : start + RECORD_BYTES]) for start in starts])
    return Salts(cells, salts, np.ones(len(cells), np.bool_))


def _begin(day_key: bytes, zone: int, posting_sequence: int) -> hmac.HMAC:
    """The HMAC of what all salts of a posting have in common."""
    if len(day_key) != DAY_KEY_BYTES:
        raise OutOfRange(len(day_key), f"a day key is {DAY_KEY_BYTES} random bytes")
    common = b"trellis/salt" + zone.to_bytes(4, "big") + posting_sequence.to_bytes(4, "big")
    return hmac.new(day_key, common, "sha256")


def _finish(begun: hmac.HMAC, record: bytes) -> bytes:
    mine = begun.copy()
    mine.update(record)
    return mine.digest()


def erase(salts: Salts, *keys: ReadingKey) -> Salts:
    """The salts without those, their bytes overwritten; UnknownReading if one is not (or no longer) among
    them. Whoever erases drops the old value too.
    """
    kept, blob = salts.kept.copy(), bytearray(salts.blob)
    for key in keys:
        place = salts.cells.place(key)
        if not kept[place]:
            raise UnknownReading(key, "its salt was erased")
        kept[place] = False
        blob[SALT_BYTES * place : SALT_BYTES * (place + 1)] = bytes(SALT_BYTES)
    return Salts(salts.cells, bytes(blob), kept)
