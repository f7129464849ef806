"""A later run of a zone's day: what is known now less what stands (docs/formats.md, Corrections).

    AccountDay as it stands ┐
                            ├─ differences, statement by statement ─ Correction ─ digest ─ signature
    AccountDay as known now ┘

A run that is out never changes. A reading that comes late, or that a meter says again, makes another
`AccountDay` of the same day, and what differs is the next run. A challenge that held has changed its account
already: it stands, and the next run has nothing to add to it. Where nothing differs the correction names no
statement: it says that the day was gone over again, and commits to the readings anew.

Salts are drawn as for a posting, from a day key of their own.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from oracle.aggregate import AccountDay
from oracle.errors import OutOfRange, UnknownAccount, WrongShape, WrongWindow
from oracle.posting import pack_flags
from settlement.reference import eip712
from settlement.reference.correction import MOST_RUNS, Correction, difference_bytes, struct_hash
from settlement.reference.eip712 import keccak
from settlement.reference.posting import flag_bytes

BOUND_WH = 1 << 31
"""A difference is an int32, Wh."""


@dataclass(frozen=True)
class Correcting:
    """All that a correction follows from, beside what is known now."""

    zone: int
    run: int
    """From 1, without a gap."""
    previous: bytes
    """The link of the zone's day on chain (32 bytes)."""
    surplus: tuple[int, ...]
    """The day's prices as it was settled, micro/kWh."""
    deficit: tuple[int, ...]
    statements: tuple[tuple[bytes, ...], ...]
    """Accounts of each part of the first run, ascending."""


@dataclass(frozen=True)
class CorrectedDay:
    """A correction and the calldata behind its part hashes."""

    correction: Correction
    differences: tuple[bytes, ...]
    """Packed, of each statement that changes."""

    def digest(self, separator: bytes) -> bytes:
        """What each node signs, under the Exchange's domain separator (32 bytes)."""
        return eip712.digest(separator, struct_hash(self.correction))

    def is_whole(self) -> bool:
        """Whether the differences are what the correction names: their hashes, and whole entries."""
        size = difference_bytes(len(self.correction.surplus))
        whole = all(packed and len(packed) % size == 0 for packed in self.differences)
        return whole and tuple(map(keccak, self.differences)) == self.correction.parts


def correct(standing: AccountDay, now: AccountDay, commitments: bytes, given: Correcting) -> CorrectedDay:
    """The run that brings `standing` to `now`, under the root of what the readings are now.

    WrongShape for another day, other accounts or prices of other windows, UnknownAccount for one in no
    statement, OutOfRange for a run beyond the last or a difference that no int32 holds.
    """
    _check(standing, now, commitments, given)
    difference = now.metered - standing.metered
    if difference.size and np.abs(difference).max() >= BOUND_WH:
        raise OutOfRange(int(np.abs(difference).max()), "a difference is an int32, Wh")
    changed = _changed_statements(now, difference, given.statements)
    packed = tuple(_pack(now, difference, rows) for rows in changed.values())
    correction = Correction(
        zone=given.zone,
        first_window=now.day.first_window,
        run=given.run,
        previous=given.previous,
        commitments=commitments,
        surplus=given.surplus,
        deficit=given.deficit,
        statements=tuple(changed),
        parts=tuple(map(keccak, packed)),
    )
    return CorrectedDay(correction, packed)


def _check(standing: AccountDay, now: AccountDay, commitments: bytes, given: Correcting) -> None:
    if standing.day != now.day or standing.accounts != now.accounts:
        raise WrongShape("standing", "it is another day or has other accounts than what is known now")
    if len(given.surplus) != now.day.windows or len(given.deficit) != now.day.windows:
        raise WrongShape("prices", f"give one for each of the {now.day.windows} windows")
    if not 1 <= given.run <= MOST_RUNS:
        raise OutOfRange(given.run, f"corrections are runs 1 to {MOST_RUNS}")
    if len(given.previous) != 32 or len(commitments) != 32:
        raise OutOfRange(given.previous, "a link and a root are 32 bytes")


def _changed_statements(
    now: AccountDay,
    difference: np.ndarray[tuple[int, int], np.dtype[np.int64]],
    statements: Sequence[Sequence[bytes]],
) -> dict[int, list[int]]:
    """Rows of the accounts that differ, by the statement they are in; both ascend."""
    place = {account: part for part, accounts in enumerate(statements) for account in accounts}
    found: dict[int, list[int]] = {}
    for row in np.flatnonzero((difference != 0).any(axis=1)):
        account = now.accounts[int(row)]
        if account not in place:
            raise UnknownAccount(account, "it is in no statement of the day: it was not settled")
        found.setdefault(place[account], []).append(int(row))
    return dict(sorted(found.items()))


def _pack(
    now: AccountDay, difference: np.ndarray[tuple[int, int], np.dtype[np.int64]], rows: list[int]
) -> bytes:
    """`account ‖ flags ‖ windows x int32` of each row: the fast twin of the reference's."""
    windows = now.day.windows
    start = 20 + flag_bytes(windows)
    table = np.zeros((len(rows), difference_bytes(windows)), np.uint8)
    accounts = b"".join(now.accounts[row] for row in rows)
    table[:, :20] = np.frombuffer(accounts, np.uint8).reshape(len(rows), 20)
    table[:, 20:start] = pack_flags(now.flags[rows])
    table[:, start:] = difference[rows].astype(">i4").view(np.uint8).reshape(len(rows), 4 * windows)
    return table.tobytes()


def with_challenges(standing: AccountDay, held: Iterable[tuple[bytes, int, int]]) -> AccountDay:
    """The day after challenges that held: of each the account, the window's index and what it added, Wh.

    UnknownAccount, WrongWindow.
    """
    metered = standing.metered.copy()
    for account, window_index, wh in held:
        if account not in standing.accounts:
            raise UnknownAccount(account)
        if window_index not in standing.day:
            raise WrongWindow(window_index)
        metered[standing.accounts.index(account), standing.day.column(window_index)] += wh
    return replace(standing, metered=metered)
