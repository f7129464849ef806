"""`trellis up`: what it is asked."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

DESCRIPTION = """\
Runs a whole deployment on this machine: a chain (embedded, or the validators of --network), the API, the
indexer, the operator, and, where Mosquitto is installed, three oracle nodes and the settlement service. The
first start makes keys and deploys; a later one goes on with the same chain and data. What dies is started
again. Ends on SIGTERM or Ctrl-C, leaving nothing behind. docs/up.md goes through it.
"""


def register(subparsers: Any) -> None:
    """Adds `trellis up`."""
    parser = subparsers.add_parser(
        "up",
        help="run chain, API, operator, oracle and indexer together",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--data", type=Path, default=Path("trellis-data"), metavar="DIR", help="(default: %(default)s)"
    )
    parser.add_argument("--api-port", type=int, default=8000, metavar="P", help="(default: %(default)s)")
    parser.add_argument(
        "--rpc-port", type=int, default=8545, metavar="P", help="of the embedded chain (default: %(default)s)"
    )
    parser.add_argument(
        "--mqtt-port", type=int, default=1883, metavar="P", help="of the broker (default: %(default)s)"
    )
    parser.add_argument(
        "--network", type=Path, metavar="DIR", help="of `trellis network`, booted if it is not"
    )
    parser.add_argument("--plan", type=Path, metavar="FILE", help="the operator's plan (docs/operator.md)")
    parser.add_argument("--json", action="store_true", help="print one JSON object once all are ready")
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    from api.services.up import run

    return run(arguments)
