"""`trellis settlement run`: what it is asked, and what it tells."""

from __future__ import annotations

import argparse
import json
import signal
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from settlement.errors import InputError, TrellisError

if TYPE_CHECKING:
    from settlement.chain.exchange import Exchange

RUN = """\
Settles what a quorum of oracle nodes signed: each zone once it is posted, all zones' certificates once all
are settled, and corrections once they are posted; settles challenges that nobody may answer any more; and,
ten days after a day's end, posts by default what nobody posted (to settle such a day takes the role ORACLE;
nothing else takes one). Anyone may run it, anywhere, several at once. It goes on from wherever the chain is,
until SIGTERM or Ctrl-C.
"""
LONGEST_WAIT_S = 60.0


def add_run(group: Any) -> None:
    """Adds `run` to the group of `trellis settlement`."""
    parser = group.add_parser(
        "run",
        help="settle, certify and correct what oracle nodes signed, as a service",
        description=RUN,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--rpc", action="append", required=True, metavar="URL", help="of a node; several are failed over"
    )
    parser.add_argument("--deployment", type=Path, required=True, metavar="FILE", help="deployment.json")
    parser.add_argument("--key-file", required=True, metavar="SOURCE", help="key of who sends (docs/keys.md)")
    parser.add_argument(
        "--data",
        action="append",
        type=Path,
        default=[],
        metavar="DIR",
        help="folder of an oracle node, or a copy of its `signed`'s parent; repeatable",
    )
    parser.add_argument(
        "--every", type=float, default=5, metavar="S", help="seconds between looks (default: %(default)s)"
    )
    parser.add_argument("--once", action="store_true", help="do what can be done now, and end")
    parser.add_argument("--no-default", action="store_true", help="post nothing by default")
    parser.add_argument(
        "--clock",
        choices=("wall", "chain"),
        default="wall",
        help="what deadlines are judged by: this machine's time, or the latest block's (default: wall)",
    )
    parser.add_argument("--json", action="store_true", help="tell each event as one JSON object a line")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """`trellis settlement run`."""
    from settlement.chain.keystore import open_signer
    from settlement.chain.settling import Options, Settling

    if not arguments.every > 0:
        raise InputError("--every is above zero")
    sender = open_signer(arguments.key_file)
    report = _json_line if arguments.json else _line
    options = Options(tuple(arguments.data), by_default=not arguments.no_default)
    with _stopping() as stop:
        exchange = _exchange(arguments, stop, report)
        if exchange is None:
            return 0
        service = Settling(exchange, sender, options, clock_of(exchange, arguments.clock), report)
        report("ready", {"sender": "0x" + sender.address.hex(), "exchange": "0x" + exchange.address.hex()})
        _serve(service.tick, arguments, stop, report)
    report("stopped", {})
    return 0


def clock_of(exchange: Exchange, name: str) -> Callable[[], int]:
    """Unix seconds by this machine ("wall") or by the latest block ("chain")."""
    return exchange.time if name == "chain" else lambda: int(time.time())


def _serve(
    tick: Callable[[], int],
    arguments: argparse.Namespace,
    stop: threading.Event,
    report: Callable[[str, Mapping[str, object]], None],
) -> None:
    """Looks until it is told to stop; with --once, until nothing was left to do."""
    wait = arguments.every
    while not stop.is_set():
        try:
            sent, wait = tick(), arguments.every
        except TrellisError as error:
            if arguments.once:
                raise
            sent, wait = 0, min(max(LONGEST_WAIT_S, arguments.every), 2 * wait)
            report("waiting", {"why": error.message})
        if arguments.once and not sent:
            return
        if not sent:
            stop.wait(wait)


def _exchange(
    arguments: argparse.Namespace,
    stop: threading.Event,
    report: Callable[[str, Mapping[str, object]], None],
) -> Exchange | None:
    """Once a node answers; None if it is told to stop before."""
    from settlement.chain.client import Chain
    from settlement.chain.deploy import read_deployment
    from settlement.chain.errors import NoAnswer
    from settlement.chain.exchange import Exchange

    while not stop.is_set():
        try:
            chain = Chain(arguments.rpc)
            return Exchange(chain, read_deployment(chain, arguments.deployment))
        except NoAnswer as error:
            if arguments.once:
                raise
            report("waiting", {"why": error.message})
            stop.wait(arguments.every)
    return None


class _stopping:
    """An event that SIGTERM and SIGINT set; what was begun is finished."""

    def __enter__(self) -> threading.Event:
        self._event = threading.Event()
        numbers = (signal.SIGTERM, signal.SIGINT)
        self._before = {one: signal.signal(one, lambda *_: self._event.set()) for one in numbers}
        return self._event

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)


def _json_line(event: str, figures: Mapping[str, object]) -> None:
    print(json.dumps({"time_s": int(time.time()), "event": event, **figures}), flush=True)


def _line(event: str, figures: Mapping[str, object]) -> None:
    told = " ".join(f"{name}={value}" for name, value in figures.items())
    print(f"{time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime())} {event} {told}".rstrip(), flush=True)
