"""What a node computed, on its disk before it is offered: whoever is killed can still sign and post it.

    offered/<digest>/runs/….run    what opens its readings
    signed/<struct hash>.json      message and parts, without signatures

Once a run is on chain, its own file goes to `runs/`, and what came to nothing is removed.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from oracle import run_files
from oracle.errors import BadStore
from oracle.voting.work import Made
from settlement.chain import signed_files

FOLDER = "offered"


def keep(data: Path, made: Made) -> bytes:
    """On disk when it returns; the struct hash of what may be signed. BadStore, InputError."""
    place = _place(data, made.offer.digest)
    if not run_files.path_of(place, made.inputs).exists():
        run_files.keep(place, made.inputs, made.computed)
    struct = signed_files.hash_of(made.signed)
    if not signed_files.path_of(data, struct).exists():
        signed_files.write(data, made.signed)
    return struct


def promote(data: Path, digest: bytes) -> bool:
    """It is on chain: keep what opens it among the runs. False if this node never computed it. BadStore."""
    found = list((_place(data, digest) / run_files.FOLDER).glob(f"*{run_files.SUFFIX}"))
    if not found:
        return False
    folder = data / run_files.FOLDER
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        os.replace(found[0], folder / found[0].name)
        run_files.sync(folder)
    except OSError as cause:
        raise BadStore(folder, str(cause)) from cause
    return True


def discard(data: Path, digest: bytes, struct: bytes, *, on_chain: bool) -> None:
    """Remove what a run that is over leaves; of one that is on chain, who settles needs what was signed."""
    shutil.rmtree(_place(data, digest), ignore_errors=True)
    if not on_chain:
        signed_files.path_of(data, struct).unlink(missing_ok=True)


def _place(data: Path, digest: bytes) -> Path:
    return data / FOLDER / digest.hex()
