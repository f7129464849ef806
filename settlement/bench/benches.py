"""The benches of this package. Each is named in pyproject.toml, under `trellis.benches`."""

from __future__ import annotations

import argparse
from pathlib import Path

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


def _network_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--validators", type=_positive, default=5, metavar="N", help="(default: 5)")
    parser.add_argument(
        "--seconds", type=_positive, default=60, metavar="S", help="of clearing (default: 60)"
    )
    parser.add_argument(
        "--mgas", type=_positive, default=58, metavar="N", help="million gas offered a second (default: 58)"
    )
    parser.add_argument(
        "--steps", type=_positive, default=1, metavar="N", help="schedules of a home (default: 1)"
    )


def _scale_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--figures",
        type=Path,
        action="append",
        default=[],
        metavar="FILE",
        help="what another bench printed, in place of the constants that come along; repeatable",
    )
    parser.add_argument(
        "--measure",
        action="store_true",
        help="measure bytes, replay, a grid and, where validators can be built, disk: some minutes",
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
NETWORK = Bench(
    "network",
    "window-orders that validators clear in a second at a steady pace, with the client on the same host",
    "settlement.bench.network:measure",
    _network_options,
)
SCALE = Bench(
    "scale",
    "what a street, a city and a country take of chains, cores and disks, from figures of the other benches",
    "settlement.bench.scale:measure",
    _scale_options,
    details="measured_",
)
