"""A community's day on a chain, step by step, each with what it cost.

    deploy    the contracts, and the API over them
    register  members, meters, oracle nodes, deposits; the grid
    order     the session opens; agents log in, sign and bring their orders to the API; what is not signed by
              its trader is refused
    clear     what the API wrote down is committed to, cleared and proved; agents read their fills
    deliver   meters sign, oracle nodes agree, the posting
    settle    imbalances, then certificates; agents read their bills

Sessions are day-ahead: the gate closes at noon of the day before, so agents know the days until the one
before that and no more.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from eth_utils.address import to_checksum_address

from api.services import agents, collect, delivery
from api.services.agents import QUALITIES, Tariff
from api.services.api_agents import Agents, KeyScope
from api.services.cast import CONNECTION_W, QUORUM, Cast
from api.services.decisions import Decisions
from api.services.delivery import PostedZone
from api.services.local_api import ChainTime, local_api, sealed_orders
from api.services.measured import MeasuredChain, ToldClock
from api.services.plan import HOUR_S, Plan
from oracle.homes import WINDOW_LENGTH_S, Community, Ints, day_of
from oracle.node import DayInputs
from settlement.chain import deploy, events, operator, settler
from settlement.chain.client import Clock
from settlement.chain.deploy import Terms
from settlement.chain.exchange import Exchange, Token
from settlement.chain.keystore import write_throwaway
from settlement.chain.operator import ClearedSession
from settlement.chain.sign import Signer
from settlement.reference.flexible import SignedFlexible
from settlement.reference.session import SessionParams
from settlement.reports.facts import CLEAR, SETTLE, DayFacts, Incident, PhaseFact, Series

OPERATOR_DEPOSIT_NANO = 2_000 * 10**9
HOME_DEPOSIT_NANO = 200 * 10**9
SUPPLIER_DEPOSIT_NANO = 20_000 * 10**9


@dataclass
class CommunityDay:
    """One day under way."""

    plan: Plan
    cast: Cast
    measured: Community
    chain: MeasuredChain
    clock: Clock
    rpc: str
    """http address of a node, for the API."""
    moved_weeks: int = 0
    """How long after they were measured the homes' days are delivered."""
    oracle_chain: MeasuredChain | None = None
    """The node of whoever posts and settles; the operator's if there is no other."""
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
        self._open = ExitStack()

    def close(self) -> None:
        """Stops the API, if it runs."""
        self._open.close()

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """What is sent and how long it takes counts for this phase."""
        start, self.chain.account.phase = time.perf_counter(), name
        self.chain.spent.setdefault(name, [0, 0, 0])
        yield
        self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - start

    # Register -------------------------------------------------------------------------------------------

    def deploy(self) -> None:
        """The contracts, who may do what, and the API beside them."""
        currency = ("Trellis demo dollar", "TDD")
        with self.phase("deploy"):
            admin = self.cast.admin
            found = deploy.deploy(self.chain, admin, Terms(WINDOW_LENGTH_S, currency=currency))
            self.exchange, self.token = Exchange(self.chain, found), Token(self.chain, found)
            for role, who in self._rights().items():
                deploy.grant(self.chain, admin, found, role, [signer.address for signer in who])
        self._serve()

    def _serve(self) -> None:
        """The API over the chain, by the chain's clock, until the day is closed."""
        folder = Path(self._open.enter_context(TemporaryDirectory(prefix="trellis-demo-")))
        deployment, time_ = self.exchange.deployment, ChainTime()
        time_.tell(self.chain.now())
        self.clock = ToldClock(self.clock, self.chain, time_.tell)
        receipts = write_throwaway(folder, self.cast.receipts)
        relay = write_throwaway(folder, self.cast.relay)
        self.api = self._open.enter_context(
            local_api(
                self.rpc,
                self.chain.chain_id,
                deployment.exchange,
                folder,
                time_,
                from_block=deployment.block,
                receipt_key_file=receipts,
                relay_key_file=relay,
            )
        )
        self.agents = self._open.enter_context(Agents(self.cast, self.api))

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
            self._grant_key()

    def _grant_key(self) -> None:
        """One home's owner lets an agent sign orders, by a key that ends when the day begins. The API's relay
        sends it.
        """
        scope = KeyScope(2 * CONNECTION_W, HOME_DEPOSIT_NANO, self.plan.starts_at)
        self.chain.count_in(self.agents.grant_key(scope, self.chain.block_number()))

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

    @property
    def decisions(self) -> Decisions:
        """What everyone's agent wants."""
        return Decisions(self.plan, self.cast, self.measured, self.tariff, self.today.windows)

    def order(self) -> None:
        """Opens the day and its session; everyone's agent signs, and brings its orders to the API."""
        day, windows = self.plan.first_window, self.today.windows
        with self.phase("open and sign"):
            self.exchange.open_day(self.cast.operator, day, windows, self.grid_version)
            self.session = operator.open_session(self.exchange, self.cast.operator, self.params())
            self.agents.trade(self.decisions, self.session.epoch, self.chain.block_number())
            self.incidents.append(self.agents.forge(self.decisions, self.session.epoch))

    def params(self) -> SessionParams:
        """One session over the whole day."""
        return self.plan.session(
            self.today.windows,
            self.grid_version,
            self.imbalance_prices,
            self.cast.receipts.address,
            2 * len(self.cast.members),
        )

    # Clear ----------------------------------------------------------------------------------------------

    def clear(self) -> ClearedSession:
        """From the gate to the proof; the operator clears what the API wrote down until then."""
        exchange, sender, session = self.exchange, self.cast.operator, self.session
        self.clock.advance_to(session.params.gate)
        with self.phase("commit"):
            taken = sealed_orders(self.api.settings, session, int(self.api.time()))
            sealed = self.sealed = operator.seal(exchange, session, taken)
            steps = operator.commit(exchange, sender, session, sealed)
        with self.phase(CLEAR):
            prepared = operator.prepare(exchange, session, sealed)
            steps.append(operator.post_header(exchange, sender, prepared))
            found = operator.progress(exchange, prepared)
            steps += operator.clear_and_close(exchange, sender, prepared, found)
        self.cleared = operator.outcome(prepared, steps)
        self.agents.read_fills(session.epoch, self.chain.block_number())
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
            exchange = self._oracles_exchange()
            for posted in self.posted:
                settler.post(exchange, self.cast.oracles[0], posted.signed)
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
            self.run = settler.DayRun(self._oracles_exchange(), self.cast.oracles[0], postings)
            self.run.settle()
        with self.phase("certify"):
            self.run.certify()
        self.chain.wait_for_block(self.run.exchange.chain.block_number())
        self.read_bills()

    def read_bills(self) -> None:
        """Everyone asks the API what the day cost it so far."""
        self.agents.read_bills(self.plan.first_window, self.chain.block_number())

    def _oracles_exchange(self) -> Exchange:
        """As the posting oracle's node has it, once that has all that the operator's has."""
        if self.oracle_chain is None:
            return self.exchange
        self.oracle_chain.wait_for_block(self.chain.block_number())
        return Exchange(self.oracle_chain, self.exchange.deployment)

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
            exchange=to_checksum_address(exchange.address),
            market=collect.market(exchange, self.cleared, QUALITIES, postings[0], self._outside()),
            members=collect.members(self.cast),
            orders=collect.orders(exchange, self.session, self.sealed, told),
            accounts=collect.accounts(exchange, self.cast, postings, told, self.run),
            phases=self.phases(),
            incidents=tuple(self.incidents),
            notes=self._notes(),
            streets=self.plan.street_facts,
            told=self.agents.told(),
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
        """What the reader must not take for measured, and who signed for whom."""
        key = (
            f"The agent of {self.agents.keyed.name} signed its orders with a session key, which its owner "
            "had granted through the API's relay; the owner's own key signed none.",
        )
        cars = (agents.CARS_ASSUMED,) if self.plan.cars else ()
        if not self.moved_weeks:
            return (*key, *cars)
        measured = self.plan.day - timedelta(weeks=self.moved_weeks)
        told = f"The homes were measured on {measured}; the chain's day is the same day of a later week."
        return (told, *key, *cars)

    def phases(self) -> tuple[PhaseFact, ...]:
        """What each phase sent, and how long it took."""
        found = []
        for name, seconds in self.seconds.items():
            transactions, gas, size = self.chain.spent[name]
            found.append(PhaseFact(name, transactions, gas, size, seconds))
        return tuple(found)
