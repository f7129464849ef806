"""`trellis network`: what it is asked; what runs is imported only when it does."""

from __future__ import annotations

import argparse
import json
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

from settlement.errors import InputError

ENGINES = ("subnet-evm", "besu")


def register(subparsers: Any) -> None:
    """Adds `trellis network`."""
    parser = subparsers.add_parser(
        "network",
        help="a permissioned network of validators: boot, watch, change who may do what",
        description="Runs a network of validators on this host, or writes one for Besu. See docs/network.md.",
    )
    verbs = parser.add_subparsers(title="verbs", metavar="VERB", required=True)
    _add_init(verbs)
    up = _add(verbs, "up", _up, "start the validators; ends when all are healthy")
    _add_shape(up)
    _add(verbs, "down", _down, "stop the validators; nothing is lost")
    _add(verbs, "status", _status, "alive, height, hash at the common height, peers, memory")
    _add_rights(verbs)
    _add_backup(verbs)
    _add_check(verbs)


def _add(verbs: Any, name: str, run: Callable[[argparse.Namespace], int], told: str) -> Any:
    parser = verbs.add_parser(name, help=told, description=told[0].upper() + told[1:] + ".")
    parser.add_argument("--dir", type=Path, required=True, metavar="DIR", help="the network's folder")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.set_defaults(run=run, verb=name)
    return parser


def _add_init(verbs: Any) -> None:
    _add_shape(_add(verbs, "init", _init, "write a new network's keys, genesis and settings to a folder"))


def _add_rights(verbs: Any) -> None:
    allow = _add(verbs, "allow", _allow, "let an address send, and with --deploy deploy")
    allow.add_argument("--deploy", action="store_true", help="let it deploy contracts too")
    disallow = _add(verbs, "disallow", _disallow, "take an address off both lists")
    for parser in (allow, disallow):
        parser.add_argument("address", metavar="ADDRESS", help="0x and 40 hex digits")
    add = _add(verbs, "add-validator", _add_validator, "add a new validator, or one that was removed")
    add.add_argument("validator", nargs="?", metavar="VALIDATOR", help="number or node id of a removed one")
    remove = _add(verbs, "remove-validator", _remove_validator, "take a validator off the chain's, stop it")
    remove.add_argument("validator", metavar="VALIDATOR", help="number or node id")
    for parser in (allow, disallow, add, remove):
        parser.add_argument(
            "--key", type=Path, metavar="FILE", help="the administrator's (default: of the folder)"
        )


def _add_backup(verbs: Any) -> None:
    backup = _add(verbs, "backup", _backup, "write keys, settings and one validator's database to a file")
    backup.add_argument(
        "--validator", metavar="N", help="whose database, stopped meanwhile (default: the last)"
    )
    restore = _add(verbs, "restore", _restore, "read a backup into an empty folder; `up` starts it")
    for parser in (backup, restore):
        parser.add_argument(
            "file", type=Path, metavar="FILE", help="the backup; it holds keys: keep it secret"
        )


def _add_check(verbs: Any) -> None:
    told = "what Trellis needs of a chain, each passed or failed with its reason"
    parser = verbs.add_parser("check", help=told, description=told[0].upper() + told[1:] + ".")
    parser.add_argument(
        "--rpc", nargs="+", action="extend", required=True, metavar="URL", help="of every node, http(s)"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.set_defaults(run=_check)


def _add_shape(parser: Any) -> None:
    parser.add_argument("--engine", choices=ENGINES, default=ENGINES[0], help="(default: %(default)s)")
    parser.add_argument("--validators", type=int, metavar="N", help="how many (default: 5; 4 with besu)")
    parser.add_argument(
        "--port", type=int, default=None, metavar="P", help="first of two for each validator (default: 20650)"
    )
    parser.add_argument(
        "--chain-id", type=int, metavar="N", help="of the EVM: another for each network (default: 20265)"
    )
    parser.add_argument(
        "--movable-clock",
        action="store_true",
        help="let tests move the chain's time forward: never for value",
    )


# Verbs --------------------------------------------------------------------------------------------------


def _init(arguments: argparse.Namespace) -> int:
    _make(arguments)
    if arguments.json:
        print(json.dumps({"dir": str(arguments.dir), "engine": arguments.engine}))
    return 0


def _make(arguments: argparse.Namespace) -> None:
    from settlement.network import besu, boot

    chain_id = boot.CHAIN_ID if arguments.chain_id is None else arguments.chain_id
    if not 0 < chain_id < 1 << 53:
        raise InputError(f"--chain-id {chain_id} is out of range: 1 to {(1 << 53) - 1}")
    if arguments.engine == besu.BESU:
        if arguments.movable_clock or arguments.port is not None:
            raise InputError("--port and --movable-clock are of --engine subnet-evm: leave them out")
        besu.init(arguments.dir, 4 if arguments.validators is None else arguments.validators, chain_id)
        _tell(
            f"start it with `docker compose up --detach --wait` in {arguments.dir}, as docs/network.md says"
        )
        return
    count = 5 if arguments.validators is None else arguments.validators
    port = boot.FIRST_PORT if arguments.port is None else arguments.port
    options = {"first_port": port, "chain_id": chain_id, "movable_clock": arguments.movable_clock}
    boot.init(arguments.dir, count, _tell, **options)


def _up(arguments: argparse.Namespace) -> int:
    from settlement.network import boot
    from settlement.network.folder import FILE, read_network

    with _terminated_as_interrupted():
        if not (arguments.dir / FILE).exists():
            _make(arguments)
        else:
            _check_shape(arguments, len(read_network(arguments.dir).members))
        network = boot.up(arguments.dir, _tell)
    if arguments.json:
        print(json.dumps({"dir": str(arguments.dir), "chain_id": network.chain_id, "rpc": network.rpcs}))
    else:
        print(f"chain {network.chain_id} is up; its validators answer at")
        for url in network.rpcs:
            print(f"  {url}")
    return 0


def _check_shape(arguments: argparse.Namespace, members: int) -> None:
    if arguments.validators not in (None, members):
        raise InputError(
            f"{arguments.dir} is a network of {members} validators: use add-validator or remove-validator"
        )


def _down(arguments: argparse.Namespace) -> int:
    from settlement.network import boot

    boot.down(arguments.dir, _tell)
    if arguments.json:
        print(json.dumps({"dir": str(arguments.dir), "running": 0}))
    return 0


def _backup(arguments: argparse.Namespace) -> int:
    from settlement.network import backup

    with _terminated_as_interrupted():
        kept = backup.backup(arguments.dir, arguments.file, arguments.validator, _tell)
    if arguments.json:
        size = arguments.file.stat().st_size
        print(json.dumps({"file": str(arguments.file), "bytes": size, "validator": kept.number}))
    return 0


def _restore(arguments: argparse.Namespace) -> int:
    from settlement.network import backup

    network = backup.restore(arguments.dir, arguments.file, _tell)
    if arguments.json:
        print(json.dumps({"dir": str(arguments.dir), "chain_id": network.chain_id}))
    return 0


def _status(arguments: argparse.Namespace) -> int:
    from settlement.network.folder import read_network
    from settlement.network.status import status

    found = status(read_network(arguments.dir))
    if arguments.json:
        print(json.dumps(found.as_json(), indent=2))
    else:
        _show(found)
    return 0 if found.agree else 1


def _allow(arguments: argparse.Namespace) -> int:
    from settlement.network import lists

    return _rights(
        arguments, lambda *chain_key_address: lists.allow(*chain_key_address, deploy=arguments.deploy)
    )


def _disallow(arguments: argparse.Namespace) -> int:
    from settlement.network import lists

    return _rights(arguments, lists.disallow)


def _rights(arguments: argparse.Namespace, change: Callable[..., Any]) -> int:
    from settlement.audit.cli import read_address
    from settlement.network import besu, lists
    from settlement.network.folder import read_network

    network, address = read_network(arguments.dir), read_address(arguments.address)
    if network.engine == besu.BESU:
        besu.change_account(arguments.dir, address, allowed=arguments.verb == "allow")
        _tell("written to permissions.toml: call perm_reloadPermissionsFromFile on each node")
        return 0
    key = lists.administrator(network, arguments.key)
    found = change(lists.chain_of(network), key, address).as_json()
    if arguments.json:
        print(json.dumps(found))
    else:
        may = [verb for verb in ("send", "deploy") if found[verb]]
        print(f"{found['address']} may {' and '.join(may) or 'neither send nor deploy'}")
    return 0


def _add_validator(arguments: argparse.Namespace) -> int:
    from settlement.network import members

    with _terminated_as_interrupted():
        return _told(arguments, members.add(arguments.dir, arguments.validator, arguments.key, _tell))


def _remove_validator(arguments: argparse.Namespace) -> int:
    from settlement.network import members

    return _told(arguments, members.remove(arguments.dir, arguments.validator, arguments.key, _tell))


def _told(arguments: argparse.Namespace, changed: Any) -> int:
    from settlement.network.folder import read_network

    count = len(read_network(arguments.dir).members)
    if arguments.json:
        told = {"id": changed.number, "node_id": changed.identity.node_id, "validators": count}
        print(json.dumps(told))
    else:
        print(f"the chain has {count} validators")
    return 0


def _check(arguments: argparse.Namespace) -> int:
    from settlement.network.check import check

    found = check(arguments.rpc)
    passed = all(one.passed for one in found)
    if arguments.json:
        told = [{"name": one.name, "passed": one.passed, "reason": one.reason} for one in found]
        print(json.dumps({"passed": passed, "checks": told}, indent=2))
    else:
        for one in found:
            print(f"{'passed' if one.passed else 'FAILED'}  {one.name:18} {one.reason}")
    return 0 if passed else 1


def _show(found: Any) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for name in ("validator", "pid", "height", "peers", "memory", f"hash at {found.height}"):
        table.add_column(name, justify="left" if name.startswith("hash") else "right")
    for one in found.validators:
        state = "down" if not one.alive else "silent" if not one.answers else str(one.height)
        told = (str(one.id), str(one.pid or "-"), state, "-" if one.peers is None else str(one.peers))
        table.add_row(*told, f"{one.memory_bytes / 1e6:,.0f} MB", (one.hash or "-")[:18])
    console = Console()
    console.print(table)
    if not found.agree:
        console.print("the validators do NOT agree: their blocks at the common height differ")


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


@contextmanager
def _terminated_as_interrupted() -> Iterator[None]:
    """SIGTERM unwinds like Ctrl-C, so that no validator is left behind."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
