"""Rate limits: a token bucket for each wallet, or each address before it has logged in, in this process."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from api.errors import RateLimited

MOST_BUCKETS = 100_000
"""The one unused for longest is forgotten first; it is full by then in all but a flood."""


@dataclass(frozen=True, slots=True)
class Limit:
    """How much a caller may do."""

    per_s: float
    """For long."""
    burst: int
    """At once."""


class Buckets:
    """The buckets of one limit."""

    def __init__(self, limit: Limit, now: Callable[[], float]) -> None:
        """`now` gives seconds that only go forward."""
        self.limit, self._now = limit, now
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()  # tokens left, and when

    def take(self, caller: str, cost: int = 1) -> None:
        """Takes so many tokens of a caller. RateLimited, and nothing is taken, if there are fewer.

        What costs more than a whole bucket passes when the bucket is full, and the caller waits afterwards.
        """
        now = self._now()
        tokens, at = self._buckets.get(caller, (float(self.limit.burst), now))
        tokens = min(self.limit.burst, tokens + (now - at) * self.limit.per_s)
        missing = min(cost, self.limit.burst) - tokens
        if missing > 0:
            raise RateLimited(max(1, math.ceil(missing / self.limit.per_s)))
        self._buckets[caller] = (tokens - cost, now)
        self._buckets.move_to_end(caller)
        if len(self._buckets) > MOST_BUCKETS:
            self._buckets.popitem(last=False)
