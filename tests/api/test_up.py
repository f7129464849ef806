"""`trellis up` runs a deployment, keeps it running, stops cleanly and goes on where it was."""

from __future__ import annotations

import json
import signal
import stat
from functools import partial
from pathlib import Path

import psutil
import pytest
from api_world import key
from up_world import Trader, Up, command, free_ports, killed, left_over, no_secrets, running_up

from oracle.messages import meter_id, private_key, public_point
from settlement.chain.keystore import open_signer

HOME = key(70)
SERVICES = ["api", "chain", "indexer", "operator"]
PAID_NANO = 50 * 10**9
METER_KEY = "04{:064x}{:064x}".format(*public_point(private_key(1)))
ALL_DONE = ["registered", "meter registered", "meter written for oracle nodes", "deposited"]

pytestmark = pytest.mark.timeout(900)  # a dozen Python processes, some started five times


def add_member(up: Up) -> dict[str, object]:
    account = "0x" + HOME.address.hex()
    done = command(
        *("members", "add", account, "--data", up.folder, "--json", "--deposit-nano", PAID_NANO),
        *("--meter", "UP-1", "--meter-key", METER_KEY),
    )
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


def test_a_deployment_lives_through_orders_kills_and_a_restart(tmp_path: Path) -> None:
    folder, ports = tmp_path / "data", free_ports(3)
    with running_up(folder, ports) as up:
        exchange = up.told["exchange"]
        assert_all_runs(up)
        assert add_member(up)["done"] == ALL_DONE
        assert_broker_knows_the_meter(up)
        receipt = Trader(up, HOME).buy(1_000)
        refused = command("up", "--data", folder, "--api-port", free_ports(1)[0])
        assert refused.returncode == 2
        assert "another command works on" in refused.stderr
        assert_every_service_comes_back(up)
        assert Trader(up, HOME).buy(2_000)["order"] != receipt["order"]
        services = up.services()
        assert up.stop() == 0
        assert left_over(services) == []
    assert not (folder / "up.json").exists()
    assert_secrets_are_kept(folder)
    with running_up(folder, ports) as up:
        assert up.told["exchange"] == exchange
        trader = Trader(up, HOME)
        assert trader.get(f"/v1/orders/{receipt['order']}")["order"] == receipt["order"]
        shown = command("members", "show", "0x" + HOME.address.hex(), "--data", folder, "--json")
        assert json.loads(shown.stdout)["free_nano"] == str(PAID_NANO)
        assert add_member(up)["done"] == ["deposited"]
        services = up.services()
        assert up.stop(signal.SIGINT) == 0
        assert left_over(services) == []


def assert_all_runs(up: Up) -> None:
    told = {one["name"]: one for one in up.told["services"]}
    assert sorted(set(told) & set(SERVICES)) == SERVICES
    assert all(one["ready"] for one in told.values())
    assert {name: one.pid for name, one in up.services().items()} == {
        name: one["pid"] for name, one in told.items()
    }
    ready = up.ready()
    assert ready is not None
    assert ready["status"] == "ready"


def assert_broker_knows_the_meter(up: Up) -> None:
    """Where one runs: added while it did, the meter has a password, and may log in with it."""
    if "broker" in up.services():
        meter, file = meter_id("UP-1").hex(), up.folder / "broker" / "credentials.json"
        up.wait_until(lambda: meter in json.loads(file.read_text()), "the meter has a password")


def assert_every_service_comes_back(up: Up) -> None:
    """Killed one after another, the chain too, whose state was saved by then."""
    up.wait_until(lambda: saved_through(up), "the chain's state is saved")
    for name, process in sorted(up.services().items()):
        killed(process)
        up.wait_until(partial(is_new, up, name, process.pid), f"{name} starts again")
        up.wait_until(up.ready, f"the API is ready after {name} was killed")
    log = (up.folder / "logs" / "up.log").read_text()
    assert log.count('"service_ended"') == len(up.services())


def is_new(up: Up, name: str, former: int) -> bool:
    services = up.services()
    return name in services and services[name].pid != former


def saved_through(up: Up) -> bool:
    """Whether the state on disk has the latest block."""
    ready = up.ready()
    saved = json.loads((up.folder / "chain" / "state.json").read_text())
    return ready is not None and int(saved["best_block_number"]) >= int(ready["block_number"])


def assert_secrets_are_kept(folder: Path) -> None:
    """Keys and their passwords are their owner's alone, each of another address, and in no log."""
    files = [*(folder / "keys").iterdir()]
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    signers = [open_signer(file) for file in files if file.suffix == ".json"]
    assert len({one.address for one in signers}) == len(signers) == 14
    passwords = [file.read_text().strip() for file in files if file.suffix == ".password"]
    assert no_secrets(folder, [*passwords, *(one.secret.hex() for one in signers)])


def test_a_start_that_fails_leaves_nothing_running(tmp_path: Path) -> None:
    folder, ports = tmp_path / "data", free_ports(3)
    (folder / "chain").mkdir(parents=True)
    (folder / "chain" / "state.json").write_text("{")
    before = {one.pid for one in psutil.Process().children(recursive=True)}
    options = ("--api-port", ports[0], "--rpc-port", ports[1], "--mqtt-port", ports[2])
    failed = command("up", "--data", folder, *options)
    assert failed.returncode == 1
    assert "chain ended at its start" in failed.stderr
    assert {one.pid for one in psutil.Process().children(recursive=True)} <= before
    assert not (folder / "processes.json").exists()
    taken = command("up", "--data", folder, "--api-port", 0)
    assert (taken.returncode, "--api-port 0 is no port" in taken.stderr) == (2, True)


def test_what_a_killed_supervisor_left_is_ended_by_the_next(tmp_path: Path) -> None:
    folder, ports = tmp_path / "data", free_ports(3)
    with running_up(folder, ports) as up:
        services = up.services()
        up.process.kill()
        up.process.wait()
        assert sorted(left_over(services)) == sorted(services)
        with running_up(folder, ports) as again:
            assert again.told["exchange"] == up.told["exchange"]
            assert left_over(services) == []
