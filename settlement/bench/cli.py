"""`trellis bench`: one JSON object on standard output; progress and a table for the eye on standard error."""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

from settlement.bench.registry import Bench, Figures, find_benches


def register(subparsers: Any) -> None:
    """Adds `trellis bench`."""
    benches = find_benches()
    parser = subparsers.add_parser(
        "bench",
        help="measure this machine: gas, throughput",
        description='Prints {"bench", "machine", "figures"} on standard output, progress and a table on '
        "standard error. Without a name it lists the benches.",
    )
    parser.add_argument("--json", action="store_true", help="list the benches for programs")
    parser.set_defaults(run=lambda arguments: _list(benches, arguments))
    names = parser.add_subparsers(title="benches", metavar="NAME")
    for bench in benches.values():
        _add(names, bench)


def _add(names: Any, bench: Bench) -> None:
    parser = names.add_parser(bench.name, help=bench.summary, description=bench.summary)
    parser.add_argument("--json", action="store_true", help="leave out the table on standard error")
    bench.add_options(parser)
    parser.set_defaults(run=lambda arguments: _run(bench, arguments))


def _list(benches: dict[str, Bench], arguments: argparse.Namespace) -> None:
    if arguments.json:
        named = [{"name": bench.name, "summary": bench.summary} for bench in benches.values()]
        print(json.dumps({"benches": named}, indent=2))
        return
    width = max(map(len, benches), default=0)
    for bench in benches.values():
        print(f"trellis bench {bench.name:<{width}}   {bench.summary}")


def _run(bench: Bench, arguments: argparse.Namespace) -> None:
    from settlement.bench.machine import describe

    figures = bench.measure(arguments, _tell)
    if not arguments.json:
        print(table(figures, bench.details), file=sys.stderr)
    print(json.dumps({"bench": bench.name, "machine": describe(), "figures": dict(figures)}, indent=2))


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def table(figures: Figures, left_out: str = "") -> str:
    """A line each, numbers flush right; without the figures whose names begin with `left_out`."""
    kept = {name: number for name, number in figures.items() if not left_out or not name.startswith(left_out)}
    shown = {name: f"{number:,}" for name, number in kept.items()}
    names, numbers = max(map(len, shown), default=0), max(map(len, shown.values()), default=0)
    return "\n".join(f"  {name:<{names}}  {number:>{numbers}}" for name, number in shown.items())
