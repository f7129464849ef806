"""What a posting of a day would make of what is stored: counts, flags, and what validation says."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np

from oracle.day import MISSING, OUT_OF_SERVICE, Day, Flags, MeterDay, only_in_service
from oracle.estimation import estimate
from oracle.history import history_of
from oracle.intake import Intake, Verifier, take, to_day
from oracle.live.store import Store
from oracle.localdays import local_day, time_zone
from oracle.messages import SignedReading
from oracle.registry import MeterRegistry
from oracle.validation import Evidence, Failure, capacities_wh, validate
from settlement.reference.posting import ACTUAL, DEFAULT, ESTIMATED

FLAG_NAMES = {"actual": ACTUAL, "estimated": ESTIMATED, "default": DEFAULT}
REGISTER_NAMES = {1: "import", 2: "export"}
MOST_SHOWN = 20
"""Readings that a table lists."""


@dataclass(frozen=True)
class Asked:
    """A day, and by what it is judged."""

    registry: MeterRegistry
    date: date
    tz: str
    window_length_s: int
    past_days: int
    """How many days before it estimates may be made from."""

    def windows(self, days_before: int = 0) -> Day:
        return local_day(self.date - timedelta(days=days_before), self.tz, self.window_length_s)


def look(store: Store, asked: Asked, verifier: Verifier) -> dict[str, object]:
    """The figures of `trellis oracle day`. Default rules, no register reads, nothing upheld by challenges."""
    registry, day = asked.registry, asked.windows()
    intake, arrived = arrived_of(store.day(day).batch, registry, day, verifier)
    capacities = capacities_wh(registry, day.window_length_s)
    before = (asked.windows(days) for days in range(1, asked.past_days + 1))
    past = [
        validate(
            arrived_of(store.day(each).batch, registry, each, verifier)[1], Evidence(capacities)
        ).readings
        for each in before
    ]
    history = history_of(past, registry.series, day, time_zone(asked.tz))
    valid, failures, warnings = validate(arrived, Evidence(capacities, history))
    posted = estimate(valid, history, None, capacities)
    return {
        "day": str(asked.date),
        "tz": asked.tz,
        "window_length_s": day.window_length_s,
        "first_window": day.first_window,
        "windows": day.windows,
        "meters": len(registry),
        "registers": len(registry.series),
        **_came(arrived.flags),
        "rejected": dict(sorted(Counter(r.reason.name.lower() for r in intake.rejected).items())),
        "equivocations": len(intake.equivocations),
        "silent_meters": _silent(arrived.flags, registry.series),
        "past_days": asked.past_days,
        "posted": {name: int(np.count_nonzero(posted.flags == flag)) for name, flag in FLAG_NAMES.items()},
        "taken_out": [_plain(one) for one in failures],
        "reported": [_plain(one) for one in warnings],
    }


def arrived_of(
    batch: Sequence[SignedReading], registry: MeterRegistry, day: Day, verifier: Verifier
) -> tuple[Intake, MeterDay]:
    """What counts of a batch, and the day with it, where meters are in service."""
    intake = take(batch, registry, day, verifier)
    return intake, only_in_service(to_day(intake, registry, day), registry.in_service(day))


def _came(flags: Flags) -> dict[str, int]:
    actual, missing, idle = (int(np.count_nonzero(flags == f)) for f in (ACTUAL, MISSING, OUT_OF_SERVICE))
    return {"expected": actual + missing, "actual": actual, "missing": missing, "out_of_service": idle}


def _silent(flags: Flags, series: tuple[tuple[bytes, int], ...]) -> list[str]:
    """Meters of which nothing came though they were in service."""
    heard = {meter for (meter, _), row in zip(series, flags, strict=True) if (row == ACTUAL).any()}
    served = {meter for (meter, _), row in zip(series, flags, strict=True) if (row == MISSING).any()}
    return ["0x" + meter.hex() for meter in sorted(served - heard)]


def _plain(failure: Failure) -> dict[str, object]:
    reading = failure.reading
    return {
        "meter": "0x" + reading.meter_id.hex(),
        "register": REGISTER_NAMES[reading.register],
        "window": reading.window_index,
        "wh": reading.wh,
        "check": failure.reason.name.lower(),
        "why": failure.reason.value,
    }


def table(figures: Mapping[str, object]) -> str:
    """The same for people: a line a figure, then the readings that failed a check."""
    lines = [f"{name.replace('_', ' '):<16}{_shown(name, value)}" for name, value in figures.items()]
    for name in ("taken_out", "reported"):
        told = figures[name]
        assert isinstance(told, list)
        lines += [f"  {name.replace('_', ' ')}: {_sentence(one)}" for one in told[:MOST_SHOWN]]
        if len(told) > MOST_SHOWN:
            lines.append(f"  {name.replace('_', ' ')}: {len(told) - MOST_SHOWN} more (--json has all)")
    return "\n".join(lines)


def _shown(name: str, value: object) -> str:
    if name in ("taken_out", "reported"):
        assert isinstance(value, list)
        return _counts(Counter(one["check"] for one in value).items())
    if isinstance(value, dict):
        return _counts(value.items())
    return f"{len(value)}" if isinstance(value, list) else str(value)


def _counts(counts: Iterable[tuple[str, int]]) -> str:
    return ", ".join(f"{count} {name}" for name, count in counts) or "none"


def _sentence(one: Mapping[str, object]) -> str:
    meter = str(one["meter"])
    return f"{meter[:10]}…, {one['register']}, window {one['window']}, {one['wh']} Wh: {one['why']}"
