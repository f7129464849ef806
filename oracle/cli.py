"""`trellis meter`: whether meter records are what a meter signed, and can be billed; challenges by it."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from oracle.challenge_options import add_challenges
from oracle.errors import BadFormat, BadPublicKey
from oracle.formats import curves, detect
from oracle.formats.record import Record

DESCRIPTION = """\
Checks the records in a file from a meter or a charging station: is each what the meter signed or framed, and
do its format's own rules let it be billed? The format is found by content; a gzip file is unpacked.

verdicts:
  valid      the signature or the check sum holds
  invalid    it does not, the record is malformed, or the key is missing or on a curve that is not supported
  unsigned   well formed, and there is nothing to verify"""
EPILOG = """\
examples:
  trellis meter verify charge.xml                                   with the keys that the file brings along
  trellis meter verify charge.ocmf --public-key 3059301306072A86... the meter's key, in hexadecimal
  trellis meter verify charge.ocmf --public-key meter.pem --json    a key file; output for machines

A file's own key shows that a record is whole. Who signed it only a key from elsewhere can show: from the
meter's label, or from a public register.

exit codes: 0 every record holds and can be billed; 1 some do not; 2 no format is recognised, or bad usage"""
MOST_KEY_FILE = 1 << 16
COLOURS = {"valid": "green", "invalid": "red", "unsigned": "yellow"}


def register(subparsers: Any) -> None:
    """Adds `trellis meter`."""
    meter = subparsers.add_parser(
        "meter", help="check what meters signed, and challenge by it", description="Meters and what they say."
    )
    commands = meter.add_subparsers(title="commands", metavar="COMMAND", required=True)
    parser = commands.add_parser(
        "verify",
        help="verify signed or framed meter records in a file",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("file", type=Path, metavar="FILE", help="the records, as the meter emitted them")
    parser.add_argument(
        "--public-key",
        metavar="KEY",
        help="hexadecimal (SubjectPublicKeyInfo, or the bare point) or a PEM file; before the file's own",
    )
    parser.add_argument(
        "--format", choices=detect.names(), metavar="F", help="one of " + ", ".join(detect.names())
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of a table")
    parser.set_defaults(run=run)
    add_challenges(commands)


def run(arguments: argparse.Namespace) -> int:
    """0 if every record is not invalid and billable, else 1."""
    key = public_key(arguments.public_key) if arguments.public_key is not None else None
    data = detect.content(arguments.file)
    try:
        records = detect.records(data, str(arguments.file), key, arguments.format or "")
    except BadFormat as fault:
        raise BadFormat(f"{fault.offender} ({arguments.file})", fault.detail) from fault
    if arguments.json:
        print(json.dumps({"records": [_plain(record) for record in records]}))
    else:
        _table(records)
    return 0 if all(record.verdict != "invalid" and record.billable for record in records) else 1


def public_key(given: str) -> bytes:
    """The key's bytes, from hexadecimal text or from a file. Raises `BadPublicKey`."""
    dense = "".join(given.split()).removeprefix("0x")
    if curves.HEX.fullmatch(dense) and not Path(given).is_file():
        return bytes.fromhex(dense)
    try:
        with Path(given).open("rb") as file:
            content = file.read(MOST_KEY_FILE)
    except (OSError, ValueError) as fault:
        raise BadPublicKey(given[:60], "neither hexadecimal nor a PEM file that can be read") from fault
    if curves.INFO.match(content):
        return content
    key = curves.key_bytes(content.decode("latin-1"))
    if key is None:
        raise BadPublicKey(given[:60], "the file holds no PEM block PUBLIC KEY")
    return key


def _plain(record: Record) -> dict[str, object]:
    return {
        "index": record.index,
        "format": record.format,
        "verdict": record.verdict,
        "reason": record.reason,
        "billable": record.billable,
        "problems": list(record.problems),
    }


def _table(records: list[Record]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table("record", "format", "verdict", "billable", "why")
    for record in records:
        table.add_row(
            str(record.index),
            record.format,
            Text(record.verdict, COLOURS[record.verdict]),
            "yes" if record.billable else "no",
            Text("\n".join([record.reason, *(f"- {problem}" for problem in record.problems)])),
        )
    console = Console()
    console.print(table)
    sound = sum(record.verdict != "invalid" and record.billable for record in records)
    console.print(f"{sound} of {len(records)} records hold and can be billed")
