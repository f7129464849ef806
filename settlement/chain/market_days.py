"""What services must know of a day that is over: its sessions, zones and members, and how far it is.

Everything is read from a node; of everyone who asks the same node at the same block, all get the same.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from settlement.chain.events import (
    ChallengeAnswered,
    CorrectionPosted,
    DayOpened,
    MemberRegistered,
    MeteringPosted,
    OracleChanged,
    SessionOpened,
    decode,
)
from settlement.chain.exchange import Exchange, Stage
from settlement.chain.statements import ChallengeState, challenge_of, logs_of_day
from settlement.chain.steps import logs_of
from settlement.reference.accounts import PROSUMER
from settlement.reference.product_id import ENERGY
from settlement.reference.session import SessionParams

DEFAULT_AFTER_S = 10 * 86_400
"""From a day's end until anyone may settle it by default (contracts/Metering.sol)."""
WIDEST = 1 << 29
"""Bound of imbalance prices where no session of the day has narrower ones, micro/kWh."""
OPEN_CHALLENGE = 1


@dataclass(frozen=True)
class MarketDay:
    """A delivery day that the operator opened."""

    day: int
    """Index of its first window."""
    windows: int
    ends_at: int
    """Unix seconds."""


@dataclass(frozen=True)
class Traded:
    """What a day was traded under."""

    ended: bool
    """Whether each of its sessions of energy is proved or void: before, nothing of it can be posted."""
    proved: int
    """Sessions of energy that are proved: rounds that are settled."""
    bounds: tuple[int, int]
    """Least and greatest imbalance price, micro/kWh."""


@dataclass(frozen=True)
class Team:
    """The oracle nodes of a moment."""

    nodes: tuple[bytes, ...]
    """Ascending by address."""
    quorum: int


def market_days(exchange: Exchange) -> list[MarketDay]:
    """Every day that was opened, in the order of the days."""
    found = (decode(log) for log in logs_of(exchange, "DayOpened"))
    length = exchange.deployment.window_length
    days = (one for one in found if isinstance(one, DayOpened))
    each = (MarketDay(one.day, one.windows, (one.day + one.windows) * length) for one in days)
    return sorted(each, key=lambda one: one.day)


def traded(exchange: Exchange, day: int) -> Traded:
    """The sessions of energy of a day, as they are now."""
    terms, stages = [], []
    for log in logs_of(exchange, "SessionOpened"):
        event = decode(log)
        assert isinstance(event, SessionOpened)
        params: SessionParams = event.params
        if (params.day, params.kind) == (day, ENERGY):
            terms.append(params)
            stages.append(exchange.session(event.epoch)[1])
    bounds = (terms[0].imbalance_min, terms[0].imbalance_max) if terms else (-WIDEST, WIDEST)
    over = all(stage in (Stage.PROVED, Stage.VOID) for stage in stages)
    return Traded(over, stages.count(Stage.PROVED), bounds)


def prosumers(exchange: Exchange) -> dict[int, tuple[bytes, ...]]:
    """The metered members of each zone, ascending: everyone whom a posting of the zone must have."""
    found: dict[int, list[bytes]] = {}
    for log in logs_of(exchange, "MemberRegistered"):
        event = decode(log)
        assert isinstance(event, MemberRegistered)
        if event.role == PROSUMER:
            found.setdefault(event.zone, []).append(event.account)
    return {zone: tuple(sorted(accounts)) for zone, accounts in sorted(found.items())}


def zones_of(exchange: Exchange, day: int, members: Iterable[int]) -> list[int]:
    """Those of the zones with metered `members` that the day's grid has, ascending: they are settled."""
    _, version, _, _ = exchange.view("dayOf", day)
    zones = exchange.view("gridOf", version)[0][1]
    return sorted(zone for zone in members if zone < zones)


def posted(exchange: Exchange, day: int, zone: int) -> MeteringPosted | None:
    """What a zone's day is settled by: of several postings the last."""
    found = [decode(log) for log in logs_of(exchange, "MeteringPosted", zone, day)]
    events = [one for one in found if isinstance(one, MeteringPosted)]
    return events[-1] if events else None


def team(exchange: Exchange) -> Team:
    """The oracle nodes that the registrar admitted, and how many of them must agree."""
    active: dict[bytes, bool] = {}
    for log in logs_of(exchange, "OracleChanged"):
        event = decode(log)
        assert isinstance(event, OracleChanged)
        active[event.node] = event.active
    nodes = tuple(sorted(node for node, is_active in active.items() if is_active))
    return Team(nodes, int(exchange.view("quorum")[0]))


def open_challenges(exchange: Exchange) -> list[tuple[bytes, ChallengeState]]:
    """Challenges that are not ended, with their ids, in the order of the chain."""
    ended = {
        log.topics[1] for name in ("ChallengeSettled", "ChallengeDropped") for log in logs_of(exchange, name)
    }
    answered = (decode(log) for log in logs_of(exchange, "ChallengeAnswered"))
    ended |= {one.id for one in answered if isinstance(one, ChallengeAnswered) and one.defeated}
    ids = (log.topics[1] for log in logs_of(exchange, "ReadingChallenged"))
    found = ((id_, challenge_of(exchange, id_)) for id_ in ids if id_ not in ended)
    return [(id_, state) for id_, state in found if state.stage == OPEN_CHALLENGE]


def corrections_posted(exchange: Exchange, first: int, last: int) -> set[tuple[int, int]]:
    """Zone and day of every correction that was posted in some blocks, both inclusive."""
    topic = next(one for one, entry in exchange.abi.events.items() if entry.name == "CorrectionPosted")
    logs = exchange.chain.logs(exchange.address, first, last, topics=[topic])
    return {(int.from_bytes(log.topics[1], "big"), int.from_bytes(log.topics[2], "big")) for log in logs}


def completed(exchange: Exchange, day: int, zone: int, run: int) -> CorrectionPosted | None:
    """The correction that a later run of a zone's day was; None if it is not complete. Of several that were
    posted for it, the last one counts.
    """
    done = logs_of_day(exchange, "RunCorrected", day, zone)
    if len(done) < run:
        return None
    end = (done[run - 1].block, done[run - 1].index)
    logs = logs_of_day(exchange, "CorrectionPosted", day, zone)
    events = [decode(log) for log in logs if (log.block, log.index) < end]
    return [one for one in events if isinstance(one, CorrectionPosted) and one.run == run][-1]
