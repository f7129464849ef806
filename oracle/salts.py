"""Where the salts of commitments come from, and what erasing one achieves.

    salt = HMAC-SHA256(day key, "trellis/salt" ‖ zone(4) ‖ posting sequence(4) ‖ message(52) ‖ flag(1))

The oracle nodes must arrive at one commitments root without exchanging a salt for each reading, so salts are
derived from one random 32-byte *day key* that the nodes share for one posting. The life of a day key:

    1. one node draws it and sends it to the others over their own authenticated, encrypted channel;
    2. every node derives the salts, computes the posting, signs, and writes the salts to its store;
    3. when the posting is on chain, every node deletes the day key. From here on a salt exists only in the
       stores;
    4. to erase a reading, every node deletes its salt (and its copy of the read). Other readings keep their
       salts, and their proofs need of an erased neighbour only its commitment: totals and proofs stay valid.

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
- Secrecy of a read that was disclosed: an opening that somebody else has copied cannot be called back.
- A meter does not know the day key. A participant who wants to open a commitment asks any node for the salt,
  or, for a challenge, shows the meter's signed message, which needs no salt.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from types import MappingProxyType

from oracle.day import MeterDay
from oracle.errors import OutOfRange, UnknownReading
from oracle.messages import Reading, ReadingKey, encode

SALT_BYTES = 32
DAY_KEY_BYTES = 32

Salts = Mapping[ReadingKey, bytes]


def derive(day_key: bytes, zone: int, posting_sequence: int, reading: Reading, flag: int) -> bytes:
    """The 32-byte salt of one reading in one posting; OutOfRange if the key is not 32 bytes."""
    if len(day_key) != DAY_KEY_BYTES:
        raise OutOfRange(len(day_key), f"a day key is {DAY_KEY_BYTES} random bytes")
    identity = b"".join(
        (
            b"trellis/salt",
            zone.to_bytes(4, "big"),
            posting_sequence.to_bytes(4, "big"),
            encode(reading),
            bytes((flag,)),
        )
    )
    return hmac.digest(day_key, identity, "sha256")


def derive_all(day_key: bytes, zone: int, posting_sequence: int, readings: MeterDay) -> Salts:
    """A salt for every cell of the day, in the order of the commitments."""
    return MappingProxyType(
        {r.key: derive(day_key, zone, posting_sequence, r, flag) for r, flag in readings.cells()}
    )


def erase(salts: Salts, key: ReadingKey) -> Salts:
    """The salts without that one; UnknownReading if it is not (or no longer) among them."""
    if key not in salts:
        raise UnknownReading(key)
    return MappingProxyType({k: salt for k, salt in salts.items() if k != key})
