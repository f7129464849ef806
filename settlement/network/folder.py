"""A network's folder, which is all that its commands need to know.

network.json            what it is: ids, ports, names of validators
keys/                   administrator.key and operator.key (hex, 32 bytes), kept apart for good: move the
                        first one away and name it with --key where it is needed
genesis/                primary.json and evm.json
settings/               subnets/ and chains/ as avalanchego reads them
validators/1/ …         keys, database, logs, output.log, and process.json while one runs
clock                   seconds the chain is ahead of the host; only of a network with a movable clock
lock                    held by the command at work
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from settlement.chain.keystore import open_signer
from settlement.chain.sign import Signer
from settlement.errors import InputError
from settlement.network.errors import Busy
from settlement.network.identity import Identity

FORMAT = 1
FILE = "network.json"
ADMINISTRATOR, OPERATOR, STAKES = "administrator", "operator", "stakes"
ORACLE, AUDITOR = "oracle", "auditor"
"""Parties that ask a validator of their own, as the operator does."""
HOST = "127.0.0.1"


@dataclass(frozen=True)
class Validator:
    """One validator of the network."""

    number: int
    """From 1; also the name of its folder."""
    identity: Identity
    rpc_port: int
    peer_port: int
    member: bool = True
    """False once it is removed: its folder is kept, and it is not started."""
    host: str = HOST
    """Where it listens, for peers and for RPC: an address that the others reach."""

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.rpc_port}"


@dataclass(frozen=True)
class Network:
    """What `network.json` says."""

    folder: Path
    engine: str
    network_id: int
    """Of the primary network, which is this network's own."""
    chain_id: int
    """Of the EVM."""
    movable_clock: bool
    """Whether the chain's time can be moved forward: for tests, never for value."""
    subnet: str | None
    """None until the first start has created it."""
    chain: str | None
    validators: tuple[Validator, ...]

    @property
    def members(self) -> tuple[Validator, ...]:
        """Those that validate."""
        return tuple(one for one in self.validators if one.member)

    def home(self, validator: Validator) -> Path:
        return self.folder / "validators" / str(validator.number)

    def rpc(self, validator: Validator) -> str:
        """Where the chain's JSON-RPC is. InputError before the chain exists."""
        if self.chain is None:
            raise InputError(f"{self.folder} has no chain yet: run `trellis network up --dir {self.folder}`")
        return f"{validator.url}/ext/bc/{self.chain}/rpc"

    @property
    def rpcs(self) -> list[str]:
        return [self.rpc(validator) for validator in self.members]

    def rpcs_of(self, party: str) -> list[str]:
        """All members' addresses, a party's own first: it asks the others only where its own is silent.

        The operator's is the first member's, `oracle-1`'s the one after it and so on, the auditor's the last:
        with as many validators as parties nobody relies on another's. InputError for another party.
        """
        kind, _, number = party.partition("-")
        if party in (OPERATOR, AUDITOR):
            place = 0 if party == OPERATOR else len(self.members) - 1
        elif kind == ORACLE and number.isdecimal() and int(number) > 0:
            place = 1 + (int(number) - 1) % max(1, len(self.members) - 2)
        else:
            raise InputError(f"{party} has no validator: it is {OPERATOR}, {ORACLE}-N or {AUDITOR}")
        return self.rpcs[place:] + self.rpcs[:place]

    def find(self, wanted: str) -> Validator:
        """By number or node id. InputError."""
        for validator in self.validators:
            if wanted in (str(validator.number), validator.identity.node_id):
                return validator
        known = ", ".join(str(one.number) for one in self.validators)
        raise InputError(f"{self.folder} has no validator {wanted}: it has {known}")

    def key(self, name: str, path: Path | None = None) -> Signer:
        """The administrator's or the operator's, from the folder, or from where `--key` says, which may also
        name a keystore or a signer. InputError where the file is not, or holds no key.
        """
        file = path or self.folder / "keys" / f"{name}.key"
        try:
            return Signer(bytes.fromhex(file.read_text().strip().removeprefix("0x")))
        except (OSError, ValueError) as cause:
            if path is not None:
                return open_signer(path, option="--key")
            raise InputError(f"{file} holds no key of the {name}: name its file with --key") from cause

    def save(self) -> None:
        """Whole, or not at all."""
        fields = {
            "format": FORMAT,
            "engine": self.engine,
            "network_id": self.network_id,
            "chain_id": self.chain_id,
            "movable_clock": self.movable_clock,
            "subnet": self.subnet,
            "chain": self.chain,
            "validators": [_validator_json(one) for one in self.validators],
        }
        partial = self.folder / f"{FILE}.partial"
        partial.write_text(json.dumps(fields, indent=2) + "\n")
        os.replace(partial, self.folder / FILE)

    def with_(self, **changes: Any) -> Network:
        """Changed, and saved."""
        changed = replace(self, **changes)
        changed.save()
        return changed


def _validator_json(one: Validator) -> dict[str, Any]:
    return asdict(one) | {"identity": one.identity.as_json()}


def read_network(folder: Path) -> Network:
    """InputError where there is no network."""
    file = folder / FILE
    try:
        fields = json.loads(file.read_text())
        validators = tuple(
            Validator(
                number=int(one["number"]),
                identity=Identity.from_json(one["identity"]),
                rpc_port=int(one["rpc_port"]),
                peer_port=int(one["peer_port"]),
                member=bool(one["member"]),
                host=str(one.get("host", HOST)),
            )
            for one in fields["validators"]
        )
        if fields["format"] != FORMAT:
            raise InputError(f"{file} is of format {fields['format']}: this version reads {FORMAT}")
        names = ("engine", "network_id", "chain_id", "movable_clock", "subnet", "chain")
        return Network(folder=folder, validators=validators, **{name: fields[name] for name in names})
    except FileNotFoundError as cause:
        raise InputError(
            f"{folder} holds no network: run `trellis network init --dir {folder}` first"
        ) from cause
    except (OSError, ValueError, RecursionError, KeyError, TypeError, AttributeError) as cause:
        raise InputError(
            f"{file} is not well formed ({cause}): restore it, or start anew elsewhere"
        ) from cause


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """One command at a time; Busy. The lock goes with the process, however it ends."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as cause:
            raise Busy(f"another command works on {folder}: wait for it to end") from cause
        yield
