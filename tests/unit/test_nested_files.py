"""A file nested deeper than Python reads, or with a number longer than it reads, is a mistake of the user."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest

from oracle import challenge_files, homes
from oracle.live import broker, passwords
from settlement.chain import claim_input, deploy
from settlement.errors import TrellisError
from settlement.formats.grid import read_grid
from settlement.network import besu, folder
from settlement.rules.configuration import from_json
from settlement.rules.sharing import Cascade

DEEP = '{"a":' * 100_000
LONG = '{"a": ' + "9" * 5_000 + "}"

READERS: dict[str, Callable[[Path], Any]] = {
    "the order of a claim": lambda file: claim_input._read(str(file), "--order"),
    "what a challenge is answered with": lambda file: challenge_files._document(file, "--evidence"),
    "a grid": lambda file: read_grid(file.read_bytes(), str(file)),
    "sharing keys": lambda file: from_json(Cascade, file.read_bytes(), str(file)),
    "a deployment": lambda file: deploy.read_deployment(cast("Any", None), file),
    "measured homes": lambda file: homes._schema(file.parent),
    "a broker's credentials": broker._credentials,
    "a broker's password": lambda file: passwords.read_password(file, "oracle"),
    "a network": lambda file: folder.read_network(file.parent),
}
NAMES = {"measured homes": "schema.json", "a network": folder.FILE}


@pytest.mark.parametrize("text", [DEEP, LONG], ids=["deep", "long"])
@pytest.mark.parametrize("what", READERS)
def test_what_python_does_not_read_is_told_with_its_file(tmp_path: Path, what: str, text: str) -> None:
    file = tmp_path / NAMES.get(what, "file.json")
    file.write_text(text)
    with pytest.raises(TrellisError, match=str(file)):
        READERS[what](file)


def test_permissions_nested_too_deeply_are_told(tmp_path: Path) -> None:
    (tmp_path / besu.PERMISSIONS).write_text("accounts-allowlist=" + "[" * 100_000)
    with pytest.raises(TrellisError, match=besu.PERMISSIONS):
        besu.read_permissions(tmp_path)
