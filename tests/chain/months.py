"""Many days of homes with half-hourly or hourly meters, traded, posted, settled and settled again.

Every simulated day, as a settlement agent's daily job would: tomorrow's session is cleared, runs that fall
due (II, SF, R1 of the calendar) are made, and challenges are opened and settled. Agents are the demo's; they
sell and buy firm energy of no band, so that what is paid is trades and imbalances alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta
from functools import cached_property

import numpy as np
import numpy.typing as npt
from month_troubles import CONTESTED, Trouble, of_day

from api.services import agents
from api.services.cast import QUORUM, Cast, Resident, make_cast
from oracle.commitments import open_reading
from oracle.contesting import contest, signed_read
from oracle.day import Day, MeterDay
from oracle.history import history_of
from oracle.localdays import local_day, time_zone
from oracle.messages import (
    EXPORT,
    IMPORT,
    REGISTERS,
    Reading,
    ReadingKey,
    SignedReading,
    public_point,
    sign,
    verify,
)
from oracle.node import DayInputs, OracleNode, agree
from oracle.registry import MeterRegistry
from oracle.reruns import RunState, rerun
from settlement.chain import challenger, corrector, deploy, operator, settler
from settlement.chain.anvil import Anvil
from settlement.chain.client import AnvilClock, Chain
from settlement.chain.deploy import Terms
from settlement.chain.exchange import Exchange, Token
from settlement.chain.operator import ClearedSession
from settlement.chain.settler import SignedPosting
from settlement.chain.sign import Signer, sign_schedule
from settlement.reference.schedule import SELL, SignedSchedule
from settlement.reference.session import NO_PARENT, UNLIMITED_WH, Grid, SessionParams
from settlement.rules import calendar
from settlement.units import PRICE_CAP, PRICE_FLOOR

DAY_S, HOUR_S = 86_400, 3_600
RUNS = ("II", "SF", "R1")
SEED = 11
STREETS = 2
LINE_CHARGE = 10_000
RETAIL, FEED_IN, MARGIN = 300_000, 80_000, 15_000
"""micro/kWh; imbalances are settled `MARGIN` outside."""
DEPOSIT_NANO = 100_000 * 10**9
BOND_NANO, POT_NANO = 5 * 10**9, 100 * 10**9
CAPACITY_W = 60_000

Wh = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Measured:
    """Homes over whole local days, (H, D, W) Wh."""

    first_day: date
    tz: str
    window_length_s: int
    load_wh: Wh
    pv_wh: Wh

    @property
    def homes(self) -> int:
        return len(self.load_wh)

    @property
    def windows(self) -> int:
        return int(self.load_wh.shape[2])

    def register_wh(self, register: int) -> Wh:
        """(H, D, W) what import or export registers count."""
        net: Wh = self.pv_wh - self.load_wh
        return np.maximum(0, net if register == EXPORT else -net)


@dataclass(frozen=True)
class Traded:
    """A day's session."""

    orders: list[SignedSchedule]
    hashes: list[bytes]
    cleared: ClearedSession


@dataclass
class Month:
    """A deployment and everything that happens on it."""

    anvil: Anvil
    measured: Measured
    past_days: int
    """Days before the first that is traded."""
    days: int
    troubles: list[Trouble]
    traded: dict[int, Traded] = field(default_factory=dict)
    zones: dict[tuple[int, int], RunState] = field(default_factory=dict)
    """By zone and day, as its last run left it."""
    first: dict[tuple[int, int], RunState] = field(default_factory=dict)
    """The same after the first run."""
    done: dict[tuple[int, int], str] = field(default_factory=dict)
    """Run and day: when it was made."""
    challenges: dict[bytes, Trouble] = field(default_factory=dict)
    opened_until: dict[bytes, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.chain = Chain(self.anvil.rpc_url)
        self.clock = AnvilClock(self.chain)
        self.cast: Cast = make_cast(SEED, range(1, self.measured.homes + 1), STREETS)
        self.nodes = [OracleNode(one.secret) for one in self.cast.oracles]
        self._verified: dict[tuple[bytes, bytes], bool] = {}
        self.tariff = agents.Tariff((RETAIL,) * self.windows, (FEED_IN,) * self.windows)
        self._deploy()

    @property
    def windows(self) -> int:
        return self.measured.windows

    @property
    def homes(self) -> tuple[Resident, ...]:
        return self.cast.homes

    def date(self, day: int) -> date:
        """Of a traded day, counted from 0."""
        return self.measured.first_day + timedelta(days=self.past_days + day)

    def windows_of(self, day: int) -> Day:
        return local_day(self.date(day), self.measured.tz, self.measured.window_length_s)

    def starts_at(self, day: int) -> int:
        return self.windows_of(day).first_window * self.measured.window_length_s

    @cached_property
    def due(self) -> dict[date, list[tuple[int, int]]]:
        """Run (from 0) and day that fall due, by date."""
        found: dict[date, list[tuple[int, int]]] = {}
        for day in range(self.days):
            for number, run in enumerate(calendar.runs_of(self.date(day))[: len(RUNS)]):
                found.setdefault(run.due_date, []).append((number, day))
        return found

    # Set-up -------------------------------------------------------------------------------------------

    def _deploy(self) -> None:
        cast, admin = self.cast, self.cast.admin
        found = deploy.deploy(self.chain, admin, Terms(self.measured.window_length_s))
        self.exchange, self.token = Exchange(self.chain, found), Token(self.chain, found)
        rights = {deploy.REGISTRAR: [admin], deploy.MINTER: [admin], deploy.OPERATOR: [cast.operator]}
        for role, who in {**rights, deploy.ORACLE: [cast.supplier, *cast.oracles]}.items():
            deploy.grant(self.chain, admin, found, role, [one.address for one in who])
        for account, member in cast.members.items():
            self.exchange.register(admin, account, member)
        for home in self.homes:
            x, y = (number.to_bytes(32, "big") for number in public_point(home.key))
            self.exchange.send(admin, "registerMeter", home.meter.meter_id, home.address, x, y)
        for node in cast.oracles:
            self.exchange.send(admin, "setOracle", node.address, True)
        self.exchange.send(admin, "setQuorum", QUORUM)
        self.token.mint(admin, admin.address, DEPOSIT_NANO * len(cast.members))
        self.token.approve(admin, self.exchange.address, DEPOSIT_NANO * len(cast.members))
        for account in cast.members:
            self.exchange.send(admin, "deposit", account, DEPOSIT_NANO)
        self.exchange.send(admin, "setChallengeBond", BOND_NANO)
        self.exchange.send(cast.supplier, "bondOracles", POT_NANO)
        self.grid_version = self.exchange.set_grid(admin, _grid())

    def registry_of(self, zone: int) -> MeterRegistry:
        homes = (home for home in self.homes if home.zone == zone)
        return MeterRegistry(replace(home.meter, capacity_w=CAPACITY_W) for home in homes)

    # The daily job ------------------------------------------------------------------------------------

    def play(self) -> None:
        """From the day before the first to the last run."""
        today, last = self.date(0) - timedelta(days=1), max(self.due)
        while today <= last:
            day = (today - self.date(0)).days + 1
            if 0 <= day < self.days:
                self.trade(day)
            noon = datetime.combine(today, time(12), UTC)
            self.clock.advance_to(max(self.chain.now(), int(noon.timestamp())))
            self.settle_challenges()
            self.make_runs(today)
            self.open_challenges(today)
            today += timedelta(days=1)

    def make_runs(self, today: date) -> None:
        for number, day in sorted(self.due.get(today, ())):
            if number == 0:
                self.settle_first(day)
            else:
                for zone in self.cast.zones:
                    self.settle_again(zone, day, number)
            self.done[number, day] = str(today)

    # Trading ------------------------------------------------------------------------------------------

    def trade(self, day: int) -> None:
        """The session of a day: opened in the morning before, cleared at its gate."""
        first, gate = self.windows_of(day).first_window, self.starts_at(day) - DAY_S // 2
        self.clock.advance_to(max(self.chain.now(), gate - HOUR_S))
        self.exchange.open_day(self.cast.operator, first, self.windows, self.grid_version)
        params = _params(self, first, gate)
        session = operator.open_session(self.exchange, self.cast.operator, params)
        orders = [
            sign_schedule(wallet, self.exchange.separator, message)
            for wallet, zone, decided in self._decided(day)
            for message in agents.to_schedules(
                decided, trader=wallet.address, session=session.id, first_window=first, zone=zone
            )
        ]
        sealed = operator.seal(self.exchange, session, orders)
        self.clock.advance_to(gate)
        cleared = operator.run(self.exchange, self.cast.operator, session, sealed)
        self.traded[day] = Traded(list(sealed.orders), list(sealed.hashes), cleared)

    def _decided(self, day: int) -> Iterator[tuple[Signer, int, Sequence[agents.Order]]]:
        """Homes' agents know the days until the one before the gate's."""
        known = slice(0, self.past_days + day - 1)
        weekdays = (self.measured.first_day.weekday() + np.arange(self.past_days + day - 1)) % 7
        for at, home in enumerate(self.homes):
            past = agents.Past(self.measured.load_wh[at, known], self.measured.pv_wh[at, known], weekdays)
            agent = agents.character(SEED, home.number, self.windows)
            found = agents.home_orders(past, self.date(day).weekday(), self.tariff, agent)
            yield home.wallet, home.zone, [_without_band(one) for one in found]
        ample = len(self.homes) * CAPACITY_W
        yield (
            self.cast.supplier,
            0,
            agents.supplier_orders(agents.substation_tariff(self.tariff, LINE_CHARGE), ample),
        )

    # Readings -----------------------------------------------------------------------------------------

    def readings(self, zone: int, day: int, run: int) -> list[SignedReading]:
        """What comes in anew before a run of a zone's day; 0 is the first."""
        first = self.windows_of(day).first_window
        found = []
        for at, home in enumerate(self.homes):
            if home.zone != zone:
                continue
            trouble = list(of_day(self.troubles, day, at))
            for register in REGISTERS:
                row = self.measured.register_wh(register)[at, self.past_days + day]
                for window, wh in enumerate(row.tolist()):
                    said = _said(wh, [one for one in trouble if one.hits(register, window)], run)
                    if said is not None:
                        found.append(self.signed(home, register, first + window, *said))
        return found

    def signed(self, home: Resident, register: int, window: int, wh: int, sequence: int) -> SignedReading:
        length = self.measured.window_length_s
        return sign(Reading(home.meter.meter_id, register, length, window, wh, sequence), home.key)

    def verifier(self, pairs: Sequence[tuple[SignedReading, Reading]], registry: MeterRegistry) -> list[bool]:
        """Each signature is verified once, for all nodes and runs here."""
        for signed, reading in pairs:
            if (signed.message, signed.signature) not in self._verified:
                good = verify(signed.message, signed.signature, registry.key_of(reading))
                self._verified[signed.message, signed.signature] = good
        return [self._verified[signed.message, signed.signature] for signed, _ in pairs]

    # Settling -----------------------------------------------------------------------------------------

    @property
    def prices(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        return (FEED_IN - MARGIN,) * self.windows, (RETAIL + MARGIN,) * self.windows

    def settle_first(self, day: int) -> None:
        states = [self.first_state(zone, day) for zone in self.cast.zones]
        for state in states:
            settler.post(self.exchange, self.cast.oracles[0], state.signed)
        run = settler.DayRun(self.exchange, self.cast.oracles[0], [state.signed for state in states])
        run.settle()
        run.certify()
        for zone, state in zip(self.cast.zones, states, strict=True):
            self.zones[zone, day] = self.first[zone, day] = state

    def first_state(self, zone: int, day: int) -> RunState:
        registry, target = self.registry_of(zone), self.windows_of(day)
        surplus, deficit = self.prices
        past = history_of(self._past(zone, day), registry.series, target, time_zone(self.measured.tz))
        inputs = DayInputs(
            zone=zone,
            day=target,
            registry=registry,
            batch=tuple(self.readings(zone, day, 0)),
            history=past,
            surplus=surplus,
            deficit=deficit,
            day_key=self.key_of_run(zone, day, 0),
        )
        voted = [node.vote(inputs, self.exchange.separator, self.verifier) for node in self.nodes]
        votes = [vote for vote, _ in voted]
        agreed = agree(votes, [node.address for node in self.nodes], QUORUM, self.exchange.separator)
        signed = SignedPosting(agreed.posted.posting, agreed.posted.parts, agreed.signatures)
        return RunState(signed, inputs, voted[0][1])

    def _past(self, zone: int, day: int) -> list[MeterDay]:
        """Days that were posted before, as they were posted."""
        return [state.computed.readings for (z, d), state in self.first.items() if z == zone and d < day]

    def key_of_run(self, zone: int, day: int, run: int) -> bytes:
        return agents.draw(1 << 256, SEED, "day key", zone, day, run).to_bytes(32, "big")

    def settle_again(self, zone: int, day: int, run: int) -> None:
        state = self.zones[zone, day]
        late, key = self.readings(zone, day, run), self.key_of_run(zone, day, run)
        signed, left = rerun(self.exchange, state, late, self.nodes, QUORUM, key, self.verifier)
        corrector.run(self.exchange, self.cast.oracles[0], signed)
        self.zones[zone, day] = left

    # Challenges ---------------------------------------------------------------------------------------

    def open_challenges(self, today: date) -> None:
        """Of days whose first run was made today."""
        for trouble in self.troubles:
            if trouble.kind == CONTESTED and self.done.get((0, trouble.day)) == str(today):
                self.open_challenge(trouble)

    def open_challenge(self, trouble: Trouble) -> None:
        home, (at,) = self.homes[trouble.home], trouble.windows
        state, key = self.zones[home.zone, trouble.day], public_point(home.key)
        window = state.day + at
        which, made = ReadingKey(home.meter.meter_id, IMPORT, window), state.computed
        opening = open_reading(made.commitments, made.readings, made.salts, which)
        wh = int(self.measured.register_wh(IMPORT)[trouble.home, self.past_days + trouble.day, at])
        said = self.signed(home, IMPORT, window, wh, 2)
        corrector.open_corrections(self.exchange, self.cast.oracles[0], state.signed.posting)
        brought = contest(opening, said, key, home.zone, state.day)
        signed = challenger.signed_by(home.wallet, self.exchange, brought)
        opened = challenger.challenge(self.exchange, self.cast.operator, signed)
        if trouble.answered:
            earlier = self.signed(home, IMPORT, window, trouble.first_said(wh) or 0, 1)
            challenger.answer(self.exchange, self.cast.oracles[0], opened.id, signed_read(earlier, key))
        self.challenges[opened.id] = trouble
        self.opened_until[opened.id] = opened.answer_by

    def settle_challenges(self) -> None:
        """Those that nobody may answer any more."""
        for id_, answer_by in list(self.opened_until.items()):
            if self.chain.now() > answer_by:
                challenger.settle(self.exchange, self.cast.operator, id_)
                del self.opened_until[id_]


def _said(wh: int, trouble: list[Trouble], run: int) -> tuple[int, int] | None:
    """What a meter says anew before a run, and under which sequence; None if nothing."""
    if not trouble:
        return (wh, 1) if run == 0 else None
    (one,) = trouble
    if run == 0:
        first = one.first_said(wh)
        return None if first is None else (first, 1)
    return (wh, 2) if one.known_by == run else None


def _without_band(order: agents.Order) -> agents.Order:
    """Firm energy of no band for sale, any energy bought: nothing of a day depends on what was delivered."""
    return replace(order, quality=agents.FIRM if order.side == SELL else agents.ANY)


def _grid() -> Grid:
    zones = range(1, STREETS + 1)
    parents, charges = (NO_PARENT, *(0 for _ in zones)), (0, *(LINE_CHARGE for _ in zones))
    capacities = (UNLIMITED_WH,) * (STREETS + 1)
    return Grid((agents.ANY, agents.FIRM), (1, 0), parents, charges, capacities)


def _params(month: Month, first: int, gate: int) -> SessionParams:
    surplus, deficit = month.prices
    return SessionParams(
        kind=0,
        round=0,
        windows=month.windows,
        grid_version=month.grid_version,
        day=first,
        first_window=first,
        gate=gate,
        commit_by=gate + HOUR_S // 4,
        prove_by=gate + 2 * HOUR_S,
        floor=PRICE_FLOOR,
        cap=PRICE_CAP,
        buy_reserve=max(0, -surplus[0]),
        sell_reserve=deficit[0],
        imbalance_min=surplus[0],
        imbalance_max=deficit[0],
        max_orders=200,
        max_submitted=10,
        bond_nano=0,
        claim_by=gate + 2 * HOUR_S + 12 * DAY_S,
        receipt_signer=bytes(20),
        certificate_run=0,
    )


def starts_before(measured: Measured, past_days: int) -> int:
    """When a chain must begin, Unix seconds."""
    first = local_day(measured.first_day + timedelta(days=past_days), measured.tz, measured.window_length_s)
    return first.first_window * measured.window_length_s - 3 * DAY_S
