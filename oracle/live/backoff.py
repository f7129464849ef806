"""How long to wait before the next attempt: doubling, with jitter, so that a broker that returns is not met
by everybody at once.
"""

from __future__ import annotations

import random

FIRST_S = 0.5
LONGEST_S = 30.0


class Backoff:
    """Delays of one party's attempts, in seconds."""

    def __init__(
        self, first_s: float = FIRST_S, longest_s: float = LONGEST_S, rng: random.Random | None = None
    ) -> None:
        self._first_s, self._longest_s = first_s, longest_s
        self._rng = rng or random.Random()
        self._failures = 0

    def reset(self) -> None:
        """An attempt succeeded."""
        self._failures = 0

    def next_s(self) -> float:
        """Between half and all of first, 2 first, 4 first, ... up to the longest."""
        whole = min(self._longest_s, self._first_s * (1 << min(self._failures, 32)))
        self._failures += 1
        return whole * self._rng.uniform(0.5, 1)
