"""What `trellis operator run` and `plan` do: clock, lock, signals and log around `operating.py`.

Its folder:

    lock          held while it runs: two operators of one key would take each other's nonces
    outbox/       signed transactions whose receipts were not seen
    status.json   what it last looked at, for whoever watches
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import signal
import threading
import time
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from api import logs
from api.logs import event
from api.services.operating import Operator
from api.services.operator_plan import read_plan, told
from api.services.sealing import StoredOrders
from api.settings import Settings
from settlement.audit.cli import read_address
from settlement.chain import deploy
from settlement.chain.client import Chain
from settlement.chain.exchange import Exchange
from settlement.chain.keystore import open_signer
from settlement.chain.outbox import Outbox
from settlement.chain.pending import Pace
from settlement.chain.rpc import to_hex
from settlement.chain.sign import Signer
from settlement.errors import CheckFailed, InputError, TrellisError
from settlement.network.folder import locked

STATUS = "status.json"
LONGEST_PAUSE_S = 30.0
"""Between two looks after errors."""


class Stopped(TrellisError):
    """Told to stop: nothing more is sent."""

    exit_code = 0


class StoppableChain(Chain):
    """Sends nothing new once it was told to stop; what was sent is waited for."""

    stop: threading.Event

    def submit(self, signer: Signer, to: bytes | None, data: bytes, *, gas: int | None = None) -> bytes:
        if self.stop.is_set():
            raise Stopped("the operator was told to stop")
        return super().submit(signer, to, data, gas=gas)


def run(arguments: argparse.Namespace, now: Callable[[], float] = time.time) -> int:
    """`trellis operator run`. `now` gives the time that gates are judged by."""
    settings = settings_of(arguments)
    logs.configure(settings.log_level)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    with locked(arguments.data), StoredOrders(settings.database_url) as intake:
        outbox = Outbox(arguments.data / "outbox")
        exchange = exchange_of(arguments, settings, outbox, stop)
        signer = open_signer(_key_file(settings), arguments.password_file)
        operator = Operator(
            exchange,
            signer,
            outbox,
            read_plan(arguments.plan, exchange.deployment.window_length),
            intake,
            _receipt_signer(arguments, settings),
            now,
        )
        _require_role(exchange, signer)
        event("operator_started", operator=to_hex(signer.address), exchange=to_hex(exchange.address))
        if arguments.once:
            operator.look()
        else:
            _watch(operator, stop, arguments.data / STATUS, arguments.poll_s)
    event("operator_stopped")
    if arguments.json:
        print(json.dumps({"latest_session": operator.latest, "ended": len(operator.ended)}))
    return 0


def _watch(operator: Operator, stop: threading.Event, status: Path, poll_s: float) -> None:
    """Until it is told to stop. After an error it looks again, ever later: every step can be repeated."""
    pause = poll_s
    while not stop.is_set():
        try:
            operator.look()
        except Stopped:
            return
        except TrellisError as error:
            event("operator_error", logging.ERROR, why=error.message)
            write_status(status, operator, error.message)
            pause = min(2 * pause, LONGEST_PAUSE_S)
        else:
            write_status(status, operator, None)
            pause = poll_s
        stop.wait(pause)


def write_status(file: Path, operator: Operator, error: str | None) -> None:
    open_ = sorted(set(operator.params) - operator.ended)
    told = {"time": int(time.time()), "latest_session": operator.latest, "open": open_, "error": error}
    partial = file.with_suffix(".partial")
    partial.write_text(json.dumps(told) + "\n")
    os.replace(partial, file)


def show_plan(arguments: argparse.Namespace) -> int:
    """`trellis operator plan`."""
    plan = read_plan(arguments.plan, arguments.window_s)
    first = arguments.day or datetime.now(UTC).date() + timedelta(days=1)
    found = told(plan, [first + timedelta(days=ahead) for ahead in range(arguments.days)], arguments.window_s)
    if arguments.json:
        print(json.dumps({"time_zone": plan.time_zone, "sessions": found}, indent=2))
    else:
        for one in found:
            print(
                "{day}  {name:<16} {kind:<16} opens {opens}  gate {gate}  proved by {prove_by}".format(**one)
            )
    return 0


# What is asked ------------------------------------------------------------------------------------------


def settings_of(arguments: argparse.Namespace) -> Settings:
    """The settings, with what the command line says in their place."""
    given: dict[str, Any] = {
        "exchange": arguments.address,
        "database_url": arguments.database,
        "operator_key_file": arguments.key_file,
    }
    return Settings(**{name: value for name, value in given.items() if value is not None})


def exchange_of(
    arguments: argparse.Namespace, settings: Settings, outbox: Outbox, stop: threading.Event
) -> Exchange:
    chain = StoppableChain(arguments.rpc or [settings.rpc], pace=Pace(), outbox=outbox)
    chain.stop = stop
    if arguments.deployment is not None:
        return Exchange(chain, deploy.read_deployment(chain, arguments.deployment))
    return Exchange(chain, deploy.find_deployment(chain, read_address(settings.exchange), 0))


def _key_file(settings: Settings) -> str:
    if settings.operator_key_file is None:
        raise InputError("no key of the operator: give --key-file, or set TRELLIS_OPERATOR_KEY_FILE")
    return settings.operator_key_file


def _receipt_signer(arguments: argparse.Namespace, settings: Settings) -> bytes:
    if arguments.receipt_signer is None:
        raise InputError("whose receipts count is not said: give --receipt-signer, the API's address")
    return read_address(arguments.receipt_signer)


def _require_role(exchange: Exchange, signer: Signer) -> None:
    """CheckFailed at the start rather than at the first gate."""
    if not deploy.has_role(exchange.chain, exchange.deployment, deploy.OPERATOR, signer.address):
        raise CheckFailed(
            f"{to_hex(signer.address)} has not the role OPERATOR: let the administrator grant it"
        )


def day_of(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise InputError(f"--day {text}: give a date, YYYY-MM-DD") from None
