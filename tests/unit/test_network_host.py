"""A network's folder and this host: what is refused before anything runs, and that nothing is left behind."""

from __future__ import annotations

import json
import resource
import socket
import sys
import time
from contextlib import closing
from pathlib import Path

import psutil
import pytest

from settlement.cli import main
from settlement.errors import InputError
from settlement.network import boot, engine, processes
from settlement.network.clock import MovableClock
from settlement.network.engine import Engine
from settlement.network.errors import Busy, NetworkError, NoEngine, NotStarted
from settlement.network.folder import Network, locked, read_network

PORT = 28_650


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Network:
    """Keys of four validators take a moment: once for all that only read."""
    return boot.init(tmp_path_factory.mktemp("network") / "net", 4, lambda _: None, first_port=PORT)


@pytest.fixture
def no_engine_needed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """In place of avalanchego, a program of the test's: the path to write it to."""
    program = tmp_path / "program"
    monkeypatch.setattr(boot, "build_engine", lambda tell, movable: Engine(program, tmp_path))
    return program


def children(program: Path) -> list[psutil.Process]:
    """That run the program; other tests of the process may have left helpers of Python's."""
    found = psutil.Process().children(recursive=True)
    living = [one for one in found if one.status() != psutil.STATUS_ZOMBIE]
    return [one for one in living if str(program) in one.cmdline()]


def test_a_network_is_read_as_it_was_made(made: Network) -> None:
    assert read_network(made.folder) == made
    ports = [port for one in made.validators for port in (one.rpc_port, one.peer_port)]
    assert ports == list(range(PORT, PORT + 8))


def test_administrator_operator_and_stakes_have_keys_of_their_own(made: Network) -> None:
    keys = {made.key(name).secret for name in ("administrator", "operator", "stakes")}
    assert len(keys) == 3
    for file in (made.folder / "keys").iterdir():
        assert file.stat().st_mode & 0o777 == 0o600


def test_a_second_network_in_a_folder_is_refused(made: Network) -> None:
    with pytest.raises(InputError, match="already"):
        boot.init(made.folder, 4, lambda _: None)


@pytest.mark.parametrize("validators", [0, 3, 21])
def test_too_few_or_too_many_validators_are_refused(validators: int, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="4 to 20"):
        boot.init(tmp_path, validators, lambda _: None)
    assert not (tmp_path / "keys").exists()


def test_a_folder_without_a_network_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for verb in ("status", "down"):
        assert main(["network", verb, "--dir", str(tmp_path / "none")]) == 2
        assert "trellis network init" in capsys.readouterr().err


def test_a_damaged_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "network.json").write_text('{"format": 1, "validators": [{}]}')
    with pytest.raises(InputError, match="not well formed"):
        read_network(tmp_path)


def test_two_commands_do_not_work_on_one_folder(tmp_path: Path) -> None:
    with locked(tmp_path), pytest.raises(Busy, match="another command"), locked(tmp_path):
        pass
    with locked(tmp_path):
        pass


def test_a_taken_port_is_named_before_anything_starts(made: Network, no_engine_needed: Path) -> None:
    with closing(socket.socket()) as taken:
        taken.bind(("127.0.0.1", PORT + 3))
        taken.listen()
        with pytest.raises(NetworkError, match=f"port {PORT + 3} of validator 2 is taken"):
            boot.up(made.folder, lambda _: None)
    assert not children(no_engine_needed)


def test_too_few_descriptors_are_told_before_anything_starts(
    made: Network, no_engine_needed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (256, 1024))
    with pytest.raises(NetworkError, match="may open 1024 files here, and a validator needs 4096"):
        boot.up(made.folder, lambda _: None)
    assert not children(no_engine_needed)


def test_a_validator_that_ends_at_once_is_told_with_its_last_words_and_no_other_is_left(
    made: Network, no_engine_needed: Path
) -> None:
    no_engine_needed.write_text(
        f"#!{sys.executable}\nimport sys, time\n"
        f"if '--http-port={PORT + 4}' in sys.argv: sys.exit('no such genesis')\ntime.sleep(60)\n"
    )
    no_engine_needed.chmod(0o755)
    with pytest.raises(NotStarted, match="validator 3 has ended: no such genesis"):
        _up_quickly(made)
    assert not children(no_engine_needed)
    assert not list(made.folder.glob("validators/*/process.json"))
    with locked(made.folder):
        pass


def test_validators_that_never_answer_are_stopped_again(
    made: Network, no_engine_needed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    no_engine_needed.write_text(f"#!{sys.executable}\nimport time\ntime.sleep(60)\n")
    no_engine_needed.chmod(0o755)
    with pytest.raises(NotStarted, match="validator 1 is not ready in time"):
        _up_quickly(made)
    assert not children(no_engine_needed)


def test_an_interrupted_start_leaves_no_validator(
    made: Network, no_engine_needed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    no_engine_needed.write_text(f"#!{sys.executable}\nimport time\ntime.sleep(60)\n")
    no_engine_needed.chmod(0o755)

    def interrupted(*_: object) -> None:
        while len(children(no_engine_needed)) < 4:  # the last may not have become the program yet
            time.sleep(0.01)
        raise KeyboardInterrupt

    monkeypatch.setattr(boot.avalanche, "wait_until_ready", interrupted)
    with pytest.raises(KeyboardInterrupt):
        boot.up(made.folder, lambda _: None)
    assert not children(no_engine_needed)


def _up_quickly(made: Network) -> None:
    wait = boot.avalanche.wait_until_ready
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(boot.avalanche, "wait_until_ready", lambda network, found: wait(network, found, 3.0))
        boot.up(made.folder, lambda _: None)


def test_a_number_that_is_another_process_by_now_is_no_validator(made: Network) -> None:
    home = made.home(made.validators[0])
    (home / processes.FILE).write_text(json.dumps({"pid": psutil.Process().pid, "created": 1.0}))
    assert processes.running(made, made.validators[0]) is None
    (home / processes.FILE).unlink()


# The engine ---------------------------------------------------------------------------------------------


@pytest.fixture
def nothing_built(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(engine, "BUILT", tmp_path / "built")


def test_without_go_it_is_said_how_to_get_it(nothing_built: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine.shutil, "which", lambda *_, **__: None)
    with pytest.raises(NoEngine, match=r"install Go 1\.23"):
        engine.build_engine(lambda _: None)


def test_an_engine_that_is_not_built_is_told(nothing_built: None) -> None:
    with pytest.raises(NoEngine, match="make network-engine"):
        engine.find_engine()


def test_what_the_engine_is_built_from_is_pinned() -> None:
    told = (engine.SOURCES / "go.mod").read_text()
    assert "github.com/ava-labs/avalanchego v1.13.5\n" in told
    assert "github.com/ava-labs/subnet-evm v0.7.9\n" in told
    assert "replace" not in told
    assert f"{engine.AVALANCHEGO} v1.13.5 h1:" in (engine.SOURCES / "go.sum").read_text()


def test_a_clock_that_was_not_made_movable_is_not_moved(made: Network) -> None:
    with pytest.raises(InputError, match="--movable-clock"):
        MovableClock(made, None, made.key("operator"))  # type: ignore[arg-type]
