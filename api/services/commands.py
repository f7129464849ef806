"""What this package adds to the `trellis` command; what runs is imported only when it does."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

DEFAULT_DAY = "2017-06-14"
HOMES = 17
LINE_CHARGE = "0.01"
"""$/kWh."""


def register_demo(subparsers: Any) -> None:
    """Adds `trellis demo`."""
    parser = subparsers.add_parser(
        "demo",
        help="a community's day, end to end, on an embedded chain",
        description="Runs one day of measured homes: orders, clearing, delivery, settlement, audit, report. "
        "All keys are derived from the seed: for the demo's own chain, never for value.",
    )
    parser.add_argument("--day", default=DEFAULT_DAY, help="delivery day, YYYY-MM-DD (default: %(default)s)")
    parser.add_argument("--homes", type=int, default=HOMES, help=f"how many, 1 to {HOMES} (default: all)")
    parser.add_argument("--seed", type=int, default=1, help="of keys, agents and trouble (default: 1)")
    parser.add_argument(
        "--feed-in", type=int, default=80_000, metavar="MICRO", help="per kWh (default: %(default)s)"
    )
    parser.add_argument(
        "--imbalance-margin",
        type=int,
        default=0,
        metavar="MICRO",
        help="how much worse than the tariff imbalances are priced, per kWh (default: 0)",
    )
    parser.add_argument(
        "--runs",
        type=int,
        default=1,
        metavar="N",
        help="settle the day so often, 1 to 6: late reads, a corrected meter and a challenge (default: 1)",
    )
    _add_streets_and_cars(parser)
    parser.add_argument("--out", type=Path, default=Path("out"), metavar="DIR", help="(default: out)")
    parser.add_argument("--port", type=int, default=0, help="of the chain's RPC (default: any free one)")
    parser.add_argument("--network", type=Path, metavar="DIR", help="run on the validators of a folder")
    parser.add_argument("--rpc", action="append", metavar="URL", help="run on this anvil; repeatable")
    parser.add_argument("--keep", action="store_true", help="leave the chain running until Ctrl-C")
    parser.add_argument("--json", action="store_true", help="print a summary for programs instead of tables")
    parser.set_defaults(run=_demo)


def _add_streets_and_cars(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group(
        "streets and cars",
        "With two streets or more, homes are spread over them in turn and the supplier is at the substation "
        "above. What leaves or enters a street pays the charge of its line to the network operator, and "
        "congestion rent where the line is full; what stays in the street pays neither. The tariff includes "
        "the line. Cars are assumed, not measured: each buys 5 to 12 kWh for the hours from 00:00 to 07:00, "
        "at most 3.6 kWh an hour, with one flexible order that takes the cheapest hours.",
    )
    group.add_argument(
        "--streets", type=int, default=1, metavar="N", help="zones with homes, at most --homes (default: 1)"
    )
    group.add_argument(
        "--line-charge", metavar="$/KWH", help=f"of each street's line (default: {LINE_CHARGE})"
    )
    group.add_argument(
        "--line-capacity", metavar="KW", help="of each street's line, either way (default: no limit)"
    )
    group.add_argument(
        "--cars", type=int, default=0, metavar="N", help="the first N homes have one (default: 0)"
    )


def _demo(arguments: argparse.Namespace) -> int:
    from api.services.demo import run

    return run(arguments)
