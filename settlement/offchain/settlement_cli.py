"""`trellis settlement`: when runs are due, what they changed, and the rules' arithmetic on files.

Each subcommand is a function of `SUBCOMMANDS` that adds its parser to the group and sets its `run`.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from settlement.chain.history_command import add_credit, add_history
from settlement.chain.settling_command import add_run
from settlement.errors import InputError
from settlement.offchain.flexibility_command import add_flexibility
from settlement.offchain.rule_commands import add_baseline, add_share

if TYPE_CHECKING:
    from settlement.rules.calendar import RunCalendar

DESCRIPTION = """\
Settlement is made again as meter data gets better: an initial run, reconciliations, a final run. Each is due
so many working days after the settlement date, by the terms in force on that date.
"""

CALENDAR = """\
Shows the runs of a settlement date and the days on which they are due. Without --calendar these are those of
Great Britain, in working days of England and Wales. A market brings its own as JSON:
  {"terms": [{"first": "2024-01-01", "runs": [{"name": "initial", "working_days": 3},
                                              {"name": "final", "working_days": 60}]}],
   "working_days": {"country": "BE"}}
docs/rules.md says what every field means.
"""


def register(subparsers: Any) -> None:
    """Adds `trellis settlement`."""
    parser = subparsers.add_parser(
        "settlement", help="runs, their history, sharing, baselines, credit", description=DESCRIPTION
    )
    group = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for add in SUBCOMMANDS:
        add(group)


def _add_calendar(group: Any) -> None:
    parser = group.add_parser(
        "calendar",
        help="the runs of a settlement date and their due dates",
        description=CALENDAR,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("date", metavar="DATE", help="settlement date, as 2026-03-27")
    parser.add_argument("--calendar", type=Path, metavar="CALENDAR.json", help="terms of another market")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.set_defaults(run=_calendar)


SUBCOMMANDS: tuple[Callable[[Any], None], ...] = (
    _add_calendar,
    add_history,
    add_run,
    add_share,
    add_baseline,
    add_flexibility,
    add_credit,
)


def _calendar(arguments: argparse.Namespace) -> None:
    from settlement.rules.calendar import GREAT_BRITAIN

    settled = _date(arguments.date)
    calendar = GREAT_BRITAIN if arguments.calendar is None else _read_calendar(arguments.calendar)
    runs = calendar.runs_of(settled)
    if arguments.json:
        listed = [{**run._asdict(), "due_date": run.due_date.isoformat()} for run in runs]
        print(json.dumps({"settlement_date": settled.isoformat(), "runs": listed}, indent=2))
        return
    print(f"runs of {settled:%a} {settled}")
    width = max(len(run.name) for run in runs)
    for run in runs:
        print(f"  {run.number}  {run.name:<{width}}  {run.due_date:%a} {run.due_date}")


def _date(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise InputError(f"{text!r} is no date: give it as 2026-03-27") from None


def _read_calendar(file: Path) -> RunCalendar:
    from settlement.rules.calendar import RunCalendar
    from settlement.rules.configuration import from_json

    try:
        document = file.read_bytes()
    except OSError as error:
        raise InputError(f"{file} cannot be read: {error.strerror}") from None
    return from_json(RunCalendar, document, str(file))
