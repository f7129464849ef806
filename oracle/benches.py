"""The benches of this package. Each is named in pyproject.toml, under `trellis.benches`."""

from __future__ import annotations

import argparse

from settlement.bench.registry import Bench
from settlement.errors import InputError


def _meter_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--repetitions", type=_positive, default=3, help="the median counts (default: 3)")
    parser.add_argument("--processes", type=_positive, default=2, help="that verify signatures (default: 2)")
    parser.add_argument(
        "--shrink", type=_positive, default=1, metavar="N", help="cases N times smaller, to try it out"
    )


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise InputError(f"{text!r} is no number from 1 on")
    return int(text)


METER = Bench(
    "meter",
    "signed readings that the oracle takes in a second; seconds in which it judges and fills a city's day",
    "oracle.bench:measure",
    _meter_options,
)
