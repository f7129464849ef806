"""`trellis operator`: what it is asked."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

DESCRIPTION = """\
Opens the sessions that the plan says are due, and takes each from its gate to its proof: seals the accepted
orders, commits to the books, clears and closes. It goes on wherever an earlier process stopped, by whichever
signal. Runs until SIGTERM or Ctrl-C. docs/operator.md describes the plan file.
"""


def register(subparsers: Any) -> None:
    """Adds `trellis operator`."""
    parser = subparsers.add_parser("operator", help="open and clear the sessions of a plan, as a service")
    nested = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    _add_run(nested)
    _add_plan(nested)


def _add_run(nested: Any) -> None:
    parser = nested.add_parser(
        "run",
        help="open and clear sessions until SIGTERM or Ctrl-C",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--rpc", action="append", metavar="URL", help="of a node, http(s); repeatable")
    place = parser.add_mutually_exclusive_group()
    place.add_argument("--address", metavar="A", help="of the Exchange, 0x and 40 hex digits")
    place.add_argument("--deployment", type=Path, metavar="FILE", help="the deployment.json of its folder")
    parser.add_argument("--database", metavar="URL", help="where the API keeps accepted orders")
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="the operator's own folder")
    parser.add_argument(
        "--key-file", metavar="SOURCE", help="the operator's key: a keystore file or a signer (docs/keys.md)"
    )
    parser.add_argument("--password-file", type=Path, metavar="FILE", help="(default: beside the keystore)")
    parser.add_argument("--receipt-signer", metavar="A", help="address of the key that signs receipts")
    parser.add_argument("--plan", type=Path, metavar="FILE", help="TOML (default: a day-ahead session a day)")
    parser.add_argument("--poll-s", type=float, default=1.0, metavar="S", help="between looks (default: 1)")
    parser.add_argument("--once", action="store_true", help="do what there is to do now, and end")
    parser.add_argument("--json", action="store_true", help="print one JSON object at the end")
    parser.set_defaults(run=lambda arguments: _shell().run(arguments))


def _add_plan(nested: Any) -> None:
    told = "check a plan, and show the sessions of some days"
    parser = nested.add_parser("plan", help=told, description=told)
    parser.add_argument("--plan", type=Path, metavar="FILE", help="TOML (default: the default plan)")
    parser.add_argument("--day", metavar="DATE", type=_day, help="the first, YYYY-MM-DD (default: tomorrow)")
    parser.add_argument("--days", type=int, default=1, metavar="N", help="how many (default: 1)")
    parser.add_argument("--window-s", type=int, default=1800, metavar="S", help="length of a window, seconds")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.set_defaults(run=lambda arguments: _shell().show_plan(arguments))


def _day(text: str) -> Any:
    return _shell().day_of(text)


def _shell() -> Any:
    from api.services import operator_shell

    return operator_shell
