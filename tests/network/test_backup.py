"""Network folder and API database are backed up, destroyed, restored, and audited."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path

import pytest
from clearing_load import audited
from network_world import Validators, answer, command

from settlement.bench.community import Shape
from settlement.bench.on_validators import ValidatorsCommunity
from settlement.chain.exchange import Exchange
from settlement.network import boot


def copied(database: Path, to: Path) -> None:
    """As `sqlite3 FILE ".backup TO"` does, also while it is being written."""
    with sqlite3.connect(database) as source, sqlite3.connect(to) as target:
        source.backup(target)


@pytest.mark.smoke
def test_what_is_backed_up_and_destroyed_comes_back_and_passes_the_audit(
    validators: Validators, tmp_path: Path
) -> None:
    folder, database, kept = validators.folder, tmp_path / "api.db", tmp_path / "kept"
    kept.mkdir()
    community = ValidatorsCommunity(validators.network, Shape(homes=6))
    day = community.next_day()
    community.trade(day)
    community.settle(day)
    address = "0x" + community.exchange.address.hex()
    index = ["--rpc", validators.network.rpcs[0], "--address", address]
    index += ["--database", f"sqlite+aiosqlite:///{database}"]
    answer("index", "run", "--once", *index)

    copied(database, kept / "api.db")
    answer("network", "backup", "--dir", folder, kept / "network.tgz")
    before = validators.wait_until_equal()
    assert all(one.alive for one in before.validators)

    boot.down(folder, lambda _: None)
    shutil.rmtree(folder)
    database.unlink()

    answer("network", "restore", "--dir", folder, kept / "network.tgz")
    boot.up(folder, lambda _: None)
    copied(kept / "api.db", database)
    after = validators.wait_until_equal()
    assert (after.height, after.validators[0].hash) == (before.height, before.validators[0].hash)
    audited(validators, Exchange(validators.chain(), community.exchange.deployment))
    answer("index", "run", "--once", *index)
    assert command("index", "rebuild", "--verify", *index).returncode == 0

    again = community.next_day()
    community.trade(again)  # and it goes on
    audited(validators, Exchange(validators.chain(), community.exchange.deployment))
