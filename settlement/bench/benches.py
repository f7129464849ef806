"""The benches of this package. Each is named in pyproject.toml, under `trellis.benches`."""

from __future__ import annotations

import argparse

from settlement.bench.registry import Bench
from settlement.errors import InputError


def _chain_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--homes", type=_positive, default=300, help="schedules a clearing (default: 300)")
    parser.add_argument("--repetitions", type=_positive, default=5, help="the median counts (default: 5)")


def _match_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--repetitions", type=_positive, default=5, help="the median counts (default: 5)")
    parser.add_argument(
        "--shrink", type=_positive, default=1, metavar="N", help="books N times smaller, to try it out"
    )


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise InputError(f"{text!r} is no number from 1 on")
    return int(text)


GAS = Bench(
    "gas",
    "gas of clearing and settling a day, by window-order and by window; bytecode sizes",
    "settlement.bench.gas:measure",
    details="gas_",
)
CHAIN = Bench(
    "chain",
    "window-orders that an embedded chain clears in a second, and where the time goes",
    "settlement.bench.chain:measure",
    _chain_options,
)
MATCH = Bench(
    "match",
    "seconds in which the matcher clears books of a zone, of a city, and of a city's day; pymarket beside it",
    "settlement.bench.match:measure",
    _match_options,
)
