"""`trellis members`: what it is asked."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

ADD = """\
Registers a member, with its meter and a deposit if they are given. Of a `trellis up` in --data everything
else is known; elsewhere name --rpc, --deployment and the registrar's --key-file. The deposit is minted by the
same key, which only a test deployment lets the registrar do. Said again, it does what is left to do.
"""
GRANT = """\
Gives or takes a role of the deployment's AccessManager, by the administrator's key: `auditor` and `regulator`
may do nothing on chain, and the API shows them what is theirs to see; the others are docs/architecture.md's.
Of a `trellis up` in --data the key is known.
"""
GRANTED = ("auditor", "regulator", "registrar", "guardian", "minter", "operator", "oracle")
CAPACITY_WH = 7_500
"""A connection of 15 kW in half an hour."""


def register(subparsers: Any) -> None:
    """Adds `trellis members`."""
    parser = subparsers.add_parser("members", help="register members and their meters")
    nested = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    _add_add(_parser(nested, "add", "register a member, its meter and a deposit", ADD))
    _parser(
        nested, "show", "tell a member's terms and cash", "Tells a member's terms and cash."
    ).set_defaults(run=lambda arguments: _members().show(arguments))
    _add_grants(nested)


def _add_grants(nested: Any) -> None:
    for name, told in (("grant", "let an account do what a role may"), ("revoke", "take a role away")):
        parser = _parser(nested, name, told, GRANT)
        parser.add_argument("--role", required=True, choices=GRANTED)
        parser.add_argument("--key-file", metavar="SOURCE", help="the administrator's key (docs/keys.md)")
        parser.set_defaults(
            run=lambda arguments, granted=name == "grant": _members().grant(arguments, granted)
        )


def _parser(nested: Any, name: str, told: str, description: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = nested.add_parser(
        name, help=told, description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("account", metavar="ACCOUNT", help="0x and 40 hex digits")
    parser.add_argument("--data", type=Path, metavar="DIR", help="the folder of a running `trellis up`")
    parser.add_argument("--rpc", action="append", metavar="URL", help="of a node, http(s); repeatable")
    parser.add_argument("--deployment", type=Path, metavar="FILE", help="deployment.json")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    return parser


def _add_add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--key-file", metavar="SOURCE", help="the registrar's key (docs/keys.md)")
    parser.add_argument(
        "--role",
        choices=("prosumer", "balancing-party", "network-operator", "operator"),
        default="prosumer",
        help="(default: prosumer)",
    )
    parser.add_argument("--zone", type=int, default=0, metavar="N", help="of the grid (default: 0)")
    parser.add_argument("--max-quality", type=int, default=0, metavar="Q", help="it may sell (default: 0)")
    parser.add_argument(
        "--capacity-wh",
        type=int,
        default=CAPACITY_WH,
        metavar="WH",
        help="it may sell in a window (default: 7500)",
    )
    parser.add_argument("--wide", action="store_true", help="more than 65 kWh a window")
    parser.add_argument("--meter", metavar="SERIAL", help="serial number of its meter")
    parser.add_argument("--meter-key", metavar="KEY", help="the meter's public key: hex, or a PEM file")
    parser.add_argument("--meter-capacity-w", type=int, metavar="W", help="of its connection (default: any)")
    parser.add_argument(
        "--registry", type=Path, metavar="FILE", help="the oracle nodes' registry to add the meter to"
    )
    parser.add_argument(
        "--deposit-nano", type=int, default=0, metavar="N", help="test money to mint and pay in (default: 0)"
    )
    parser.set_defaults(run=lambda arguments: _members().add(arguments))


def _members() -> Any:
    from api.services import members

    return members
