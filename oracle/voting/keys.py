"""Day keys that nodes have in common without sending any, and that none can make again. Pure.

    secret of a date ─ HMAC "trellis/next" ─▶ secret of the next date ─▶ …
           └─ HMAC "trellis/run" ‖ first window(4) ‖ run(1) ─▶ day key of a run that is due on that date

All nodes begin with one secret, which is brought to each by hand. A node derives the keys of the runs that
are due on a date, goes on to the next date's secret and forgets the one before; it forgets a run's key once
that is on chain. HMAC-SHA256 cannot be turned back: from what a node has afterwards no earlier key follows,
so that erasing a salt means what `oracle.salts` says. Who takes a node's present secret knows the keys to
come, as any node does.
"""

from __future__ import annotations

import hmac
import json
import re
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path

from settlement.errors import InputError

FORMAT = "trellis-oracle-secret-1"
MOST_BYTES = 4096
SECRET_BYTES = 32
MOST_DAYS = 3_660
"""That a secret may be behind what is asked of it."""


@dataclass(frozen=True)
class Secret:
    """What all nodes have on a date."""

    day: date
    value: bytes = field(repr=False)
    """32 bytes."""

    def at(self, day: date) -> Secret:
        """That of a later date. InputError for an earlier one, which nobody can make any more."""
        if not 0 <= (day - self.day).days <= MOST_DAYS:
            raise InputError(f"the secret is of {self.day}: it gives no keys of {day}")
        value = self.value
        for _ in range((day - self.day).days):
            value = hmac.digest(value, b"trellis/next", "sha256")
        return Secret(day, value)

    def next(self) -> Secret:
        """That of the next date."""
        return self.at(self.day + timedelta(days=1))

    def key(self, first_window: int, run: int) -> bytes:
        """The day key of a run that is due on its date, 32 bytes. Salts add zone and sequence."""
        told = b"trellis/run" + first_window.to_bytes(4, "big") + run.to_bytes(1, "big")
        return hmac.digest(self.value, told, "sha256")


def dump(secret: Secret) -> str:
    """As a file."""
    told = {"format": FORMAT, "date": str(secret.day), "secret": "0x" + secret.value.hex()}
    return json.dumps(told, indent=1) + "\n"


def read(path: Path) -> Secret:
    """InputError, which never shows it."""
    try:
        raw = path.read_bytes()
        if len(raw) > MOST_BYTES:  # before it is parsed: nesting that is deep enough ends the process
            raise ValueError
        found = json.loads(raw)
        if found["format"] != FORMAT or not re.fullmatch("0x[0-9a-f]{64}", found["secret"]):
            raise ValueError
        return Secret(date.fromisoformat(found["date"]), bytes.fromhex(found["secret"][2:]))
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from None
    except (ValueError, KeyError, TypeError, RecursionError):
        raise InputError(
            f"{path} is no secret of oracle nodes: make one with `trellis oracle secret`"
        ) from None
