"""What `trellis oracle` does and prints."""

from __future__ import annotations

import argparse
import asyncio
import fcntl
import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from datetime import date
from pathlib import Path

from oracle import registry_file
from oracle.errors import BadStore
from oracle.intake import Verifier, verify_all
from oracle.live import broker, daily
from oracle.live.client import Login, read_address
from oracle.live.passwords import read_password
from oracle.live.service import Report, Service, Settings
from oracle.live.store import Store
from oracle.pool import VerifierPool
from settlement.errors import InputError

MOST_PAST_DAYS = 60


def broker_config(arguments: argparse.Namespace) -> int:
    """`trellis oracle broker-config`."""
    if arguments.port is not None and not 0 < arguments.port < 1 << 16:
        raise InputError("--port is a number from 1 to 65535")
    plan = broker.Plan(
        folder=arguments.dir,
        meters=tuple(registry_file.read(arguments.registry)),
        oracles=tuple(arguments.oracle or ("oracle-1",)),
        tls_hosts=tuple(arguments.tls_host),
        port=arguments.port,
        user=arguments.user,
    )
    configuration = broker.write(plan)
    if arguments.json:
        print(
            json.dumps(
                {
                    "configuration": str(configuration),
                    "meters": len(plan.meters),
                    "oracles": list(plan.oracles),
                    "tls": bool(plan.tls_hosts),
                }
            )
        )
        return 0
    print(f"{configuration}: {len(plan.meters)} meters, oracles {', '.join(plan.oracles)}")
    print(f"start:    mosquitto -c {configuration}")
    print("reload:   send it SIGHUP after writing this again")
    return 0


def run(arguments: argparse.Namespace) -> int:
    """`trellis oracle run`."""
    if not arguments.status_every > 0:
        raise InputError("--status-every is above zero")
    login = Login(
        read_address(arguments.broker, plaintext=arguments.plaintext),
        arguments.username,
        read_password(arguments.password_file, arguments.username),
        arguments.tls_ca,
    )
    report = json_lines if arguments.json else lines
    with alone(arguments.data), Store(arguments.data) as store, verifier_of(arguments.workers) as verifier:
        settings = Settings(login, arguments.registry, arguments.username, arguments.status_every, verifier)
        asyncio.run(_serve(settings, store, report))
    return 0


async def _serve(settings: Settings, store: Store, report: Report) -> None:
    await Service(settings, store, report).run()


@contextmanager
def verifier_of(workers: int) -> Iterator[Verifier]:
    """What verifies signatures, in so many processes. InputError below one."""
    if workers < 1:
        raise InputError("--workers is above zero")
    with VerifierPool(workers) if workers > 1 else nullcontext(verify_all) as verifier:
        yield verifier


@contextmanager
def alone(data: Path) -> Iterator[None]:
    """One service for a folder: two would take each other's session away."""
    try:
        data.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock = (data / "lock").open("w")
    except OSError as cause:
        raise BadStore(data, str(cause)) from cause
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BadStore(data, "another `trellis oracle run` uses it") from None
        yield


def json_lines(event: str, figures: Mapping[str, object]) -> None:
    """An event as one JSON object."""
    print(json.dumps({"time_s": int(time.time()), "event": event, **figures}), flush=True)


def lines(event: str, figures: Mapping[str, object]) -> None:
    """An event for people."""
    told = " ".join(f"{name}={value}" for name, value in figures.items())
    print(f"{time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime())} {event} {told}".rstrip(), flush=True)


def day(arguments: argparse.Namespace) -> int:
    """`trellis oracle day`."""
    try:
        wanted = date.fromisoformat(arguments.day)
    except ValueError:
        raise InputError(f"--day {arguments.day!r} is no date: write YYYY-MM-DD") from None
    if not 0 <= arguments.past <= MOST_PAST_DAYS:
        raise InputError(f"--past is a number of days, from 0 to {MOST_PAST_DAYS}")
    registry = registry_file.read(arguments.registry)
    asked = daily.Asked(registry, wanted, arguments.tz, arguments.window, arguments.past)
    asked.windows()  # its errors before those of the store
    with Store(arguments.data, read_only=True) as store, verifier_of(arguments.workers) as verifier:
        figures = daily.look(store, asked, verifier)
    print(json.dumps(figures, indent=2) if arguments.json else daily.table(figures))
    return 0
