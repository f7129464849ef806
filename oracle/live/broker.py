"""The configuration of a Mosquitto for one registry (docs/oracle.md, Broker).

    mosquitto.conf      start it with `mosquitto -c`
    passwords           user:$7$iterations$salt$hash, PBKDF2-SHA512, as mosquitto_passwd writes it
    acl                 what each user may publish and read
    credentials.json    user -> password, for those who install meters; nobody else needs it
    tls/                certificates, with TLS
    state/              what the broker keeps of sessions

Users are meters (the 64 hex digits of their id) and oracle nodes. A user's name is its client id too, so
nobody can take over another's session. Written again, everything that is still right stays: passwords, the
authority, the broker's state.
"""

from __future__ import annotations

import base64
import getpass
import json
import os
import pwd
import re
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import pbkdf2_hmac
from pathlib import Path

from oracle.errors import BadBroker
from oracle.live import tls
from oracle.live.client import IN_FLIGHT, PLAIN_PORT, TLS_PORT
from oracle.live.wire import ALL_BALLOTS, ALL_READINGS, MOST_BYTES, ROOT, ballots_topic

ITERATIONS = 101
"""mosquitto_passwd's own. Passwords are random, 192 bits: nothing is gained by slower guesses."""
SALT_BYTES = 12
PASSWORD_BYTES = 24
MOST_QUEUED = 1_000_000
MOST_QUEUED_BYTES = 1 << 30
"""What the broker keeps for an oracle that is away; beyond it meters must send again, which they do."""

OVERHEAD_BYTES = 1_024
"""Of a packet besides its payload: topic and properties."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Plan:
    """A broker to be."""

    folder: Path
    meters: tuple[bytes, ...]
    oracles: tuple[str, ...] = ("oracle-1",)
    """Names of the nodes: letters, digits, `_`, `.`, `-`."""
    tls_hosts: tuple[str, ...] = ()
    """Names and addresses that its certificate is for; none: no TLS, on this machine's loopback only."""
    port: int | None = None
    user: str | None = None
    """The system user that it runs as when root starts it; None: whoever writes this."""


def write(plan: Plan) -> Path:
    """Write the folder; its mosquitto.conf. BadBroker for a name that is none, or files that cannot be kept
    or written.
    """
    _check(plan)
    folder = plan.folder.absolute()
    try:
        for each in (folder, folder / "state"):
            each.mkdir(parents=True, exist_ok=True, mode=0o700)
        users = [*plan.oracles, *(meter.hex() for meter in plan.meters)]
        _write_passwords(folder, users)
        tls.write_private(folder / "acl", _acl(plan).encode())
        if plan.tls_hosts:
            tls.issue(folder / "tls", plan.tls_hosts)
        tls.write_private(folder / "mosquitto.conf", _configuration(plan, folder).encode())
        _hand_over(folder, plan.user)
    except OSError as cause:
        raise BadBroker(folder, str(cause)) from cause
    return folder / "mosquitto.conf"


def _check(plan: Plan) -> None:
    for name in plan.oracles:
        if not _NAME.fullmatch(name) or re.fullmatch("[0-9a-f]{64}", name):
            raise BadBroker(name, "an oracle's name has up to 63 letters, digits, '_', '.' and '-'")
    if not plan.oracles or len(set(plan.oracles)) < len(plan.oracles):
        raise BadBroker(plan.folder, "it serves one oracle or more, each with a name of its own")
    if plan.user is not None:
        try:
            pwd.getpwnam(plan.user)
        except KeyError:
            raise BadBroker(plan.folder, f"this machine has no user {plan.user}") from None


def _configuration(plan: Plan, folder: Path) -> str:
    port = plan.port or (TLS_PORT if plan.tls_hosts else PLAIN_PORT)
    listener = [f"listener {port}" if plan.tls_hosts else f"listener {port} 127.0.0.1"]
    if plan.tls_hosts:
        listener += [
            f"certfile {folder}/tls/server.crt",
            f"keyfile {folder}/tls/server.key",
            "tls_version tlsv1.2",
        ]
    lines = [
        "# Written by `trellis oracle broker-config`.",
        f"user {plan.user or getpass.getuser()}",
        *listener,
        "allow_anonymous false",
        "use_username_as_clientid true",
        f"password_file {folder}/passwords",
        f"acl_file {folder}/acl",
        "",
        "# What an oracle that is away is owed outlives the broker.",
        "persistence true",
        f"persistence_location {folder}/state/",
        "autosave_on_changes true",
        "autosave_interval 1",
        "",
        f"max_inflight_messages {IN_FLIGHT}",
        f"max_queued_messages {MOST_QUEUED}",
        f"max_queued_bytes {MOST_QUEUED_BYTES}",
        f"max_packet_size {MOST_BYTES + OVERHEAD_BYTES}",
        "retain_available false",
        "set_tcp_nodelay true",
        "log_dest stderr",
        "log_type error",
        "log_type warning",
        "log_type notice",
    ]
    return "\n".join(lines) + "\n"


def _acl(plan: Plan) -> str:
    lines = [
        "# Every meter, and nothing else: %u is the name of the user, that is the meter's id.",
        f"pattern write {ROOT}/%u/readings",
        f"pattern read {ROOT}/%u/receipts/+",
    ]
    for name in plan.oracles:
        lines += ["", f"user {name}", f"topic read {ALL_READINGS}", f"topic write {ROOT}/+/receipts/{name}"]
        lines += [f"topic read {ALL_BALLOTS}", f"topic write {ballots_topic(name)}"]
    return "\n".join(lines) + "\n"


def _write_passwords(folder: Path, users: Iterable[str]) -> None:
    """Passwords and their hashes, those of before where there are any."""
    before = _credentials(folder / "credentials.json")
    passwords = {user: before.get(user) or secrets.token_urlsafe(PASSWORD_BYTES) for user in users}
    hashes = _hashes(folder / "passwords") if before else {}
    kept = {user: hashes[user] for user in passwords if user in hashes and user in before}
    lines = (f"{user}:{kept.get(user) or hashed(password)}\n" for user, password in passwords.items())
    tls.write_private(folder / "passwords", "".join(lines).encode())
    tls.write_private(folder / "credentials.json", (json.dumps(passwords, indent=1) + "\n").encode())


def hashed(password: str, salt: bytes | None = None) -> str:
    """What a password file of Mosquitto 2 has of a password: $7$, PBKDF2-SHA512."""
    salt = salt or secrets.token_bytes(SALT_BYTES)
    key = pbkdf2_hmac("sha512", password.encode(), salt, ITERATIONS)
    return f"$7${ITERATIONS}${base64.b64encode(salt).decode()}${base64.b64encode(key).decode()}"


def _credentials(path: Path) -> dict[str, str]:
    if not path.exists():
        return {}
    try:
        found = json.loads(path.read_text())
    except (ValueError, RecursionError) as cause:
        raise BadBroker(path, "it is no JSON object of passwords: restore or remove it") from cause
    if not isinstance(found, dict) or not all(isinstance(each, str) for each in found.values()):
        raise BadBroker(path, "it is no JSON object of passwords: restore or remove it")
    return found


def _hashes(path: Path) -> dict[str, str]:
    if not path.exists():
        return {}
    pairs = (line.partition(":") for line in path.read_text().splitlines())
    return {user: hash_ for user, _, hash_ in pairs if hash_}


def _hand_over(folder: Path, user: str | None) -> None:
    """Give the folder to who will read it, if that is somebody else. The authority's key and the passwords
    stay with who wrote them.
    """
    if user is None or user == getpass.getuser():
        return
    account = pwd.getpwnam(user)
    for path in (folder, *folder.rglob("*")):
        if path.name not in ("ca.key", "credentials.json"):
            os.chown(path, account.pw_uid, account.pw_gid)
