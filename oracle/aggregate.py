"""From registers to accounts: metered = export less import, Wh, injection positive."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from oracle.day import FLAGS, OUT_OF_SERVICE, Day, Flags, MeterDay, Wh, frozen
from oracle.errors import OutOfRange, UnknownAccount, UnknownReading, WrongShape
from oracle.messages import EXPORT
from oracle.registry import MeterRegistry
from settlement.reference.posting import DEFAULT, METERED_BOUND_WH


@dataclass(frozen=True, eq=False)
class AccountDay:
    """What a posting says: A accounts by W windows."""

    day: Day
    accounts: tuple[bytes, ...]
    """Addresses, strictly ascending."""
    metered: Wh
    """(A, W), export less import."""
    flags: Flags
    """(A, W), the worst flag among the account's registers: actual < estimated < default."""

    def __post_init__(self) -> None:
        shape = (len(self.accounts), self.day.windows)
        object.__setattr__(self, "metered", frozen("metered", self.metered, shape, np.int64))
        object.__setattr__(self, "flags", frozen("flags", self.flags, shape, np.uint8))
        if list(self.accounts) != sorted(set(self.accounts)):
            raise WrongShape("accounts", "addresses must ascend strictly")
        if not np.isin(self.flags, FLAGS).all():
            raise UnknownReading("flags", "a window is still missing")
        if self.metered.size and np.abs(self.metered).max() >= METERED_BOUND_WH:
            offender = self.accounts[int(np.abs(self.metered).max(axis=1).argmax())]
            raise OutOfRange(offender, "its metered energy in a window is 2^30 Wh or more")

    def of(self, account: bytes) -> tuple[Wh, Flags]:
        """One account's (W,) metered and (W,) flags; UnknownAccount."""
        if account not in self.accounts:
            raise UnknownAccount(account)
        row = self.accounts.index(account)
        return self.metered[row], self.flags[row]


def aggregate(readings: MeterDay, registry: MeterRegistry) -> AccountDay:
    """Sum the rows of each account. In each window only those in service count, and where there is none (an
    account without a meter too) it is zero by default. UnknownReading if a window is still missing.

    int64 is safe: an account would need 2^33 meters to overflow it.
    """
    readings.refuse_missing()
    accounts = registry.accounts
    place = {account: row for row, account in enumerate(accounts)}
    owner = np.array([place[registry[meter_id].account] for meter_id, _ in readings.series], np.int64)
    sign = np.array([1 if register == EXPORT else -1 for _, register in readings.series], np.int64)
    metered = np.zeros((len(accounts), readings.day.windows), np.int64)
    flags = np.full(metered.shape, DEFAULT, np.uint8)
    if len(owner):
        order = np.argsort(owner, kind="stable")
        starts = np.flatnonzero(np.diff(owner[order], prepend=-1))
        rows = owner[order][starts]
        metered[rows] = np.add.reduceat((readings.wh * sign[:, None])[order], starts, axis=0)
        flags[rows] = _worst(readings.flags[order], starts)
    return AccountDay(readings.day, accounts, metered, flags)


def _worst(flags: Flags, starts: npt.NDArray[np.intp]) -> Flags:
    """The worst flag of each group of rows, beginning at `starts`, by window; DEFAULT where all are out of
    service.
    """
    ranks = np.where(flags == OUT_OF_SERVICE, 0, flags + 1)
    worst = np.maximum.reduceat(ranks, starts, axis=0)
    return np.where(worst == 0, DEFAULT, worst - 1).astype(np.uint8)
