"""Oracle nodes as services over a traded community: each with a folder, a store and a key of its own."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time
from pathlib import Path

import numpy as np
from months import MARGIN, RETAIL, SEED, Measured, Month

from oracle import registry_file
from oracle.intake import verify_all
from oracle.live.judge import Delivery, judge
from oracle.live.store import Store
from oracle.live.wire import MOST_RECORDS, join
from oracle.localdays import time_zone
from oracle.messages import SignedReading
from oracle.registry import MeterRegistry
from oracle.voting.book import Book
from oracle.voting.duties import Timetable
from oracle.voting.engine import Engine, Terms
from oracle.voting.keys import Secret
from oracle.voting.work import Sources, Work
from settlement.chain.settling import Options, Settling
from settlement.chain.sign import Signer
from settlement.rules.calendar import GREAT_BRITAIN

WINDOWS, PAST = 24, 18
FIRST_DAY = date(2026, 5, 4)
TZ = "Europe/Brussels"


def generated(homes: int, days: int) -> Measured:
    """Homes with a base load, an evening and some sun, other every day."""
    dice = np.random.default_rng(SEED)
    shape, hours = (homes, PAST + days, WINDOWS), np.arange(WINDOWS)
    evening = np.where((hours >= 17) & (hours < 22), 1_500, 0)
    load = 400 + evening + dice.integers(0, 400, shape)
    sunny = (np.arange(homes) % 2 == 0)[:, None, None]
    pv = np.maximum(0, 2_600 - 80 * (hours - 12) ** 2) * sunny * dice.integers(50, 101, shape) // 100
    return Measured(FIRST_DAY, TZ, 3_600, load.astype(np.int64), pv.astype(np.int64))


def registry_of(month: Month) -> MeterRegistry:
    """The meters of all zones."""
    zones = (month.registry_of(zone) for zone in month.cast.zones)
    return MeterRegistry(meter for zone in zones for meter in zone.values())


def write_prices(path: Path, month: Month, days: Iterable[int], surplus: int | None = None) -> None:
    """The feed: what the month is settled at."""
    rows = ["window_start,surplus_micro_per_kwh,deficit_micro_per_kwh"]
    low, high = month.prices[0][0] if surplus is None else surplus, RETAIL + MARGIN
    for day in days:
        at = month.windows_of(day)
        for window in range(at.first_window, at.first_window + at.windows):
            start = datetime.fromtimestamp(window * at.window_length_s, UTC)
            rows.append(f"{start:%Y-%m-%dT%H:%M:%SZ},{low},{high}")
    path.write_text("\n".join(rows) + "\n")


def noon_of(month: Month, day: int, run: int) -> int:
    """When a run of a day is due, Unix seconds."""
    due = GREAT_BRITAIN.runs_of(month.date(day))[run].due_date
    return int(datetime.combine(due, time(12), time_zone(TZ)).timestamp())


def all_readings(month: Month, day: int, run: int = 0) -> list[SignedReading]:
    """What the meters of all zones say before a run."""
    return [one for zone in month.cast.zones for one in month.readings(zone, day, run)]


def fill(folder: Path, registry: MeterRegistry, readings: list[SignedReading]) -> None:
    """Readings into a node's store, as its service would put them."""
    with Store(folder) as store:
        for start in range(0, len(readings), MOST_RECORDS):
            payload = join(readings[start : start + MOST_RECORDS])
            store.write(judge([Delivery(None, payload, any_meter=True)], registry), 1)


@dataclass
class ServiceNode:
    """One node without a broker."""

    folder: Path
    signer: Signer
    engine: Engine
    told: list[tuple[str, dict[str, object]]]

    def events(self, name: str) -> list[dict[str, object]]:
        return [figures for event, figures in self.told if event == name]


@dataclass
class Services:
    """Nodes over a month's chain, and who settles."""

    month: Month
    root: Path
    turn_s: float = 0.001
    nodes: list[ServiceNode] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.registry = registry_of(self.month)
        self.root.mkdir(exist_ok=True)
        (self.root / "meters.json").write_text(registry_file.dump(self.registry))
        self.secret = Secret(self.month.date(0), bytes(range(32)))
        for number, signer in enumerate(self.month.cast.oracles, 1):
            self.nodes.append(self.node(number, signer))

    def folder(self, number: int) -> Path:
        return self.root / f"node-{number}"

    def node(self, number: int, signer: Signer) -> ServiceNode:
        """A node as it starts, new or again."""
        folder = self.folder(number)
        book, told = Book(folder), []  # type: ignore[var-annotated]
        book.begin(self.secret)
        Store(folder).close()
        prices = self.root / f"prices-{number}.csv"
        if not prices.exists():
            write_prices(prices, self.month, range(self.month.days))
        sources = Sources(folder, self.root / "meters.json", prices, TZ, 7, verify_all)
        timetable = Timetable(GREAT_BRITAIN, time_zone(TZ), time(12), None)
        work, terms = Work(self.month.exchange, sources), Terms(folder, timetable, self.turn_s)
        engine = Engine(work, book, signer, terms, self.month.exchange.time, lambda *e: told.append(e))
        return ServiceNode(folder, signer, engine, told)

    def again(self, number: int) -> ServiceNode:
        """The same node after it was killed: what it had in memory is gone."""
        before = self.nodes[number - 1]
        before.engine.book.close()
        self.nodes[number - 1] = self.node(number, before.signer)
        return self.nodes[number - 1]

    def tick(self, *numbers: int) -> None:
        """Each node works once, then all hear of each other."""
        chosen = [self.nodes[n - 1] for n in numbers] if numbers else self.nodes
        for node in chosen:
            node.engine.tick()
        payloads = [payload for node in chosen for payload in node.engine.outgoing()]
        for node in chosen:
            for payload in payloads:
                node.engine.hear(payload)

    def settling(self, sender: Signer, told: list[tuple[str, dict[str, object]]] | None = None) -> Settling:
        options = Options(tuple(node.folder for node in self.nodes))
        report = (lambda *_: None) if told is None else (lambda *e: told.append(e))
        return Settling(self.month.exchange, sender, options, self.month.exchange.time, report)

    def advance_to(self, timestamp: int) -> None:
        self.month.clock.advance_to(max(self.month.chain.now(), timestamp))


def dump(figures: object) -> str:
    """For messages of failing tests."""
    return json.dumps(figures, default=str)
