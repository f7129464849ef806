"""Files for Besu: what can be checked of them without one."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from settlement.chain.sign import Signer
from settlement.cli import main
from settlement.errors import InputError
from settlement.network import besu

CHAIN = 20_265


def has_compose() -> bool:
    docker = shutil.which("docker")
    if docker is None:
        return False
    return not subprocess.run([docker, "compose", "version"], capture_output=True, check=False).returncode


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    besu.init(tmp_path / "net", 4, CHAIN)
    return tmp_path / "net"


def key_of(folder: Path, name: str) -> Signer:
    return Signer((folder / name / "key").read_text())


def test_the_validators_of_the_genesis_are_those_whose_keys_were_made(folder: Path) -> None:
    genesis = json.loads((folder / besu.GENESIS).read_text())
    found = besu.validators_of(bytes.fromhex(genesis["extraData"][2:]))
    assert found == sorted(key_of(folder, f"validator{n}").address for n in range(1, 5))


def test_extra_data_ends_with_no_vote_round_0_and_no_seals() -> None:
    extra = besu.extra_data([b"\x01" * 20])
    assert extra.endswith(bytes.fromhex("c080c0"))
    assert extra[2:35] == b"\xa0" + bytes(32)


@pytest.mark.parametrize("extra", [b"", b"\xc0", bytes(32), besu.extra_data([b"\x01" * 19])])
def test_other_bytes_are_no_extra_data(extra: bytes) -> None:
    with pytest.raises(InputError, match="no extra data"):
        besu.validators_of(extra)


def test_gas_is_free_and_the_rules_are_londons_from_the_first_block(folder: Path) -> None:
    config = json.loads((folder / besu.GENESIS).read_text())["config"]
    assert config["zeroBaseFee"] is True
    assert config["londonBlock"] == 0
    assert not any("shanghai" in name.lower() or "cancun" in name.lower() for name in config)


def test_only_administrator_and_operator_may_send_and_only_these_nodes_connect(folder: Path) -> None:
    accounts, enodes = besu.read_permissions(folder)
    keys = [Signer((folder / "keys" / f"{n}.key").read_text().strip()) for n in ("administrator", "operator")]
    assert accounts == sorted(key.address for key in keys)
    assert enodes == json.loads((folder / besu.STATIC_NODES).read_text())
    names = [*(f"validator{n}" for n in range(1, 5)), "rpc"]
    for name, enode in zip(names, enodes, strict=True):
        node = besu.BesuNode(name, key_of(folder, name).secret, "")
        assert enode.startswith(f"enode://{node.public_key.hex()}@")


def test_an_account_is_put_on_the_list_and_off_again(folder: Path) -> None:
    address = "0x" + "ab" * 20
    assert main(["network", "allow", "--dir", str(folder), address]) == 0
    assert bytes.fromhex(address[2:]) in besu.read_permissions(folder)[0]
    assert main(["network", "disallow", "--dir", str(folder), address]) == 0
    assert bytes.fromhex(address[2:]) not in besu.read_permissions(folder)[0]


def test_every_service_has_its_key_volume_address_and_health_check() -> None:
    nodes = [besu.BesuNode(f"validator{n}", bytes([n]) * 32, f"10.0.0.{n}") for n in range(1, 5)]
    rpc = besu.BesuNode("rpc", b"\x09" * 32, "10.0.0.9")
    found = besu.compose(nodes, rpc)
    assert set(found["services"]) == set(found["volumes"]) == {*(node.name for node in nodes), "rpc"}
    for name, service in found["services"].items():
        assert f"{name}:/data" in service["volumes"]
        assert f"./{name}/key:/config/key:ro" in service["volumes"]
        assert service["healthcheck"]["test"][0] == "CMD"
        assert any(option.startswith("--permissions-accounts-config-file=") for option in service["command"])
    addresses = [service["networks"]["chain"]["ipv4_address"] for service in found["services"].values()]
    assert len(set(addresses)) == 5
    assert [name for name, service in found["services"].items() if "ports" in service] == ["rpc"]


def test_yaml_is_indented_and_quotes_every_string() -> None:
    told = besu.yaml({"a": {"b": ["x: y", 3], "c": {}}, "d": "no"})
    assert told == 'a:\n  b:\n    - "x: y"\n    - 3\n  c: {}\nd: "no"\n'


@pytest.mark.skipif(not has_compose(), reason="docker compose is not installed")
def test_docker_compose_accepts_the_file(folder: Path) -> None:
    command = ["docker", "compose", "--file", str(folder / besu.COMPOSE), "config", "--quiet"]
    assert subprocess.run(command, check=False).returncode == 0


def test_fewer_validators_than_bear_a_failure_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="4 to 20"):
        besu.init(tmp_path, 3, CHAIN)


def test_a_network_is_never_overwritten(folder: Path) -> None:
    with pytest.raises(InputError, match="already"):
        besu.init(folder, 4, CHAIN)


def test_what_the_container_engine_does_is_not_done_here(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["network", "up", "--dir", str(folder)]) == 2
    assert "docker compose up" in capsys.readouterr().err
