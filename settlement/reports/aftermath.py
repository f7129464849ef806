"""Facts of what followed a day's first run."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class AccountChange:
    """What one run changed of one account."""

    account: bytes
    imbalance_wh: int
    """Over the day."""
    cash_nano: int
    """Earned; negative is paid."""


@dataclass(frozen=True, slots=True)
class LaterRun:
    """A run after the first, or a challenge that held between two runs."""

    name: str
    """As the calendar has it (SF, R1, ...); "challenge" for one that held."""
    date: str
    """On which the chain had it."""
    changes: tuple[AccountChange, ...]
    """The balancing party's too."""
    estimated: int
    """Windows of homes that are not actual afterwards."""

    def of(self, account: bytes) -> AccountChange:
        """Nothing, if it did not change."""
        found = (one for one in self.changes if one.account == account)
        return next(found, AccountChange(account, 0, 0))

    @property
    def accounts(self) -> int:
        """How many changed, without the balancing party's other side."""
        return max(0, len(self.changes) - 1)


@dataclass(frozen=True, slots=True)
class Aftermath:
    """Everything after the first run."""

    first: str
    """Name of the first run."""
    runs: tuple[LaterRun, ...]
    """In the order of the chain."""
    final_nano: tuple[tuple[bytes, int], ...]
    """Free cash of every account in the end."""
    vault_nano: int
    """What the Exchange holds for them in the end."""

    def change_nano(self, account: bytes) -> int:
        """Of all runs together."""
        return sum(run.of(account).cash_nano for run in self.runs)
