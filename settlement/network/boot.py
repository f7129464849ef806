"""A network's life: laid out, booted, stopped. Whatever a failed step started is stopped again.

The first start takes two passes. The validators first run as a primary network of their own, on which the
administrator creates the subnet, its validators and its chain; they learn of a subnet to follow only when
they start, so they are started again.
"""

from __future__ import annotations

import json
import secrets
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from settlement.errors import InputError
from settlement.network import avalanche, genesis, identity, processes
from settlement.network.engine import build_engine
from settlement.network.folder import (
    ADMINISTRATOR,
    FILE,
    OPERATOR,
    STAKES,
    Network,
    Validator,
    locked,
    read_network,
)
from settlement.network.pchain import PChain
from settlement.network.processes import Running

Tell = Callable[[str], None]
Condition = Callable[[], bool]

SUBNET_EVM, BESU = "subnet-evm", "besu"
ENGINES = (SUBNET_EVM, BESU)
LEAST_VALIDATORS, MOST_VALIDATORS = 4, 20
FIRST_PORT = 20_650
CHAIN_ID = 20_265
CHAIN_NAME = "trellis"


def init(
    folder: Path,
    validators: int,
    tell: Tell,
    *,
    first_port: int = FIRST_PORT,
    chain_id: int = CHAIN_ID,
    movable_clock: bool = False,
) -> Network:
    """Keys, genesis and ports of a new network, written to its folder; nothing is started."""
    if not LEAST_VALIDATORS <= validators <= MOST_VALIDATORS:
        raise InputError(
            f"--validators {validators} is out of range: {LEAST_VALIDATORS} to {MOST_VALIDATORS}, "
            "and with fewer than 5 none may fail"
        )
    last_port = first_port + 2 * MOST_VALIDATORS
    if not first_port >= 1024 or last_port > 65_535:
        raise InputError(f"--port {first_port} is out of range: 1024 to {65_535 - 2 * MOST_VALIDATORS}")
    with locked(folder):
        if (folder / FILE).exists():
            raise InputError(
                f"{folder} holds a network already: choose another folder, or `trellis network up`"
            )
        with step(tell, f"keys      of {validators} validators, the administrator and the operator"):
            found = _lay_out(folder, validators, first_port, chain_id, movable_clock)
            found.save()  # the last: without it the folder holds no network
    return found


def _lay_out(folder: Path, count: int, first_port: int, chain_id: int, movable_clock: bool) -> Network:
    homes = [folder / "validators" / str(number) for number in range(1, count + 1)]
    for leftover in (folder / "keys", folder / "genesis", *homes):
        shutil.rmtree(leftover, ignore_errors=True)  # of an init that was cut short
    for name in (ADMINISTRATOR, OPERATOR, STAKES):
        (folder / "keys").mkdir(exist_ok=True)
        identity.write_secret(folder / "keys" / f"{name}.key", secrets.token_hex(32).encode() + b"\n")
    members = tuple(
        Validator(number, identity.create(home), first_port + 2 * number - 2, first_port + 2 * number - 1)
        for number, home in enumerate(homes, start=1)
    )
    network_id = 1_000_000 + secrets.randbelow(1_000_000_000)
    found = Network(folder, SUBNET_EVM, network_id, chain_id, movable_clock, None, None, members)
    start = int(time.time()) - 60
    administrator, stakes = found.key(ADMINISTRATOR), found.key(STAKES)
    identities = [one.identity for one in members]
    primary = genesis.primary(network_id, identities, administrator.secret, stakes.secret, start)
    senders = [found.key(OPERATOR).address]
    _write_json(folder / "genesis" / "primary.json", primary)
    _write_json(folder / "genesis" / "evm.json", genesis.evm(chain_id, administrator.address, senders, start))
    (folder / "settings" / "chains").mkdir(parents=True, exist_ok=True)
    (folder / "settings" / "subnets").mkdir(exist_ok=True)
    if movable_clock:
        (folder / "clock").write_text("0\n")
    return found


def _write_json(path: Path, value: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, indent=2) + "\n")


# Up -----------------------------------------------------------------------------------------------------


def up(folder: Path, tell: Tell) -> Network:
    """Starts every validator that does not run; returns once all are healthy."""
    with locked(folder):
        network = read_network(folder)
        if network.engine != SUBNET_EVM:
            raise InputError(
                f"{folder} is for {network.engine}: start it with `docker compose up` in that folder, "
                "as docs/network.md says"
            )
        if network.chain is None:
            network = _found(network, tell)
        start_missing(network, network.members, tell, f"start     {len(network.members)} validators")
    return network


def start_missing(network: Network, wanted: Sequence[Validator], tell: Tell, told: str) -> None:
    missing = [one for one in wanted if processes.running(network, one) is None]
    if not missing:
        return
    with step(tell, told), _started(network, missing, tell) as found:
        avalanche.wait_until_ready(network, found)


@contextmanager
def _started(
    network: Network, validators: Sequence[Validator], tell: Tell
) -> Iterator[list[tuple[Validator, Running]]]:
    """These, running; stopped again if what follows fails or is interrupted."""
    engine = build_engine(tell, movable=network.movable_clock)
    descriptors = processes.check_host(validators)
    found: list[tuple[Validator, Running]] = []
    try:
        for one in validators:
            command = avalanche.command(network, one, engine, descriptors)
            found.append((one, processes.start(network, one, command, avalanche.ENVIRONMENT)))
        yield found
    except BaseException:
        processes.stop(network, validators)
        raise


def _found(network: Network, tell: Tell) -> Network:
    """The first pass: the subnet, its validators, its chain; nothing runs afterwards."""
    processes.stop(network, network.validators)
    for one in network.validators:
        shutil.rmtree(network.home(one) / "data", ignore_errors=True)  # of a pass that was cut short
    with (
        step(tell, f"boot      {len(network.members)} validators as a primary network"),
        _started(network, network.members, tell) as found,
    ):
        avalanche.wait_until_ready(network, found)
        with step(tell, "found     the subnet, its validators and its chain"):
            subnet, chain = _create_chain(network)
    with step(tell, "stop      them, to follow the new chain"):
        processes.stop(network, network.members)
    settings = network.folder / "settings"
    _write_json(settings / "subnets" / f"{subnet}.json", genesis.subnet_settings())
    _write_json(settings / "chains" / chain / "config.json", genesis.chain_settings())
    return network.with_(subnet=subnet, chain=chain)


def _create_chain(network: Network) -> tuple[str, str]:
    key = network.key(ADMINISTRATOR)
    ledger = PChain(network.members[0].url, network.network_id, key.secret)
    subnet = ledger.create_subnet()
    for one in network.members:
        ledger.add_validator(subnet, one.identity.node_id, genesis.WEIGHT)
    start = (network.folder / "genesis" / "evm.json").read_bytes()
    return subnet, ledger.create_chain(subnet, CHAIN_NAME, start)


# Down ---------------------------------------------------------------------------------------------------


def down(folder: Path, tell: Tell) -> None:
    """Stops all validators in order; their databases stay."""
    with locked(folder):
        network = read_network(folder)
        alive = [one for one in network.validators if processes.running(network, one)]
        with step(tell, f"stop      {len(alive)} validators"):
            processes.stop(network, network.validators)


@contextmanager
def step(tell: Tell, told: str) -> Iterator[None]:
    """A line once it is done."""
    start = time.perf_counter()
    yield
    tell(f"✓ {told:58} {time.perf_counter() - start:6.2f} s")
