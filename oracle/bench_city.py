"""A city's metered day, the same every time, in a process of its own.

`python -m oracle.bench_city REPETITIONS SHRINK` prints {"seconds": [...], "cpu": [...], "peak_mb": N,
"taken_out": N, "estimated": N, "committed": N, "commit_cpu": [...]}.

Homes draw a base, an evening peak and now and then something large; 40% have PV. What goes wrong: 2% of the
registers are silent for up to six hours, one reading in 200 is lost, one meter in 500 sends nothing, one
register in 2,000 catches up after a gap in one lump. Nine in ten registers were read at both midnights. The
history is the week before.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from oracle.aggregate import AccountDay, aggregate
from oracle.commitments import commit
from oracle.day import MISSING, Day, Mask, MeterDay
from oracle.estimation import History, estimate, estimated_share
from oracle.messages import meter_id, private_key, public_point
from oracle.registers import RegisterReads
from oracle.registry import Meter, MeterRegistry
from oracle.salts import derive_all
from oracle.split import Ints
from oracle.validation import Evidence, capacities_wh, validate
from settlement.errors import CheckFailed
from settlement.reference.posting import ACTUAL

HOMES = 100_000
ZONE_HOMES = 10_000
"""Of a zone whose readings are committed to: a posting has room for 960,000."""
DAY = Day(1800, 990_000, 48)
PAST_DAYS = 7
CAPACITY_W = 23_000
LUMP_WH = 60_000


@dataclass(frozen=True, eq=False)
class City:
    """A day as it arrived, and what it is judged by."""

    registry: MeterRegistry
    readings: MeterDay
    history: History
    reads: RegisterReads


def city(homes: int, seed: int = 1) -> City:
    """The day of so many homes."""
    random = np.random.default_rng(seed)
    registry = MeterRegistry(
        Meter(meter_id(f"CITY-{n}"), *public_point(private_key(n + 1)), n.to_bytes(20, "big"), CAPACITY_W)
        for n in range(homes)
    )
    flowed = _flows(random, homes)
    arrived = _arrived(random, flowed.shape)
    registers = np.zeros((2 * homes, DAY.windows + 1), np.int64)
    np.cumsum(flowed, axis=1, out=registers[:, 1:])
    wh = np.where(arrived, flowed, 0)
    lumps = np.flatnonzero(random.random(2 * homes) < 1 / 2000)
    wh[lumps, random.integers(0, DAY.windows, len(lumps))] += np.where(arrived[lumps].any(axis=1), LUMP_WH, 0)
    wh = np.where(arrived, wh, 0)
    flags = np.where(arrived, np.uint8(ACTUAL), np.uint8(MISSING))
    sequence = arrived.astype(np.uint64)
    known = np.zeros(registers.shape, np.bool_)
    known[:, [0, -1]] = (random.random(2 * homes) < 0.9)[:, None]
    readings = MeterDay(DAY, registry.series, wh, flags, sequence)
    return City(registry, readings, _history(random, flowed), RegisterReads(registers, known))


def _flows(random: np.random.Generator, homes: int) -> Ints:
    """(2 homes, W) Wh of each import and export register, in turn."""
    hour = np.arange(DAY.windows) * 24 / DAY.windows
    evening = 1 + 2.5 * np.exp(-(((hour - 19) / 2.5) ** 2))
    base = random.gamma(2.0, 60.0, homes)
    load = base[:, None] * evening * random.gamma(4.0, 0.25, (homes, DAY.windows))
    load += np.where(random.random(load.shape) < 0.02, random.uniform(300, 1_500, load.shape), 0)
    roof = np.where(random.random(homes) < 0.4, random.uniform(500, 2_000, homes), 0)
    sun = np.clip(np.sin((hour - 6) / 12 * np.pi), 0, None) * (np.abs(hour - 12) < 6)
    net = np.rint(load - roof[:, None] * sun * random.uniform(0.3, 1.0, load.shape)).astype(np.int64)
    flows = np.empty((2 * homes, DAY.windows), np.int64)
    flows[0::2], flows[1::2] = np.maximum(net, 0), np.maximum(-net, 0)
    return flows


def _arrived(random: np.random.Generator, shape: tuple[int, ...]) -> Mask:
    """(S, W) what was not lost."""
    at = np.arange(shape[1])
    start = random.integers(0, shape[1], shape[0])[:, None]
    length = np.where(random.random(shape[0]) < 0.02, random.integers(1, 13, shape[0]), 0)[:, None]
    silent = np.repeat(random.random(shape[0] // 2) < 1 / 500, 2)[:, None]
    lost = (at >= start) & (at < start + length) | silent | (random.random(shape) < 1 / 200)
    arrived: Mask = ~lost
    return arrived


def _history(random: np.random.Generator, flowed: Ints) -> History:
    """A week of days that are like this one, 80% to 120% of it, with readings lost here and there."""
    wh = np.empty((len(flowed), PAST_DAYS, DAY.windows), np.int32)
    for day in range(PAST_DAYS):
        wh[:, day] = flowed * random.integers(80, 121, flowed.shape) // 100
    actual = random.integers(0, 100, wh.shape, np.uint8) > 0
    return History(wh, actual, np.arange(PAST_DAYS) < 5)


class Seconds(NamedTuple):
    """By the clock, and of this process's processor time."""

    wall: float
    cpu: float


def now() -> Seconds:
    return Seconds(time.perf_counter(), time.process_time())


def since(start: Seconds) -> Seconds:
    end = now()
    return Seconds(end.wall - start.wall, end.cpu - start.cpu)


def judge(given: City) -> tuple[int, MeterDay, AccountDay]:
    """From what arrived to accounts: how many readings were taken out, the day filled, the accounts."""
    evidence = Evidence(capacities_wh(given.registry, DAY.window_length_s), given.history, given.reads)
    valid, failures, _ = validate(given.readings, evidence)
    filled = estimate(valid, given.history, given.reads, evidence.capacity_wh)
    return len(failures), filled, aggregate(filled, given.registry)


def check(given: City, filled: MeterDay, accounts: AccountDay) -> None:
    """CheckFailed unless accounts have exactly what registers have, and registers what they advanced by."""
    flows = filled.wh.sum(axis=1)
    if int(accounts.metered.sum()) != int(flows[1::2].sum() - flows[0::2].sum()):
        raise CheckFailed("accounts do not sum to their registers")
    read = given.reads.known[:, 0] & (filled.flags != ACTUAL).any(axis=1)
    advance = given.reads.wh[read, -1] - given.reads.wh[read, 0]
    differs = int((flows[read] != advance).sum())
    if differs:
        raise CheckFailed(f"{differs} registers with estimates do not sum to their advance")


def first_homes(filled: MeterDay, homes: int) -> MeterDay:
    """The day of a part of the city."""
    rows = slice(0, 2 * homes)
    return MeterDay(DAY, filled.series[rows], filled.wh[rows], filled.flags[rows], filled.sequence[rows])


def commit_s(zone: MeterDay) -> float:
    """Processor seconds to derive the salts of a zone's readings and commit to them."""
    start = now()
    commit(zone, derive_all(bytes(32), 1, 1, zone))
    return since(start).cpu


def main() -> None:
    repetitions, shrink = int(sys.argv[1]), int(sys.argv[2])
    given, seconds = city(max(1, HOMES // shrink)), []
    for _ in range(repetitions):
        start = now()
        taken_out, filled, accounts = judge(given)
        seconds.append(since(start))
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
    check(given, filled, accounts)
    zone = first_homes(filled, max(1, ZONE_HOMES // shrink))
    told = {
        "seconds": [each.wall for each in seconds],
        "cpu": [each.cpu for each in seconds],
        "peak_mb": peak_mb,
        "taken_out": taken_out,
        "estimated": round(estimated_share(filled.flags), 4),
        "committed": zone.wh.size,
        "commit_cpu": [commit_s(zone) for _ in range(repetitions)],
    }
    print(json.dumps(told))


if __name__ == "__main__":
    main()
