"""A community's day on a chain, step by step, each with what it cost.

    register  members, meters, oracle nodes, deposits; the grid
    order     the session opens; agents sign; what is not signed by its trader is refused
    clear     commitment, potentials, fills, proof
    deliver   meters sign, oracle nodes agree, the posting
    settle    imbalances, then certificates

Sessions are day-ahead: the gate closes at noon of the day before, so agents know the days until the one
before that and no more.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from typing import Any

import numpy as np

from api.services import agents, collect, delivery
from api.services.agents import PAST_DAYS, QUALITIES, SUBSTITUTIONS, Past, Tariff
from api.services.cast import QUORUM, Cast, Resident
from api.services.delivery import PostedZone
from oracle.errors import OutOfRange
from oracle.homes import FIRST_DAY, LAST_DAY, WINDOW_LENGTH_S, Community, Ints, by_day, day_of
from oracle.node import DayInputs
from settlement.chain import deploy, events, operator, settler
from settlement.chain.books import SealedBook, Session
from settlement.chain.client import RECEIPT_TIMEOUT_S, Chain, Clock
from settlement.chain.deploy import Terms
from settlement.chain.errors import UnacceptableOrder
from settlement.chain.exchange import Exchange, Token
from settlement.chain.intake import Intake
from settlement.chain.operator import ClearedSession
from settlement.chain.receipts import check_receipt
from settlement.chain.rpc import Receipt
from settlement.chain.sign import Signer, sign_flexible, sign_schedule
from settlement.errors import InputError
from settlement.reference import eip712
from settlement.reference.flexible import SignedFlexible
from settlement.reference.orders import SignedOrder, order_hash
from settlement.reference.schedule import SignedSchedule
from settlement.reference.session import NO_PARENT, UNLIMITED_WH, Grid, SessionParams, single_zone
from settlement.reports.facts import CLEAR, SETTLE, DayFacts, Incident, PhaseFact, Series, StreetFact
from settlement.units import PRICE_CAP

HOUR_S, DAY_S = 3_600, 86_400
GATE_BEFORE_S = 12 * HOUR_S
"""Noon of the day before."""
CLAIMS_S = 2 * deploy.MAX_PAUSE_S + 7 * DAY_S
"""From the deadline of the proof to the last claim."""
MOST_ORDERS = 1_000
BOND_NANO = 10**9
"""For each order that the operator leaves out, or never proves."""
OPERATOR_DEPOSIT_NANO = 2_000 * 10**9
HOME_DEPOSIT_NANO = 200 * 10**9
SUPPLIER_DEPOSIT_NANO = 20_000 * 10**9
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


class MeasuredChain(Chain):
    """A chain that keeps account of what was sent, by phase."""

    def __init__(self, rpc: str | Sequence[str], **options: Any) -> None:
        super().__init__(rpc, **options)
        self.phase = ""
        self.spent: dict[str, list[int]] = {}
        self._pending: dict[bytes, tuple[str, int]] = {}

    def submit(self, signer: Signer, to: bytes | None, data: bytes, *, gas: int | None = None) -> bytes:
        tx_hash = super().submit(signer, to, data, gas=gas)
        self._pending[tx_hash] = self.phase, len(data)
        return tx_hash

    def wait(self, tx_hash: bytes, timeout_s: int = RECEIPT_TIMEOUT_S) -> Receipt:
        receipt = super().wait(tx_hash, timeout_s)
        if tx_hash in self._pending:
            phase, size = self._pending.pop(tx_hash)
            spent = self.spent.setdefault(phase, [0, 0, 0])
            for place, amount in enumerate((1, receipt.gas_used, size)):
                spent[place] += amount
        return receipt


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


@dataclass
class CommunityDay:
    """One day under way."""

    plan: Plan
    cast: Cast
    measured: Community
    chain: MeasuredChain
    clock: Clock
    moved_weeks: int = 0
    """How long after they were measured the homes' days are delivered."""
    seconds: dict[str, float] = field(default_factory=dict)
    incidents: list[Incident] = field(default_factory=list)
    imbalances: settler.Imbalances = field(default_factory=list)
    """Of everyone metered, once the day is settled."""

    def __post_init__(self) -> None:
        self.today = self.measured.on(self.plan.day)
        retail = tuple(int(price) for price in self.today.tariff_micro_per_kwh)
        self.tariff = Tariff(retail, (self.plan.feed_in,) * self.today.windows)
        self.imbalance_prices = delivery.imbalance_prices(
            retail, self.tariff.feed_in, self.plan.imbalance_margin
        )

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """What is sent and how long it takes counts for this phase."""
        start, self.chain.phase = time.perf_counter(), name
        self.chain.spent.setdefault(name, [0, 0, 0])
        yield
        self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - start

    # Register -------------------------------------------------------------------------------------------

    def deploy(self) -> None:
        """The contracts, and who may do what."""
        currency = ("Trellis demo dollar", "TDD")
        with self.phase("deploy"):
            admin = self.cast.admin
            found = deploy.deploy(self.chain, admin, Terms(WINDOW_LENGTH_S, currency=currency))
            self.exchange, self.token = Exchange(self.chain, found), Token(self.chain, found)
            for role, who in self._rights().items():
                deploy.grant(self.chain, admin, found, role, [signer.address for signer in who])

    def _rights(self) -> dict[int, Sequence[Signer]]:
        cast = self.cast
        return {
            deploy.REGISTRAR: [cast.admin],
            deploy.MINTER: [cast.admin],
            deploy.GUARDIAN: [cast.admin],
            deploy.OPERATOR: [cast.operator],
            deploy.ORACLE: [cast.operator, *cast.oracles],
        }

    def register(self) -> None:
        """Members with their meters and deposits, oracle nodes, the grid and the day."""
        admin, exchange = self.cast.admin, self.exchange
        with self.phase("register"):
            for account, member in self.cast.members.items():
                exchange.register(admin, account, member)
            for meter in self.cast.registry.values():
                point = (meter.public_x.to_bytes(32, "big"), meter.public_y.to_bytes(32, "big"))
                exchange.send(admin, "registerMeter", meter.meter_id, meter.account, *point)
            for node in self.cast.oracles:
                exchange.send(admin, "setOracle", node.address, True)
            exchange.send(admin, "setQuorum", QUORUM)
            self._deposit()
            self.grid_version = exchange.set_grid(admin, self.plan.grid)

    def _deposit(self) -> None:
        deposits = {home.address: HOME_DEPOSIT_NANO for home in self.cast.homes}
        deposits[self.cast.supplier.address] = SUPPLIER_DEPOSIT_NANO
        deposits[self.cast.operator.address] = OPERATOR_DEPOSIT_NANO
        admin, total = self.cast.admin, sum(deposits.values())
        self.token.mint(admin, admin.address, total)
        self.token.approve(admin, self.exchange.address, total)
        for account, amount in deposits.items():
            self.exchange.send(admin, "deposit", account, amount)

    # Order ----------------------------------------------------------------------------------------------

    def order(self) -> None:
        """Opens the day and its session; everyone's agent signs; the operator takes what is sound."""
        day, windows = self.plan.first_window, self.today.windows
        with self.phase("open and sign"):
            self.exchange.open_day(self.cast.operator, day, windows, self.grid_version)
            self.session = operator.open_session(self.exchange, self.cast.operator, self.params())
            offered = [*self._signed_orders(self.session), self._forged(self.session)]
            self.orders = self._taken(offered)
            self.sealed: SealedBook = operator.seal(self.exchange, self.session, self.orders)

    def params(self) -> SessionParams:
        """One session over the whole day."""
        gate = self.plan.starts_at - GATE_BEFORE_S
        surplus, deficit = self.imbalance_prices
        return SessionParams(
            kind=0,
            round=0,
            windows=self.today.windows,
            grid_version=self.grid_version,
            day=self.plan.first_window,
            first_window=self.plan.first_window,
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
            max_submitted=2 * len(self.cast.members),
            bond_nano=BOND_NANO,
            claim_by=gate + 2 * HOUR_S + CLAIMS_S,
            receipt_signer=self.cast.operator.address,
            certificate_run=0,
        )

    def home_orders(self) -> dict[bytes, tuple[agents.Order, ...]]:
        """What each home's agent decides, from days before the gate's."""
        plan = self.plan
        past = self.measured.before(plan.day - timedelta(days=1), PAST_DAYS)
        found = {}
        for resident, home in zip(self.cast.homes, past.homes, strict=True):
            own = Past(by_day(home.load_wh), by_day(home.pv_wh), past.weekdays)
            agent = agents.character(plan.seed, resident.number, self.today.windows, resident.low_carbon)
            found[resident.address] = agents.home_orders(own, plan.day.weekday(), self.tariff, agent)
        return found

    def supplier_orders(self) -> tuple[agents.Order, agents.Order]:
        """At the substation, where the tariff is less the line to a street."""
        tariff = self.tariff
        if self.plan.streets > 1:
            tariff = agents.substation_tariff(tariff, self.plan.line_charge)
        return agents.supplier_orders(tariff, self.cast.ample_wh)

    def _signed_orders(self, session: Session) -> Iterator[SignedOrder]:
        offers, supplier = self.home_orders(), self.cast.supplier
        for home in self.cast.homes:
            yield from self._signed(session, home.wallet, home.zone, offers[home.address])
        yield from self._signed(session, supplier, 0, self.supplier_orders())
        for home in self.cast.homes:
            if home.car_wh:
                yield self._signed_car(session, home, len(offers[home.address]))

    def _signed(
        self, session: Session, wallet: Signer, zone: int, decided: Sequence[agents.Order]
    ) -> Iterator[SignedSchedule]:
        first = session.params.first_window
        messages = agents.to_schedules(
            decided, trader=wallet.address, session=session.id, first_window=first, zone=zone
        )
        for message in messages:
            yield sign_schedule(wallet, self.exchange.separator, message)

    def _signed_car(self, session: Session, home: Resident, nonce: int) -> SignedFlexible:
        message = agents.car_schedule(
            home.car_wh,
            self.tariff,
            trader=home.address,
            session=session.id,
            first_window=session.params.first_window,
            zone=home.zone,
            nonce=nonce,
        )
        return sign_flexible(home.wallet, self.exchange.separator, message)

    def _forged(self, session: Session) -> SignedSchedule:
        """A stranger sells what the first home has not got, in its name."""
        order = agents.supplier_orders(self.tariff, 10_000)[1]
        (message,) = agents.to_schedules(
            [order],
            trader=self.cast.homes[0].address,
            session=session.id,
            first_window=session.params.first_window,
            zone=self.cast.homes[0].zone,
        )
        signature = self.cast.network.sign_digest(order_hash(self.exchange.separator, message))
        return SignedSchedule(message, signature)

    def _taken(self, offered: Sequence[SignedOrder]) -> list[SignedOrder]:
        """What the operator gives a receipt for, which its trader believes; the rest is refused."""
        intake, refused = Intake(self.exchange.separator, self.session, self.cast.operator), 0
        for order in offered:
            member = self.cast.members.get(order.schedule.trader)
            try:
                receipt = intake.take(self.chain.now(), order, member)
            except UnacceptableOrder:
                refused += 1
            else:
                hash_ = order_hash(self.exchange.separator, order.schedule)
                check_receipt(self.exchange.separator, self.session.params, hash_, receipt)
        if refused:
            self.incidents.append(
                Incident("order in another's name", "refused: its trader did not sign it", refused)
            )
        return intake.book()

    # Clear ----------------------------------------------------------------------------------------------

    def clear(self) -> ClearedSession:
        """From the gate to the proof."""
        exchange, sender, session, sealed = self.exchange, self.cast.operator, self.session, self.sealed
        self.clock.advance_to(session.params.gate)
        with self.phase("commit"):
            steps = operator.commit(exchange, sender, session, sealed)
        with self.phase(CLEAR):
            prepared = operator.prepare(exchange, session, sealed)
            steps.append(operator.post_header(exchange, sender, prepared))
            found = operator.progress(exchange, prepared)
            steps += operator.clear_and_close(exchange, sender, prepared, found)
        self.cleared = operator.outcome(prepared, steps)
        return self.cleared

    # Deliver and settle ---------------------------------------------------------------------------------

    def delivered(self) -> Community:
        """The day's homes as metered: what a car's order filled is what the car charged."""
        charged = self.charged_wh()
        homes = tuple(
            replace(home, load_wh=home.load_wh + charged.get(resident.address, 0))
            for resident, home in zip(self.cast.homes, self.today.homes, strict=True)
        )
        return replace(self.today, homes=homes)

    def charged_wh(self) -> dict[bytes, Ints]:
        """By account with a car and window of the day."""
        found = {}
        for order_hash_, order in zip(self.sealed.hashes, self.sealed.orders, strict=True):
            if isinstance(order, SignedFlexible):
                fills = self.cleared.fills[order_hash_]
                found[order.schedule.trader] = np.zeros(self.today.windows, np.int64)
                found[order.schedule.trader][: len(fills)] = fills
        return found

    def deliver(self) -> list[PostedZone]:
        """Meters sign, oracle nodes agree on each zone, one of them posts."""
        plan, end = self.plan, self.plan.starts_at + self.today.windows * WINDOW_LENGTH_S
        self.clock.advance_to(end + HOUR_S)
        with self.phase("deliver"):
            received = delivery.deliver(plan.seed, self.cast, self.delivered())
            self.received, self.inputs = received, [self._inputs(zone, received) for zone in self.cast.zones]
            self.posted, found = delivery.vote_all(self.inputs, received, self.cast, self.exchange.separator)
            self.incidents += found
            for posted in self.posted:
                settler.post(self.exchange, self.cast.oracles[0], posted.signed)
        return self.posted

    def _inputs(self, zone: int, received: delivery.Delivery) -> DayInputs:
        """What the oracle nodes start from in a zone; its day key is for its posting only."""
        plan, registry = self.plan, self.cast.registry_of(zone)
        past = self.measured.before(plan.day, delivery.HISTORY_DAYS)
        surplus, deficit = self.imbalance_prices
        label = ("day key", plan.day, zone) if zone else ("day key", plan.day)
        return DayInputs(
            zone=zone,
            day=day_of(plan.day),
            registry=registry,
            batch=delivery.batch_of(self.cast, zone, received.batch),
            history=delivery.history_of(self.cast, registry, past),
            surplus=surplus,
            deficit=deficit,
            day_key=agents.draw(1 << 256, plan.seed, *label).to_bytes(32, "big"),
        )

    def settle(self) -> None:
        """Imbalances zone by zone, the balancing party's other side, certificates."""
        with self.phase(SETTLE):
            postings = [one.signed for one in self.posted]
            self.run = settler.DayRun(self.exchange, self.cast.oracles[0], postings)
            self.run.settle()
        with self.phase("certify"):
            self.run.certify()

    # Facts ----------------------------------------------------------------------------------------------

    def facts(self) -> DayFacts:
        """The day as the chain tells it."""
        told, exchange = events.events_of(self.exchange), self.exchange
        postings = [one.signed for one in self.posted]
        return DayFacts(
            title="A community's day",
            date=str(self.plan.day),
            seed=self.plan.seed,
            currency="$",
            chain_id=self.chain.chain_id,
            exchange=checksum(exchange.address),
            market=collect.market(exchange, self.cleared, QUALITIES, postings[0], self._outside()),
            members=collect.members(self.cast),
            orders=collect.orders(exchange, self.session, self.sealed, told),
            accounts=collect.accounts(exchange, self.cast, postings, told, self.run),
            phases=self.phases(),
            incidents=tuple(self.incidents),
            notes=self._notes(),
            streets=self.plan.street_facts,
            vault_nano=collect.vault(exchange, self.token, self.cast.operator.address, self.session.epoch),
        )

    def _outside(self) -> collect.Outside:
        carbon: Series = tuple(int(g) for g in self.today.carbon_g_per_kwh)
        own = sum(
            (home.load_wh - home.import_wh for home in self.delivered().homes),
            start=0 * self.today.homes[0].load_wh,
        )
        return collect.Outside(self.tariff.retail, self.tariff.feed_in, carbon, tuple(int(wh) for wh in own))

    def _notes(self) -> tuple[str, ...]:
        """What the reader must not take for measured."""
        cars = (agents.CARS_ASSUMED,) if self.plan.cars else ()
        if not self.moved_weeks:
            return cars
        measured = self.plan.day - timedelta(weeks=self.moved_weeks)
        told = f"The homes were measured on {measured}; the chain's day is the same day of a later week."
        return (told, *cars)

    def phases(self) -> tuple[PhaseFact, ...]:
        """What each phase sent, and how long it took."""
        found = []
        for name, seconds in self.seconds.items():
            transactions, gas, size = self.chain.spent[name]
            found.append(PhaseFact(name, transactions, gas, size, seconds))
        return tuple(found)


def checksum(address: bytes) -> str:
    """An address as people write it (EIP-55)."""
    text = address.hex()
    digest = eip712.keccak(text.encode()).hex()
    mixed = (c.upper() if int(d, 16) >= 8 else c for c, d in zip(text, digest, strict=False))
    return "0x" + "".join(mixed)
