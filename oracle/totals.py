"""Proof of what was posted for an account and window, with or without the salts of its readings.

The total stands by itself: it is in a part whose hash is in the posting that the quorum signed, so it needs
no reading. Its readings stand beside it: each is either opened, and then must be what it was committed to, or
erased, and then only its commitment is shown, in its place under the root. With all of them open they must
sum to the total; with one erased there is nothing to compare.

What erasing cannot do: the total stays public. With every other reading of that account and window open, the
erased one is what is left. Who wants to forget a window of an account erases all its readings of that window
(both registers, every meter), and nothing more is known of them than the total.
"""

from __future__ import annotations

from dataclasses import dataclass

from oracle.commitments import Commitments, Opening, check_opening, open_reading, verify_leaf
from oracle.day import MeterDay
from oracle.errors import UnknownAccount, UnprovenTotal
from oracle.messages import EXPORT, Reading, ReadingKey, decode
from oracle.posting import PostedDay
from oracle.registry import MeterRegistry
from oracle.salts import Salts
from settlement.reference.errors import Refused
from settlement.reference.posting import Entry, Posting, entry_bytes, part_hash, unpack_part


@dataclass(frozen=True)
class Erased:
    """A reading whose salt is gone: where it was committed to, and to what."""

    leaf: bytes
    index: int
    proof: tuple[bytes, ...]


@dataclass(frozen=True)
class TotalProof:
    """Everything that proves an account's window against its posting."""

    account: bytes
    window_index: int
    part: int
    """Which of the posting's parts has the account, from 0."""
    entries: bytes
    """That part."""
    readings: tuple[Opening | Erased, ...]
    """All readings of the account in that window, in the order of their commitments."""


@dataclass(frozen=True, slots=True)
class Total:
    """What a proof has proved."""

    metered_wh: int
    flag: int
    opened: tuple[Reading, ...]
    erased: int
    """How many of the readings nobody can open any more."""


def prove_total(
    posted: PostedDay,
    commitments: Commitments,
    readings: MeterDay,
    salts: Salts,
    registry: MeterRegistry,
    account: bytes,
    window_index: int,
) -> TotalProof:
    """The proof of one account and window of a posted day; UnknownAccount, WrongWindow."""
    readings.day.column(window_index)
    part = _part_of(posted, account)
    keys = (
        ReadingKey(meter_id, register, window_index)
        for meter_id, register in readings.series
        if registry[meter_id].account == account
    )
    shown = tuple(_show(commitments, readings, salts, key) for key in keys if key in commitments.keys)
    return TotalProof(account, window_index, part, posted.parts[part], shown)


def _part_of(posted: PostedDay, account: bytes) -> int:
    """Which part has the account's entry; UnknownAccount."""
    size = entry_bytes(posted.posting.windows)
    for part, entries in enumerate(posted.parts):
        if any(entries.startswith(account, at) for at in range(0, len(entries), size)):
            return part
    raise UnknownAccount(account)


def _show(commitments: Commitments, readings: MeterDay, salts: Salts, key: ReadingKey) -> Opening | Erased:
    if key in salts:
        return open_reading(commitments, readings, salts, key)
    return Erased(commitments.leaf(key), commitments.index(key), commitments.proof(key))


def check_total(posting: Posting, proof: TotalProof) -> Total:
    """What the proof proves against a posting that is on chain; UnprovenTotal with the reason otherwise.

    Whose meter a reading is of is not in the posting: that all the account's readings are shown, and only
    its own, follows from the registry, or from their sum where all are open.
    """
    entry, column = _entry(posting, proof), proof.window_index - posting.first_window
    opened = tuple(_opened(posting, proof, one) for one in proof.readings if isinstance(one, Opening))
    for one in proof.readings:
        if isinstance(one, Erased) and not verify_leaf(posting.commitments, one.leaf, one.index, one.proof):
            raise UnprovenTotal(proof.account, f"nothing is committed to at {one.index} as shown")
    if len({one.index for one in proof.readings}) < len(proof.readings):
        raise UnprovenTotal(proof.account, "a reading is shown twice")
    erased, metered_wh = len(proof.readings) - len(opened), entry.metered[column]
    summed = sum(read.wh if read.register == EXPORT else -read.wh for read in opened)
    if not erased and summed != metered_wh:
        raise UnprovenTotal(proof.account, f"its readings sum to {summed} Wh, not to {metered_wh} Wh")
    return Total(metered_wh, entry.flags[column], opened, erased)


def _entry(posting: Posting, proof: TotalProof) -> Entry:
    """The account's entry in the part shown, if that is the posting's and has the window."""
    if not 0 <= proof.part < len(posting.parts) or part_hash(proof.entries) != posting.parts[proof.part]:
        raise UnprovenTotal(proof.account, f"the posting has no such part {proof.part}")
    if not 0 <= proof.window_index - posting.first_window < posting.windows:
        raise UnprovenTotal(proof.account, f"the posting has no window {proof.window_index}")
    try:
        entries = unpack_part(proof.entries, posting.windows)
    except Refused as cause:
        raise UnprovenTotal(proof.account, f"part {proof.part} is malformed") from cause
    for entry in entries:
        if entry.account == proof.account:
            return entry
    raise UnprovenTotal(proof.account, f"it has no entry in part {proof.part}")


def _opened(posting: Posting, proof: TotalProof, opening: Opening) -> Reading:
    if not check_opening(posting.commitments, opening):
        raise UnprovenTotal(proof.account, f"the reading at {opening.index} was not committed to")
    reading = decode(opening.message)
    if reading.window_index != proof.window_index:
        raise UnprovenTotal(proof.account, f"the reading at {opening.index} is of another window")
    return reading
