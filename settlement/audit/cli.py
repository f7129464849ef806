"""`trellis audit`: what it is asked, and how it tells what it found."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from settlement.errors import InputError

if TYPE_CHECKING:
    from settlement.audit.audit import Progress
    from settlement.audit.findings import Difference, Findings


def register(subparsers: Any) -> None:
    """Adds `trellis audit`."""
    parser = subparsers.add_parser(
        "audit",
        help="replay and verify a deployment from its chain alone",
        description="Reads every transaction to an Exchange from a node, replays all of them by a second "
        "implementation of the rules, and compares what the chain told and stores. Exit code 0: everything "
        "holds; 1: the first difference is shown; 2: there is nothing to audit.",
    )
    parser.add_argument(
        "--rpc",
        action="append",
        required=True,
        metavar="URL",
        help="of a node, http(s) or the path of an IPC socket; with several, their answers are compared",
    )
    parser.add_argument("--address", required=True, help="of the Exchange, 0x and 40 hex digits")
    parser.add_argument(
        "--from-block",
        type=int,
        metavar="N",
        help="where the deployment begins (default: found by halving)",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of a table")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    from settlement.audit.audit import audit
    from settlement.audit.node import Node

    address = read_address(arguments.address)
    if arguments.from_block is not None and arguments.from_block < 0:
        raise InputError("--from-block is a block number, from 0")
    nodes = [Node(url) for url in arguments.rpc]
    with shown_progress() as progress:
        found = audit(nodes, address, arguments.from_block, progress)
    if arguments.json:
        print(json.dumps(found.as_json(), indent=2))
    else:
        show(found)
    return 0 if found.ok else 1


def read_address(text: str) -> bytes:
    """20 bytes. InputError for anything else."""
    try:
        found = bytes.fromhex(text.removeprefix("0x"))
    except ValueError:
        found = b""
    if len(found) != 20:
        raise InputError(f"{text!r} is no address: give 0x and 40 hex digits")
    return found


@contextmanager
def shown_progress() -> Iterator[Progress]:
    """A bar on standard error, where somebody looks."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("replaying blocks"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not sys.stderr.isatty()) as bar:
        task = bar.add_task("blocks", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def show(found: Findings) -> None:
    """The table, and the first difference if there is one."""
    from rich.console import Console
    from rich.table import Table

    from settlement.audit.findings import described

    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="bold")
    table.add_column(justify="right")
    table.add_column(overflow="fold")
    table.add_column()
    for one in found.checks.values():
        if one.count or not one.ok:
            sign = "ok" if one.ok else "DIFFERS"
            table.add_row(one.name, f"{one.count:,}", described(one), sign)
        elif one.note.startswith("not checked"):
            table.add_row(one.name, "-", one.note, "")
    console = Console()
    console.print(table)
    if found.difference is None:
        console.print("everything holds")
    else:
        console.print()
        for line in difference_lines(found.difference):
            console.print(line, markup=False, highlight=False, soft_wrap=True)


def difference_lines(difference: Difference) -> Iterator[str]:
    """The first difference, a line for each thing that is known of it."""
    yield f"the first difference is in {difference.check}: {difference.what}"
    told = difference.as_json()
    for name, label in (
        ("node", "node"),
        ("block", "block"),
        ("transaction", "transaction"),
        ("expected", "expected"),
        ("found", "the chain says"),
    ):
        if told[name] is not None:
            yield f"  {label}: {told[name]}"
