"""Random sessions over trees of zones: orders of both kinds, beneficiaries, congestion; cleared honestly.

A tree session is drawn from a seed, prepared as an operator would, and brought to a reference Exchange step
by step, so that a test can change any of it on the way.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import coincurve
import reference_world as world

from settlement.chain import books, prepared
from settlement.chain.books import SealedBook, Session
from settlement.chain.exchange import Account
from settlement.chain.prepared import Prepared
from settlement.reference.accounts import BALANCING_PARTY, NETWORK_OPERATOR, OPERATOR, PROSUMER, Cash, Member
from settlement.reference.clearing import Carry, Header
from settlement.reference.closing import ClosedZone
from settlement.reference.exchange import Exchange
from settlement.reference.flexible import FlexibleSchedule, SignedFlexible
from settlement.reference.orders import Order, SignedOrder, encode_all, order_hash, signed_hash
from settlement.reference.product_id import ENERGY
from settlement.reference.record import BUY, NO_ADDRESS
from settlement.reference.schedule import Schedule, SignedSchedule
from settlement.reference.session import NO_PARENT, UNLIMITED_WH, Grid, SessionParams
from settlement.reference.session_key import KeyRing

DAY, WINDOW_LENGTH = world.DAY, world.WINDOW_LENGTH
OPENING, GATE, DAY_END = world.OPENING, world.GATE, world.DAY_END
RICH = world.RICH

QUALITY_SETS = {
    1: ((0,), ()),
    2: ((0, 3), (1, 0)),
    3: ((0, 3, 11), (1, 0, 2, 1)),
}
MOST_ZONES, HOMES = 6, 4
"""Homes a zone."""
BALANCER, NETWORK, MARKET = world.BALANCER, world.key_of(3), world.OPERATOR_KEY
HOME_KEYS = [world.key_of(1000 + number) for number in range(MOST_ZONES * HOMES)]
KEYS = {world.address_of(key): key for key in [BALANCER, NETWORK, MARKET, *HOME_KEYS]}
BALANCING_ADDRESS, NETWORK_ADDRESS = world.address_of(BALANCER), world.address_of(NETWORK)


def home(zone: int, number: int) -> bytes:
    """The address of a zone's home."""
    return world.address_of(HOME_KEYS[zone * HOMES + number])


def members(zones: int) -> dict[bytes, Member]:
    """Everyone by address."""
    found = {
        BALANCING_ADDRESS: Member(BALANCING_PARTY, 0, 15, 2**30 - 1, wide=True),
        NETWORK_ADDRESS: Member(NETWORK_OPERATOR, 0, 15, 2**30 - 1, wide=True),
        world.address_of(MARKET): Member(OPERATOR),
    }
    for zone in range(zones):
        for number in range(HOMES):
            wide, quality = number == 3, (15, 15, 3, 15)[number]
            found[home(zone, number)] = Member(PROSUMER, zone, quality, 20_000, wide=wide)
    return found


def draw_grid(dice: random.Random, zones: int | None = None) -> Grid:
    """A tree numbered breadth first; about half of the lines are tight."""
    count = dice.randint(1, MOST_ZONES) if zones is None else zones
    codes, pairs = QUALITY_SETS[dice.randint(1, 3)]
    parents, last = [NO_PARENT], 0
    for zone in range(1, count):
        last = dice.randint(last, zone - 1)
        parents.append(last)
    charges = [0] + [dice.choice((1, 800, dice.randint(1, 40_000))) for _ in range(1, count)]
    tight = [
        UNLIMITED_WH if dice.random() < 0.3 else dice.choice((0, dice.randint(1, 3000))) for _ in parents
    ]
    return Grid(codes, pairs, tuple(parents), tuple(charges), (UNLIMITED_WH, *tight[1:]))


def make_exchange(
    grid: Grid, windows: int, deposit: int = RICH, place: tuple[int, bytes] | None = None
) -> Exchange:
    """Everyone registered and rich; a day open. `place` is a chain and an address, if not the usual ones."""
    oracles = frozenset(world.address_of(key) for key in world.ORACLES)
    chain_id, contract = place or (world.CHAIN_ID, world.CONTRACT)
    exchange = Exchange(chain_id, contract, WINDOW_LENGTH, oracles, quorum=2)
    for address, member in members(grid.zones).items():
        exchange.register(OPENING, address, member)
        if member.role != OPERATOR and deposit:
            exchange.deposit(OPENING, address, deposit)
    exchange.open_day(DAY, windows, exchange.add_grid(grid))
    return exchange


# Orders -------------------------------------------------------------------------------------------------

LIMITS = (100_000, 150_000, 150_000, 150_001, 200_000, 250_000)
QUANTITIES = (0, 1, 3, 700, 700, 1000, 2999)

RANGES = ((-2_000_000, 6_000_000), (150_000, 200_000), (-40_000_000, 150_001), (150_001, 150_001), (-7, -5))
"""Floors and caps: all limits fit, some are cut, most are alike, all lie below zero."""


def draw_range(dice: random.Random) -> dict[str, int]:
    """Mostly the usual floor and cap."""
    floor, cap = dice.choice((RANGES[0], *RANGES))
    return {"floor": floor, "cap": cap}


def draw_limit(dice: random.Random, params: SessionParams) -> int:
    """One that the session allows."""
    return max(params.floor, min(params.cap, dice.choice(LIMITS)))


def draw_orders(dice: random.Random, session: Session, count: int) -> list[Order]:
    """Orders of homes in their own zone (seldom in another), plain and flexible."""
    return [draw_order(dice, session, nonce) for nonce in range(count)]


def draw_order(dice: random.Random, session: Session, nonce: int) -> Order:
    zone = dice.randrange(session.grid.zones)
    trader = home(zone, dice.randrange(HOMES))
    if dice.random() < 0.05:
        zone = dice.randrange(session.grid.zones)
    side = dice.randrange(2)
    if session.params.kind != ENERGY and dice.random() < 0.3:
        trader, zone, side = NETWORK_ADDRESS, 0, BUY
    first = dice.randrange(session.params.windows)
    count = dice.randint(1, session.params.windows - first)
    common = {
        "trader": trader,
        "session": session.id,
        "zone": zone,
        "side": side,
        "kind": session.params.kind,
        "first_window": session.params.first_window + first,
        "nonce": nonce,
        "beneficiary": draw_beneficiary(dice, session) if side and dice.random() < 0.2 else NO_ADDRESS,
        "replaces": dice.choice((bytes(32), b"\x05" * 32)),
    }
    if dice.random() < 0.25:
        energy, most = dice.randint(1, 5000), dice.randint(1, 2500)
        limit = draw_limit(dice, session.params)
        return FlexibleSchedule(
            **common, windows=count, energy_wh=energy, max_wh_per_window=most, limit_micro_per_kwh=limit
        )
    return Schedule(
        **common,
        quality=dice.choice(session.grid.qualities),
        quantity_wh=tuple(dice.choice(QUANTITIES) for _ in range(count)),
        limit_micro_per_kwh=tuple(draw_limit(dice, session.params) for _ in range(count)),
    )


def draw_beneficiary(dice: random.Random, session: Session) -> bytes:
    """Mostly somebody who may earn."""
    known = home(dice.randrange(session.grid.zones), dice.randrange(HOMES))
    return dice.choice((known, known, BALANCING_ADDRESS, NETWORK_ADDRESS, b"\x09" * 20))


def sign(separator: bytes, order: Order, key: coincurve.PrivateKey | None = None) -> SignedOrder:
    signature = world.sign_digest(key or KEYS[order.trader], order_hash(separator, order))
    if isinstance(order, FlexibleSchedule):
        return SignedFlexible(order, signature, (0,) * order.windows)
    return SignedSchedule(order, signature)


# An honest operator -------------------------------------------------------------------------------------


def accounts_of(exchange: Exchange, now: int, addresses: Iterable[bytes]) -> dict[bytes, Account]:
    """As the chain would tell them."""
    found = {}
    for address in addresses:
        request = exchange.state.requests.get(address)
        withdrawing = (request.amount_nano, request.epoch) if request else (0, 0)
        member = exchange.state.members.get(address)
        cash = exchange.cash(now, address) if member else Cash()
        found[address] = Account(member, cash, withdrawing)
    return found


def prepare(exchange: Exchange, session: Session, given: Sequence[SignedOrder], now: int = GATE) -> Prepared:
    """What an honest operator posts for these orders."""
    known, ring = exchange.state.members, ring_of(exchange, now)
    sealed: SealedBook = books.seal(exchange.separator, session, given, known, ring)
    accounts = accounts_of(exchange, now, sealed.accounts())
    return prepared.prepare(session, sealed, books.judge(session, sealed, accounts, ring))


def ring_of(exchange: Exchange, now: int) -> KeyRing:
    """Session keys as the chain would tell them."""
    keys = exchange.state.keys
    return KeyRing(dict(keys), {place: exchange.key_use(now, *place) for place in keys})


@dataclass
class TreeSession:
    """A session over a tree, ready to be brought to its Exchange."""

    exchange: Exchange
    session: Session
    prepared: Prepared
    now: int = GATE
    """When everything is brought."""

    @property
    def id(self) -> bytes:
        return self.session.id

    def commit(self, batch: int = 3) -> None:
        books_ = self.prepared.sealed.commitments
        for at in range(0, len(books_), batch):
            world.commit(self.exchange, self.now, self.id, *books_[at : at + batch])

    def post_header(self) -> None:
        self.exchange.post_header(self.now, self.id, self.prepared.header)

    def clear_zone(self, zone: int, chunk: int = 4) -> Carry | None:
        """All chunks of a zone."""
        own, carry = self.prepared.zones[zone], None
        for at in range(0, len(own.orders), chunk):
            records = encode_all(own.orders[at : at + chunk])
            carry = self.exchange.clear(
                self.now, self.id, zone, self.prepared.header, own.posting, carry, records
            )
        return carry

    def close_zone(
        self, zone: int, carry: Carry | None, children: Sequence[ClosedZone], last: bool
    ) -> ClosedZone:
        args = (self.now, self.id, zone, self.prepared.header, self.prepared.zones[zone].posting, carry)
        return self.exchange.close_zone(*args, children, self.flows_at(zone, last))

    def join(self, zone: int, own: ClosedZone, children: Sequence[ClosedZone], last: bool) -> ClosedZone:
        header = self.prepared.header if zone == 0 and last else Header(())
        return self.exchange.join_children(
            self.now, self.id, zone, own, children, header, self.flows_at(zone, last)
        )

    def flows_at(self, zone: int, last: bool) -> Sequence[int]:
        return self.prepared.flows if zone == 0 and last else ()

    def bring(self, chunk: int = 4, batch: int = 2) -> dict[int, ClosedZone]:
        """Everything, from the commitment to the proof; children are joined in batches."""
        self.commit()
        self.post_header()
        closed: dict[int, ClosedZone] = {}
        for zone in reversed(range(self.session.grid.zones)):
            self.bring_zone(zone, closed, chunk, batch)
        return closed

    def bring_zone(self, zone: int, closed: dict[int, ClosedZone], chunk: int = 4, batch: int = 2) -> None:
        below = list(self.session.grid.children(zone))
        cuts = [below[at : at + batch] for at in range(0, len(below), batch)] or [[]]
        carry = self.clear_zone(zone, chunk)
        first = [closed[child] for child in cuts[0]]
        own = self.close_zone(zone, carry, first, last=len(cuts) == 1)
        for number, cut in enumerate(cuts[1:], start=2):
            own = self.join(zone, own, [closed[child] for child in cut], last=number == len(cuts))
        closed[zone] = own


def open_session(exchange: Exchange, grid: Grid, **changes: Any) -> Session:
    params = world.make_params(**changes)
    session = exchange.open_session(OPENING, params)
    return Session(exchange.session(session).epoch, params, grid)


def draw(seed: int, zones: int | None = None, count: int | None = None, **changes: Any) -> TreeSession:
    """A random tree session."""
    dice = random.Random(seed)
    grid, windows = draw_grid(dice, zones), dice.randint(1, world.WINDOWS)
    exchange = make_exchange(grid, world.WINDOWS)
    session = open_session(exchange, grid, windows=windows, **changes)
    number = dice.randint(0, 40) if count is None else count
    told = [sign(exchange.separator, order) for order in draw_orders(dice, session, number)]
    return TreeSession(exchange, session, prepare(exchange, session, acceptable(exchange, session, told)))


def acceptable(exchange: Exchange, session: Session, given: Sequence[SignedOrder]) -> list[SignedOrder]:
    """Without those that a sealing operator leaves out."""
    kept = {signed_hash(exchange.separator, one)[0]: one for one in given}
    known, ring = exchange.state.members, ring_of(exchange, GATE)
    while True:
        try:
            books.seal(exchange.separator, session, list(kept.values()), known, ring)
        except books.UnacceptableOrder as refusal:
            del kept[refusal.order_hash]
        else:
            return list(kept.values())


def moved(potential: Any, name: str, by: int) -> Any:
    return replace(potential, **{name: getattr(potential, name) + by})
