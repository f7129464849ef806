"""The benches of this package. Each is named in pyproject.toml, under `trellis.benches`."""

from __future__ import annotations

import argparse

from settlement.bench.registry import Bench
from settlement.errors import InputError


def _options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--seconds", type=_positive, default=10, help="of each load (default: 10)")
    parser.add_argument("--connections", type=_positive, default=32, help="of single orders (default: 32)")
    parser.add_argument("--batch", type=_positive, default=1000, help="orders of a batch (default: 1000)")
    parser.add_argument("--database", help="SQLAlchemy address of an empty database (default: SQLite)")


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise InputError(f"{text!r} is no number from 1 on")
    return int(text)


API = Bench(
    "api",
    "signed orders that the API takes in a second, one by one and in batches, and what kill -9 loses of them",
    "api.bench.measure:measure",
    _options,
)
