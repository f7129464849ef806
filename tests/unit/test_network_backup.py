"""A network's folder written to a file and read back. With validators: tests/network/test_backup.py."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path

import pytest

from settlement.cli import main
from settlement.errors import InputError
from settlement.network import backup, besu, boot
from settlement.network.folder import read_network


def quiet(_: str) -> None:
    pass


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Four validators that do not run, each with a database and logs."""
    place = tmp_path / "network"
    network = boot.init(place, 4, quiet)
    for one in network.members:
        for name in ("db/file", "chainData/deep/file", "logs/main.log"):
            file = network.home(one) / "data" / name
            file.parent.mkdir(parents=True)
            file.write_text(str(one.number))
        (network.home(one) / "process.json").write_text("{}")
    return place


def test_a_backup_restores_to_the_same_keys_and_one_database_for_all(folder: Path, tmp_path: Path) -> None:
    backup.backup(folder, tmp_path / "backup.tgz", "2", quiet)
    found = backup.restore(tmp_path / "again", tmp_path / "backup.tgz", quiet)
    before = read_network(folder)
    assert found.validators == before.validators
    for name in ("administrator", "operator"):
        assert found.key(name).secret == before.key(name).secret
    for one in found.members:
        home = found.home(one)
        assert (home / "staker.key").read_bytes() == (before.home(one) / "staker.key").read_bytes()
        assert (home / "data" / "chainData" / "deep" / "file").read_text() == "2"
        assert not (home / "data" / "logs").exists()
        assert not (home / "process.json").exists()


def test_a_backup_and_what_is_restored_are_for_their_owner_only(folder: Path, tmp_path: Path) -> None:
    file = tmp_path / "backup.tgz"
    backup.backup(folder, file, None, quiet)
    assert file.stat().st_mode & 0o077 == 0
    found = backup.restore(tmp_path / "again", file, quiet)
    for key in (*found.folder.glob("keys/*"), *found.folder.glob("validators/*/*.key")):
        assert key.stat().st_mode & 0o077 == 0, key


def test_a_backup_replaces_nothing(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "backup.tgz").write_text("an older one")
    with pytest.raises(InputError, match="name another file"):
        backup.backup(folder, tmp_path / "backup.tgz", None, quiet)
    with pytest.raises(InputError, match="holds a network already"):
        backup.restore(folder, tmp_path / "backup.tgz", quiet)


def test_a_backup_that_cannot_be_written_leaves_nothing(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be written"):
        backup.backup(folder, tmp_path / "missing" / "backup.tgz", None, quiet)


def test_what_is_no_backup_is_refused_and_so_is_a_path_that_leads_out(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "text").write_text("text")
    with pytest.raises(InputError, match="no backup that can be read"):
        backup.restore(tmp_path / "again", tmp_path / "text", quiet)
    with tarfile.open(tmp_path / "evil.tgz", "w:gz") as archive:
        archive.add(folder / "network.json", "../outside.json")
    with pytest.raises(InputError, match="no backup that can be read"):
        backup.restore(tmp_path / "again", tmp_path / "evil.tgz", quiet)
    assert not (tmp_path / "outside.json").exists()


def test_a_network_for_other_programs_is_not_backed_up_here(tmp_path: Path) -> None:
    besu.init(tmp_path / "besu", 4, 20_265)
    with pytest.raises(InputError, match="by their own tools"):
        backup.backup(tmp_path / "besu", tmp_path / "file", None, quiet)


def test_the_commands_say_what_they_wrote(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "backup.tgz"
    assert main(["network", "backup", "--dir", str(folder), str(file), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["file"], told["validator"], told["bytes"]) == (str(file), 4, file.stat().st_size)
    assert main(["network", "restore", "--dir", str(tmp_path / "again"), str(file), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["chain_id"] == 20_265
