"""What `trellis up` runs, each with the least key that it needs."""

from __future__ import annotations

import json
import shutil
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from api.services import up_folder as names
from api.services.operator_shell import STATUS
from api.services.supervise import Service
from api.services.up_folder import Folder
from settlement.chain.deploy import Deployment
from settlement.chain.rpc import to_hex
from settlement.cli import build_parser

HOST = "127.0.0.1"
TIMEOUT_S = 2.0


@dataclass(frozen=True)
class Place:
    """What services are told of where they run."""

    folder: Folder
    rpcs: tuple[str, ...]
    deployment: Deployment
    api_port: int
    mqtt_port: int
    plan: Path | None

    @property
    def api(self) -> str:
        return f"http://{HOST}:{self.api_port}"

    @property
    def exchange(self) -> str:
        return to_hex(self.deployment.exchange)

    @property
    def rpc_options(self) -> list[str]:
        return [part for rpc in self.rpcs for part in ("--rpc", rpc)]


def trellis(*arguments: str | Path) -> Callable[[], Sequence[str | Path]]:
    """One of our own commands, by this very interpreter."""
    return lambda: [sys.executable, "-m", "settlement.cli", *arguments]


def api(place: Place) -> Service:
    folder = place.folder
    environment = {
        "TRELLIS_DATABASE_URL": folder.database_url,
        "TRELLIS_RPC": place.rpcs[0],
        "TRELLIS_EXCHANGE": place.exchange,
        "TRELLIS_RECEIPT_KEY_FILE": str(folder.key(names.RECEIPTS)),
        "TRELLIS_RELAY_KEY_FILE": str(folder.key(names.RELAY)),
        "TRELLIS_TOKEN_KEY_FILE": str(folder.token_key),
        "TRELLIS_IDENTITY_KEY_FILE": str(folder.identity_key),
        "TRELLIS_SIWE_DOMAIN": f"{HOST}:{place.api_port}",
        "TRELLIS_SIWE_URI": place.api,
    }
    return Service(
        name="api",
        command=trellis("api", "run", "--host", HOST, "--port", str(place.api_port)),
        place=f"HTTP at {place.api}",
        is_ready=lambda: readiness(place.api) is not None,
        environment=environment,
    )


def indexer(place: Place) -> Service:
    folder, block = place.folder, place.deployment.block
    where = ("--rpc", place.rpcs[0], "--address", place.exchange, "--database", folder.database_url)
    return Service(
        name="indexer",
        command=trellis("index", "run", *where, "--from-block", str(block)),
        place="the read model in trellis.db",
        is_ready=lambda: int((readiness(place.api) or {}).get("indexed_block") or -1) >= block,
    )


def operator(place: Place) -> Service:
    folder, data = place.folder, place.folder.path / "operator"
    options: list[str | Path] = [*place.rpc_options, "--deployment", folder.deployment]
    options += ["--database", folder.database_url, "--data", data, "--key-file", folder.key(names.CLERK)]
    options += ["--receipt-signer", to_hex(folder.signer(names.RECEIPTS).address)]
    options += [] if place.plan is None else ["--plan", place.plan.absolute()]
    return Service(
        name="operator",
        command=trellis("operator", "run", *options),
        place="sessions of " + ("the default plan" if place.plan is None else str(place.plan)),
        is_ready=_written_since(data / STATUS),
    )


def settlement(place: Place) -> Service:
    folder = place.folder
    options: list[str | Path] = [*place.rpc_options, "--deployment", folder.deployment, "--json"]
    options += ["--key-file", folder.key(names.SETTLER)]
    for name in names.ORACLES:
        options += ["--data", folder.path / name]
    return Service(
        name="settlement",
        command=trellis("settlement", "run", *options),
        place="settles what oracle nodes signed",
        is_ready=_says(folder, "settlement", '"ready"'),
    )


def broker(place: Place, program: str) -> Service:
    configuration = place.folder.path / "broker" / "mosquitto.conf"
    return Service(
        name="broker",
        command=lambda: [program, "-c", configuration],
        place=f"MQTT at {HOST}:{place.mqtt_port}",
        is_ready=lambda: port_taken(place.mqtt_port),
    )


def oracle(place: Place, name: str) -> Service:
    configuration = place.folder.path / name / "node.json"
    return Service(
        name=name,
        command=trellis("oracle", "serve", "--config", configuration, "--json"),
        place="a node of the metering oracle",
        is_ready=_says(place.folder, name, '"ready"'),
    )


def oracle_configuration(place: Place, name: str) -> dict[str, Any]:
    """docs/oracle.md, Configuration of a node."""
    folder = place.folder
    return {
        "name": name,
        "data": str(folder.path / name),
        "registry": str(folder.registry),
        "prices": str(folder.path / "prices.csv"),
        "key": str(folder.key(name)),
        "sender": str(folder.key(f"{name}-sends")),
        "secret": str(folder.path / "oracle-secret.json"),
        "time_zone": "UTC",
        "broker": {
            "url": f"mqtt://{HOST}:{place.mqtt_port}",
            "password_file": str(folder.path / "broker" / "credentials.json"),
        },
        "chain": {"rpc": list(place.rpcs), "deployment": str(folder.deployment)},
    }


# Whether they run ---------------------------------------------------------------------------------------


def has_command(*words: str) -> bool:
    """Whether this version has a command, such as `oracle serve`."""
    parser: Any = build_parser()
    for word in words:
        nested = [action.choices for action in parser._actions if isinstance(action.choices, dict)]
        if not nested or word not in nested[0]:
            return False
        parser = nested[0][word]
    return True


def mosquitto() -> str | None:
    """The broker's program, if it is there; system packages put it where users do not look."""
    return shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")


def readiness(api_url: str) -> dict[str, Any] | None:
    """What the API says of itself if it is ready."""
    try:
        with urllib.request.urlopen(f"{api_url}/readyz", timeout=TIMEOUT_S) as response:
            return dict(json.load(response))
    except (OSError, ValueError):
        return None


def port_taken(port: int) -> bool:
    from settlement.chain.anvil import port_taken

    return port_taken(port)


def _written_since(file: Path) -> Callable[[], bool]:
    """Whether a file was written lately: a service that runs writes it at every look."""

    def is_ready() -> bool:
        try:
            return file.stat().st_mtime > time.time() - 5 and json.loads(file.read_text())["error"] is None
        except (OSError, ValueError, KeyError):
            return False

    return is_ready


def _says(folder: Folder, name: str, what: str) -> Callable[[], bool]:
    """Whether a service's log says it, behind where it ended when this was asked first."""
    log, seen = folder.path / "logs" / f"{name}.log", [-1]

    def is_ready() -> bool:
        text = log.read_bytes() if log.exists() else b""
        if seen[0] < 0:
            seen[0] = max(0, len(text) - 2_000)
        return what.encode() in text[seen[0] :]

    return is_ready
