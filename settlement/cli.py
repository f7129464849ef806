"""The `trellis` command: a shell whose subcommands come from the entry points of `trellis.commands`.

Each entry point is a function `register(subparsers)` that adds its parsers and sets their default `run`,
called with the parsed arguments; it returns an exit code, or None for 0. So no package imports another.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from importlib.metadata import entry_points, version

from settlement.errors import TrellisError

GROUP = "trellis.commands"

EPILOG = """\
start here:
  trellis demo                               a community's day, end to end, on an embedded chain
  trellis audit --rpc URL --address A        replay and verify a deployment from its chain alone
  trellis clear BOOK.csv --out RESULT.json   clear a book of orders from a file, with no chain

Every command takes --json for machine-readable output; `trellis COMMAND --help` says more.
exit codes: 0 done, 1 a check failed, 2 bad input or usage
"""


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="trellis",
        description="Settle peer-to-peer energy on a permissioned Ethereum-compatible chain.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"trellis {version('trellis-energy')}")
    subparsers = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for entry_point in sorted(entry_points(group=GROUP), key=lambda each: each.name):
        entry_point.load()(subparsers)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; never raises for a mistake of the user's."""
    try:
        arguments = build_parser().parse_args(argv)
        return int(arguments.run(arguments) or 0)
    except TrellisError as error:
        print(f"trellis: error: {error.message}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("trellis: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader of our output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


if __name__ == "__main__":
    sys.exit(main())
