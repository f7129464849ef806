"""`trellis up --network` runs a deployment on validators that it boots, and stops what it booted."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "api"))

from conftest import free_ports as neighbouring_ports
from up_world import command, free_ports, left_over, running_up

from settlement.network import boot, processes


def test_a_deployment_runs_on_validators_and_goes_on_there(tmp_path: Path) -> None:
    place, folder, ports = tmp_path / "network", tmp_path / "data", free_ports(3)
    network = boot.init(place, 4, print, first_port=neighbouring_ports(2 * boot.MOST_VALIDATORS))
    with running_up(folder, ports, "--network", str(place)) as up:
        exchange, services = up.told["exchange"], up.services()
        assert "chain" not in services
        assert len(up.told["rpc"]) == 4
        audited = command("audit", "--rpc", up.told["rpc"][3], "--address", exchange)
        assert audited.returncode == 0, audited.stderr
        assert up.stop() == 0
    assert left_over(services) == []
    assert [processes.running(network, one) for one in network.validators] == [None] * 4
    boot.up(place, print)
    try:
        with running_up(folder, ports, "--network", str(place)) as up:
            assert up.told["exchange"] == exchange
            assert up.stop() == 0
        assert all(processes.running(network, one) for one in network.validators)  # others started them
    finally:
        boot.down(place, print)
