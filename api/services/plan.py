"""What day is to be run: who trades on which grid, from when to when."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

from api.services.agents import QUALITIES, SUBSTITUTIONS
from oracle.errors import OutOfRange
from oracle.homes import FIRST_DAY, LAST_DAY, WINDOW_LENGTH_S, Community, day_of
from settlement.chain import deploy
from settlement.errors import InputError
from settlement.reference.session import NO_PARENT, UNLIMITED_WH, Grid, SessionParams, single_zone
from settlement.reports.facts import Series, StreetFact
from settlement.units import PRICE_CAP

HOUR_S, DAY_S = 3_600, 86_400
GATE_BEFORE_S = 12 * HOUR_S
"""Noon of the day before."""
CLAIMS_S = 2 * deploy.MAX_PAUSE_S + 7 * DAY_S
"""From the deadline of the proof to the last claim."""
MOST_ORDERS = 1_000
BOND_NANO = 10**9
"""For each order that the operator leaves out, or never proves."""
FIRST_SESSION_DAY = FIRST_DAY + timedelta(days=15)
"""With two weeks behind the day of the gate: agents that know less had better not trade."""


@dataclass(frozen=True)
class Plan:
    """What is to be run."""

    day: date
    seed: int = 1
    feed_in: int = 80_000
    """micro/kWh."""
    imbalance_margin: int = 0
    """How far imbalance prices lie outside the supplier's, micro/kWh."""
    streets: int = 1
    """One is the substation's own zone; more are zones below it, each with a line."""
    line_charge: int = 10_000
    """Of each street's line, micro/kWh; without meaning where there is one street."""
    line_capacity_wh: int | None = None
    """Of each street's line in a window, either way."""
    cars: int = 0
    """The first so many homes have one."""
    runs: int = 1
    """How often the day is settled."""

    @property
    def grid(self) -> Grid:
        """The substation, and the streets below it."""
        if self.streets == 1:
            return single_zone(QUALITIES, SUBSTITUTIONS)
        capacity = UNLIMITED_WH if self.line_capacity_wh is None else self.line_capacity_wh
        pairs = tuple(index for pair in SUBSTITUTIONS for index in pair)
        parents, charges = (NO_PARENT, *(0,) * self.streets), (0, *(self.line_charge,) * self.streets)
        return Grid(QUALITIES, pairs, parents, charges, (UNLIMITED_WH, *(capacity,) * self.streets))

    @property
    def street_facts(self) -> tuple[StreetFact, ...]:
        """None where all live in the substation's zone."""
        zones = range(1, self.grid.zones)
        terms = (self.line_charge, self.line_capacity_wh)
        return tuple(StreetFact(zone, f"Street {zone}", *terms) for zone in zones)

    @property
    def first_window(self) -> int:
        return day_of(self.day).first_window

    @property
    def starts_at(self) -> int:
        return self.first_window * WINDOW_LENGTH_S

    @property
    def opens_at(self) -> int:
        """Of the chain: the session is open until the gate."""
        return self.starts_at - GATE_BEFORE_S - 3 * HOUR_S

    def session(
        self,
        windows: int,
        grid_version: int,
        imbalance_prices: tuple[Series, Series],
        receipt_signer: bytes,
        max_submitted: int,
    ) -> SessionParams:
        """One session over the whole day; `imbalance_prices` are of surplus and of deficit, by window."""
        gate = self.starts_at - GATE_BEFORE_S
        surplus, deficit = imbalance_prices
        return SessionParams(
            kind=0,
            round=0,
            windows=windows,
            grid_version=grid_version,
            day=self.first_window,
            first_window=self.first_window,
            gate=gate,
            commit_by=gate + HOUR_S // 4,
            prove_by=gate + 2 * HOUR_S,
            floor=0,
            cap=PRICE_CAP,
            buy_reserve=max(0, -min(surplus)),
            sell_reserve=max(0, *deficit),
            imbalance_min=min(surplus),
            imbalance_max=max(deficit),
            max_orders=MOST_ORDERS,
            max_submitted=max_submitted,
            bond_nano=BOND_NANO,
            claim_by=gate + 2 * HOUR_S + CLAIMS_S,
            receipt_signer=receipt_signer,
            certificate_run=0,
        )


def check_day(day: date) -> None:
    """OutOfRange unless a session can be run for it."""
    if not FIRST_SESSION_DAY <= day <= LAST_DAY:
        raise OutOfRange(day, f"the homes were measured for days from {FIRST_SESSION_DAY} to {LAST_DAY}")


def check_line_charge(plan: Plan, measured: Community) -> None:
    """InputError unless the supplier can sell dearer than it buys at the substation, with a line between it
    and every home.
    """
    if plan.streets == 1:
        return
    retail, charge = int(measured.on(plan.day).tariff_micro_per_kwh.min()), plan.line_charge
    most = (retail - plan.feed_in) // 2
    if charge > most:
        raise InputError(
            f"--line-charge {charge / 1e6:g} is out of range: energy that passes two lines would cost more "
            f"than retail ({retail / 1e6:g}) less feed-in ({plan.feed_in / 1e6:g}); at most {most / 1e6:g}"
        )
