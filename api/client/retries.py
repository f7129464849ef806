"""Which requests are sent again, and when. No clock and no I/O in here.

                          any request      one that may be repeated
    never sent            again            again
    no answer             -                again
    429                   again            again
    409 write-in-progress -                again
    502, 503, 504         -                again

`Retry-After` (RFC 9110, section 10.2.3) says when; without it the pause doubles each time, and a random part
of it is left out, so that many clients that failed together do not come back together.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from api.client.wire import Reply, Request

TRANSIENT = frozenset({502, 503, 504})


@dataclass(frozen=True)
class Retries:
    """How patient a client is."""

    most: int = 4
    """Times that one request is sent again."""
    first_s: float = 0.2
    """The first pause at most, where the service names none."""
    longest_s: float = 30.0
    """A pause longer than that is the caller's to make: the problem is raised, with `retry_after_s`."""
    random: random.Random = field(default_factory=random.Random)

    def after_silence(self, request: Request, attempt: int, sent: bool) -> float | None:
        """Seconds until a request that got no answer is sent again; None: it is given up."""
        if attempt > self.most or (sent and not request.repeatable):
            return None
        return self.pause(attempt)

    def after(self, request: Request, attempt: int, reply: Reply, now: float) -> float | None:
        """Seconds until an answered request is sent again; None: the answer stands."""
        if attempt > self.most or not self._transient(request, reply):
            return None
        asked = retry_after(reply.headers, now)
        if asked is None:
            return self.pause(attempt)
        return asked if asked <= self.longest_s else None

    def _transient(self, request: Request, reply: Reply) -> bool:
        if reply.status == 429:
            return True
        if reply.status in request.expected or not request.repeatable:
            return False
        under_way = reply.status == 409 and "retry-after" in reply.headers
        return under_way or reply.status in TRANSIENT

    def pause(self, attempt: int) -> float:
        """Before the next attempt, counted from 1."""
        longest = min(self.longest_s, self.first_s * float(1 << (attempt - 1)))
        return longest * (0.5 + self.random.random() / 2)


def retry_after(headers: Mapping[str, str], now: float) -> float | None:
    """Seconds that the service asks to wait, from Unix time `now`; None if it says nothing sensible."""
    text = headers.get("retry-after", "").strip()
    if text.isascii() and text.isdecimal():
        return float(text)
    try:
        found = parsedate_to_datetime(text)
    except ValueError:
        return None
    at = found if found.tzinfo is not None else found.replace(tzinfo=UTC)
    return max(0.0, (at - datetime.fromtimestamp(now, UTC)).total_seconds())
