"""Databases for tests: SQLite in a file, and a PostgreSQL server of our own where it is installed."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import asyncpg

KINDS = ("sqlite", "postgresql")


def find_programs() -> Path | None:
    """The folder of `initdb` and `postgres`, the newest there is."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda one: int(one.parts[-3]))
    if found:
        return found[-1].parent
    on_path = shutil.which("initdb")
    return Path(on_path).resolve().parent if on_path else None


def why_not() -> str | None:
    """What PostgreSQL lacks to run here; None if it can."""
    if find_programs() is None:
        return "PostgreSQL is not installed: no initdb in /usr/lib/postgresql/*/bin or on PATH"
    if os.getuid() == 0 and not _user():
        return "PostgreSQL refuses root, and there is no user postgres to run it as"
    return None


def _user() -> pwd.struct_passwd | None:
    try:
        return pwd.getpwnam("postgres")
    except KeyError:
        return None


@contextmanager
def running_postgres() -> Iterator[str]:
    """The address of a server that is gone afterwards, without a database's name."""
    programs, user = find_programs(), _user() if os.getuid() == 0 else None
    assert programs is not None
    who = {} if user is None else {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
    folder = Path(tempfile.mkdtemp(prefix="trellis-pg-"))
    if user is not None:
        os.chown(folder, user.pw_uid, user.pw_gid)
    port = _free_port()
    data, log = folder / "data", folder / "log"
    try:
        options = ("--auth=trust", "--username=trellis", "--encoding=UTF8", "--no-sync", "--no-instructions")
        command = [programs / "initdb", *options, "-D", data]
        subprocess.run(command, check=True, capture_output=True, cwd=folder, **who)
        flags = f"-p {port} -k {folder} -c listen_addresses=127.0.0.1 -c fsync=off -c max_connections=50"
        control = [programs / "pg_ctl", "-D", data, "-l", log, "-w"]
        subprocess.run([*control, "-o", flags, "start"], check=True, capture_output=True, cwd=folder, **who)
        try:
            yield f"postgresql+asyncpg://trellis@127.0.0.1:{port}"
        finally:
            stop = [*control, "-m", "immediate", "stop"]
            subprocess.run(stop, check=True, capture_output=True, cwd=folder, **who)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def create_database(server: str) -> str:
    """The address of an empty database of a server; it goes with the server."""
    name = "t" + uuid.uuid4().hex
    admin = await asyncpg.connect(server.replace("+asyncpg", "") + "/postgres")
    try:
        await admin.execute(f"CREATE DATABASE {name}")
    finally:
        await admin.close()
    return f"{server}/{name}"
