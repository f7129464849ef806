"""What goes wrong with readings over many days, chosen by a seed, and when the truth comes in.

late        some windows of both registers: in before the second run
missing     a longer gap of the import: in before the third run only, estimated until then
wrong       a day's import that was read too low, and is signed again before a later run
contested   one window that the home challenges after the first run; the oracles never hear of its read
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, replace

from oracle.messages import IMPORT, REGISTERS

LATE, MISSING, WRONG, CONTESTED = "late", "missing", "wrong", "contested"
SECOND, THIRD, NEVER = 1, 2, 9
"""The run before which the truth comes in, as corrections are numbered."""
CONTESTED_EVERY = 7
TOO_MUCH_WH = 300


@dataclass(frozen=True)
class Trouble:
    """One, of one home on one day."""

    kind: str
    day: int
    home: int
    registers: tuple[int, ...]
    windows: range
    known_by: int
    """Run before which the oracles hear of the truth."""
    answered: bool = False
    """Of a challenge: an oracle shows what the meter had said."""

    def hits(self, register: int, window: int) -> bool:
        return register in self.registers and window in self.windows

    def first_said(self, wh: int) -> int | None:
        """What was signed first, for the first run; None if nothing came."""
        if self.kind in (LATE, MISSING):
            return None
        return wh - wh // 10 if self.kind == WRONG else wh + TOO_MUCH_WH


def troubles(seed: int, homes: int, days: int, windows: int) -> list[Trouble]:
    """One a day, of each kind in turn, and now and then a contested reading of another home."""
    dice = random.Random(seed)
    found: list[Trouble] = []
    for day in range(days):
        found.append(replace(_trouble(dice, day, windows), home=dice.randrange(homes)))
        if day % CONTESTED_EVERY == 1:
            other = (found[-1].home + 1 + dice.randrange(homes - 1)) % homes
            at = dice.randrange(windows)
            answered = day // CONTESTED_EVERY % 2 == 1
            found.append(Trouble(CONTESTED, day, other, (IMPORT,), range(at, at + 1), NEVER, answered))
    return found


def _trouble(dice: random.Random, day: int, windows: int) -> Trouble:
    kind = (LATE, MISSING, WRONG)[day % 3]
    if kind == WRONG:
        known = SECOND if day % 2 else THIRD
        return Trouble(kind, day, 0, (IMPORT,), range(windows), known)
    gap = dice.randint(3, 6) if kind == LATE else dice.randint(6, windows // 2)
    first = dice.randrange(windows - gap)
    registers = REGISTERS if kind == LATE else (IMPORT,)
    return Trouble(kind, day, 0, registers, range(first, first + gap), SECOND if kind == LATE else THIRD)


def of_day(found: list[Trouble], day: int, home: int) -> Iterator[Trouble]:
    return (one for one in found if (one.day, one.home) == (day, home))
