"""`trellis up`: chain, API, indexer, operator, oracle nodes and settlement service, from one command."""

from __future__ import annotations

import argparse
import json
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from api import logs
from api.logs import event
from api.services import up_folder as names
from api.services import up_services as services
from api.services.embedded_chain import EmbeddedChain
from api.services.operator_plan import read_plan
from api.services.oracle_folders import OracleFolders
from api.services.supervise import NotReady, Supervisor, end_leftovers
from api.services.up_folder import WINDOW_LENGTH_S, Folder, set_up, write_whole
from api.services.up_services import Place
from settlement.chain import deploy
from settlement.chain.client import Chain
from settlement.chain.deploy import Deployment
from settlement.chain.pending import Pace
from settlement.chain.rpc import to_hex
from settlement.errors import InputError
from settlement.network import boot, lists
from settlement.network.folder import ADMINISTRATOR, Network, locked, read_network


def run(arguments: argparse.Namespace) -> int:
    """The command: 0 once it was told to stop, and everything has."""
    folder = Folder(arguments.data.absolute())
    if arguments.network is not None:
        arguments.network = arguments.network.absolute()
    if arguments.plan is not None:
        read_plan(arguments.plan, WINDOW_LENGTH_S)
    folder.path.mkdir(parents=True, exist_ok=True, mode=0o700)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    (folder.path / "logs").mkdir(exist_ok=True)
    with locked(folder.path), (folder.path / "logs" / "up.log").open("a") as log:
        logs.configure("INFO", log)
        left = end_leftovers(folder.path)
        if left:
            _tell(f"ended {left} services that an earlier `trellis up` left behind")
        return _Up(arguments, folder, stop).run()


@dataclass
class _Up:
    arguments: argparse.Namespace
    folder: Folder
    stop: threading.Event
    embedded: EmbeddedChain | None = None
    booted: bool = False
    """Whether the validators were started here, and are stopped here too."""
    oracles: OracleFolders | None = None
    supervisor: Supervisor = field(init=False)

    def run(self) -> int:
        self.supervisor = Supervisor(self.folder.path, _tell, self.stop)
        try:
            place = self._start()
            self._show(place)
            event("up")
            self.supervisor.watch(self._now_and_then)
        except NotReady as error:
            if not self.stop.is_set():
                raise
            _tell(f"stopping: {error.message}")
        finally:
            self._end()
        _tell("stopped: everything is kept in " + str(self.folder.path))
        return 0

    def _end(self) -> None:
        _tell("stopping the services")
        self.supervisor.stop(self.embedded.save if self.embedded else lambda: None)
        if self.embedded:
            self.embedded.clean()
        self.folder.running.unlink(missing_ok=True)
        if self.booted:
            boot.down(self.arguments.network, _tell)
        event("down")

    # Starting -------------------------------------------------------------------------------------------

    def _start(self) -> Place:
        self._check_ports()
        with _step("keys      one for each who sends or signs"):
            self.folder.make_keys()
        rpcs = self._chain()
        place = Place(
            self.folder,
            rpcs,
            self._deployment(rpcs),
            self.arguments.api_port,
            self.arguments.mqtt_port,
            self.arguments.plan,
        )
        for service in (services.api(place), services.indexer(place), services.operator(place)):
            with _step(f"{service.name:<9} {service.place}"):
                self.supervisor.start(service)
        self._start_oracles(place)
        return place

    def _check_ports(self) -> None:
        """InputError before anything is started."""
        wanted = {"--api-port": self.arguments.api_port}
        if self.arguments.network is None:
            wanted["--rpc-port"] = self.arguments.rpc_port
        for option, port in wanted.items():
            if not 0 < port < 1 << 16:
                raise InputError(f"{option} {port} is no port: from 1 to 65535")
            if services.port_taken(port):
                raise InputError(f"{option} {port} is taken: stop what listens there, or choose another")

    def _chain(self) -> tuple[str, ...]:
        if self.arguments.network is not None:
            return tuple(self._network(self.arguments.network).rpcs)
        self.embedded = EmbeddedChain(self.folder.state, self.arguments.rpc_port)
        service = self.embedded.service()
        with _step(f"{service.name:<9} {service.place}"):
            self.supervisor.start(service)
        return (self.embedded.rpc,)

    def _network(self, place: Path) -> Network:
        from settlement.network.status import status

        network = read_network(place)
        alive = network.chain is not None and all(one.alive for one in status(network).validators)
        if not alive:
            self.booted = True
            network = boot.up(place, _tell)
        return network

    def _deployment(self, rpcs: tuple[str, ...]) -> Deployment:
        """The one of the folder, or a new one on this chain."""
        chain = Chain(rpcs, pace=Pace())
        if self.folder.deployment.exists():
            return deploy.read_deployment(chain, self.folder.deployment)
        if self.arguments.network is not None:
            with _step("allow     the services' keys on the network"):
                self._allow(self.arguments.network)
        with _step("deploy    contracts, roles, accounts, oracle nodes, a grid of one zone"):
            found = set_up(chain, self.folder)
        if self.embedded:
            self.embedded.save()  # or a killed chain would not know what deployment.json says
        deploy.write_deployment(found, self.folder.deployment)
        return found

    def _allow(self, place: Path) -> None:
        network = read_network(place)
        chain, key = lists.chain_of(network), network.key(ADMINISTRATOR)
        for name in names.SENDERS:
            lists.allow(chain, key, self.folder.signer(name).address, deploy=name == names.ADMIN)

    def _start_oracles(self, place: Place) -> None:
        """The services that this version and this machine have."""
        self.oracles = OracleFolders(place)
        missing = self.oracles.missing()
        if missing:
            _tell(f"- oracle    not started: {missing}")
        else:
            self.oracles.write()
            for service in self.oracles.services():
                with _step(f"{service.name:<9} {service.place}"):
                    self.supervisor.start(service)
        if services.has_command("settlement", "run"):
            service = services.settlement(place)
            with _step(f"{service.name:<9} {service.place}"):
                self.supervisor.start(service)

    # Running --------------------------------------------------------------------------------------------

    def _now_and_then(self) -> None:
        if self.embedded:
            self.embedded.save_now_and_then()
        if self.oracles:
            self.oracles.follow_registry(self.supervisor)

    def _show(self, place: Place) -> None:
        told = {
            "data": str(self.folder.path),
            "api": place.api,
            "rpc": list(place.rpcs),
            "chain_id": place.deployment.chain_id,
            "exchange": place.exchange,
            "services": self.supervisor.told(),
            "addresses": {name: to_hex(self.folder.signer(name).address) for name in names.NAMES},
        }
        write_whole(self.folder.running, json.dumps(told, indent=2) + "\n")
        if self.arguments.json:
            print(json.dumps(told), flush=True)
            return
        _print_table(told)


def _print_table(told: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    console, table = Console(), Table(box=None, pad_edge=False)
    for column in ("service", "pid", "what and where", "log"):
        table.add_column(column)
    for one in told["services"]:
        log = str(Path(one["log"]).relative_to(told["data"]))
        table.add_row(one["name"], str(one["pid"]), one["place"], log)
    console.print(table)
    console.print(f"\nExchange {told['exchange']} on chain {told['chain_id']}; data in {told['data']}")
    console.print(f"OpenAPI  {told['api']}/openapi.json")
    console.print("Stop with Ctrl-C or SIGTERM.")


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


@contextmanager
def _step(told: str) -> Iterator[None]:
    with boot.step(_tell, told):
        yield
