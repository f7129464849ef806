"""`trellis bench meter`: how fast the oracle takes signed readings, and how fast it judges a city's day.

Readings are really signed, by keys of the bench, and taken by `oracle.intake.take` with a pool of verifying
processes, as a running oracle does: decoded, screened, verified, and of each reading the version chosen that
counts. A hundredth of the messages is altered and as many come twice. Processes are started, and have loaded
the meters' keys, before the clock runs.

The day is 100,000 homes x 48 half-hours, import and export (`oracle.bench_city`). Validated, estimated and
aggregated is timed, from arrays to arrays; making the day is not. It has a process of its own, so that its
peak memory is its own: everything is in it, the day, a week of history and the register reads. Figures named
`cpu` count processor time, which other processes disturb least.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from statistics import median
from typing import Any

from oracle.bench_city import Seconds, now, since
from oracle.day import Day
from oracle.intake import Verifier, take, verify_all
from oracle.messages import IMPORT, Reading, SignedReading, meter_id, private_key, public_point, sign
from oracle.pool import VerifierPool
from oracle.registry import Meter, MeterRegistry
from settlement.bench.registry import Figures, Tell
from settlement.errors import CheckFailed

DAY = Day(1800, 990_000, 48)
METERS = 1_000
READINGS = METERS * DAY.windows


def measure(arguments: argparse.Namespace, tell: Tell) -> Figures:
    """Every figure in turn."""
    meters = max(1, METERS // arguments.shrink)
    tell(f"meter: signing {meters * DAY.windows:,} readings ...")
    registry, batch = signed_day(meters)
    tell(f"meter: verifying them in {arguments.processes} processes ...")
    with VerifierPool(arguments.processes) as pool:
        take(batch, registry, DAY, pool)
        pooled = [take_s(batch, registry, pool).wall for _ in range(arguments.repetitions)]
    tell("meter: verifying them in this process ...")
    alone = [take_s(batch, registry, verify_all).cpu for _ in range(arguments.repetitions)]
    tell("meter: a city's day ...")
    city = _city(arguments)
    return {
        "p256_readings_per_s": round(len(batch) / median(pooled)),
        "p256_readings_per_cpu_s": round(len(batch) / median(alone)),
        "city_day_validate_s": round(median(city["seconds"]), 3),
        "city_day_validate_cpu_s": round(median(city["cpu"]), 3),
        "city_day_validate_peak_mb": city["peak_mb"],
        "city_day_taken_out": city["taken_out"],
        "city_day_estimated": city["estimated"],
        "commit_readings_per_cpu_s": round(city["committed"] / median(city["commit_cpu"])),
    }


def signed_day(meters: int) -> tuple[MeterRegistry, list[SignedReading]]:
    """Import registers of `meters` meters over a day, every hundredth message altered, every hundredth
    twice.
    """
    keys = {meter_id(f"BENCH-{n}"): private_key(n + 1) for n in range(meters)}
    registry = MeterRegistry(
        Meter(id_, *public_point(key), account=n.to_bytes(20, "big"), registers=(IMPORT,))
        for n, (id_, key) in enumerate(keys.items())
    )
    batch = [
        sign(Reading(id_, IMPORT, DAY.window_length_s, DAY.first_window + column, 100 + column, 1), key)
        for id_, key in keys.items()
        for column in range(DAY.windows)
    ]
    batch[::100] = [SignedReading(one.message, one.signature[::-1]) for one in batch[::100]]
    return registry, batch + batch[1::100]


def take_s(batch: list[SignedReading], registry: MeterRegistry, verifier: Verifier) -> Seconds:
    """Seconds to take the batch; CheckFailed unless exactly the sound readings count."""
    start = now()
    taken = take(batch, registry, DAY, verifier)
    seconds = since(start)
    sound = len(registry) * DAY.windows
    if len(taken.accepted) != sound - len(range(0, sound, 100)):
        raise CheckFailed(f"{len(taken.accepted)} readings count of {sound}, a hundredth of them altered")
    return seconds


def _city(arguments: argparse.Namespace) -> dict[str, Any]:
    words = [sys.executable, "-m", "oracle.bench_city", str(arguments.repetitions), str(arguments.shrink)]
    done = subprocess.run(words, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(words)} failed:\n{done.stderr}")
    told: dict[str, Any] = json.loads(done.stdout)
    return told
