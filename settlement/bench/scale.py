"""`trellis bench scale`: what a street, a city and a country take, computed from what other benches measured.

Constants are figures of other benches, under their own names. Those of `scale.json` beside this file count
where nothing else is given; `--figures FILE` brings what a bench printed, `--measure` measures here what
one process can (`scale_measured.py`). So the table follows whatever machine the figures come from.

A home signs one schedule of 48 half-hours a day. A day is cleared between the gate and the deadline of its
proof, and posted, settled and certified after delivery; a later run changes a tenth of the homes. A chain is
kept busy for at most half of a day, so that one that stood still catches up.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from math import ceil
from pathlib import Path
from typing import Any

from settlement.bench.registry import Figures, Tell
from settlement.chain.client import MOST_GAS
from settlement.chain.rpc import TX_BYTES_CAP
from settlement.errors import InputError

DEFAULTS = Path(__file__).with_name("scale.json")

WINDOWS, REGISTERS = 48, 2
DAYS = 365
DAY_S = 86_400
CLEARING_S = 3_600
"""From the gate to the deadline of the proof."""
BUSY = 0.5
"""Of a day, the most that a chain is kept busy."""
LATER_RUNS, CHANGED = 4, 0.1
"""Runs after the first, and homes that each changes."""
DISK_BYTES = 10**12
"""What a validator may grow by in a year."""
MEMORY_MB = 24_000
"""Of the host that matches."""
CITY_HOMES, CITY_ZONES = 100_000, 435
"""Of the books and readings that `match` and `meter` measure."""
GB = 10**9


@dataclass(frozen=True)
class Constants:
    """What was measured; each field is named in `SOURCES`."""

    clear_gas: float
    """A window-order, over a tree of zones."""
    post_gas: float
    """A home and window; so are the next two."""
    settle_gas: float
    certify_gas: float
    correct_gas: float
    """A window that a later run changes."""
    grid_gas: float
    """A zone of a grid."""
    grid_bytes: float
    gas_per_s: float
    """Of clearings, that five validators bear."""
    prepare_s: float
    """A home: sealed, matched, replayed and packed by one core of the operator."""
    block_bytes: float
    """A home and day, in blocks."""
    receipt_bytes: float
    """In receipts: events."""
    disk_bytes: float
    """On a validator that keeps all state."""
    audit_s: float
    """Replaying a home's day, one core."""
    match_s: float
    """A city's day, one core."""
    match_mb: float
    """Memory for it."""
    validate_s: float
    """A city's readings of a day judged, filled and summed, one core."""
    readings_per_s: float
    """Signed readings decoded and verified by one core."""


SOURCES: Mapping[str, tuple[str, str]] = {
    "clear_gas": ("gas", "clear_gas_per_window_order_435_zones"),
    "post_gas": ("gas", "posting_gas_per_window"),
    "settle_gas": ("gas", "settle_gas_per_window"),
    "certify_gas": ("gas", "certify_gas_per_window"),
    "correct_gas": ("gas", "correct_gas_per_window"),
    "grid_gas": ("scale", "measured_grid_gas_per_zone"),
    "grid_bytes": ("scale", "measured_grid_bytes_per_zone"),
    "gas_per_s": ("network", "gas_per_s"),
    "prepare_s": ("network", "prepare_s_per_schedule"),
    "block_bytes": ("scale", "measured_block_bytes_per_home_day"),
    "receipt_bytes": ("scale", "measured_receipt_bytes_per_home_day"),
    "disk_bytes": ("scale", "measured_disk_bytes_per_home_day"),
    "audit_s": ("scale", "measured_audit_s_per_home_day"),
    "match_s": ("match", "city_day_s"),
    "match_mb": ("match", "city_day_peak_mb"),
    "validate_s": ("meter", "city_day_validate_s"),
    "readings_per_s": ("meter", "p256_readings_per_cpu_s"),
}
"""Bench and figure that each constant is."""


@dataclass(frozen=True)
class Place:
    """Who trades together."""

    name: str
    homes: int
    zones: int
    """Of its grids together."""


PLACES = (
    Place("street", 40, 1),
    Place("city", CITY_HOMES, CITY_ZONES),
    Place("country", 28_000_000, 121_800),
)
"""A country is 280 such cities."""


def measure(arguments: argparse.Namespace, tell: Tell) -> Figures:
    """The table, from the constants that are given."""
    given = read_figures([DEFAULTS, *arguments.figures])
    if arguments.measure:
        from settlement.bench.scale_measured import measured

        given["scale"] = {**given.get("scale", {}), **measured(tell)}
    constants = constants_of(given)
    limits = limits_of(constants)
    first = min(limits, key=lambda name: limits[name])
    tell(f"the first limit of one chain is {first}: {limits[first]:,} homes")
    told: dict[str, float] = {}
    for place in PLACES:
        told |= {f"{place.name}_{name}": number for name, number in figures(constants, place).items()}
    told |= {f"limit_{name}_homes": number for name, number in limits.items()}
    told["limit_zones"] = zones_of_a_grid(constants)
    return told | {name: number for name, number in given["scale"].items() if name.startswith("measured_")}


# Constants ----------------------------------------------------------------------------------------------


def read_figures(files: list[Path]) -> dict[str, dict[str, float]]:
    """Figures by bench; a later file counts more. InputError for what no bench printed."""
    found: dict[str, dict[str, float]] = {}
    for file in files:
        try:
            told: Any = json.loads(file.read_text())
            for one in told if isinstance(told, list) else [told]:
                numbers = {str(name): float(number) for name, number in one["figures"].items()}
                found[str(one["bench"])] = found.get(str(one["bench"]), {}) | numbers
        except (OSError, ValueError, RecursionError, KeyError, TypeError, AttributeError) as cause:
            raise InputError(
                f"{file} is not what a bench prints ({cause}): give its standard output"
            ) from cause
    return found


def constants_of(given: Mapping[str, Mapping[str, float]]) -> Constants:
    """InputError naming the first that is missing or not positive."""
    numbers = {}
    for one in fields(Constants):
        bench, name = SOURCES[one.name]
        number = given.get(bench, {}).get(name)
        if number is None or not 0 < number < float("inf"):
            raise InputError(f"{name} of `trellis bench {bench}` is {number}: measure it again")
        numbers[one.name] = number
    return Constants(**numbers)


# The table ----------------------------------------------------------------------------------------------


def settle_gas(constants: Constants) -> float:
    """Of a home's day after delivery, with its later runs."""
    first = constants.post_gas + constants.settle_gas + constants.certify_gas
    return WINDOWS * (first + LATER_RUNS * CHANGED * constants.correct_gas)


def oracle_s(constants: Constants) -> float:
    """Of a core for a home's readings of a day: each verified, the day judged."""
    return WINDOWS * REGISTERS / constants.readings_per_s + constants.validate_s / CITY_HOMES


def figures(constants: Constants, place: Place) -> dict[str, float]:
    """What a place takes, by the day and by the year."""
    homes, cities = place.homes, place.homes / CITY_HOMES
    clear, settle = homes * WINDOWS * constants.clear_gas, homes * settle_gas(constants)
    grown = homes * DAYS / GB
    chains = chains_for(constants, place)
    return {
        "homes": homes,
        "zones": place.zones,
        "window_orders_per_day": homes * WINDOWS,
        "gas_per_day": round(clear + settle),
        "chains": chains,
        "clear_s": _short(clear / constants.gas_per_s / chains),
        "settle_s": _short(settle / constants.gas_per_s / chains),
        "prepare_core_s": _short(homes * constants.prepare_s),
        "match_core_s": _short(cities * constants.match_s),
        "oracle_core_s": _short(homes * oracle_s(constants)),
        "audit_core_s": _short(homes * constants.audit_s),
        "blocks_gb_per_year": _short(grown * constants.block_bytes),
        "receipts_gb_per_year": _short(grown * constants.receipt_bytes),
        "disk_gb_per_year_and_chain": _short(grown * constants.disk_bytes / chains),
    }


def _short(number: float) -> float:
    """Three digits are what a figure like these is worth."""
    return float(f"{number:.3g}")


def chains_for(constants: Constants, place: Place) -> int:
    """As few as keep every limit of a chain, and every grid in one transaction."""
    most = min(limits_of(constants)[name] for name in OF_A_CHAIN)
    return max(ceil(place.homes / most), ceil(place.zones / zones_of_a_grid(constants)))


OF_A_CHAIN = ("clearing", "day", "disk")
"""Limits that another chain moves, whatever its zones; the others another core moves."""


def limits_of(constants: Constants) -> dict[str, int]:
    """Homes at which each thing is used up, on one chain, with one core for each who computes."""
    cleared = WINDOWS * constants.clear_gas
    day = cleared + settle_gas(constants)
    return {
        "zones": zones_of_a_grid(constants) * CITY_HOMES // CITY_ZONES,
        "clearing": int(CLEARING_S * constants.gas_per_s / cleared),
        "day": int(BUSY * DAY_S * constants.gas_per_s / day),
        "disk": int(DISK_BYTES / (DAYS * constants.disk_bytes)),
        "operator": int(CLEARING_S / (constants.prepare_s + constants.match_s / CITY_HOMES)),
        "memory": int(CITY_HOMES * MEMORY_MB / constants.match_mb),
        "audit": int(DAY_S / constants.audit_s),
        "oracle": int(DAY_S / oracle_s(constants)),
    }


def zones_of_a_grid(constants: Constants) -> int:
    """A grid is set in one transaction."""
    return int(min(MOST_GAS / constants.grid_gas, TX_BYTES_CAP / constants.grid_bytes))
