"""One measured case of `trellis bench match`, in a process of its own so that its peak memory is its own.

`python -m settlement.bench.match_case NAME REPETITIONS SHRINK` prints {"seconds": [...], "cpu": [...],
"peak_mb": N}.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from dataclasses import dataclass
from typing import NamedTuple

from settlement.bench.city import LEVELS, City, city
from settlement.errors import CheckFailed
from settlement.matching import check, clear
from settlement.units import floor_div


@dataclass(frozen=True)
class Shape:
    """How large a book is, and whether the check counts."""

    homes: int
    windows: int = 1
    qualities: int = 1
    flexible: int = 0
    levels: tuple[int, ...] = (1,)
    judged: bool = False
    seed: int = 1


class Seconds(NamedTuple):
    """By the clock, and of processor time, which other processes disturb less."""

    wall: float
    cpu: float


def now() -> Seconds:
    return Seconds(time.perf_counter(), time.process_time())


SHAPES = {
    "one_zone_10k": Shape(10_000, seed=2),  # the peer finds no crossing of curves in the book of seed 1
    "one_zone_100k": Shape(100_000),
    "city_window_1m": Shape(1_000_000, qualities=2, levels=LEVELS, judged=True),
    "city_window_2m": Shape(2_000_000, qualities=2, levels=LEVELS, judged=True),
    "city_day": Shape(100_000, windows=48, qualities=4, flexible=5_000, levels=LEVELS),
}


def book_of(shape: Shape, shrink: int = 1) -> City:
    """The case's orders, or so many times fewer."""
    return city(
        homes=floor_div(shape.homes, shrink),
        windows=shape.windows,
        qualities=shape.qualities,
        flexible=floor_div(shape.flexible, shrink),
        levels=shape.levels,
        seed=shape.seed,
    )


def seconds_of(shape: Shape, orders: City) -> Seconds:
    """From order arrays to result arrays; what is wrong with them is an error in any case."""
    start = now()
    clearing = clear(orders.book, orders.market, orders.flexible)
    cleared = now()
    violations = check(orders.book, orders.market, clearing, orders.flexible)
    if violations:
        raise CheckFailed(f"a measured clearing does not hold: {violations[0]}")
    end = now() if shape.judged else cleared
    return Seconds(end.wall - start.wall, end.cpu - start.cpu)


def main() -> None:
    name, repetitions, shrink = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    orders = book_of(SHAPES[name], shrink)
    seconds = [seconds_of(SHAPES[name], orders) for _ in range(repetitions)]
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
    wall, cpu = zip(*seconds, strict=True)
    print(json.dumps({"seconds": wall, "cpu": cpu, "peak_mb": peak_mb}))


if __name__ == "__main__":
    main()
