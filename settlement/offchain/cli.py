"""`trellis clear`: a book from a file, cleared into a file."""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from settlement.errors import CheckFailed, InputError

if TYPE_CHECKING:
    from settlement.formats.case import Case
    from settlement.formats.source import Rows
    from settlement.matching import Clearing

DESCRIPTION = """\
Clears a book of orders by itself, with no chain: finds the trades of most welfare, the prices that the
price rule allows, and what each order gets.

BOOK is CSV or Parquet, one row an order and window:
  order_id,side,zone,quality,window,quantity_wh,limit_micro_per_kwh
  anna-1,sell,street,0,34,900,120000        900 Wh at no less than 0.12 a kWh
  ben-1,buy,street,0,34,600,250000          600 Wh at no more than 0.25
--flexible takes orders for an amount of energy within a range of windows (a car to be full by seven):
  order_id,side,zone,first_window,last_window,energy_wh,max_wh_per_window,limit_micro_per_kwh
--grid takes zones, their lines and what a quality may stand in for; without it there is one zone:
  {"zones": [{"id": "town", "parent": null},
             {"id": "street", "parent": "town", "charge_micro_per_kwh": 5000, "capacity_wh": 400000}]}
"""

EPILOG = """\
The same orders give the same bytes, in whatever order their rows stand.
docs/files.md says what every field means.
exit codes: 0 done, 1 the check failed, 2 bad input or usage; then nothing is written
"""


def register(subparsers: Any) -> None:
    """Adds `trellis clear`."""
    parser = subparsers.add_parser(
        "clear",
        help="clear a book of orders from a file, with no chain",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("book", type=Path, metavar="BOOK", help="orders, CSV or Parquet")
    parser.add_argument("--grid", type=Path, metavar="GRID.json", help="zones, lines, substitutions")
    parser.add_argument("--flexible", type=Path, metavar="FLEX", help="flexible orders, CSV or Parquet")
    parser.add_argument(
        "--out", type=Path, required=True, metavar="RESULT.json", help="where the result goes"
    )
    parser.add_argument(
        "--check",
        action="store_true",
        help="judge the result by the orders alone before it is written: balance, capacities, prices, fills",
    )
    parser.add_argument("--json", action="store_true", help="print the summary as one JSON object")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    start = time.perf_counter()
    if arguments.out.is_dir():
        raise InputError(f"--out {arguments.out} is a directory; give a file name")
    _keep_inputs(arguments)
    case, clearing, document = _cleared(arguments)
    _write(arguments.out, document)
    summary = _summary(arguments, case, clearing)
    _tell(f"cleared {summary['rows']:,} rows in {time.perf_counter() - start:.2f} s", end="\n")
    print(json.dumps(summary, indent=2) if arguments.json else _sentence(summary))


def _keep_inputs(arguments: argparse.Namespace) -> None:
    """InputError if the result would go over what it is made of, under whatever name."""
    if not arguments.out.is_file():
        return
    given = {"BOOK": arguments.book, "--grid": arguments.grid, "--flexible": arguments.flexible}
    for option, file in given.items():
        if file is not None and file.exists() and file.samefile(arguments.out):
            raise InputError(
                f"--out {arguments.out} is the file of {option}, which it would replace; give another name"
            )


def _cleared(arguments: argparse.Namespace) -> tuple[Case | None, Clearing | None, bytes]:
    from settlement.formats.case import make_case
    from settlement.formats.grid import read_grid, told_too_wide
    from settlement.formats.orders import read_book, read_flexible
    from settlement.formats.result import empty_result, write_result
    from settlement.matching import OutOfRange, clear

    _tell("reading …")
    grid = None if arguments.grid is None else read_grid(_bytes_of(arguments.grid), str(arguments.grid))
    book = read_book(_bytes_of(arguments.book), str(arguments.book))
    flexible: Rows | None = None
    if arguments.flexible is not None:
        flexible = read_flexible(_bytes_of(arguments.flexible), str(arguments.flexible))
    case = make_case(book, flexible, grid)
    if case is None:
        return None, None, empty_result()
    _tell(f"clearing {len(book):,} rows …")
    try:
        clearing = clear(case.book, case.market, case.flexible)
    except OutOfRange:
        if grid is None:
            raise
        raise InputError(told_too_wide(grid, len(case.qualities))) from None
    if arguments.check:
        _check(case, clearing)
    return case, clearing, write_result(case, clearing)


def _check(case: Case, clearing: Clearing) -> None:
    from settlement.matching import check

    _tell("checking …")
    violations = check(case.book, case.market, clearing, case.flexible)
    if violations:
        told = ", ".join(f"{name} at {list(where)}" for name, where in violations[:3])
        raise CheckFailed(f"the clearing does not hold: {told}; nothing is written")


def _bytes_of(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise InputError(f"{file} cannot be read: {error.strerror}") from None


def _write(out: Path, document: bytes) -> None:
    """A file is there whole or not at all; a link is followed, a pipe or device is written to."""
    try:
        if out.exists() and not out.is_file():
            out.write_bytes(document)
        else:
            _replace(out.resolve(), document)
    except OSError as error:
        raise InputError(f"{out} cannot be written: {error.strerror}") from None


def _replace(place: Path, document: bytes) -> None:
    """Beside the place first."""
    handle, name = tempfile.mkstemp(dir=place.parent, prefix=f".{place.name}.")
    beside = Path(name)
    try:
        with open(handle, "wb") as file:
            file.write(document)
        beside.chmod(0o666 & ~_umask())
        beside.replace(place)
    finally:
        beside.unlink(missing_ok=True)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _summary(arguments: argparse.Namespace, case: Case | None, clearing: Clearing | None) -> dict[str, Any]:
    told: dict[str, Any] = {"out": str(arguments.out), "rows": 0, "flexible_orders": 0}
    told |= {"windows": 0, "zones": 0, "qualities": 0, "traded_wh": 0, "welfare_nano": 0}
    if case is not None and clearing is not None:
        bought = clearing.fills_wh[case.book.buys].sum() + clearing.flexible_wh[case.flexible.buys].sum()
        told |= {
            "rows": len(case.book),
            "flexible_orders": len(case.flexible),
            "windows": case.market.windows,
        }
        told |= {"zones": case.market.zones, "qualities": case.market.qualities, "traded_wh": int(bought)}
        told["welfare_nano"] = clearing.welfare_nano
    return told | {"checked": bool(arguments.check)}


def _sentence(told: dict[str, Any]) -> str:
    checked = "; the check holds" if told["checked"] else ""
    return (
        f"{told['out']}: {told['traded_wh']:,} Wh traded, welfare {told['welfare_nano']:,} nano; "
        f"{told['rows']:,} rows, {told['flexible_orders']:,} flexible orders, windows {told['windows']:,}, "
        f"zones {told['zones']:,}, qualities {told['qualities']:,}{checked}"
    )


def _tell(line: str, end: str = "") -> None:
    """One line of progress, written over; where nobody watches only its last state."""
    if sys.stderr.isatty():
        print(f"\r\033[K{line}", end=end, file=sys.stderr, flush=True)
    elif end:
        print(line, file=sys.stderr, flush=True)
