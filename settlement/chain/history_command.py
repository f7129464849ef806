"""`trellis settlement history` and `credit`: what a chain tells of a day, and of all reserves."""

from __future__ import annotations

import argparse
import json
from datetime import UTC, date, datetime, tzinfo
from typing import TYPE_CHECKING, Any

from settlement.errors import InputError

if TYPE_CHECKING:
    from settlement.chain.exchange import Exchange
    from settlement.chain.participant_day import Known
    from settlement.reference.accounts import Member
    from settlement.rules.credit import Standing

HISTORY = """\
Tells what was known of a participant's day, and since when: the first run, what was not delivered, every
later run and every challenge, each with the block that it was told in, the imbalance from then on and the
cash. Everything is rebuilt from the chain. The node must keep old state. The balancing party, who is not
metered, is told the other side of all accounts, over all zones.
"""
CREDIT = """\
Lists the members whose reserves are strictly above 80% (or 90%) of what covers them, gravest first: cover is
what an account has, reserved or not.
"""
NANO = 10**9


def add_history(group: Any) -> None:
    """Adds `history` to the group of `trellis settlement`."""
    parser = group.add_parser(
        "history",
        help="every run and challenge of a participant's day",
        description=HISTORY,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _add_chain(parser)
    parser.add_argument("--account", required=True, help="the participant's, 0x and 40 hex digits")
    parser.add_argument("--day", required=True, metavar="YYYY-MM-DD", help="the delivery day")
    parser.add_argument(
        "--tz", default="UTC", metavar="ZONE", help="whose midnight it begins at (default: UTC)"
    )
    parser.add_argument("--windows", action="store_true", help="show the imbalance of each window")
    parser.set_defaults(run=history)


def add_credit(group: Any) -> None:
    """Adds `credit` to the group of `trellis settlement`."""
    parser = group.add_parser(
        "credit", help="members whose reserves are near their cover", description=CREDIT
    )
    _add_chain(parser)
    parser.set_defaults(run=credit)


def _add_chain(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--rpc", required=True, metavar="URL", help="of a node, http(s) or an IPC socket")
    parser.add_argument("--address", required=True, help="of the Exchange, 0x and 40 hex digits")
    parser.add_argument("--from-block", type=int, default=0, metavar="N", help="where the deployment begins")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of a table")


def _exchange(arguments: argparse.Namespace) -> Exchange:
    from settlement.chain.client import Chain
    from settlement.chain.deploy import find_deployment
    from settlement.chain.exchange import Exchange

    if arguments.from_block < 0:
        raise InputError("--from-block is a block number, from 0")
    chain = Chain(arguments.rpc)
    deployment = find_deployment(chain, _address("--address", arguments.address), arguments.from_block)
    return Exchange(chain, deployment)


def _address(option: str, text: str) -> bytes:
    try:
        found = bytes.fromhex(text.removeprefix("0x"))
    except ValueError:
        found = b""
    if len(found) != 20:
        raise InputError(f"{option} {text!r} is no address: give 0x and 40 hex digits")
    return found


# History ------------------------------------------------------------------------------------------------


def history(arguments: argparse.Namespace) -> None:
    """Prints the participant's day."""
    zone_of_time = time_zone(arguments.tz)
    account = _address("--account", arguments.account)
    exchange = _exchange(arguments)
    first = first_window(arguments.day, zone_of_time, exchange.deployment.window_length)
    member = exchange.accounts([account])[account].member
    if member is None:
        raise InputError(f"{arguments.account} is no member of this Exchange: give a registered account")
    if exchange.view("dayOf", first)[0] == 0:
        raise InputError(
            f"{arguments.day} in {arguments.tz} was never opened on this chain: give another --day or --tz"
        )
    found = _known(exchange, account, member, first)
    if arguments.json:
        print(json.dumps(as_json(found, first, exchange.deployment.window_length), indent=2))
        return
    for line in lines(found, zone_of_time, arguments.windows):
        print(line)


def _known(exchange: Exchange, account: bytes, member: Member, day: int) -> list[Known]:
    """InputError for whom neither meters nor the other side of them tell anything of."""
    from settlement.chain import participant_day
    from settlement.reference.accounts import BALANCING_PARTY, PROSUMER
    from settlement.reference.errors import NotInStatement

    if member.role == BALANCING_PARTY:
        return participant_day.history_of_party(exchange, day)
    named = f"0x{account.hex()}"
    if member.role != PROSUMER:
        raise InputError(
            f"{named} is not metered, and has no imbalance: give the account of a metered member, or of the "
            "balancing party"
        )
    try:
        return participant_day.history(exchange, account, member.zone, day)
    except NotInStatement:
        raise InputError(
            f"{named} is not metered on that day: it was no member of zone {member.zone} when the day was "
            "settled; give a later --day"
        ) from None


def time_zone(name: str) -> tzinfo:
    """An IANA time zone. InputError."""
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise InputError(f"--tz {name!r} is no time zone: give a name such as Europe/London") from None


def first_window(day: str, zone: tzinfo, window_length_s: int) -> int:
    """The index of the window that starts at a day's midnight. InputError if there is none."""
    try:
        start = datetime.combine(date.fromisoformat(day), datetime.min.time(), zone)
    except ValueError:
        raise InputError(f"--day {day!r} is no date: give it as 2026-03-27") from None
    index, within = divmod(int(start.timestamp()), window_length_s)
    if within:
        raise InputError(f"midnight of {day} lies inside a window of {window_length_s} s: give another --tz")
    return index


def as_json(found: list[Known], first: int, window_length_s: int) -> dict[str, Any]:
    """Amounts are decimal strings: they may exceed what a JSON number keeps."""
    return {
        "first_window": first,
        "window_length_s": window_length_s,
        "entries": [
            {
                "what": one.what,
                "zone": one.zone,
                "run": one.run,
                "block": one.block,
                "known_at": datetime.fromtimestamp(one.time, UTC).isoformat(),
                "transaction": "0x" + one.tx_hash.hex(),
                "challenge": "0x" + one.challenge.hex() if one.challenge else None,
                "imbalance_wh": sum(one.imbalance_wh),
                "cash_nano": str(one.cash_nano),
                "cumulative_nano": str(one.cumulative_nano),
                "stake_nano": str(one.stake_nano),
                "windows_wh": list(one.imbalance_wh),
            }
            for one in found
        ],
    }


def lines(found: list[Known], zone: tzinfo, windows: bool) -> list[str]:
    """A table; below each entry its windows, if they are asked for. Zones are named if there are several."""
    several = len({one.zone for one in found}) > 1
    names = [f"{one.what}, zone {one.zone}" if several else one.what for one in found]
    width = max(20, *map(len, names))
    head = f"{'what':<{width}} {'run':>3} {'block':>9}  {'known since':<19} {'imbalance Wh':>13}"
    told = [head + f" {'cash':>16} {'cumulative':>16} {'stake':>14}"]
    for name, one in zip(names, found, strict=True):
        since = datetime.fromtimestamp(one.time, zone).strftime("%Y-%m-%d %H:%M:%S")
        told.append(
            f"{name:<{width}} {one.run:>3} {one.block:>9}  {since:<19} {sum(one.imbalance_wh):>13}"
            f" {_money(one.cash_nano):>16} {_money(one.cumulative_nano):>16} {_money(one.stake_nano):>14}"
        )
        if windows:
            told += [f"    window {at:>2} {wh:>12} Wh" for at, wh in enumerate(one.imbalance_wh, start=1)]
    return told


def _money(nano: int) -> str:
    """In units of the settlement currency, all nine digits."""
    whole, part = divmod(abs(nano), NANO)
    return f"{'-' if nano < 0 else ''}{whole}.{part:09}"


# Credit -------------------------------------------------------------------------------------------------


def credit(arguments: argparse.Namespace) -> None:
    """Prints who is above a threshold."""
    found = warned(_exchange(arguments))
    if arguments.json:
        told = [
            {
                "member": one.member,
                "level": one.level.name.lower(),
                "used_ppm": one.used_ppm,
                "headroom_nano": str(one.headroom_nano),
            }
            for one in found
        ]
        print(json.dumps({"members": told}, indent=2))
        return
    for one in found:
        used = (
            "no cover"
            if one.used_ppm is None
            else f"{one.used_ppm // 10_000}.{one.used_ppm // 100 % 100:02}%"
        )
        level = one.level.name.lower().replace("_", " ")
        print(f"{one.member}  {level:<15} {used:>9}  headroom {_money(one.headroom_nano)}")
    if not found:
        print("no member is above 80% of its cover")


def warned(exchange: Exchange) -> list[Standing]:
    """Members above the first threshold, gravest first."""
    from settlement.chain.events import MemberRegistered, decode
    from settlement.chain.steps import logs_of
    from settlement.rules.credit import Level, Position, assess

    told = (decode(log) for log in logs_of(exchange, "MemberRegistered"))
    addresses = [one.account for one in told if isinstance(one, MemberRegistered)]
    positions = [
        Position("0x" + address.hex(), found.cash.reserved, found.cash.free + found.cash.reserved)
        for address, found in exchange.accounts(addresses).items()
    ]
    return [one for one in assess(positions) if one.level is not Level.COVERED]
