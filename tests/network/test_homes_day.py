"""The day of 17 homes on five validators: the same as on the embedded chain, and audited on each."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from network_world import Validators, answer, command

OF_EVERY_RUN = ("seed", "currency", "others", "totals", "market", "carbon", "zero_sums", "incidents", "holds")
"""Who of several at the same limit gets the last Wh depends on the session's id, and so does a home's row."""


@pytest.fixture(scope="module")
def day(five: Validators, tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Path]:
    """What `trellis demo --network` told, and its folder."""
    out = tmp_path_factory.mktemp("out")
    return answer("demo", "--network", five.folder, "--out", out), out


def test_it_settles_as_on_the_embedded_chain(day: tuple[Any, Path], tmp_path: Path) -> None:
    embedded = answer("demo", "--out", tmp_path)
    for name in OF_EVERY_RUN:
        assert day[0][name] == embedded[name], name
    assert day[0]["holds"] is True


def test_every_validator_alone_passes_the_audit(day: tuple[Any, Path], five: Validators) -> None:
    exchange = json.loads((day[1] / "deployment.json").read_text())["exchange"]
    for rpc in five.network.rpcs:
        done = command("audit", "--rpc", rpc, "--address", exchange, "--json")
        assert done.returncode == 0, done.stdout


@pytest.mark.smoke
def test_all_validators_together_pass_the_audit(day: tuple[Any, Path], five: Validators) -> None:
    exchange = json.loads((day[1] / "deployment.json").read_text())["exchange"]
    nodes = [part for rpc in five.network.rpcs for part in ("--rpc", rpc)]
    found = answer("audit", *nodes, "--address", exchange)
    checks = {one["name"]: one for one in found["checks"]}
    assert all(one["ok"] for one in checks.values())
    assert checks["block hashes"]["count"] == checks["blocks"]["count"] > 100


def test_a_network_whose_clock_stands_with_the_hosts_is_refused(five: Validators, tmp_path: Path) -> None:
    for name in ("network.json", "keys"):
        (tmp_path / name).symlink_to(five.folder / name)
    told = json.loads((five.folder / "network.json").read_text()) | {"movable_clock": False}
    (tmp_path / "network.json").unlink()
    (tmp_path / "network.json").write_text(json.dumps(told))
    done = command("demo", "--network", tmp_path, "--out", tmp_path / "out")
    assert done.returncode == 2
    assert "--movable-clock" in done.stderr


def test_a_chain_whose_clock_nobody_outside_can_move_is_refused(five: Validators, tmp_path: Path) -> None:
    done = command("demo", "--rpc", five.network.rpcs[0], "--out", tmp_path)
    assert done.returncode == 2
    assert "--network" in done.stderr
