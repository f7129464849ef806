"""`trellis meter challenge`, `answer` and `settle-challenge`: what they are asked."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

CHALLENGE = """\
Shows the chain what a meter signed against what was posted. --opening is what an oracle node opened of its
commitment, --read what the meter signed of the same window: a file, or the record in hex. Only the meter's
account may challenge: it sends (--key-file), or signs (--account-key) and anybody sends.

  {"zone": 0, "day": 12345,
   "opening": {"message": "0x…", "flag": 0, "salt": "0x…", "index": 7, "proof": ["0x…", …]},
   "read": {"message": "0x…", "signature": "0x…", "public_key": "0x04…"},
   "signature": "0x…"}

One file with all of it may be given to both; --out writes it, signed, for another to send. An opening that is
flagged estimated or default is corrected too, but costs the oracles nothing.
"""
ANSWER = """\
Answers a challenge with what else the meter signed of the same window. A later read that says something else
defeats it; so does another of the same sequence, and the meter is revoked. The read that the oracles
committed to does not defeat it, but shows that they posted what the meter had said: they pay nothing.
"""
SETTLE = """\
Ends a challenge that nobody defeated: the account's imbalance is corrected, its bond returns, and the oracles
pay where they had called a wrong reading actual. --drop ends one that nobody could settle, long afterwards.
Anyone may send it.
"""
EPILOG = """\
Without --key-file, or with --check, nothing is sent: it says what would happen.
docs/meters.md says who is paid when.
exit codes: 0 done (or it would be taken), 1 the Exchange refuses it, 2 bad input or usage
"""


def add_challenges(commands: Any) -> None:
    """Adds the three to the group of `trellis meter`."""
    _add_challenge(commands)
    _add_answer(commands)
    _add_settle(commands)


def _parser(commands: Any, name: str, told: str, description: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(
        name,
        help=told,
        description=description,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--rpc", required=True, metavar="URL", help="of a node, http(s) or an IPC socket")
    place = parser.add_mutually_exclusive_group(required=True)
    place.add_argument("--address", help="of the Exchange, 0x and 40 hex digits")
    place.add_argument("--deployment", type=Path, metavar="FILE", help="the deployment.json of its folder")
    parser.add_argument("--from-block", type=int, default=0, metavar="N", help="where the deployment begins")
    parser.add_argument(
        "--key-file", metavar="SOURCE", help="key of who sends: a keystore file or a signer (docs/keys.md)"
    )
    parser.add_argument("--check", action="store_true", help="say what would happen, send nothing")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    return parser


def _add_challenge(commands: Any) -> None:
    parser = _parser(commands, "challenge", "challenge a posted reading by what its meter signed", CHALLENGE)
    parser.add_argument(
        "--opening", type=Path, required=True, metavar="FILE", help="of what was committed to"
    )
    parser.add_argument("--read", required=True, metavar="FILE|HEX", help="what the meter signed instead")
    parser.add_argument(
        "--account-key", metavar="SOURCE", help="key of the meter's account, which signs, named the same way"
    )
    parser.add_argument("--zone", type=int, metavar="N", help="(default: the file's, else the account's)")
    parser.add_argument("--out", type=Path, metavar="FILE", help="write the signed challenge here, to relay")
    parser.set_defaults(run=lambda arguments: _challenging().challenge(arguments))


def _add_answer(commands: Any) -> None:
    parser = _parser(commands, "answer", "answer a challenge by another read of the meter", ANSWER)
    parser.add_argument("--challenge", required=True, metavar="ID", help="0x and 64 hex digits")
    read = parser.add_mutually_exclusive_group(required=True)
    read.add_argument("--read", metavar="FILE|HEX", help="what the meter signed")
    read.add_argument("--data", type=Path, metavar="DIR", help="an oracle node's folder: the best read in it")
    parser.set_defaults(run=lambda arguments: _answering().answer(arguments))


def _add_settle(commands: Any) -> None:
    parser = _parser(commands, "settle-challenge", "end a challenge once its time is over", SETTLE)
    parser.add_argument("--challenge", required=True, metavar="ID", help="0x and 64 hex digits")
    parser.add_argument("--drop", action="store_true", help="end one that cannot be settled, without effect")
    parser.set_defaults(run=lambda arguments: _answering().settle(arguments))


def _challenging() -> Any:
    from oracle import challenge_commands

    return challenge_commands


def _answering() -> Any:
    from oracle import answer_commands

    return answer_commands
