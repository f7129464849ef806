"""`trellis settlement share` and `baseline`: the rules' arithmetic on files, without a chain."""

from __future__ import annotations

import argparse
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from settlement.errors import InputError
from settlement.offchain.metered_days import add_zone, read_days
from settlement.offchain.tables import Table, date_of, document, file_parser, read_table

if TYPE_CHECKING:
    from settlement.rules.baselines import Baseline, Method
    from settlement.rules.sharing import Sharing

SHARE = """\
Divides a community's generation among its members, window by window, by the keys of KEY.json:
  {"keys": [{"rule": "static", "shares_ppm": [600000, 400000]}, {"rule": "pro_rata"}]}
or by the list of keys alone. Beside "keys", "caps_wh" bounds what each member may consume in a window over
all keys: [500, null] leaves the second one unbounded.
READINGS.csv has a row for each window: its name, the generation, and what each member drew, in Wh. The header
names the members, in the order of shares and caps:
  window,generation,home a,home b
  2026-06-14T12:00,1200,800,300
"""
BASELINE = """\
Tells what a site would have metered had it not been dispatched, from its like days before. METERED.csv has a
row for each day: the date, then its slots in Wh, injection positive, empty where nothing is known:
  date,1,2,3,...,48
  2026-06-01,-120,-118,,...
Slots are places on the wall clock. Days of a clock change stand for no other: those of --tz, padded or not,
and any other row of 46 or 50 slots.
The method is a standard one (BL01, BL01_DOMESTIC, MID_8_OF_10, HIGH_4_OF_5) or a file with its terms; without
--method it is BL01: the last 10 working days (4 others), adjusted to the hours before. docs/rules.md says
what the terms mean.
"""


def add_share(group: Any) -> None:
    """Adds `share` to the group of `trellis settlement`."""
    parser = file_parser(group, "share", "divide a community's generation by sharing keys", SHARE)
    parser.add_argument("key", type=Path, metavar="KEY.json", help="the keys, in the order they apply")
    parser.add_argument("readings", type=Path, metavar="READINGS.csv", help="generation and draws, Wh")
    parser.set_defaults(run=share)


def add_baseline(group: Any) -> None:
    """Adds `baseline` to the group of `trellis settlement`."""
    parser = file_parser(group, "baseline", "what a dispatched site would have metered", BASELINE)
    parser.add_argument("metered", type=Path, metavar="METERED.csv", help="the site's days, Wh")
    parser.add_argument("--day", required=True, metavar="DATE", help="of the dispatch, as 2026-06-14")
    parser.add_argument("--slots", required=True, metavar="FIRST-LAST", help="dispatched, counted from 1")
    parser.add_argument("--method", metavar="NAME|METHOD.json", help="a standard one's name, or terms")
    parser.add_argument(
        "--instructed", action="append", default=[], metavar="DATE", help="a day that does not count"
    )
    parser.add_argument(
        "--earlier",
        action="append",
        default=[],
        metavar="FIRST-LAST",
        help="slots of an earlier dispatch of that day, which do not adjust this one",
    )
    add_zone(parser)
    parser.set_defaults(run=baseline)


# Sharing ------------------------------------------------------------------------------------------------


def share(arguments: argparse.Namespace) -> None:
    """Prints what each member consumes of the community's own."""
    import numpy as np

    from settlement.rules.sharing import cascade_from_json

    cascade = cascade_from_json(document(arguments.key), str(arguments.key))
    table = read_table(arguments.readings, empty=False)
    if table.columns[0] != "generation" or len(table.columns) < 2:
        raise InputError(f"{arguments.readings}, line 1: the columns are a window, generation, then members")
    wh = np.array(table.rows, np.int64)
    found = cascade.share(wh[:, 0], wh[:, 1:].T.copy())
    if arguments.json:
        print(json.dumps(_shared(table, found), indent=2))
        return
    for line in _lines(table, found):
        print(line)


def _lines(table: Table, found: Sharing) -> list[str]:
    """Sums over the windows; what each key of several allocated in a column of its own."""
    single = len(found.allocated_wh) == 1
    heads = ["allocated Wh" if single else f"by key {at}" for at in range(1, len(found.allocated_wh) + 1)]
    columns = [*found.allocated_wh, found.consumed_wh, found.residual_wh]
    told = [f"{'member':<24}" + "".join(f" {head:>12}" for head in (*heads, "consumed Wh", "residual Wh"))]
    for place, name in enumerate(table.columns[1:]):
        told.append(f"{name:<24}" + "".join(f" {int(one[place].sum()):>12}" for one in columns))
    left = " " * 13 * len(heads)
    return [*told, f"{'surplus':<24}{left} {int(found.surplus_wh.sum()):>12}"]


def _shared(table: Table, found: Sharing) -> dict[str, Any]:
    """Lists over the windows; what was allocated by key first."""
    return {
        "windows": list(table.names),
        "members": {
            name: {
                "allocated_wh": [by_key[place].tolist() for by_key in found.allocated_wh],
                "consumed_wh": found.consumed_wh[place].tolist(),
                "residual_wh": found.residual_wh[place].tolist(),
            }
            for place, name in enumerate(table.columns[1:])
        },
        "surplus_wh": found.surplus_wh.tolist(),
    }


# Baselines ----------------------------------------------------------------------------------------------


def baseline(arguments: argparse.Namespace) -> None:
    """Prints the site's baseline in the dispatched slots."""
    from settlement.rules import baselines

    method = _method(arguments.method)
    metered = read_days(arguments, method.slots)
    slots = _slots(arguments.slots, method.slots)
    instructed = {date_of(one, "--instructed") for one in arguments.instructed}
    day = date_of(arguments.day, "--day")
    earlier = {slot for text in arguments.earlier for slot in _slots(text, method.slots, "--earlier")}
    site = baselines.Site(metered.history, instructed, {day: earlier}, metered.clock_changes)
    found = baselines.baseline(method, site, day, slots)
    if arguments.json:
        print(json.dumps(_as_json(found, slots), indent=2))
        return
    if not found.wh:
        print(f"no baseline: fewer than {method.least_days} like days")
        return
    for slot, wh in zip(slots, found.wh, strict=True):
        print(f"slot {slot + 1:>3} {wh:>12} Wh")
    print(f"{found.basis}: " + ", ".join(map(str, found.days)))


def _method(given: str | None) -> Method:
    from settlement.rules.baselines import BL01
    from settlement.rules.methods import STANDARD, method_from_json

    if given is None or given in STANDARD:
        return BL01 if given is None else STANDARD[given]
    if not Path(given).exists():
        raise InputError(
            f"--method {given!r} is no file and none of {', '.join(STANDARD)}: give one of these"
        )
    return method_from_json(document(Path(given)), given)


def _slots(text: str, most: int, option: str = "--slots") -> range:
    found = re.fullmatch(r"(\d+)(?:-(\d+))?", text)
    first, last = (int(found[1]), int(found[2] or found[1])) if found else (0, 0)
    if not 1 <= first <= last <= most:
        raise InputError(f"{option} {text!r}: give the first and the last, 1 to {most}, as 35-38")
    return range(first - 1, last)


def _as_json(found: Baseline, slots: range) -> dict[str, Any]:
    return {
        "slots": [slot + 1 for slot in slots],
        "wh": list(found.wh),
        "basis": found.basis.value,
        "days": [day.isoformat() for day in found.days],
        "adjustment_wh": found.adjustment_wh,
    }
