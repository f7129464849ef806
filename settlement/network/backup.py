"""A network's folder in one file, and back: keys, genesis, settings, and the database of one validator.

All validators have the same chain, so one database is enough: those of a restored network all begin with it.
It is taken from a validator that is stopped meanwhile, since a database that is being written is none; the
others go on. What was accepted after a backup, only validators that were not lost have.

    network.json  keys/  genesis/  settings/  clock
    validators/N/…         every validator's keys; of one its data/ too
"""

from __future__ import annotations

import os
import shutil
import tarfile
from collections.abc import Iterator
from pathlib import Path

from settlement.errors import InputError
from settlement.network import boot, processes
from settlement.network.boot import Tell, step
from settlement.network.folder import FILE, Network, Validator, locked, read_network

DATA, LOGS = "data", "logs"
LEFT_OUT = ("lock", processes.FILE, processes.OUTPUT, LOGS)


def backup(folder: Path, file: Path, wanted: str | None, tell: Tell) -> Validator:
    """Writes the file, for its owner's eyes only, whole or not at all; the validator whose database is in it.

    Without `wanted` it is the last member, whom nothing asks first. InputError for a file that exists.
    """
    if file.exists():
        raise InputError(f"{file} exists: a backup replaces nothing, name another file")
    with locked(folder):
        network = read_network(folder)
        if not network.members:
            raise InputError(f"{folder} is for {network.engine}: back its volumes up by their own tools")
        kept = network.members[-1] if wanted is None else network.find(wanted)
        runs = processes.running(network, kept) is not None
        if runs:
            with step(tell, f"stop      validator {kept.number}, whose database is kept"):
                processes.stop(network, [kept])
        try:
            with step(tell, f"write     {file}"):
                _write(network, kept, file)
        finally:
            if runs:
                boot.start_missing(network, [kept], tell, f"start     validator {kept.number}")
    return kept


def _write(network: Network, kept: Validator, file: Path) -> None:
    partial = file.with_name(f"{file.name}.partial")
    try:
        with (
            os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as raw,
            tarfile.open(fileobj=raw, mode="w:gz", compresslevel=1) as archive,
        ):
            for path in _files(network, kept):
                archive.add(path, path.relative_to(network.folder), recursive=False)
        os.replace(partial, file)
    except OSError as cause:
        raise InputError(f"{file} cannot be written: {cause.strerror or cause}") from cause
    finally:
        partial.unlink(missing_ok=True)


def _files(network: Network, kept: Validator) -> Iterator[Path]:
    """All but logs, what a running process leaves, and the other validators' databases."""
    others = [network.home(one) / DATA for one in network.validators if one != kept]
    for path in sorted(network.folder.rglob("*")):
        left_out = not path.is_file() or any(path.is_relative_to(one) for one in others)
        if not left_out and not set(path.relative_to(network.folder).parts) & set(LEFT_OUT):
            yield path


def restore(folder: Path, file: Path, tell: Tell) -> Network:
    """The network of a backup in an empty folder; nothing is started. InputError."""
    with locked(folder):
        if (folder / FILE).exists():
            raise InputError(f"{folder} holds a network already: restore into another folder")
        with step(tell, f"read      {file}"):
            _read(folder, file)
        network = read_network(folder)
        (kept,) = [one for one in network.validators if (network.home(one) / DATA).exists()]
        with step(tell, f"copy      the database of validator {kept.number} to the others"):
            for one in network.members:
                if one != kept:
                    shutil.copytree(network.home(kept) / DATA, network.home(one) / DATA)
    return network


def _read(folder: Path, file: Path) -> None:
    try:
        with tarfile.open(file) as archive:
            archive.extractall(folder, filter="data")
    except (OSError, tarfile.TarError, EOFError) as cause:
        raise InputError(f"{file} is no backup that can be read: {cause}") from cause
