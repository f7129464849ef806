"""From a batch of signed messages to the readings that count.

The result depends on the *set* of messages, never on their order or their signature bytes: brokers duplicate
and reorder, and ECDSA signatures can be rewritten. Nothing raises on bad input; every message that does not
count is returned with the reason, first failing check first, in this order:

    MALFORMED        not a 52-byte message with fields in range
    UNKNOWN_METER    its meter is not registered, or does not report that register
    WRONG_LENGTH     another window length than the day's
    OUTSIDE_DAY      a window that the day does not have
    TOO_LARGE        2^30 Wh or more
    NOT_IN_SERVICE   its meter did not serve its account then, or had no key
    REVOKED_KEY      the key of that window was revoked
    BAD_SIGNATURE    the key of that window did not sign it
    DUPLICATE        the same message again: it counts once
    SUPERSEDED       a higher sequence of the same reading came too
    EQUIVOCATION     the meter signed two different values under one sequence

Further reasons are given where readings arrive (`oracle.live`) and where they are validated
(`oracle.validation`).

Equivocation needs two valid signatures, so nobody but the meter can cause it. If it is at the highest
sequence, none of those values counts and the oracle does not fall back on an older one (whoever could choose
would have discretion): the window is missing and will be estimated. The pair is returned as evidence; it is
what revokes a meter on chain.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import Enum

import numpy as np

from oracle.day import Day, MeterDay, blank
from oracle.errors import BadMessage, BadMeterKey, RevokedKey
from oracle.messages import WH_BOUND, Reading, ReadingKey, SignedReading, decode, normalise, verify
from oracle.registry import MeterRegistry
from settlement.reference.posting import ACTUAL


class Reason(Enum):
    """Why a message does not count."""

    MALFORMED = "not a meter message"
    UNKNOWN_METER = "meter or register not registered"
    WRONG_LENGTH = "another window length than the day's"
    OUTSIDE_DAY = "window outside the day"
    TOO_LARGE = "2^30 Wh or more"
    NOT_IN_SERVICE = "its meter was not in service, or had no key"
    REVOKED_KEY = "its meter's key was revoked"
    BAD_SIGNATURE = "signature does not verify"
    DUPLICATE = "the same reading again"
    SUPERSEDED = "a higher sequence counts"
    EQUIVOCATION = "two values under one sequence"
    OVER_CAPACITY = "more than its connection can carry"
    CLOCK = "arrived before its window was over"
    STUCK = "the same value for too long"
    ZERO_RUN = "zero for too long"
    DENIED = "a surge of more than its register advanced by"
    SURGE = "many times everything else of its day"
    SPIKE = "far above the third highest of its day"
    SUM = "does not sum to the register's advance"
    TRUNCATED = "not a whole number of readings"
    WRONG_TOPIC = "sent in the name of another meter"
    OVER_QUOTA = "more readings than a meter may send in a day"


@dataclass(frozen=True, slots=True)
class Rejected:
    """A message that does not count."""

    signed: SignedReading
    reason: Reason
    reading: Reading | None = None
    """None where the message is malformed."""


@dataclass(frozen=True, slots=True)
class Equivocation:
    """Two messages by which a meter contradicts itself, the smaller message first."""

    key: ReadingKey
    sequence: int
    first: SignedReading
    second: SignedReading


@dataclass(frozen=True)
class Intake:
    """What a batch came to; every message is in exactly one of `accepted` and `rejected`."""

    accepted: tuple[tuple[Reading, SignedReading], ...]
    """One per reading at most, ascending by key; signatures normalised to low `s`."""
    rejected: tuple[Rejected, ...]
    """Ascending by message bytes."""
    equivocations: tuple[Equivocation, ...]
    """Ascending by key and sequence, one for each sequence concerned."""


Verifier = Callable[[Sequence[tuple[SignedReading, Reading]], MeterRegistry], Sequence[bool]]
"""How signatures are checked: here one after another; a shell may spread them over processes."""


def verify_all(pairs: Sequence[tuple[SignedReading, Reading]], registry: MeterRegistry) -> list[bool]:
    """Whether each message is signed by its registered meter; about 12,000 a second on one core."""
    return [verify(s.message, s.signature, registry.key_of(r)) for s, r in pairs]


def take(
    batch: Iterable[SignedReading], registry: MeterRegistry, day: Day, verifier: Verifier = verify_all
) -> Intake:
    """Verify `batch` and choose the readings that count. Raises nothing, whatever the bytes."""
    sound, rejected = _screen(batch, registry, day)
    verdicts = verifier(sound, registry)
    signed: dict[ReadingKey, list[tuple[Reading, SignedReading]]] = defaultdict(list)
    for (message, reading), good in zip(sound, verdicts, strict=True):
        if good:
            signed[reading.key].append(
                (reading, SignedReading(message.message, normalise(message.signature)))
            )
        else:
            rejected.append(Rejected(message, Reason.BAD_SIGNATURE, reading))
    accepted, equivocations = [], []
    for _, versions in sorted(signed.items()):
        winner, losers, contradictions = _choose(versions)
        accepted += winner
        rejected += losers
        equivocations += contradictions
    rejected.sort(key=lambda r: (r.signed.message, r.reason.name, r.signed.signature))
    return Intake(tuple(accepted), tuple(rejected), tuple(equivocations))


def to_day(intake: Intake, registry: MeterRegistry, day: Day) -> MeterDay:
    """The accepted readings as arrays; what is absent is MISSING."""
    empty = blank(day, registry.series)
    rows = {series: row for row, series in enumerate(empty.series)}
    wh, flags, sequence = empty.wh.copy(), empty.flags.copy(), empty.sequence.copy()
    for reading, _ in intake.accepted:
        cell = rows[reading.meter_id, reading.register], day.column(reading.window_index)
        wh[cell], flags[cell], sequence[cell] = reading.wh, ACTUAL, np.uint64(reading.sequence)
    return empty.replace(wh, flags, sequence)


def _screen(
    batch: Iterable[SignedReading], registry: MeterRegistry, day: Day
) -> tuple[list[tuple[SignedReading, Reading]], list[Rejected]]:
    """Split a batch by everything that needs no cryptography."""
    sound, rejected = [], []
    for signed in batch:
        try:
            reading = decode(signed.message)
        except BadMessage:
            rejected.append(Rejected(signed, Reason.MALFORMED))
            continue
        reason = _misplaced(reading, registry, day)
        if reason is None:
            sound.append((signed, reading))
        else:
            rejected.append(Rejected(signed, reason, reading))
    return sound, rejected


def _misplaced(reading: Reading, registry: MeterRegistry, day: Day) -> Reason | None:
    if reading.meter_id not in registry or reading.register not in registry[reading.meter_id].registers:
        return Reason.UNKNOWN_METER
    if reading.window_length_s != day.window_length_s:
        return Reason.WRONG_LENGTH
    if reading.window_index not in day:
        return Reason.OUTSIDE_DAY
    return unsound(reading, registry)


def unsound(reading: Reading, registry: MeterRegistry) -> Reason | None:
    """Why a registered meter's reading cannot count, whatever day it is asked for; its signature aside."""
    if reading.wh >= WH_BOUND:
        return Reason.TOO_LARGE
    if reading.start_s not in registry[reading.meter_id].service:
        return Reason.NOT_IN_SERVICE
    try:
        registry.key_of(reading)
    except RevokedKey:
        return Reason.REVOKED_KEY
    except BadMeterKey:
        return Reason.NOT_IN_SERVICE
    return None


def _choose(
    versions: list[tuple[Reading, SignedReading]],
) -> tuple[list[tuple[Reading, SignedReading]], list[Rejected], list[Equivocation]]:
    """Of the verified versions of one reading: the one that counts (or none), the others, the
    contradictions.
    """
    distinct: dict[bytes, tuple[Reading, SignedReading]] = {}
    losers = []
    for reading, signed in sorted(versions, key=lambda v: (v[1].message, v[1].signature)):
        if signed.message in distinct:
            losers.append(Rejected(signed, Reason.DUPLICATE, reading))
        else:
            distinct[signed.message] = (reading, signed)
    by_sequence: dict[int, list[tuple[Reading, SignedReading]]] = defaultdict(list)
    for reading, signed in distinct.values():
        by_sequence[reading.sequence].append((reading, signed))
    winner: list[tuple[Reading, SignedReading]] = []
    contradictions = []
    for sequence, same in sorted(by_sequence.items()):
        if len(same) > 1:
            contradictions.append(Equivocation(same[0][0].key, sequence, same[0][1], same[1][1]))
            losers += [Rejected(signed, Reason.EQUIVOCATION, reading) for reading, signed in same]
        elif sequence == max(by_sequence):
            winner = same
        else:
            losers += [Rejected(signed, Reason.SUPERSEDED, reading) for reading, signed in same]
    return winner, losers, contradictions
