"""The metering side of `trellis up`: a Mosquitto, three oracle nodes, and the registry of meters that they
follow.
"""

from __future__ import annotations

import io
import json
import signal
from collections.abc import Iterator
from contextlib import redirect_stdout
from pathlib import Path

from api.services import up_services as services
from api.services.supervise import NotReady, Service, Supervisor
from api.services.up_folder import ORACLES, write_whole
from api.services.up_services import Place
from oracle import registry_file
from oracle.live import broker
from oracle.registry import MeterRegistry
from settlement import cli

PRICES_HEADER = "window_start,surplus_micro_per_kwh,deficit_micro_per_kwh\n"


class OracleFolders:
    """Of one deployment."""

    def __init__(self, place: Place) -> None:
        self.place, self.folder = place, place.folder
        self._registry_at = 0.0

    def missing(self) -> str | None:
        """What is not there to run them; None if they can."""
        if not services.has_command("oracle", "serve"):
            return "this version has no `trellis oracle serve`"
        if services.mosquitto() is None:
            return "mosquitto is not installed (apt-get install mosquitto)"
        if services.port_taken(self.place.mqtt_port):
            return f"--mqtt-port {self.place.mqtt_port} is taken"
        return None

    def write(self) -> None:
        """Their configurations; what an earlier start wrote stays right."""
        path = self.folder.path
        if not self.folder.registry.exists():
            write_whole(self.folder.registry, registry_file.dump(MeterRegistry(())))
        if not (path / "prices.csv").exists():
            write_whole(path / "prices.csv", PRICES_HEADER)
        self._write_broker()
        for name in ORACLES:
            (path / name).mkdir(exist_ok=True)
            told = services.oracle_configuration(self.place, name)
            write_whole(path / name / "node.json", json.dumps(told, indent=2) + "\n")
        self._write_secret(path / "oracle-secret.json")

    def _write_broker(self) -> None:
        self._registry_at = self.folder.registry.stat().st_mtime
        meters = tuple(registry_file.read(self.folder.registry))
        plan = broker.Plan(self.folder.path / "broker", meters, ORACLES, port=self.place.mqtt_port)
        broker.write(plan)

    def _write_secret(self, file: Path) -> None:
        if file.exists():
            return
        with redirect_stdout(io.StringIO()):
            code = cli.main(["oracle", "secret", "--out", str(file)])
        if code:
            raise NotReady(f"the oracle nodes' secret could not be written to {file}")

    def services(self) -> Iterator[Service]:
        program = services.mosquitto()
        assert program is not None
        yield services.broker(self.place, program)
        for name in ORACLES:
            yield services.oracle(self.place, name)

    def follow_registry(self, supervisor: Supervisor) -> None:
        """Lets the broker and the nodes know of meters that were added: both read again on SIGHUP."""
        running = [
            one for one in supervisor.children if one.service.name in ("broker", *ORACLES) and one.ready
        ]
        if not running or self.folder.registry.stat().st_mtime == self._registry_at:
            return
        self._write_broker()
        for child in running:
            child.process.send_signal(signal.SIGHUP)
