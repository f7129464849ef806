"""What was known of a participant's day, and since when: every run and challenge, from chain data alone.

Two times are kept apart. The windows are when energy flowed; the block of an entry is when the chain came to
know that of them. Nothing is overwritten: what was billed after any run can be told again.

    settled    the first run: metered less contracted, and what was paid back of sales not produced
    delivered  what of its purchases was not delivered, and what that was worth
    corrected  a later run; also where it changed nothing of this account
    challenge  opened, defeated, upheld or dropped
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import accumulate

from settlement.chain import statements
from settlement.chain.errors import WrongProgress
from settlement.chain.events import (
    AccountCorrected,
    AccountDelivered,
    AccountSettled,
    ChallengeAnswered,
    ChallengeDropped,
    ChallengeSettled,
    ReadingChallenged,
    RunCorrected,
    decode,
)
from settlement.chain.exchange import Exchange
from settlement.chain.rpc import Log
from settlement.chain.statements import Change, Row, ZoneStatements, challenge_of, logs_of_day

SETTLED, DELIVERED, CORRECTED = "settled", "delivered", "corrected"
OPENED, DEFEATED = "challenge opened", "challenge defeated"
UPHELD, DROPPED = "challenge upheld", "challenge dropped"


@dataclass(frozen=True)
class Known:
    """What the chain knew of the day from a block on."""

    what: str
    """Of the names above."""
    run: int
    """The run that it is of, or that it came after; 0 is the first."""
    block: int
    time: int
    """Of the block, Unix seconds."""
    tx_hash: bytes
    imbalance_wh: Row
    """In each window, from then on."""
    cash_nano: int
    """What it earned the account; negative is what it cost."""
    cumulative_nano: int
    """Of this and everything before."""
    stake_nano: int = 0
    """What was set at stake (negative), returned, or received from the oracles."""
    challenge: bytes = b""
    """Its id."""


@dataclass(frozen=True)
class _Step:
    """A `Known` before its time and sum are looked up."""

    what: str
    run: int
    log: Log
    difference: Row
    cash_nano: int
    stake_nano: int = 0
    challenge: bytes = b""


def history(exchange: Exchange, account: bytes, zone: int, day: int) -> list[Known]:
    """All entries in the order of the chain. WrongProgress if the zone's day was not settled;
    NotInStatement if the account was not metered in it.
    """
    settled, certified = statements.first_run(exchange, day)
    if zone not in settled:
        raise WrongProgress(f"day {day} of zone {zone} was never settled: settle it first")
    told = _Told(exchange, account, zone, day)
    steps = [*told.first_run(settled[zone], certified[zone]), *told.later(), *told.challenges()]
    return _known(exchange, sorted(steps, key=lambda one: (one.log.block, one.log.index)))


def _known(exchange: Exchange, steps: list[_Step]) -> list[Known]:
    sums = accumulate(one.cash_nano for one in steps)
    times = {block: exchange.chain.now(block) for block in {one.log.block for one in steps}}
    rows = accumulate((one.difference for one in steps), _plus)
    return [
        Known(
            what=one.what,
            run=one.run,
            block=one.log.block,
            time=times[one.log.block],
            tx_hash=one.log.tx_hash,
            imbalance_wh=row,
            cash_nano=one.cash_nano,
            cumulative_nano=total,
            stake_nano=one.stake_nano,
            challenge=one.challenge,
        )
        for one, row, total in zip(steps, rows, sums, strict=True)
    ]


def _plus(row: Row, more: Row) -> Row:
    return tuple(a + b for a, b in zip(row, more, strict=True))


class _Told:
    """What the Exchange told of an account in a zone's day."""

    def __init__(self, exchange: Exchange, account: bytes, zone: int, day: int) -> None:
        self.exchange, self.account, self.zone, self.day = exchange, account, zone, day
        self.windows: int = exchange.view("dayOf", day)[0]

    @property
    def nothing(self) -> Row:
        return (0,) * self.windows

    def first_run(self, settled: ZoneStatements, certified: ZoneStatements) -> Iterator[_Step]:
        """Its part's two calls; the second only once it was sent."""
        part, row = settled.part_of(self.account), settled.rows[self.account]
        log = logs_of_day(self.exchange, "PartSettled", self.day, self.zone)[part]
        yield _Step(SETTLED, 0, log, row, self._cash("AccountSettled", log))
        for later in logs_of_day(self.exchange, "PartCertified", self.day, self.zone)[part : part + 1]:
            pairs = zip(certified.rows[self.account], row, strict=True)
            lost = tuple(after - before for after, before in pairs)
            yield _Step(DELIVERED, 0, later, lost, self._cash("AccountDelivered", later))

    def later(self) -> Iterator[_Step]:
        """Every complete run, and what it changed of the account."""
        own = {one.run: one for one in self._changes() if not one.challenge}
        for log in logs_of_day(self.exchange, "RunCorrected", self.day, self.zone):
            event = decode(log)
            assert isinstance(event, RunCorrected)
            change = own.get(event.run)
            if change is None:
                yield _Step(CORRECTED, event.run, log, self.nothing, 0)
            else:
                cash = self._cash("AccountCorrected", change.log)
                yield _Step(CORRECTED, event.run, change.log, change.difference, cash)

    def challenges(self) -> Iterator[_Step]:
        """Of the account's readings of the day: how each was opened and how it ended."""
        held = {one.challenge: one for one in self._changes() if one.challenge}
        for log in self._logs("ReadingChallenged", None, self.account, self.zone.to_bytes(32, "big")):
            event = decode(log)
            assert isinstance(event, ReadingChallenged)
            if event.day != self.day:
                continue
            bond = challenge_of(self.exchange, event.id).bond_nano
            run = self._run_at(log)
            yield _Step(OPENED, run, log, self.nothing, 0, -bond, event.id)
            for ended in self._ends(event.id, bond, held):
                yield replace(ended, run=run)

    def _ends(self, id_: bytes, bond: int, held: dict[bytes, Change]) -> Iterator[_Step]:
        for name in ("ChallengeAnswered", "ChallengeDropped", "ChallengeSettled"):
            for log in self._logs(name, id_):
                match decode(log):
                    case ChallengeAnswered(defeated=True):
                        yield _Step(DEFEATED, 0, log, self.nothing, 0, 0, id_)
                    case ChallengeDropped():
                        yield _Step(DROPPED, 0, log, self.nothing, 0, bond, id_)
                    case ChallengeSettled(paid_nano=paid):
                        cash = self._cash("AccountCorrected", log)
                        yield _Step(UPHELD, 0, log, held[id_].difference, cash, bond + paid, id_)

    def _changes(self) -> list[Change]:
        found = statements.changes_of(self.exchange, self.zone, self.day)
        return [one for one in found if one.account == self.account]

    def _run_at(self, log: Log) -> int:
        done = logs_of_day(self.exchange, "RunCorrected", self.day, self.zone)
        return sum((one.block, one.index) < (log.block, log.index) for one in done)

    def _cash(self, name: str, part: Log) -> int:
        """What the account earned in the transaction that a part was told in; 0 if it was not named."""
        logs = self._logs(name, self.account)
        events = (decode(log) for log in logs if log.tx_hash == part.tx_hash)
        return sum(_cash_of(events))

    def _logs(self, name: str, *indexed: bytes | None) -> list[Log]:
        padded = (None if one is None else one.rjust(32, b"\0") for one in indexed)
        return statements.logs_with(self.exchange, name, *padded)


def _cash_of(events: Iterable[object]) -> Iterator[int]:
    for event in events:
        if isinstance(event, AccountSettled | AccountDelivered | AccountCorrected):
            yield event.cash_nano
