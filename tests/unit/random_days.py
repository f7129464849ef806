"""Random days to their very end: trades of several rounds, shortfalls, defaults, later runs, challenges.

A day is drawn from a seed and lived on a reference Exchange. Every transaction is recorded with its time, its
arguments and its refusal, so that another implementation can be given the same.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from inspect import signature
from typing import Any, cast

import correction_world as made
import key_holders
import reference_world as world
import settling_world
import tree_world
from reference_world import DAY, WINDOW_LENGTH
from settling_world import Settler, round_prices
from tree_world import TreeSession

from settlement.chain.books import Session
from settlement.reference import posting
from settlement.reference.errors import PricesMissing, Refused
from settlement.reference.exchange import Exchange
from settlement.reference.exchange.metering import DEFAULT_AFTER_S
from settlement.reference.exchange.state import ChallengeStage
from settlement.reference.flexible import FlexibleSchedule
from settlement.reference.orders import Order
from settlement.reference.posting import ACTUAL, ESTIMATED, Entry
from settlement.reference.prices import RoundPrices
from settlement.reference.product_id import CLAIM, ENERGY, OBLIGATION, ProductId
from settlement.reference.record import BUY, NO_ADDRESS
from settlement.reference.session import Grid
from settlement.units import WH_LIMIT, floor_div

QUALITY_SETS = (
    ((0,), ()),
    ((0, 3), (1, 0)),
    ((0, 8), (1, 0)),
    ((0, 3, 11), (1, 0, 2, 1)),
    ((0, 3, 8, 11), (1, 0, 2, 0, 3, 1, 3, 2)),
)
"""Codes and substitutions of dense indices: as produced, firm, green, and all of them."""
BALANCING_ADDRESS = tree_world.BALANCING_ADDRESS
WINDOWS = 11
"""Of the day: neither whole words of four windows nor whole slots."""
DAY_END = (DAY + WINDOWS) * WINDOW_LENGTH
ROUND_LATER_S = 10_000
BIG = 50_000
BOND, POT = 3_000_000_000, 40_000_000_000


# Recording ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Step:
    """One transaction on the reference."""

    method: str
    """Of the reference Exchange."""
    args: tuple[Any, ...]
    """The time comes first, in most."""
    refused: str = ""
    """Name of the refusal, if it was refused."""


Mirror = Callable[[str, tuple[Any, ...]], tuple[int, str]]
"""Does the same elsewhere, at the time that comes first in the arguments or later: the time it was there, and
the name of the refusal, if it was refused.
"""


class Recorder:
    """An Exchange that remembers its transactions; if it has a mirror, both must do and refuse the same."""

    def __init__(self, exchange: Exchange, mirror: Mirror | None = None) -> None:
        self._exchange = exchange
        self._mirror = mirror
        self.steps: list[Step] = []

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._exchange, name)
        if not hasattr(found, "__wrapped__"):
            return found

        def transact(*args: Any) -> Any:
            if self._mirror is None:
                return here(*args)
            now, expected = self._mirror(name, args)
            timed = next(iter(signature(found).parameters)) == "now"
            try:
                return here(*((now, *args[1:]) if timed else args))
            finally:
                assert self.steps[-1].refused == expected, (name, self.steps[-1].refused, expected)

        def here(*args: Any) -> Any:
            try:
                result = found(*args)
            except Refused as refusal:
                self.steps.append(Step(name, args, type(refusal).__name__))
                raise
            self.steps.append(Step(name, args))
            return result

        return transact


# Trades -------------------------------------------------------------------------------------------------


def draw_grid(dice: random.Random) -> Grid:
    """A small tree with one of the quality sets."""
    codes, pairs = dice.choice(QUALITY_SETS)
    return replace(tree_world.draw_grid(dice, dice.randint(1, 3)), qualities=codes, substitutions=pairs)


def draw_order(dice: random.Random, session: Session, nonce: int, big: bool) -> Order:
    """Of a home, or one in six of the balancing party. On a big day wide accounts trade much, and cheaply."""
    order = tree_world.draw_order(dice, session, nonce)
    if dice.random() < 0.17:
        order = replace(order, trader=BALANCING_ADDRESS, zone=0, beneficiary=NO_ADDRESS)
    wide = order.trader in (BALANCING_ADDRESS, *wide_homes(session.grid.zones))
    return enlarged(order, BIG if wide else 1) if big else order


def crowded(dice: random.Random, session: Session, told: Sequence[Order]) -> list[Order]:
    """The same orders, but all of the best as-produced quality or the best firm, in the first window on, and
    so priced that most trade, below zero now and then: what is lacking there is shared by many.
    """
    down = dice.choice((0, 0, 0, 200))
    codes = [max(code for code in session.grid.qualities if code // 8 == firm) for firm in firmness(session)]
    found: list[Order] = []
    for order in told:
        if isinstance(order, FlexibleSchedule):
            order = replace(order, first_window=session.params.first_window)
        else:
            limits = tuple(100 * (order.side == BUY) + 50 - down for _ in order.quantity_wh)
            first, code = session.params.first_window, dice.choice(codes)
            order = replace(order, first_window=first, quality=code, limit_micro_per_kwh=limits)
        found.append(order)
    return found


def firmness(session: Session) -> set[int]:
    return {code // 8 for code in session.grid.qualities}


def wide_homes(zones: int) -> list[bytes]:
    return [tree_world.home(zone, 3) for zone in range(zones)]


def enlarged(order: Order, times: int) -> Order:
    """So many times the energy, at a thousandth of the price."""
    if isinstance(order, FlexibleSchedule):
        return replace(
            order,
            energy_wh=order.energy_wh * times,
            max_wh_per_window=order.max_wh_per_window * times,
            limit_micro_per_kwh=floor_div(order.limit_micro_per_kwh, 1000),
        )
    return replace(
        order,
        quantity_wh=tuple(wh * times for wh in order.quantity_wh),
        limit_micro_per_kwh=tuple(floor_div(limit, 1000) for limit in order.limit_micro_per_kwh),
    )


@dataclass
class Opened:
    """A day open for trade."""

    exchange: Exchange
    grid: Grid
    big: bool
    agents: random.Random
    """What they are granted, and sign."""
    prices: dict[int, list[RoundPrices]] = field(default_factory=dict)
    """Of its proved rounds, by zone."""

    def trade(self, dice: random.Random, number: int) -> None:
        """Opens a round, clears it, and proves it; one in eight is left unproved."""
        shift, windows = number * ROUND_LATER_S, dice.randint(2, WINDOWS)
        first = DAY + dice.randint(0, WINDOWS - windows)
        changes = {
            "round": number,
            "first_window": first,
            "windows": windows,
            "gate": world.GATE + shift,
            "commit_by": world.COMMIT_BY + shift,
            "prove_by": world.PROVE_BY + shift,
            "buy_reserve": 0 if self.big else dice.choice((0, 33_333, 100_000)),
            "sell_reserve": 7 if self.big else dice.choice((7, 300_000)),
        }
        exchange = self.exchange
        session = tree_world.open_session(exchange, self.grid, **changes)
        told = [draw_order(dice, session, nonce, self.big) for nonce in range(dice.choice((6, 20, 30)))]
        if dice.random() < 0.5:
            told = crowded(dice, session, told)
        key_holders.draw_keys(self.agents, exchange, session)
        signed = [key_holders.sign_by_some(self.agents, exchange, order) for order in told]
        orders = tree_world.acceptable(exchange, session, signed)
        now = session.params.gate
        prepared = tree_world.prepare(exchange, session, orders, now)
        tree = TreeSession(exchange, session, prepared, now)
        if dice.random() < 0.12:
            tree.commit()
            return
        tree.bring()
        for zone in range(self.grid.zones):
            brought = round_prices(prepared.header, prepared.zones[zone].posting)
            self.prices.setdefault(zone, []).append(brought)


Start = Callable[[Grid], tuple[Exchange, Mirror | None]]
"""An Exchange with everyone registered and rich, a day open over the grid; and its mirror."""


def alone(grid: Grid) -> tuple[Exchange, Mirror | None]:
    """The reference by itself."""
    return tree_world.make_exchange(grid, WINDOWS), None


def open_day(dice: random.Random, start: Start, agents: random.Random) -> tuple[Opened, Recorder]:
    """A day with everyone's meters registered and bonds set aside."""
    grid = draw_grid(dice)
    plain, mirror = start(grid)
    recorder = Recorder(plain, mirror)
    exchange = cast(Exchange, recorder)
    for account in homes_of(plain):
        key = made.key_of(made.secret_of(account))
        exchange.register_meter(world.OPENING, made.meter_of(account), account, *key)
    big = dice.random() < 0.3
    for account in wide_homes(grid.zones) if big else ():
        exchange.change_member(world.OPENING, account, 15, WH_LIMIT - 1, False)
    exchange.set_challenge_bond(dice.choice((0, BOND)))
    exchange.bond_oracles(world.OPENING, BALANCING_ADDRESS, POT)
    return Opened(exchange, grid, big, agents), recorder


def homes_of(exchange: Exchange) -> list[bytes]:
    return [
        a for zone in range(tree_world.MOST_ZONES) for a in settling_world.metered_accounts(exchange, zone)
    ]


# A zone's day -------------------------------------------------------------------------------------------


@dataclass
class Zone:
    """What oracles and participants know of a zone's day."""

    number: int
    metered: dict[bytes, list[int]]
    committed: made.Committed | None
    """None while nobody posted anything."""
    surplus: tuple[int, ...]
    deficit: tuple[int, ...]
    sequence: int = 1
    """Of the readings committed to."""
    parts: list[bytes] = field(default_factory=list)
    """As settled: entries, or accounts alone."""
    generations: dict[bytes, int] = field(default_factory=dict)
    """Which of its keys a meter has, where it is not the first."""


@dataclass
class Lived:
    """A day whose first run is over."""

    recorder: Recorder
    exchange: Exchange
    """The recorder, which stands for it."""
    settler: Settler
    zones: dict[int, Zone]
    now: int
    withheld: int
    """What sellers as produced were not paid at the proofs, nano."""

    def part_of(self, zone: int, account: bytes) -> int:
        parts = self.settler.parts[zone]
        return next(n for n, part in enumerate(parts) if account in [one for one, _ in part])

    def total(self) -> int:
        """Cash of all, everything that is set aside included."""
        return total(self.exchange, self.now)


def total(exchange: Exchange, now: int) -> int:
    state = exchange.state
    at_stake = sum(one.bond_nano for one in state.challenges.values() if one.stage is ChallengeStage.OPEN)
    return settling_world.total_cash(exchange, now) + state.pot + at_stake


def contracts_of(exchange: Exchange, account: bytes) -> tuple[list[int], list[int]]:
    """What an account sold and bought in each window, Wh."""
    zone, found = exchange.member(account).zone, ([0] * WINDOWS, [0] * WINDOWS)
    for number in range(len(exchange.state.epochs)):
        for code in exchange.grid_of(DAY).qualities:
            for window in range(WINDOWS):
                for place, side in enumerate((OBLIGATION, CLAIM)):
                    product = ProductId(DAY + window, WINDOW_LENGTH, zone, code, ENERGY, number, side)
                    found[place][window] += exchange.held(account, product)
    return found


def draw_metered(dice: random.Random, exchange: Exchange, account: bytes) -> list[int]:
    """About what was contracted, less, nothing, or anything."""
    mood, found = dice.random(), []
    for sold, bought in zip(*contracts_of(exchange, account), strict=True):
        if mood < 0.3:
            found.append(sold - bought)
        elif mood < 0.7:
            found.append(dice.randint(0, sold + 1) - dice.randint(0, bought + 1))
        else:
            extreme = dice.choice((1 - WH_LIMIT, WH_LIMIT - 1)) if dice.random() < 0.02 else 0
            found.append(dice.choice((0, sold, extreme or dice.randint(-4000, 4000))))
    return [max(1 - WH_LIMIT, min(WH_LIMIT - 1, wh)) for wh in found]


def draw_prices(dice: random.Random) -> tuple[tuple[int, ...], tuple[int, ...]]:
    low = tuple(dice.randrange(-200_000, 100_000) for _ in range(WINDOWS))
    return low, tuple(price + dice.choice((0, dice.randrange(300_000))) for price in low)


def draw_zone(dice: random.Random, exchange: Exchange, number: int) -> Zone:
    """A zone's day; one in six is posted by nobody."""
    accounts = settling_world.metered_accounts(exchange, number)
    metered = {account: draw_metered(dice, exchange, account) for account in accounts}
    flags = {account: dice.choice((ACTUAL, ACTUAL, ESTIMATED)) for account in accounts}
    prices = draw_prices(dice)
    if dice.random() < 1 / 6:
        return Zone(number, metered, None, *prices)
    return Zone(number, metered, made.commit_to(metered, flags), *prices)


def post_zones(exchange: Exchange, zones: Sequence[Zone], cuts: random.Random, per_part: int | None) -> int:
    """Posts every zone, those left out by default. The time by then."""
    now = DAY_END
    for zone in zones:
        if zone.committed is not None:
            entries = [
                Entry(account, flags_of(zone.committed, account), tuple(row))
                for account, row in zone.metered.items()
            ]
            size = per_part or cuts.randint(1, 4)
            message, zone.parts = settling_world.make_posting(
                zone.number, DAY, entries, size, zone.surplus, zone.deficit, 1, zone.committed.root
            )
            settling_world.post(exchange, now, message)
    for zone in [zone for zone in zones if zone.committed is None]:
        now, size, accounts = DAY_END + DEFAULT_AFTER_S, per_part or cuts.randint(1, 4), [*zone.metered]
        exchange.post_default(now, posting.default_posting(zone.number, DAY, WINDOWS, len(accounts)))
        zone.parts = [b"".join(accounts[at : at + size]) for at in range(0, len(accounts), size)]
    return now


def withheld_in(
    exchange: Exchange, prices: Mapping[int, tuple[RoundPrices, ...]], now: int, zone: int
) -> int:
    """What a zone's homes sold as produced is worth at the prices of its rounds, nano."""
    under, found = exchange.settlement_day(now, zone, DAY, prices.get(zone, ())), 0
    for account in settling_world.metered_accounts(exchange, zone):
        _, obligations = exchange.holdings(DAY, under, account)
        found += sum(wh * under.price(key) for key, wh in obligations.items() if key[1] < 8)
    return found


def flags_of(committed: made.Committed, account: bytes) -> tuple[int, ...]:
    return tuple(committed.flags[committed.at(account, window)] for window in range(WINDOWS))


def live(seed: int, per_part: int | None = None, start: Start = alone) -> Lived:
    """Trades, posts, settles and certifies. How parts are cut is drawn apart, or given."""
    dice, cuts = random.Random(seed), random.Random(seed + 1)
    opened, recorder = open_day(dice, start, random.Random(seed + 2))
    for number in range(dice.randint(1, 3)):
        opened.trade(dice, number)
    exchange = opened.exchange
    zones = [draw_zone(dice, exchange, number) for number in range(opened.grid.zones)]
    now = post_zones(exchange, zones, cuts, per_part)
    prices = {zone: tuple(rounds) for zone, rounds in opened.prices.items()}
    settler = Settler(exchange, now, DAY, prices)
    withheld = sum(map(partial(withheld_in, exchange, prices, now), range(opened.grid.zones)))
    for zone in zones:
        for part in zone.parts:
            with_or_without_prices(cuts, settler, zone.number, partial(settler.settle, zone.number, part))
    for zone in zones:
        for at in range(len(zone.parts)):
            with_or_without_prices(cuts, settler, zone.number, partial(settler.certify, zone.number, at))
    return Lived(recorder, exchange, settler, {zone.number: zone for zone in zones}, now, withheld)


def with_or_without_prices(
    cuts: random.Random, settler: Settler, zone: int, call: Callable[[], None]
) -> None:
    """Tries it without prices now and then; where something must be priced that is refused."""
    prices = settler.prices.get(zone, ())
    if cuts.random() < 0.3:
        settler.prices[zone] = ()
        try:
            call()
        except PricesMissing:
            settler.prices[zone] = prices
        else:
            settler.prices[zone] = prices
            return
    call()
