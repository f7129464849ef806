"""Who validates: validators added and removed while the others go on."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

from settlement.chain.sign import Signer
from settlement.errors import InputError
from settlement.network import boot, identity, processes
from settlement.network.boot import LEAST_VALIDATORS, MOST_VALIDATORS, Tell, step
from settlement.network.folder import ADMINISTRATOR, Network, Validator, locked, read_network
from settlement.network.genesis import STAKE_S, WEIGHT
from settlement.network.pchain import PChain

MARGIN_S = 3_600
"""What a further stake is shorter than the longest that is allowed."""


def add(folder: Path, wanted: str | None, key_file: Path | None, tell: Tell) -> Validator:
    """A removed validator again, or a new one; it has caught up when this returns."""
    with locked(folder):
        network = _running(read_network(folder))
        key = network.key(ADMINISTRATOR, key_file)
        if wanted is None:
            network, new = _new(network)
        else:
            new = network.find(wanted)
            if new.member:
                raise InputError(f"validator {new.number} is one already")
        ledger = _ledger(network, key)
        if new.identity.node_id not in ledger.primary_validators():
            with step(tell, f"stake     for validator {new.number} on the primary network"):
                ledger.join(new.identity, int(time.time()) + STAKE_S - MARGIN_S)
                _wait_for(lambda: new.identity.node_id in ledger.primary_validators())
        with step(tell, f"add       validator {new.number} to the chain's"):
            assert network.subnet is not None
            ledger.add_validator(network.subnet, new.identity.node_id, WEIGHT)
        network = _with(network, replace(new, member=True))
        boot.start_missing(network, [new], tell, f"start     validator {new.number}")
    return new


def remove(folder: Path, wanted: str, key_file: Path | None, tell: Tell) -> Validator:
    """Takes a validator off the chain's, then stops it. Its folder stays."""
    with locked(folder):
        network = _running(read_network(folder))
        key, gone = network.key(ADMINISTRATOR, key_file), network.find(wanted)
        if not gone.member:
            raise InputError(f"validator {gone.number} is removed already")
        if len(network.members) <= LEAST_VALIDATORS:
            raise InputError(f"{LEAST_VALIDATORS} validators are the least that agree: add one before")
        with step(tell, f"remove    validator {gone.number} from the chain's"):
            assert network.subnet is not None
            _ledger(network, key, other_than=gone).remove_validator(network.subnet, gone.identity.node_id)
        with step(tell, f"stop      validator {gone.number}"):
            processes.stop(network, [gone])
        _with(network, replace(gone, member=False))
    return gone


def _running(network: Network) -> Network:
    if network.subnet is None or not any(processes.running(network, one) for one in network.members):
        command = f"trellis network up --dir {network.folder}"
        raise InputError(f"the network does not run: start it with `{command}`")
    return network


def _ledger(network: Network, key: Signer, other_than: Validator | None = None) -> PChain:
    """Of a validator that runs."""
    alive = (one for one in network.members if one != other_than and processes.running(network, one))
    return PChain(next(alive).url, network.network_id, key.secret)


def _new(network: Network) -> tuple[Network, Validator]:
    """Keys and ports of one more, not yet a member."""
    if len(network.validators) >= MOST_VALIDATORS:
        raise InputError(f"the folder has {MOST_VALIDATORS} validators: add one of those that were removed")
    number = max(one.number for one in network.validators) + 1
    port = max(one.peer_port for one in network.validators) + 1
    home = network.folder / "validators" / str(number)
    found = Validator(number, identity.create(home), port, port + 1, member=False)
    return network.with_(validators=(*network.validators, found)), found


def _with(network: Network, changed: Validator) -> Network:
    return network.with_(
        validators=tuple(changed if one.number == changed.number else one for one in network.validators)
    )


def _wait_for(holds: boot.Condition) -> None:
    deadline = time.monotonic() + 30
    while not holds() and time.monotonic() < deadline:
        time.sleep(0.1)
