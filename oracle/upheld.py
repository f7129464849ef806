"""Readings that a challenge upheld: what the meter signed, proved on chain, and never answered.

They are actual for good. No check takes them out and no estimate replaces them; only what the meter signed
later, under a higher sequence, does, and only while it passes the checks itself.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from oracle.day import OUT_OF_SERVICE, Mask, MeterDay
from oracle.messages import Reading
from settlement.reference.posting import ACTUAL


def uphold(readings: MeterDay, upheld: Iterable[Reading]) -> tuple[MeterDay, Mask]:
    """The day with every upheld reading in it, and (S, W) where they stand now: not where an actual has a
    higher sequence, nor where the register is out of service. Of one reading the last given stands.

    UnknownReading for a register that the day has not, WrongWindow for a window that it has not.
    """
    stands = np.zeros(readings.wh.shape, np.bool_)
    wh, flags, sequence = readings.wh.copy(), readings.flags.copy(), readings.sequence.copy()
    for one in upheld:
        cell = readings.row(one.meter_id, one.register), readings.day.column(one.window_index)
        later = flags[cell] == ACTUAL and int(sequence[cell]) > one.sequence
        if later or flags[cell] == OUT_OF_SERVICE:
            continue
        wh[cell], flags[cell], sequence[cell], stands[cell] = one.wh, ACTUAL, np.uint64(one.sequence), True
    return (readings.replace(wh, flags, sequence) if stands.any() else readings), stands
