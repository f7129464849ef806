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
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

from api.services import agents, collect, delivery
from api.services.agents import PAST_DAYS, QUALITIES, SUBSTITUTIONS, Past, Tariff
from api.services.cast import QUORUM, Cast
from oracle.errors import OutOfRange
from oracle.homes import FIRST_DAY, LAST_DAY, WINDOW_LENGTH_S, Community, by_day, day_of
from oracle.node import DayInputs
from settlement.chain import deploy, events, operator, settler
from settlement.chain.books import SealedBook, Session
from settlement.chain.client import RECEIPT_TIMEOUT_S, AnvilClock, Chain
from settlement.chain.deploy import Terms
from settlement.chain.errors import UnacceptableOrder
from settlement.chain.exchange import Exchange, Token
from settlement.chain.intake import Intake
from settlement.chain.operator import ClearedSession
from settlement.chain.receipts import check_receipt
from settlement.chain.rpc import Receipt
from settlement.chain.settler import SignedPosting
from settlement.chain.sign import Signer, sign_schedule
from settlement.reference import eip712
from settlement.reference.orders import SignedOrder, order_hash
from settlement.reference.schedule import SignedSchedule
from settlement.reference.session import SessionParams, single_zone
from settlement.reports.facts import CLEAR, SETTLE, DayFacts, Incident, PhaseFact, Series
from settlement.units import PRICE_CAP, PRICE_FLOOR

GRID = single_zone(QUALITIES, SUBSTITUTIONS)
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

    def __init__(self, rpc: str, **options: Any) -> None:
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


@dataclass
class CommunityDay:
    """One day under way."""

    plan: Plan
    cast: Cast
    measured: Community
    chain: MeasuredChain
    seconds: dict[str, float] = field(default_factory=dict)
    incidents: list[Incident] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.today = self.measured.on(self.plan.day)
        self.clock = AnvilClock(self.chain)
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
            self.grid_version = exchange.set_grid(admin, GRID)

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
            floor=PRICE_FLOOR,
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

    def _signed_orders(self, session: Session) -> Iterator[SignedSchedule]:
        wallets = {home.address: home.wallet for home in self.cast.homes}
        wallets[self.cast.supplier.address] = self.cast.supplier
        offers = self.home_orders()
        offers[self.cast.supplier.address] = agents.supplier_orders(self.tariff, self.cast.ample_wh)
        for trader, decided in offers.items():
            messages = agents.to_schedules(
                decided, trader=trader, session=session.id, first_window=session.params.first_window
            )
            for message in messages:
                yield sign_schedule(wallets[trader], self.exchange.separator, message)

    def _forged(self, session: Session) -> SignedSchedule:
        """A stranger sells what the first home has not got, in its name."""
        order = agents.supplier_orders(self.tariff, 10_000)[1]
        (message,) = agents.to_schedules(
            [order],
            trader=self.cast.homes[0].address,
            session=session.id,
            first_window=session.params.first_window,
        )
        signature = self.cast.network.sign_digest(order_hash(self.exchange.separator, message))
        return SignedSchedule(message, signature)

    def _taken(self, offered: Sequence[SignedSchedule]) -> list[SignedOrder]:
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

    def deliver(self) -> SignedPosting:
        """Meters sign, oracle nodes agree, one of them posts."""
        plan, end = self.plan, self.plan.starts_at + self.today.windows * WINDOW_LENGTH_S
        self.clock.advance_to(end + HOUR_S)
        with self.phase("deliver"):
            received = delivery.deliver(plan.seed, self.cast, self.today)
            surplus, deficit = self.imbalance_prices
            inputs = DayInputs(
                zone=0,
                day=day_of(plan.day),
                registry=self.cast.registry,
                batch=received.batch,
                history=delivery.history_of(self.cast, self.measured.before(plan.day, delivery.HISTORY_DAYS)),
                surplus=surplus,
                deficit=deficit,
                day_key=agents.draw(1 << 256, plan.seed, "day key", plan.day).to_bytes(32, "big"),
            )
            self.posted, self.computed, found = delivery.vote(
                inputs, received, self.cast, self.exchange.separator
            )
            self.incidents += found
            settler.post(self.exchange, self.cast.oracles[0], self.posted)
        return self.posted

    def settle(self) -> None:
        """Imbalances, the balancing party's other side, certificates."""
        exchange, sender, posted = self.exchange, self.cast.oracles[0], self.posted
        with self.phase(SETTLE):
            holdings = settler.read_holdings(exchange, posted)
            carry, _ = settler.settle_all(exchange, sender, posted, holdings, None)
        with self.phase("certify"):
            settler.certify_all(exchange, sender, posted, holdings, carry)

    # Facts ----------------------------------------------------------------------------------------------

    def facts(self) -> DayFacts:
        """The day as the chain tells it."""
        told, exchange = events.events_of(self.exchange), self.exchange
        return DayFacts(
            title="A community's day",
            date=str(self.plan.day),
            seed=self.plan.seed,
            currency="$",
            chain_id=self.chain.chain_id,
            exchange=checksum(exchange.address),
            market=collect.market(exchange, self.cleared, QUALITIES, self.posted, self._outside()),
            members=collect.members(self.cast),
            orders=collect.orders(exchange, self.sealed, told),
            accounts=collect.accounts(exchange, self.cast, self.posted, told),
            phases=self.phases(),
            incidents=tuple(self.incidents),
            vault_nano=collect.vault(exchange, self.token, self.cast.operator.address, self.session.epoch),
        )

    def _outside(self) -> collect.Outside:
        carbon: Series = tuple(int(g) for g in self.today.carbon_g_per_kwh)
        own = sum(
            (home.load_wh - home.import_wh for home in self.today.homes),
            start=0 * self.today.homes[0].load_wh,
        )
        return collect.Outside(self.tariff.retail, self.tariff.feed_in, carbon, tuple(int(wh) for wh in own))

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
