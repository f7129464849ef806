"""`trellis keys`: keystore files made, and the address of a key wherever it is."""

from __future__ import annotations

import argparse
import json
import re
import sys
from pathlib import Path
from typing import Any

from settlement.errors import InputError

DESCRIPTION = """\
A key is named by a keystore file (Web3 secret storage, version 3), with its password in FILE.password or in
--password-file, or by an external signer: https://HOST[#0xADDRESS] or unix:PATH[#0xADDRESS]. Neither keys nor
passwords are arguments or environment variables. docs/keys.md says what a signer must answer.
"""


def register(subparsers: Any) -> None:
    """Adds `trellis keys`."""
    parser = subparsers.add_parser(
        "keys",
        help="make keystore files, and tell addresses",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    nested = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    new = _command(nested, "new", "make a new key in a keystore file", "FILE", _new)
    from_file = _command(nested, "import", "put a private key into a keystore file", "FILE", _import)
    from_file.add_argument(
        "--from", dest="plain", required=True, metavar="FILE", help="64 hex digits, or - for standard input"
    )
    address = _command(nested, "address", "tell the address of a key", "SOURCE", _address)
    for one in (new, from_file):
        one.add_argument(
            "--password-file", type=Path, metavar="FILE", help="(default: a random one in FILE.password)"
        )
    address.add_argument("--password-file", type=Path, metavar="FILE", help="(default: FILE.password)")


def _command(nested: Any, name: str, told: str, what: str, run: Any) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = nested.add_parser(name, help=told, description=told)
    parser.add_argument("source", metavar=what)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.set_defaults(run=run)
    return parser


def _new(arguments: argparse.Namespace) -> int:
    from settlement.chain.keystore import create_keystore

    made = create_keystore(Path(arguments.source), None, arguments.password_file)
    return _say(arguments, made.address)


def _import(arguments: argparse.Namespace) -> int:
    from settlement.chain.keystore import create_keystore

    secret = _plain(arguments.plain)
    made = create_keystore(Path(arguments.source), secret, arguments.password_file)
    return _say(arguments, made.address)


def _plain(source: str) -> bytes:
    try:
        text = (sys.stdin.read(200) if source == "-" else Path(source).read_text()).strip()
    except (OSError, UnicodeDecodeError) as cause:
        reason = cause.strerror if isinstance(cause, OSError) else "not text"
        raise InputError(f"--from {source} cannot be read: {reason}") from None
    if not re.fullmatch(r"(0x)?[0-9a-fA-F]{64}", text):
        raise InputError(f"--from {source}: must hold one private key, 64 hex digits")
    return bytes.fromhex(text.removeprefix("0x"))


def _address(arguments: argparse.Namespace) -> int:
    from settlement.chain.keystore import open_signer

    return _say(arguments, open_signer(arguments.source, arguments.password_file, "SOURCE").address)


def _say(arguments: argparse.Namespace, address: bytes) -> int:
    told = {"address": "0x" + address.hex(), "source": arguments.source}
    print(json.dumps(told) if arguments.json else told["address"])
    return 0
