"""Statements: what a settled part leaves of its accounts' imbalances (docs/formats.md, Statements).

Only one hash a part is stored. Whoever changes an imbalance later brings the accounts, a leaf for each, and
the rows of those that change.
"""

from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass, replace

from settlement.reference.eip712 import keccak
from settlement.reference.errors import ImbalanceOutOfRange, NotInStatement, WrongRows
from settlement.reference.settlement import imbalance_cash
from settlement.reference.words import address_word, check_hash, check_uint
from settlement.units import floor_div

LANE_BYTES = 8
LANES = 4
"""Of a word: a row is whole words."""
BIAS = (1 << 40) + (1 << 31)
"""Of an imbalance in its lane, Wh."""
BOUND_WH = 1 << 31
"""An imbalance that was changed lies strictly between minus this and this."""


@dataclass(frozen=True)
class Statement:
    """A part's accounts as they are brought."""

    accounts: tuple[bytes, ...]
    """Ascending."""
    leaves: tuple[bytes, ...]
    """Hash of each one's row."""
    rows: bytes = b""
    """Of those accounts whose imbalances change, one after another."""


def row_bytes(windows: int) -> int:
    """Length of a row."""
    return LANE_BYTES * LANES * floor_div(windows + LANES - 1, LANES)


def pack_row(imbalance: Sequence[int]) -> bytes:
    """One 8-byte lane a window in order, and lanes of no imbalance up to a whole word."""
    lanes = [*imbalance, *(0,) * (-len(imbalance) % LANES)]
    return b"".join(check_uint("lane", wh + BIAS, 64).to_bytes(LANE_BYTES, "big") for wh in lanes)


def unpack_row(row: bytes, windows: int) -> tuple[int, ...]:
    """The imbalances of a row; WrongRows if its length is wrong."""
    if len(row) != row_bytes(windows):
        raise WrongRows
    lanes = [int.from_bytes(row[at : at + LANE_BYTES], "big") for at in range(0, len(row), LANE_BYTES)]
    return tuple(lane - BIAS for lane in lanes[:windows])


def leaf_of(imbalance: Sequence[int]) -> bytes:
    """The leaf of an account with these imbalances."""
    return keccak(pack_row(imbalance))


def statement_hash(statement: Statement) -> bytes:
    """What the Exchange stores. ValueOutOfRange if an account or a leaf is none."""
    pairs = zip(statement.accounts, statement.leaves, strict=True)
    return keccak(b"".join(address_word(account) + check_hash("leaf", leaf) for account, leaf in pairs))


def statement_of(
    imbalances: Iterable[tuple[bytes, Sequence[int]]], changing: Container[bytes] = ()
) -> Statement:
    """The statement of accounts and their imbalances, with the rows of those that will change."""
    found = [(account, pack_row(imbalance)) for account, imbalance in imbalances]
    return Statement(
        tuple(account for account, _ in found),
        tuple(keccak(row) for _, row in found),
        b"".join(row for account, row in found if account in changing),
    )


class Ledger:
    """A statement while it is changed: leaves by account, and rows taken from the front."""

    def __init__(self, statement: Statement, windows: int) -> None:
        self.statement = statement
        self.windows = windows
        self._leaves = list(statement.leaves)
        self._places = {account: at for at, account in enumerate(statement.accounts)}
        self._taken = 0

    def change(
        self, account: bytes, difference: Sequence[int], *, bounded: bool = True
    ) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """The account's imbalances before and after `difference` is added, Wh; its leaf is replaced.

        NotInStatement if the account is not of the statement, WrongRows if the next row is not its,
        ImbalanceOutOfRange if a window that changes leaves its bounds, where they are asked for: a day is
        certified whatever was traded.
        """
        if account not in self._places:
            raise NotInStatement(account)
        size, at = row_bytes(self.windows), self._places[account]
        row = self.statement.rows[self._taken : self._taken + size]
        self._taken += size
        if keccak(row) != self._leaves[at]:
            raise WrongRows
        before = unpack_row(row, self.windows)
        after = tuple(wh + more for wh, more in zip(before, difference, strict=True))
        changed = (wh for wh, more in zip(after, difference, strict=True) if more)
        if bounded and not all(-BOUND_WH < wh < BOUND_WH for wh in changed):
            raise ImbalanceOutOfRange(account)
        self._leaves[at] = leaf_of(after)
        return before, after

    def close(self) -> Statement:
        """The statement as it is now, without rows; WrongRows if some were not taken."""
        if self._taken != len(self.statement.rows):
            raise WrongRows
        return replace(self.statement, leaves=tuple(self._leaves), rows=b"")


def revalued(
    before: Sequence[int], after: Sequence[int], surplus: Sequence[int], deficit: Sequence[int]
) -> int:
    """What a change of imbalances is worth to the account at the day's prices, nano."""
    then = sum(map(imbalance_cash, before, surplus, deficit))
    return sum(map(imbalance_cash, after, surplus, deficit)) - then
