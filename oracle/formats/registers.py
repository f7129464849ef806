"""From cumulative registers to the energy of intervals.

A register of d digits counts modulo 10^d. Between two reads, `span` intervals apart, it may have counted at
most `most x span`, what the connection carries. So the difference of two reads is one of:

    MEASURED   it does not fall, and by no more than that
    ROLLED     it falls, and becomes such a difference when one turn of the register is added
    RESET      neither: the meter was exchanged, was set back, or jumped. Nobody knows the energy: it is a
               gap, never a huge or a negative energy
    MISSING    the interval ends without a read; its energy, if known at all, is in the CATCH_UP that follows
    CATCH_UP   MEASURED or ROLLED, over more than one interval: the total holds, its shape is not known

A turn is believed only if the energy is then less than half the register, so that a register set back to zero
in the first half of its life is no roll-over, however long the gap.

Only energy that nobody knows is left out: without resets the increments add up to the last read less the
first, plus one modulus a roll.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
import numpy.typing as npt

from oracle.errors import OutOfRange, WrongShape

MOST_DIGITS = 18
"""10^18 fits int64, and so does the sum of two reads below it."""

Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.uint8]
Bools = npt.NDArray[np.bool_]


class Increment(IntEnum):
    """What is known of one interval."""

    MEASURED = 0
    ROLLED = 1
    CATCH_UP = 2
    MISSING = 3
    RESET = 4


@dataclass(frozen=True, eq=False)
class Increments:
    """The N-1 intervals between N reads on a regular grid."""

    energy: Ints
    """(N-1,) in the register's unit; 0 where the flag is MISSING or RESET."""
    flag: Flags
    """(N-1,) of `Increment`."""
    span: Ints
    """(N-1,) intervals that the energy is of: 0 where the flag is MISSING, more than 1 in a CATCH_UP, and in
    a RESET how many intervals are unknown."""
    rolls: int
    """How often the register turned over."""

    @property
    def known(self) -> Bools:
        """(N-1,) where the energy is that of this interval alone."""
        known: Bools = self.flag <= Increment.ROLLED
        return known

    @property
    def total(self) -> int:
        """All energy that the register proves, those of catch-ups included."""
        return sum(self.energy.tolist())


def increments(reads: Ints, present: Bools, *, digits: int, most: int) -> Increments:
    """Energy of the intervals between reads.

    `reads` (N,) are cumulative values on a regular grid in the register's last digit; `present` (N,) says
    which exist (the others may hold anything). `digits` is the register's length, `most` what can flow in
    one interval. Raises `WrongShape` or `OutOfRange`, naming the argument.
    """
    _check(reads, present, digits, most)
    modulus = 10**digits
    intervals = max(len(reads) - 1, 0)
    energy = np.zeros(intervals, np.int64)
    flag = np.full(intervals, Increment.MISSING, np.uint8)
    span = np.zeros(intervals, np.int64)
    at = np.flatnonzero(present)
    if len(at) < 2:
        return Increments(energy, flag, span, 0)
    apart, difference = np.diff(at), np.diff(reads[at])
    bound = np.minimum(apart, modulus // most + 1) * most  # below twice the modulus: no overflow
    turned = difference + modulus
    steady = (difference >= 0) & (difference <= bound)
    rolled = (difference < 0) & (turned <= bound) & (turned < modulus // 2)
    ends = at[1:] - 1
    energy[ends] = np.select([steady, rolled], [difference, turned], 0)
    flag[ends] = np.select(
        [~(steady | rolled), apart > 1, rolled], [Increment.RESET, Increment.CATCH_UP, Increment.ROLLED], 0
    )
    span[ends] = apart
    return Increments(energy, flag, span, int(rolled.sum()))


def on_grid(times_s: Ints, reads: Ints, *, first_s: int, length_s: int, count: int) -> tuple[Ints, Bools]:
    """The reads taken exactly at the `count` boundaries from `first_s`, `length_s` apart, and which exist.

    Reads beside a boundary are left out: interpolating them would invent energy. Of several reads at one
    boundary the last given counts. Times are seconds of UTC.
    """
    if times_s.shape != reads.shape or times_s.ndim != 1:
        raise WrongShape("reads", f"{reads.shape}, but their times are {times_s.shape}")
    if length_s < 1 or count < 0:
        raise OutOfRange(f"grid of {count} intervals of {length_s} s")
    values, present = np.zeros(count, np.int64), np.zeros(count, np.bool_)
    place, beside = np.divmod(times_s - first_s, length_s)
    inside = (beside == 0) & (place >= 0) & (place < count)
    values[place[inside]] = reads[inside]
    present[place[inside]] = True
    return values, present


def _check(reads: Ints, present: Bools, digits: int, most: int) -> None:
    if reads.ndim != 1 or reads.dtype != np.int64:
        raise WrongShape("reads", f"{reads.dtype}{list(reads.shape)}: they are one row of int64")
    if present.shape != reads.shape or present.dtype != np.bool_:
        raise WrongShape("present", f"{present.dtype}{list(present.shape)}: one bool for each read")
    if not 1 <= digits <= MOST_DIGITS:
        raise OutOfRange(f"digits {digits}", f"a register has 1 to {MOST_DIGITS}")
    if not 1 <= most < 10**digits:
        raise OutOfRange(f"most {most}", f"what flows in one interval is 1 to {10**digits - 1}")
    wrong = np.flatnonzero(present & ((reads < 0) | (reads >= 10**digits)))
    if len(wrong):
        raise OutOfRange(f"read {int(wrong[0])}", f"{reads[wrong[0]]} does not fit {digits} digits")
