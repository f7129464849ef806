"""`trellis settlement flexibility`: what a site delivered of its instructions and is paid, from files."""

from __future__ import annotations

import argparse
import csv
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from settlement.errors import InputError
from settlement.offchain.metered_days import add_zone, read_days
from settlement.offchain.tables import INTEGER, date_of, document, file_parser

if TYPE_CHECKING:
    from settlement.rules.dispatches import Instruction, SettledDispatch, SettledSlot
    from settlement.rules.flexibility import Service

FLEXIBILITY = """\
Settles the instructions of one site: its baseline in the dispatched slots, what it delivered (at most what
was instructed), what it is paid and what it owes for what is missing. METERED.csv has a row for each day, as
for `baseline`, the dispatched days among them. INSTRUCTIONS.csv has a row for each slot, counted from 1:
  date,slot,direction,instructed_wh,price_micro_per_kwh
  2026-06-17,35,up,500,150000
`up` is to inject more or use less, `down` the reverse. SERVICE.json has the terms: method of the baseline (a
standard one's name, or terms), scale of payment, tolerance, penalty. docs/rules.md says what its fields mean.
"""
COLUMNS = ("date", "slot", "direction", "instructed_wh", "price_micro_per_kwh")
SLOT = re.compile(r"[0-9]{1,3}")


def add_flexibility(group: Any) -> None:
    """Adds `flexibility` to the group of `trellis settlement`."""
    parser = file_parser(
        group, "flexibility", "pay a site for what it delivered of its instructions", FLEXIBILITY
    )
    parser.add_argument("metered", type=Path, metavar="METERED.csv", help="the site's days, Wh")
    parser.add_argument("instructions", type=Path, metavar="INSTRUCTIONS.csv", help="of single slots")
    parser.add_argument("--service", type=Path, required=True, metavar="SERVICE.json", help="its terms")
    parser.add_argument(
        "--instructed",
        action="append",
        default=[],
        metavar="DATE",
        help="a further day that does not count for baselines",
    )
    add_zone(parser)
    parser.set_defaults(run=flexibility)


def flexibility(arguments: argparse.Namespace) -> None:
    """Prints every dispatch, and what all of them come to."""
    from settlement.rules.dispatches import settle_all
    from settlement.rules.methods import service_from_json

    service = service_from_json(document(arguments.service), str(arguments.service))
    events = {date_of(one, "--instructed") for one in arguments.instructed}
    metered = read_days(arguments, service.method.slots)
    asked = _instructions(arguments.instructions, service)
    found = settle_all(service, metered.history, asked, events, clock_changes=metered.clock_changes)
    if arguments.json:
        print(json.dumps(_as_json(service, found), indent=2))
        return
    for line in _lines(found):
        print(line)


def _instructions(file: Path, service: Service) -> list[Instruction]:
    try:
        with file.open(newline="", encoding="utf-8-sig") as stream:
            rows = [row for row in csv.reader(stream) if row]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{file} cannot be read as CSV: {error}") from None
    if not rows or tuple(rows[0]) != COLUMNS:
        raise InputError(f"{file}, line 1: the columns are {','.join(COLUMNS)}")
    return [_instruction(file, line, row, service.method.slots) for line, row in enumerate(rows[1:], start=2)]


def _instruction(file: Path, line: int, row: list[str], slots: int) -> Instruction:
    from settlement.rules.dispatches import Instruction
    from settlement.rules.flexibility import Direction

    where = f"{file}, line {line}"
    if len(row) != len(COLUMNS):
        raise InputError(f"{where}: {len(row)} cells under {len(COLUMNS)} columns")
    day, slot, direction, wh, price = (cell.strip() for cell in row)
    if not SLOT.fullmatch(slot) or not 1 <= int(slot) <= slots:
        raise InputError(f"{where}, column 'slot': {slot!r} is none: 1 to {slots}")
    if direction not in list(Direction):
        raise InputError(f"{where}, column 'direction': {direction!r} is neither up nor down")
    for name, text in (("instructed_wh", wh), ("price_micro_per_kwh", price)):
        if not INTEGER.fullmatch(text):
            raise InputError(f"{where}, column {name!r}: {text!r} is no whole number")
    return Instruction(date_of(day, where), int(slot) - 1, Direction(direction), int(wh), int(price))


# What is shown ------------------------------------------------------------------------------------------


def _as_json(service: Service, found: tuple[SettledDispatch, ...]) -> dict[str, Any]:
    """Money in decimal strings: it may exceed what a JSON number keeps."""
    slots = [one for dispatch in found for one in dispatch.slots]
    return {
        "service": service.name,
        "dispatches": [_dispatch_json(one) for one in found],
        "delivered_wh": sum(one.delivery.delivered_wh for one in slots),
        "payment_nano": str(sum(one.delivery.payment_nano for one in slots)),
        "penalty_nano": str(sum(one.delivery.penalty_nano for one in slots)),
        "cash_nano": str(sum(one.cash_nano for one in found)),
    }


def _dispatch_json(dispatch: SettledDispatch) -> dict[str, Any]:
    first = dispatch.slots[0].instruction
    return {
        "date": first.day.isoformat(),
        "direction": first.direction.value,
        "basis": dispatch.baseline.basis.value,
        "days": [day.isoformat() for day in dispatch.baseline.days],
        "adjustment_wh": dispatch.baseline.adjustment_wh,
        "slots": [_slot_json(one) for one in dispatch.slots],
    }


def _slot_json(one: SettledSlot) -> dict[str, Any]:
    return {
        "slot": one.instruction.slot + 1,
        "instructed_wh": one.instruction.instructed_wh,
        "price_micro_per_kwh": one.instruction.price_micro_per_kwh,
        "baseline_wh": one.baseline_wh,
        "metered_wh": one.metered_wh,
        "delivered_wh": one.delivery.delivered_wh,
        "missing_wh": one.delivery.missing_wh,
        "payment_nano": str(one.delivery.payment_nano),
        "penalty_nano": str(one.delivery.penalty_nano),
        "judged": one.delivery.judged,
    }


def _lines(found: tuple[SettledDispatch, ...]) -> list[str]:
    energy = " ".join(f"{name:>10}" for name in ("baseline", "metered", "instructed", "delivered"))
    told = [f"{'day':<10} {'slot':>4} {'':<4} {energy} {'payment nano':>18} {'penalty nano':>16}"]
    for dispatch in found:
        told += [_line(one) for one in dispatch.slots]
        told.append(f"  baseline {dispatch.baseline.basis}: {_days(dispatch)}")
    total = sum(one.cash_nano for one in found)
    told.append(f"in all {total} nano {'to' if total >= 0 else 'from'} the site; energy in Wh")
    return told


def _line(one: SettledSlot) -> str:
    asked, delivery = one.instruction, one.delivery
    expected = "none" if one.baseline_wh is None else str(one.baseline_wh)
    return (
        f"{asked.day} {asked.slot + 1:>4} {asked.direction:<4} {expected:>10} {one.metered_wh:>10} "
        f"{asked.instructed_wh:>10} {delivery.delivered_wh:>10} {delivery.payment_nano:>18} "
        f"{delivery.penalty_nano:>16}"
    )


def _days(dispatch: SettledDispatch) -> str:
    base = dispatch.baseline
    days = ", ".join(map(str, base.days)) or "too few like days, so nothing is paid or owed"
    return days if base.adjustment_wh is None else f"{days}; {base.adjustment_wh:+} Wh in the day"
