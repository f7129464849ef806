"""A small world around the reference Exchange: members with keys, a grid of one zone, honest postings."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import coincurve

from settlement import matching
from settlement.reference import accounts, eip712, merkle, product_id, schedule
from settlement.reference.accounts import BALANCING_PARTY, OPERATOR, PROSUMER, Member
from settlement.reference.clearing import Carry, Header, ZonePosting
from settlement.reference.closing import Commitment
from settlement.reference.exchange import Exchange
from settlement.reference.exchange.events import ScheduleCleared
from settlement.reference.marginal import Marginal
from settlement.reference.orders import SignedOrder, encode_all, order_hash
from settlement.reference.potential import Potential
from settlement.reference.prices import RoundPrices
from settlement.reference.product_id import ProductId
from settlement.reference.schedule import Schedule, SignedSchedule
from settlement.reference.session import Grid, SessionParams, single_zone

CHAIN_ID = 1337
CONTRACT = bytes.fromhex("5fbdb2315678afecb367f032d93f642f64180aa3")
WINDOW_LENGTH = 1800
DAY = 960_000
WINDOWS = 4
OPENING = DAY * WINDOW_LENGTH - 86_400
GATE, COMMIT_BY, PROVE_BY = OPENING + 3600, OPENING + 3900, OPENING + 7200
CLAIM_BY = PROVE_BY + 5 * 86_400
DAY_END = (DAY + WINDOWS) * WINDOW_LENGTH
RICH = 10**15

QUALITIES = (0, 3, 11)
"""None, at most 200 g as produced, at most 200 g firm."""
GRID = single_zone(QUALITIES, [(1, 0), (2, 1)])


def key_of(number: int) -> coincurve.PrivateKey:
    """A key for tests, the same every time."""
    return coincurve.PrivateKey((0xACC0 + number).to_bytes(32, "big"))


def address_of(key: coincurve.PrivateKey) -> bytes:
    return eip712.keccak(key.public_key.format(compressed=False)[1:])[12:]


def sign_digest(key: coincurve.PrivateKey, digest: bytes) -> bytes:
    signature = key.sign_recoverable(digest, hasher=None)
    return signature[:64] + bytes([27 + signature[64]])


BALANCER, OPERATOR_KEY = key_of(1), key_of(2)
PROSUMERS = [key_of(10 + number) for number in range(6)]
ORACLES = [key_of(100 + number) for number in range(3)]
KEYS = {address_of(key): key for key in [BALANCER, OPERATOR_KEY, *PROSUMERS, *ORACLES]}
BALANCING_ADDRESS = address_of(BALANCER)
PROSUMER_ADDRESSES = [address_of(key) for key in PROSUMERS]


def make_params(**changes: Any) -> SessionParams:
    """A session over the whole day, cheap to cover."""
    base = SessionParams(
        kind=0,
        round=0,
        windows=WINDOWS,
        grid_version=1,
        day=DAY,
        first_window=DAY,
        gate=GATE,
        commit_by=COMMIT_BY,
        prove_by=PROVE_BY,
        floor=-2_000_000,
        cap=6_000_000,
        buy_reserve=100_000,
        sell_reserve=300_000,
        imbalance_min=-500_000,
        imbalance_max=900_000,
        max_orders=1000,
        max_submitted=10,
        bond_nano=0,
        claim_by=CLAIM_BY,
        receipt_signer=bytes(20),
        certificate_run=0,
    )
    return replace(base, **changes)


def make_exchange(grid: Grid = GRID, deposit: int = RICH) -> Exchange:
    """Everyone registered and, unless `deposit` is 0, rich; a day open."""
    oracles = frozenset(address_of(key) for key in ORACLES)
    exchange = Exchange(CHAIN_ID, CONTRACT, WINDOW_LENGTH, oracles, quorum=2)
    exchange.register(OPENING, BALANCING_ADDRESS, Member(BALANCING_PARTY, 0, 15, 2**30 - 1, wide=True))
    exchange.register(OPENING, address_of(OPERATOR_KEY), Member(OPERATOR))
    for address in PROSUMER_ADDRESSES:
        exchange.register(OPENING, address, Member(PROSUMER, 0, 15, 20_000))
    for address in [BALANCING_ADDRESS, *PROSUMER_ADDRESSES]:
        if deposit:
            exchange.deposit(OPENING, address, deposit)
    exchange.open_day(DAY, WINDOWS, exchange.add_grid(grid))
    return exchange


def make_schedule(session: bytes, trader: bytes, **changes: Any) -> Schedule:
    base = Schedule(
        trader=trader,
        session=session,
        zone=0,
        side=schedule.BUY,
        kind=0,
        quality=0,
        first_window=DAY,
        nonce=1,
        quantity_wh=(1000,),
        limit_micro_per_kwh=(200_000,),
    )
    return replace(base, **changes)


def sign(exchange: Exchange, order: Schedule) -> SignedSchedule:
    digest = order_hash(exchange.separator, order)
    return SignedSchedule(order, sign_digest(KEYS[order.trader], digest))


# What an honest operator posts --------------------------------------------------------------------------


@dataclass(frozen=True)
class Posted:
    """Everything an operator brings for one session of one zone."""

    orders: tuple[SignedSchedule, ...]
    """In ascending order of hash."""
    commitment: Commitment
    header: Header
    zone: ZonePosting
    flows: tuple[int, ...]


def hash_of(exchange: Exchange, order: SignedSchedule) -> bytes:
    return order_hash(exchange.separator, order.schedule)


def ascending(exchange: Exchange, orders: Sequence[SignedSchedule]) -> tuple[SignedSchedule, ...]:
    return tuple(sorted(orders, key=lambda order: hash_of(exchange, order)))


def book_of(grid: Grid, params: SessionParams, orders: Sequence[SignedSchedule]) -> matching.Book:
    """The matcher's rows of orders that are in ascending order of hash."""
    rows = [
        (
            rank,
            o.side,
            0,
            grid.qualities.index(o.quality),
            o.first_window + k - params.first_window,
            wh,
            limit,
        )
        for rank, o in enumerate(signed.schedule for signed in orders)
        for k, (wh, limit) in enumerate(zip(o.quantity_wh, o.limit_micro_per_kwh, strict=True))
    ]
    names = ("order", "side", "zone", "quality", "window", "quantity_wh", "limit")
    columns = zip(*rows, strict=True) if rows else ([] for _ in names)
    return matching.make_book(**dict(zip(names, columns, strict=True)))


def clear_book(grid: Grid, params: SessionParams, orders: Sequence[SignedSchedule]) -> matching.Clearing:
    market = matching.make_market(
        params.windows,
        qualities=len(grid.qualities),
        substitutions=grid.pairs(),
        floor=params.floor,
        cap=params.cap,
    )
    return matching.clear(book_of(grid, params, orders), market)


def potential(extremes: matching.Extremes, row: int, window: int) -> Potential:
    vectors = (extremes.low, extremes.high, extremes.rank_low, extremes.rank_high)
    return Potential(*(int(vector[row, window]) for vector in vectors))


def honest_posting(
    exchange: Exchange,
    session: bytes,
    orders: Sequence[SignedSchedule],
    refused: Sequence[SignedSchedule] = (),
) -> Posted:
    """The posting for `orders` and, committed too but filling zero, `refused`."""
    market = exchange.market(session)
    grid, params, windows = market.grid, market.params, range(market.windows)
    clearing = clear_book(grid, params, ascending(exchange, orders))
    everything = ascending(exchange, [*orders, *refused])
    leaves = [merkle.leaf_hash(hash_of(exchange, order)) for order in everything]
    qualities = range(market.qualities)
    header = Header(tuple(potential(clearing.quality, q, w) for q in qualities if q for w in windows))
    total, filled = clearing.marginal_wh[0].tolist(), clearing.filled_wh[0].tolist()
    zone = ZonePosting(
        tuple(potential(clearing.energy, 0, w) for w in windows),
        tuple(Marginal(tuple(total[q][w]), tuple(filled[q][w])) for q in qualities for w in windows),
    )
    flows = tuple(int(wh) for row in clearing.substituted_wh for wh in row)
    return Posted(everything, Commitment(len(leaves), merkle.root(leaves)), header, zone, flows)


def bring(exchange: Exchange, session: bytes, posted: Posted, chunk: int = 3) -> Carry | None:
    """Sends a posting up to its last chunk."""
    commit(exchange, GATE, session, posted.commitment)
    exchange.post_header(GATE, session, posted.header)
    carry = None
    for start in range(0, len(posted.orders), chunk):
        records = encode_all(posted.orders[start : start + chunk])
        carry = exchange.clear(GATE, session, 0, posted.header, posted.zone, carry, records)
    return carry


def prove(exchange: Exchange, session: bytes, posted: Posted, chunk: int = 3) -> None:
    """Sends a whole posting."""
    close(exchange, session, posted, bring(exchange, session, posted, chunk))


def set_aside(
    exchange: Exchange, orders: Mapping[bytes, SignedOrder], prices: Callable[[int], RoundPrices]
) -> int:
    """What is held of a session's fills and is nobody's cash: reserves, and the worth of what is paid on
    delivery. `prices` of a zone.
    """
    total = 0
    for event in [event for event in exchange.events if isinstance(event, ScheduleCleared)]:
        order, params = orders[event.order].schedule, exchange.session(event.session).params
        rate, filled = (params.buy_reserve, params.sell_reserve)[order.side], sum(event.filled_wh)
        if accounts.paid_on_delivery(exchange.member(order.trader), order):
            rate = params.delivery_reserve
            dense = exchange.market(event.session).grid.qualities.index(order.quality)
            for window, wh in enumerate(event.filled_wh, start=order.first_window - params.first_window):
                total += wh * prices(order.zone).price(dense, window)
        total += filled * rate
    return total


def commit(exchange: Exchange, now: int, session: bytes, *books: Commitment) -> None:
    """Commits to the books of the next zones."""
    exchange.commit_books(now, session, [one.count for one in books], [one.root for one in books])


def close(exchange: Exchange, session: bytes, posted: Posted, carry: Carry | None) -> None:
    """Closes the only zone, which proves the session."""
    exchange.close_zone(GATE, session, 0, posted.header, posted.zone, carry, (), posted.flows)


# A first trade ------------------------------------------------------------------------------------------

BUYER, SELLER, OTHER = PROSUMER_ADDRESSES[:3]


def opened(exchange: Exchange, **changes: int) -> bytes:
    return exchange.open_session(OPENING, make_params(**changes))


def trade(exchange: Exchange, session: bytes, quality: int = 3, wh: int = 1000) -> RoundPrices:
    """The buyer buys from the seller in the first window, at 150,000. What the round posted."""
    buy = make_schedule(session, BUYER, quality=quality, quantity_wh=(wh,), limit_micro_per_kwh=(200_000,))
    sell = make_schedule(
        session, SELLER, side=1, quality=quality, quantity_wh=(wh,), limit_micro_per_kwh=(100_000,)
    )
    posted = honest_posting(exchange, session, [sign(exchange, buy), sign(exchange, sell)])
    prove(exchange, session, posted)
    return RoundPrices(posted.zone.energy, posted.header.qualities)


def claim_id(quality: int = 3, window: int = DAY, **changes: int) -> int:
    return product_id.encode(replace(ProductId(window, WINDOW_LENGTH, 0, quality), **changes))
