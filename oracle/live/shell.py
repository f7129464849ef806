"""What `trellis oracle` does and prints."""

from __future__ import annotations

import argparse
import asyncio
import fcntl
import json
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from datetime import date
from pathlib import Path

import numpy as np

from oracle import registry_file
from oracle.day import MISSING, OUT_OF_SERVICE, only_in_service
from oracle.errors import BadBroker, BadStore
from oracle.intake import Verifier, take, to_day, verify_all
from oracle.live import broker
from oracle.live.client import Login, read_address
from oracle.live.service import Report, Service, Settings
from oracle.live.store import Store
from oracle.localdays import local_day
from oracle.pool import VerifierPool
from settlement.errors import InputError
from settlement.reference.posting import ACTUAL


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
        _password(arguments.password_file, arguments.username),
        arguments.tls_ca,
    )
    report = _json_lines if arguments.json else _lines
    with _alone(arguments.data), Store(arguments.data) as store, _verifier(arguments.workers) as verifier:
        settings = Settings(login, arguments.registry, arguments.username, arguments.status_every, verifier)
        asyncio.run(_serve(settings, store, report))
    return 0


async def _serve(settings: Settings, store: Store, report: Report) -> None:
    await Service(settings, store, report).run()


@contextmanager
def _verifier(workers: int) -> Iterator[Verifier]:
    if workers < 1:
        raise InputError("--workers is above zero")
    with VerifierPool(workers) if workers > 1 else nullcontext(verify_all) as verifier:
        yield verifier


@contextmanager
def _alone(data: Path) -> Iterator[None]:
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


def _password(path: Path | None, username: str) -> str | None:
    """What a file says: the password alone, or a JSON object of them by user."""
    if path is None:
        return None
    try:
        text = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as cause:
        raise BadBroker(path, "its password cannot be read") from cause
    if not text.startswith("{"):
        return text
    try:
        found = json.loads(text).get(username)
    except ValueError:
        raise BadBroker(path, "it is neither a password nor JSON") from None
    if not isinstance(found, str):
        raise BadBroker(path, f"it has no password of {username}")
    return found


def _json_lines(event: str, figures: Mapping[str, object]) -> None:
    print(json.dumps({"time_s": int(time.time()), "event": event, **figures}), flush=True)


def _lines(event: str, figures: Mapping[str, object]) -> None:
    told = " ".join(f"{name}={value}" for name, value in figures.items())
    print(f"{time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime())} {event} {told}".rstrip(), flush=True)


def day(arguments: argparse.Namespace) -> int:
    """`trellis oracle day`."""
    try:
        wanted = date.fromisoformat(arguments.day)
    except ValueError:
        raise InputError(f"--day {arguments.day!r} is no date: write YYYY-MM-DD") from None
    registry = registry_file.read(arguments.registry)
    windows = local_day(wanted, arguments.tz, arguments.window)
    with Store(arguments.data, read_only=True) as store:
        stored = store.day(windows)
    with _verifier(arguments.workers) as verifier:
        intake = take(stored.batch, registry, windows, verifier)
    readings = only_in_service(to_day(intake, registry, windows), registry.in_service(windows))
    flags = readings.flags
    actual, missing, idle = (int(np.count_nonzero(flags == f)) for f in (ACTUAL, MISSING, OUT_OF_SERVICE))
    figures: dict[str, object] = {
        "day": arguments.day,
        "tz": arguments.tz,
        "window_length_s": windows.window_length_s,
        "first_window": windows.first_window,
        "windows": windows.windows,
        "meters": len(registry),
        "registers": len(registry.series),
        "expected": actual + missing,
        "actual": actual,
        "missing": missing,
        "out_of_service": idle,
        "rejected": dict(sorted(Counter(r.reason.name.lower() for r in intake.rejected).items())),
        "equivocations": len(intake.equivocations),
        "silent_meters": _silent(flags, registry.series),
    }
    print(json.dumps(figures, indent=2) if arguments.json else _table(figures), file=sys.stdout)
    return 0


def _silent(flags: np.ndarray, series: tuple[tuple[bytes, int], ...]) -> list[str]:
    """Meters of which nothing came though they were in service."""
    heard = {meter for (meter, _), row in zip(series, flags, strict=True) if (row == ACTUAL).any()}
    served = {meter for (meter, _), row in zip(series, flags, strict=True) if (row == MISSING).any()}
    return ["0x" + meter.hex() for meter in sorted(served - heard)]


def _table(figures: Mapping[str, object]) -> str:
    def shown(value: object) -> str:
        if isinstance(value, dict):
            return ", ".join(f"{n} {name}" for name, n in value.items()) or "none"
        return f"{len(value)}" if isinstance(value, list) else str(value)

    return "\n".join(f"{name.replace('_', ' '):<16}{shown(value)}" for name, value in figures.items())
