"""Who is auditor or regulator: given and taken from the command line, by the administrator's key alone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from api_world import STRANGER, World, running_world
from index_world import indexed  # noqa: F401  (puts tests/chain on the path)
from key_files import keystore_file

from settlement.chain import deploy
from settlement.chain.deploy import write_deployment
from settlement.chain.sign import Signer
from settlement.cli import main


def run(world: World, folder: Path, what: str, role: str, signer: Signer) -> int:
    file = folder / "deployment.json"
    write_deployment(world.deployment, file)
    place = ("--rpc", world.anvil.rpc_url, "--deployment", str(file), "--json")
    key = ("--key-file", keystore_file(folder, signer))
    return main(["members", what, "0x" + STRANGER.address.hex(), "--role", role, *place, *key])


def test_an_auditor_is_made_and_unmade(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with running_world() as world:
        for what, granted in (("grant", True), ("grant", True), ("revoke", False)):
            before = deploy.has_role(world.chain, world.deployment, deploy.AUDITOR, STRANGER.address)
            assert run(world, tmp_path, what, "auditor", world.admin) == 0
            told = json.loads(capsys.readouterr().out)
            assert (told["granted"], told["changed"]) == (granted, before is not granted)
            now = deploy.has_role(world.chain, world.deployment, deploy.AUDITOR, STRANGER.address)
            assert now is granted


def test_only_the_administrator_gives_roles(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with running_world() as world:
        assert run(world, tmp_path, "grant", "regulator", STRANGER) != 0
        assert not deploy.has_role(world.chain, world.deployment, deploy.REGULATOR, STRANGER.address)
