"""What a home's own agent signs for tomorrow, from the home's own past days alone.

    past days ─┬─ forecast ─┬─ scenarios ─┬─ surplus: sold in the top carbon band, as produced (quality 7)
               └─ errors ───┘             └─ need: bought, of any band (quality 0) or low-carbon (quality 5)

The agent forecasts tomorrow, and each of its last days as it would have the day before; the errors it would
have made turn one forecast into as many scenarios. It signs for what comes true in a given share of them, its
*confidence*. A kWh that is bought and not drawn is sold back at the feed-in price, so that the last one is
just worth while at

    bid = feed-in + spread x confidence             it is needed in that share of scenarios
    ask = feed-in + spread x (1 - confidence)       and there to be delivered in that share

What is sold as produced and does not come costs its seller nothing but the sale: whoever bought it gets the
money back and pays retail instead. So an agent could offer all that might be there. This one offers no more,
and asks no less, than if it had to buy at retail what is missing: its neighbours rely on it.

Limits lie between feed-in and retail, at which the supplier buys and sells everything. Confidence differs by
home and a little by hour, drawn from the seed. A low-carbon home bids half-way from there to retail for solar
energy. By night only the supplier sells: an agent then bids retail, for part of what it needs in every
scenario.

One order a side and quality covers all windows of the day. A low-carbon home buys low-carbon energy in the
windows in which its forecast has sun, and any energy in the others: by night nothing of quality 5 is on
offer, and an order for it would only leave the home uncovered. It never signs for both in one window, for
both could fill. What a home wants and does not get, it draws as imbalance, at the supplier's price. A home
with no generation worth the name cannot tell the sun from its own past and goes by an almanac: highest at
noon, none before six and after six.

A car (assumed, the data have none) is charged by night with one flexible order: so much energy until seven,
so much at most in an hour, whenever it is cheapest. Its limit lies a little above the dearest retail price of
the night. At that price itself an order gains nothing by being filled, so that it could be left out; with a
little more it outbids homes, which can always draw, where a line is full.

Pure: integers only, no clock, no chain, and no randomness but a hash of the seed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from oracle.forecasts import forecast_load, forecast_pv
from settlement.errors import InputError
from settlement.reference.flexible import FlexibleSchedule
from settlement.reference.product_id import ENERGY
from settlement.reference.schedule import BUY, SELL, Schedule
from settlement.units import floor_div

Wh = npt.NDArray[np.int64]

ANY, LOW_CARBON, SOLAR, FIRM = 0, 5, 7, 8
"""Quality codes: any energy; at most 50 g/kWh, and without emissions, both as produced; firm, of any band."""
QUALITIES = (ANY, LOW_CARBON, SOLAR, FIRM)
SUBSTITUTIONS = ((2, 1), (1, 0), (3, 0))
"""By position in `QUALITIES`: solar serves low-carbon, and that and firm serve any."""

PER_MILLE = 1000
SUNNY = 50
"""Per mille of the day's highest generation from which a window has sun."""
PV_WORTH_THE_NAME_WH = 100
"""Of the best window; below, a home goes by the almanac."""
CONFIDENCE = (600, 850)
"""Per mille of the scenarios in which homes want to be right, both included."""
CONFIDENCE_BY_HOUR = 50
"""How far that differs by hour, per mille, either way."""
SCENARIOS = 28
PAST_DAYS = 42
"""What an agent should be given: enough for a forecast before each of the days it learns from."""
SURE_PART = (3, 4)
"""By night, of what is needed in every scenario: a home gains nothing by buying ahead at retail but cover."""
CAR_NEED_WH = (5_000, 12_000)
"""What a car wants to charge in a night, both included, in steps of `CAR_STEP_WH`."""
CAR_STEP_WH = 100
CAR_MOST_WH = 3_600
"""In an hour."""
CAR_HOURS = 7
"""From midnight."""
CARS_ASSUMED = (
    "Cars are assumed, not measured: the data have none. Each wants an amount that follows from the seed; "
    "what its order filled is what it charges, added to the home's metered load."
)
CAR_PREMIUM = 20_000
"""How far its limit lies above the dearest retail price of those hours, micro/kWh."""
LOW_CARBON_HOMES = 3
"""One home in so many buys low-carbon energy, rounded up."""


@dataclass(frozen=True, slots=True)
class Tariff:
    """What energy costs without a market, micro/kWh in each window."""

    retail: tuple[int, ...]
    """At which the supplier sells."""
    feed_in: tuple[int, ...]
    """At which it buys."""

    def __post_init__(self) -> None:
        if len(self.retail) != len(self.feed_in):
            raise InputError(f"a tariff has {len(self.retail)} retail and {len(self.feed_in)} feed-in prices")
        for window, (low, high) in enumerate(zip(self.feed_in, self.retail, strict=True)):
            if low > high:
                raise InputError(
                    f"the feed-in price {low} of window {window} is above the retail price {high}"
                )

    @property
    def windows(self) -> int:
        return len(self.retail)


@dataclass(frozen=True, eq=False)
class Past:
    """All that an agent knows of its home: whole days, oldest first."""

    load_wh: Wh
    """(D, W)."""
    pv_wh: Wh
    """(D, W)."""
    weekdays: npt.NDArray[np.int64]
    """(D,), Monday 0."""


@dataclass(frozen=True, slots=True)
class Character:
    """What makes one home's agent differ from another's."""

    confidence: tuple[int, ...]
    """Per mille of its scenarios in which what it signs for in each window comes true."""
    low_carbon: bool = False


@dataclass(frozen=True, slots=True)
class Order:
    """A schedule before it has a session and a trader."""

    side: int
    quality: int
    quantity_wh: tuple[int, ...]
    limit_micro_per_kwh: tuple[int, ...]


# Characters ---------------------------------------------------------------------------------------------


def draw(bound: int, *label: object) -> int:
    """A number from 0 to `bound - 1` that follows from the label alone, the same on every machine."""
    digest = hashlib.sha256("/".join(map(str, ("trellis", *label))).encode()).digest()
    return int.from_bytes(digest, "big") % bound


def low_carbon_homes(seed: int, numbers: Iterable[int]) -> frozenset[int]:
    """Which of the homes buy low-carbon energy: always at least one."""
    ranked = sorted(numbers, key=lambda number: (draw(1 << 64, seed, "low-carbon", number), number))
    return frozenset(ranked[: -(-len(ranked) // LOW_CARBON_HOMES)])


def character(seed: int, number: int, windows: int, low_carbon: bool = False) -> Character:
    """How sure the home wants to be."""
    low, high = CONFIDENCE
    base = low + draw(high - low + 1, seed, "confidence", number) - CONFIDENCE_BY_HOUR
    by_hour = 2 * CONFIDENCE_BY_HOUR + 1
    hours = tuple(base + draw(by_hour, seed, "confidence", number, window) for window in range(windows))
    return Character(hours, low_carbon)


# Orders -------------------------------------------------------------------------------------------------


def home_orders(past: Past, weekday: int, tariff: Tariff, agent: Character) -> tuple[Order, ...]:
    """The home's orders for a day that falls on `weekday`: at most one a side and quality, none empty."""
    if past.load_wh.shape[1:] != (tariff.windows,) or len(agent.confidence) != tariff.windows:
        raise InputError(f"the tariff has {tariff.windows} windows, the home's past {past.load_wh.shape[1:]}")
    sun = sun_of(forecast_pv(past.pv_wh))
    position = scenarios(past, weekday)
    confidence = np.array(agent.confidence)
    need = np.where(sun > 0, reached(-position, confidence), sure_part(-position))
    surplus = reached(position, confidence)
    green = (sun > 0) & agent.low_carbon
    bids, asks = _limits(tariff, sun, agent)
    orders = (
        _order(BUY, ANY, np.where(green, 0, need), bids),
        _order(BUY, LOW_CARBON, np.where(green, need, 0), bids),
        _order(SELL, SOLAR, surplus, asks),
    )
    return tuple(order for order in orders if any(order.quantity_wh))


def scenarios(past: Past, weekday: int) -> Wh:
    """(S, W) what the home may have to sell (or, negative, need) tomorrow: the forecast with the errors that
    it would have made for each of the last days; the forecast alone where there is but one past day.
    """
    load, pv = _forecast(past, len(past.load_wh), weekday)
    learnt = range(max(1, len(past.load_wh) - SCENARIOS), len(past.load_wh))
    errors = [_errors(past, day) for day in learnt] or [(np.zeros_like(load), np.zeros_like(pv))]
    loads = np.stack([np.maximum(0, load + off) for off, _ in errors])
    pvs = np.stack([np.where(pv > 0, np.maximum(0, pv + off), 0) for _, off in errors])
    position: Wh = pvs - loads
    return position


def _forecast(past: Past, days: int, weekday: int) -> tuple[Wh, Wh]:
    """Load and generation (W,) of the day after the first `days` days."""
    load = forecast_load(past.load_wh[:days], past.weekdays[:days], weekday)
    return load, forecast_pv(past.pv_wh[:days])


def _errors(past: Past, day: int) -> tuple[Wh, Wh]:
    """Actual less forecast of a past day, load and generation (W,)."""
    load, pv = _forecast(past, day, int(past.weekdays[day]))
    return past.load_wh[day] - load, past.pv_wh[day] - pv


def reached(amounts: Wh, confidence: Wh) -> Wh:
    """(W,) the most, but not below 0, that `confidence` (W,), per mille, of the scenarios (S, W) reach."""
    highest_first = -np.sort(-amounts, axis=0)
    place = floor_div(len(amounts) * confidence + PER_MILLE - 1, PER_MILLE) - 1
    found = np.take_along_axis(highest_first, np.maximum(0, place)[None, :], axis=0)[0]
    most: Wh = np.maximum(0, found)
    return most


def sure_part(amounts: Wh) -> Wh:
    """(W,) `SURE_PART` of what every scenario (S, W) reaches."""
    part, whole = SURE_PART
    least: Wh = np.maximum(0, amounts.min(axis=0))
    return floor_div(least * part, whole)


def _limits(tariff: Tariff, sun: Wh, agent: Character) -> tuple[list[int], list[int]]:
    """What it pays at most and takes at least, micro/kWh in each window."""
    bids, asks = [], []
    for w, (retail, feed_in) in enumerate(zip(tariff.retail, tariff.feed_in, strict=True)):
        sure = agent.confidence[w]
        wanted = floor_div(sure + PER_MILLE, 2) if agent.low_carbon else sure
        bids.append(feed_in + floor_div((retail - feed_in) * wanted, PER_MILLE) if sun[w] else retail)
        asks.append(retail - floor_div((retail - feed_in) * sure, PER_MILLE))
    return bids, asks


def sun_of(pv_wh: Wh) -> Wh:
    """(W,) how high the sun stands, per mille of its highest in the forecast generation (W,)."""
    highest = int(pv_wh.max(initial=0))
    if highest < PV_WORTH_THE_NAME_WH:
        return almanac(len(pv_wh))
    sun = floor_div(pv_wh * PER_MILLE, highest)
    return np.where(sun >= SUNNY, sun, 0)


def almanac(windows: int) -> Wh:
    """(W,) a parabola over the half of the day around noon, per mille at the middle of each window."""
    from_noon = 2 * np.arange(windows, dtype=np.int64) + 1 - windows  # noon 0, midnight +-windows
    height = PER_MILLE - floor_div(4 * PER_MILLE * from_noon**2, windows**2)
    return np.where(height >= SUNNY, height, 0)


def _order(side: int, quality: int, quantity_wh: Wh, limits: Sequence[int]) -> Order:
    return Order(side, quality, tuple(int(wh) for wh in quantity_wh), tuple(limits))


def supplier_orders(tariff: Tariff, ample_wh: int) -> tuple[Order, Order]:
    """The balancing party takes and gives anything at the tariff: firm energy of no stated band at the retail
    price, any energy at the feed-in price, `ample_wh` of each in every window.
    """
    ample = (ample_wh,) * tariff.windows
    return Order(BUY, ANY, ample, tariff.feed_in), Order(SELL, FIRM, ample, tariff.retail)


def substation_tariff(tariff: Tariff, line_charge: int) -> Tariff:
    """What the supplier asks and pays at the substation: the tariff is for energy at a home, so the street's
    line is in it (micro/kWh).
    """
    retail = tuple(price - line_charge for price in tariff.retail)
    return Tariff(retail, tuple(price + line_charge for price in tariff.feed_in))


# Cars ---------------------------------------------------------------------------------------------------


def car_need_wh(seed: int, number: int) -> int:
    """What the car of a home wants to charge."""
    least, most = CAR_NEED_WH
    steps = (most - least) // CAR_STEP_WH + 1
    return least + CAR_STEP_WH * draw(steps, seed, "car", number)


def car_limit(tariff: Tariff) -> int:
    """What a car pays at most, micro/kWh."""
    return max(tariff.retail[:CAR_HOURS]) + CAR_PREMIUM


def car_schedule(
    need_wh: int, tariff: Tariff, *, trader: bytes, session: bytes, first_window: int, zone: int, nonce: int
) -> FlexibleSchedule:
    """The message that the home signs for its car; `first_window` is the day's."""
    return FlexibleSchedule(
        trader=trader,
        session=session,
        zone=zone,
        side=BUY,
        kind=ENERGY,
        first_window=first_window,
        windows=CAR_HOURS,
        nonce=nonce,
        energy_wh=need_wh,
        max_wh_per_window=CAR_MOST_WH,
        limit_micro_per_kwh=car_limit(tariff),
    )


# Messages -----------------------------------------------------------------------------------------------


def to_schedules(
    orders: Sequence[Order], *, trader: bytes, session: bytes, first_window: int, zone: int = 0
) -> tuple[Schedule, ...]:
    """The messages that the trader signs; nonces count from 0."""
    return tuple(
        Schedule(
            trader=trader,
            session=session,
            zone=zone,
            side=order.side,
            kind=ENERGY,
            quality=order.quality,
            first_window=first_window,
            nonce=nonce,
            quantity_wh=order.quantity_wh,
            limit_micro_per_kwh=order.limit_micro_per_kwh,
        )
        for nonce, order in enumerate(orders)
    )
