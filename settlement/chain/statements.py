"""Every imbalance of a day as it stands, told by the calls that made it.

The chain keeps a hash for each part of a day. What is behind it follows from what was sent: `settle` brings
what was metered, the trades are the Exchange's own state when the day was posted, `correct` and
`settleChallenge` say what changed since. So whoever has a node that keeps old state can go on with a day that
somebody else settled, and `current` proves it: what it returns has the hashes that the chain has.

`fold` is pure, on changes in their order; everything else reads them from a node.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from settlement.chain.errors import WrongProgress
from settlement.chain.events import CorrectionPosted, decode
from settlement.chain.exchange import Exchange
from settlement.chain.held import read_holdings
from settlement.chain.rpc import Log
from settlement.chain.settler import (
    SETTLE,
    SignedPosting,
    certify_part,
    follow,
    imbalances_of,
    lacks_of,
    plan_of,
    settle_part,
)
from settlement.chain.steps import call_of
from settlement.reference import settlement
from settlement.reference.correction import unpack_differences
from settlement.reference.errors import NotInStatement
from settlement.reference.posting import Posting, is_default
from settlement.reference.reading import EXPORT
from settlement.reference.statement import Statement, statement_hash, statement_of

Row = tuple[int, ...]
"""An account's imbalance in each window of the day, Wh."""


@dataclass(frozen=True)
class Change:
    """What one call after the first run made of one account's imbalance."""

    account: bytes
    difference: Row
    """New less old, Wh."""
    run: int
    """The correction that it is of, or that it came after."""
    challenge: bytes
    """Id of the challenge that held; empty for a correction."""
    log: Log
    """The event that told of its part."""


@dataclass(frozen=True)
class ZoneStatements:
    """What the parts of a zone's day have left, with the numbers behind their hashes."""

    posting: Posting
    parts: tuple[tuple[bytes, ...], ...]
    """Accounts of each part, ascending."""
    rows: Mapping[bytes, Row]

    def part_of(self, account: bytes) -> int:
        """The part that an account is in. NotInStatement."""
        for part, accounts in enumerate(self.parts):
            if account in accounts:
                return part
        raise NotInStatement(account)

    def statement(self, part: int, *changing: bytes) -> Statement:
        """A part's statement as a call brings it, with the rows of the accounts that it changes."""
        return statement_of(((one, self.rows[one]) for one in self.parts[part]), changing)


def fold(start: ZoneStatements, changes: Iterable[Change]) -> ZoneStatements:
    """The statements after these changes, in their order. NotInStatement."""
    rows = dict(start.rows)
    for one in changes:
        if one.account not in rows:
            raise NotInStatement(one.account)
        pairs = zip(rows[one.account], one.difference, strict=True)
        rows[one.account] = tuple(before + more for before, more in pairs)
    return replace(start, rows=rows)


def current(exchange: Exchange, zone: int, day: int) -> ZoneStatements:
    """What the zone's day has come to. WrongProgress unless the chain's hashes are those of it."""
    _, certified = first_run(exchange, day)
    if zone not in certified:
        raise WrongProgress(f"day {day} of zone {zone} was never settled: settle it first")
    found = fold(certified[zone], changes_of(exchange, zone, day))
    check(exchange, found)
    return found


def check(exchange: Exchange, found: ZoneStatements) -> None:
    """WrongProgress unless these are the statements whose hashes the chain has."""
    zone, day = found.posting.zone, found.posting.first_window
    for part in range(len(found.parts)):
        (kept,) = exchange.view("statementOf", zone, day, part)
        if kept != statement_hash(found.statement(part)):
            raise WrongProgress(f"part {part} of day {day}, zone {zone} is not what its calls say: try again")


# The first run ------------------------------------------------------------------------------------------


def first_run(exchange: Exchange, day: int) -> tuple[dict[int, ZoneStatements], dict[int, ZoneStatements]]:
    """The statements by zone once all was settled, and once all was certified."""
    zones = settled_postings(exchange, day)
    rows: dict[bytes, Row] = {}
    settled: dict[bytes, Row] = {}
    carry = None
    for part in plan_of(exchange, zones) if zones else ():
        terms = part.holdings.day
        carry = settlement.initial_run(terms) if carry is None else carry
        if part.name == SETTLE:
            carry, results = settle_part(part, terms, carry)
            settled |= imbalances_of(results)
        else:
            carry, delivered = certify_part(part, terms, carry)
            lacks = lacks_of(delivered)
            rows |= {account: _less(settled[account], lacking) for account, lacking in lacks.items()}
        carry = follow(part, carry)
    return _by_zone(zones, settled), _by_zone(zones, settled | rows)


def _less(row: Row, lacking: Row) -> Row:
    return tuple(wh - less for wh, less in zip(row, lacking, strict=True))


def _by_zone(zones: Iterable[SignedPosting], rows: Mapping[bytes, Row]) -> dict[int, ZoneStatements]:
    found = {}
    for one in zones:
        parts = tuple(tuple(one.accounts(part)) for part in range(len(one.parts)))
        own = {account: rows[account] for part in parts for account in part}
        found[one.posting.zone] = ZoneStatements(one.posting, parts, own)
    return found


def settled_postings(exchange: Exchange, day: int) -> list[SignedPosting]:
    """What a day was settled by, zone by zone, from the calldata of `settle`; without signatures."""
    found: dict[int, tuple[Posting, list[bytes]]] = {}
    for log in logs_of_day(exchange, "PartSettled", day):
        posting, entries, *_ = call_of(exchange, log, "settle")
        earlier = found.get(posting.zone, (posting, []))[1]
        found[posting.zone] = posting, [*earlier, entries]
    return [SignedPosting(posting, tuple(parts), ()) for posting, parts in found.values()]


def contracted(exchange: Exchange, found: ZoneStatements) -> dict[bytes, Row]:
    """What each account of a zone's day had sold less bought when it was posted, Wh in each window: what a
    day settled by default takes as metered.
    """
    accounts = [account for part in found.parts for account in part]
    held = read_holdings(exchange, found.posting, accounts)
    rows = {account: [0] * held.day.windows for account in accounts}
    for sign, side in ((1, held.obligations), (-1, held.claims)):
        for account in accounts:
            for (_, _, window), wh in side[account].items():
                rows[account][window] += sign * wh
    return {account: tuple(row) for account, row in rows.items()}


# Afterwards ---------------------------------------------------------------------------------------------


def changes_of(exchange: Exchange, zone: int, day: int) -> list[Change]:
    """What corrections and challenges changed since the first run, in the order of the chain."""
    found: list[Change] = []
    for log in logs_of_day(exchange, "PartCorrected", day, zone):
        correction, _, differences = call_of(exchange, log, "correct")
        for one in unpack_differences(differences, len(correction.surplus)):
            found.append(Change(one.account, one.wh, correction.run, b"", log))
    for log in logs_of_settled_challenges(exchange, zone, day):
        found.append(_challenged(exchange, log, zone, day))
    return sorted(found, key=lambda one: (one.log.block, one.log.index))


def _challenged(exchange: Exchange, log: Log, zone: int, day: int) -> Change:
    challenge = challenge_of(exchange, log.topics[1])
    difference = [0] * exchange.view("dayOf", day)[0]
    difference[challenge.window - day] = challenge.difference
    run = _run_at(exchange, log, zone, day)
    return Change(challenge.account, tuple(difference), run, log.topics[1], log)


def _run_at(exchange: Exchange, log: Log, zone: int, day: int) -> int:
    """How many corrections were complete when something was told."""
    done = logs_of_day(exchange, "RunCorrected", day, zone)
    return sum((one.block, one.index) < (log.block, log.index) for one in done)


@dataclass(frozen=True)
class ChallengeState:
    """A challenge as the chain keeps it (contracts/interfaces/IChallenges.sol)."""

    account: bytes
    zone: int
    day: int
    stage: int
    """0 none, 1 open, 2 defeated, 3 upheld, 4 dropped."""
    actual: bool
    answered: bool
    meter: bytes
    register: int
    window: int
    committed_wh: int
    """What stood when it was opened."""
    committed_sequence: int
    wh: int
    sequence: int
    answer_by: int
    """Unix seconds."""
    bond_nano: int

    @property
    def difference(self) -> int:
        """What it makes of the account's imbalance in its window, Wh."""
        more = self.wh - self.committed_wh
        return more if self.register == EXPORT else -more


def challenge_of(exchange: Exchange, id_: bytes) -> ChallengeState:
    """A challenge by its id; of stage 0 if there is none."""
    (values,) = exchange.view("challengeOf", id_)
    return ChallengeState(*values)


# Reading ------------------------------------------------------------------------------------------------


def logs_of_day(exchange: Exchange, name: str, day: int, zone: int | None = None) -> list[Log]:
    """An event's logs of a day; of all zones in the order of the chain if none is named."""
    place = None if zone is None else zone.to_bytes(32, "big")
    return logs_with(exchange, name, place, day.to_bytes(32, "big"))


def logs_of_settled_challenges(exchange: Exchange, zone: int, day: int) -> list[Log]:
    """Of the challenges of a zone's day that held."""
    return logs_with(exchange, "ChallengeSettled", None, zone.to_bytes(32, "big"), day.to_bytes(32, "big"))


def logs_with(exchange: Exchange, name: str, *indexed: bytes | None) -> list[Log]:
    """An event's logs with these indexed words; None stands for any."""
    topic = next(topic for topic, entry in exchange.abi.events.items() if entry.name == name)
    return exchange.chain.logs(exchange.address, exchange.deployment.block, topics=(topic, *indexed))


def prices_of(exchange: Exchange, found: ZoneStatements) -> tuple[Row, Row]:
    """Surplus and deficit prices that the zone's day is valued at now, micro/kWh: its posting's, or of a day
    settled by default its first complete correction's. WrongProgress before that.
    """
    posting = found.posting
    if not is_default(posting):
        return posting.surplus, posting.deficit
    done = logs_of_day(exchange, "RunCorrected", posting.first_window, posting.zone)
    if not done:
        raise WrongProgress(
            f"day {posting.first_window} was settled by default and has no prices: correct it"
        )
    posted = logs_of_day(exchange, "CorrectionPosted", posting.first_window, posting.zone)
    last = [log for log in posted if (log.block, log.index) < (done[0].block, done[0].index)][-1]
    event = decode(last)
    assert isinstance(event, CorrectionPosted)
    return event.correction.surplus, event.correction.deficit
