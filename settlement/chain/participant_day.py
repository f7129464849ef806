"""What was known of a participant's day, and since when: every run and challenge, from chain data alone.

Two times are kept apart. The windows are when energy flowed; the block of an entry is when the chain came to
know that of them. Nothing is overwritten: what was billed after any run can be told again.

    settled    the first run: metered less contracted, and what it was paid for deliveries as produced
    delivered  what of its purchases was not delivered, and what that was worth
    corrected  a later run; also where it changed nothing of this account
    challenge  opened, defeated, upheld or dropped

The balancing party is not metered. It has the other side of all that, zone by zone and part by part, and in
the end the rest: what of sales as produced neither sellers nor buyers received.
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
    PartCertified,
    PartCorrected,
    ReadingChallenged,
    RunCertified,
    RunCorrected,
    RunSettled,
    decode,
)
from settlement.chain.exchange import Exchange
from settlement.chain.rpc import Log
from settlement.chain.statements import Change, Row, ZoneStatements, challenge_of, logs_of_day

SETTLED, DELIVERED, CORRECTED, REST = "settled", "delivered", "corrected", "rest"
OPENED, DEFEATED = "challenge opened", "challenge defeated"
UPHELD, DROPPED = "challenge upheld", "challenge dropped"


@dataclass(frozen=True)
class Known:
    """What the chain knew of the day from a block on."""

    what: str
    """Of the names above."""
    zone: int
    run: int
    """The zone's run that it is of, or that it came after; 0 is the first."""
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
    zone: int
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
    first = told.first_run(settled[zone], certified[zone])
    return _known(exchange, [*first, *told.later(), *told.challenges()])


def history_of_party(exchange: Exchange, day: int) -> list[Known]:
    """The same of the balancing party, over all zones; entries of parts that changed nothing are left out.
    WrongProgress if the day was not settled in all its zones.
    """
    settled, certified = statements.first_run(exchange, day)
    if not logs_of_day(exchange, "RunSettled", day):
        raise WrongProgress(f"day {day} was not settled in all its zones: settle it first")
    told = _ToldOfParty(exchange, day)
    later = (step for zone in settled for step in told.later(zone))
    return _known(exchange, [*told.first_run(settled, certified), *later])


def _known(exchange: Exchange, found: list[_Step]) -> list[Known]:
    steps = sorted(found, key=lambda one: (one.log.block, one.log.index))
    sums = accumulate(one.cash_nano for one in steps)
    times = {block: exchange.chain.now(block) for block in {one.log.block for one in steps}}
    rows = accumulate((one.difference for one in steps), _plus)
    return [
        Known(
            what=one.what,
            zone=one.zone,
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
        yield _Step(SETTLED, self.zone, 0, log, row, self._cash("AccountSettled", log))
        for later in logs_of_day(self.exchange, "PartCertified", self.day, self.zone)[part : part + 1]:
            lost = _less(certified.rows[self.account], row)
            yield _Step(DELIVERED, self.zone, 0, later, lost, self._cash("AccountDelivered", later))

    def later(self) -> Iterator[_Step]:
        """Every complete run, and what it changed of the account."""
        own = {one.run: one for one in self._changes() if not one.challenge}
        for log in logs_of_day(self.exchange, "RunCorrected", self.day, self.zone):
            event = decode(log)
            assert isinstance(event, RunCorrected)
            change = own.get(event.run)
            if change is None:
                yield _Step(CORRECTED, self.zone, event.run, log, self.nothing, 0)
            else:
                cash = self._cash("AccountCorrected", change.log)
                yield _Step(CORRECTED, self.zone, event.run, change.log, change.difference, cash)

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
            yield _Step(OPENED, self.zone, run, log, self.nothing, 0, -bond, event.id)
            for ended in self._ends(event.id, bond, held):
                yield replace(ended, run=run)

    def _ends(self, id_: bytes, bond: int, held: dict[bytes, Change]) -> Iterator[_Step]:
        for name in ("ChallengeAnswered", "ChallengeDropped", "ChallengeSettled"):
            for log in self._logs(name, id_):
                match decode(log):
                    case ChallengeAnswered(defeated=True):
                        yield _Step(DEFEATED, self.zone, 0, log, self.nothing, 0, 0, id_)
                    case ChallengeDropped():
                        yield _Step(DROPPED, self.zone, 0, log, self.nothing, 0, bond, id_)
                    case ChallengeSettled(paid_nano=paid):
                        cash = self._cash("AccountCorrected", log)
                        yield _Step(UPHELD, self.zone, 0, log, held[id_].difference, cash, bond + paid, id_)

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


class _ToldOfParty:
    """What the Exchange told of the balancing party in a day: the other side of everyone else."""

    def __init__(self, exchange: Exchange, day: int) -> None:
        self.exchange, self.day = exchange, day
        self.windows: int = exchange.view("dayOf", day)[0]

    def first_run(
        self, settled: dict[int, ZoneStatements], certified: dict[int, ZoneStatements]
    ) -> Iterator[_Step]:
        """All zones at once; then part by part what was not delivered, and what nobody else received."""
        for log in logs_of_day(self.exchange, "RunSettled", self.day):
            event = decode(log)
            assert isinstance(event, RunSettled)
            rows = (row for one in settled.values() for row in one.rows.values())
            yield _Step(SETTLED, event.zone, 0, log, self._other_side(rows), event.cash_nano)
        for zone, before in settled.items():
            logs = logs_of_day(self.exchange, "PartCertified", self.day, zone)
            for accounts, log in zip(before.parts, logs, strict=False):
                yield from self._delivered(before, certified[zone], accounts, log)
        for log in logs_of_day(self.exchange, "RunCertified", self.day):
            event = decode(log)
            assert isinstance(event, RunCertified)
            yield _Step(REST, event.zone, 0, log, self._other_side(()), event.rest_nano)

    def _delivered(
        self, before: ZoneStatements, after: ZoneStatements, accounts: Iterable[bytes], log: Log
    ) -> Iterator[_Step]:
        event = decode(log)
        assert isinstance(event, PartCertified)
        lost = (_less(after.rows[one], before.rows[one]) for one in accounts)
        row = self._other_side(lost)
        if any(row) or event.cash_nano:
            yield _Step(DELIVERED, event.zone, 0, log, row, event.cash_nano)

    def later(self, zone: int) -> Iterator[_Step]:
        """What corrections and challenges of a zone changed, each in its place."""
        changes: dict[tuple[int, int], list[Change]] = {}
        for one in statements.changes_of(self.exchange, zone, self.day):
            changes.setdefault((one.log.block, one.log.index), []).append(one)
        for group in changes.values():
            row, first = self._other_side(one.difference for one in group), group[0]
            match decode(first.log):
                case PartCorrected(cash_nano=cash):
                    yield _Step(CORRECTED, zone, first.run, first.log, row, cash)
                case ChallengeSettled(cash_nano=cash):
                    yield _Step(UPHELD, zone, first.run, first.log, row, cash, 0, first.challenge)

    def _other_side(self, rows: Iterable[Row]) -> Row:
        """Minus the sum of accounts' rows."""
        total = [0] * self.windows
        for row in rows:
            total = [sum_ - wh for sum_, wh in zip(total, row, strict=True)]
        return tuple(total)


def _less(after: Row, before: Row) -> Row:
    return tuple(one - other for one, other in zip(after, before, strict=True))
