"""What `trellis oracle opening` and `erase` do and print."""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Callable
from datetime import date

from oracle import run_files
from oracle.challenge_files import opening_json
from oracle.day import Day
from oracle.localdays import local_day
from oracle.messages import EXPORT, IMPORT
from oracle.run_files import Row, RunFile
from settlement.errors import CheckFailed, InputError

REGISTERS = {"import": IMPORT, "export": EXPORT}
REMAINS = (
    "the account's total of each window, which is in the signed posting",
    "every other reading, by its own salt; with an account's other readings of a window open, their "
    "difference to the total is what was erased",
    "the erased readings' commitments, of which nobody can say any more what they are of",
)
ELSEWHERE = (
    "the signed reads in readings.sqlite, from which later runs are computed; and what other nodes "
    "keep: each erases for itself"
)


def opening(arguments: argparse.Namespace) -> int:
    """`trellis oracle opening`."""
    chosen, register = _whose(arguments), REGISTERS[arguments.register]
    found = [
        (run, row)
        for run in run_files.kept(arguments.data, range(arguments.window, arguments.window + 1))
        if arguments.zone in (None, run.zone)
        for row in run
        if chosen(row) and (row.key.register, row.key.window_index) == (register, arguments.window)
    ]
    if not found:
        asked = f"window {arguments.window} and register {arguments.register}"
        raise CheckFailed(f"--data {arguments.data}: no run kept there committed to a reading of {asked}")
    run, row = _only(found)
    told = {"zone": run.zone, "day": run.day.first_window, "opening": opening_json(run.open(row))}
    text = json.dumps(told, indent=2) + "\n"
    if arguments.out is None:
        print(text, end="")
        return 0
    try:
        arguments.out.write_text(text, encoding="utf-8")
    except OSError as cause:
        raise InputError(f"--out {arguments.out} cannot be written: {cause.strerror}") from cause
    print(f"{arguments.out}: run {run.sequence} of zone {run.zone}, day {run.day.first_window}, as committed")
    return 0


def _only(found: list[tuple[RunFile, Row]]) -> tuple[RunFile, Row]:
    """The latest run's, of one meter and one day."""
    places = {(run.zone, run.day, row.key.meter_id) for run, row in found}
    if len(places) > 1:
        which = ", ".join(sorted({f"meter 0x{key.hex()} in zone {zone}" for zone, _, key in places}))
        raise InputError(
            f"several readings are meant ({which}): give --meter, and --zone if that is not enough"
        )
    return max(found, key=lambda pair: pair[0].sequence)


def erase(arguments: argparse.Namespace) -> int:
    """`trellis oracle erase`."""
    chosen, windows = _whose(arguments), _windows(arguments)
    runs = erased = before = 0
    days = range(windows.first_window, windows.first_window + windows.windows)
    for run in run_files.kept(arguments.data, days):
        rows = [row for row in run if _within(run, row, windows) and chosen(row)]
        if rows:
            runs += 1
            before += sum(row.erased for row in rows)
            erased += run_files.erase(run, rows)
    if not runs:
        raise CheckFailed(f"--data {arguments.data}: no run kept there has readings of it on {arguments.day}")
    if arguments.json:
        told = {"runs": runs, "erased": erased, "erased_before": before}
        print(json.dumps(told | {"provable": list(REMAINS), "kept": ELSEWHERE}, indent=2))
        return 0
    print(f"{erased} salts and reads erased in {runs} runs; {before} were erased before")
    print("still provable:", *(f"- {what}" for what in REMAINS), sep="\n")
    print(f"still kept: {ELSEWHERE}")
    return 0


def _within(run: RunFile, row: Row, windows: Day) -> bool:
    return run.day.window_length_s == windows.window_length_s and row.key.window_index in windows


def _windows(arguments: argparse.Namespace) -> Day:
    try:
        wanted = date.fromisoformat(arguments.day)
    except ValueError:
        raise InputError(f"--day {arguments.day!r} is no date: write YYYY-MM-DD") from None
    return local_day(wanted, arguments.tz, arguments.window)


def _whose(arguments: argparse.Namespace) -> Callable[[Row], bool]:
    if arguments.meter is not None:
        meter = _bytes(arguments.meter, "--meter", 32)
        return lambda row: row.key.meter_id == meter
    account = _bytes(arguments.account, "--account", 20)
    return lambda row: row.account == account


def _bytes(text: str, option: str, size: int) -> bytes:
    if not re.fullmatch(rf"(0x)?[0-9a-fA-F]{{{2 * size}}}", text):
        raise InputError(f"{option} {text[:70]!r}: give 0x and {2 * size} hex digits")
    return bytes.fromhex(text.removeprefix("0x"))
