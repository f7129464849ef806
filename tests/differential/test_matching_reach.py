"""Every book that a session's floor and cap admit has potentials (docs/clearing.md, Floor and cap).

Small worlds whose limits are mostly floor and cap, where lines are closed or full. With the outer bounds
drawn in to what the session's check allows, each clears; TRELLIS_REACH_SEEDS tries more.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from itertools import product

import numpy as np
import pytest
from matching_cases import random_substitutions

from settlement.matching import (
    BUY,
    ROOT,
    SELL,
    UNLIMITED_WH,
    Book,
    FlexibleOrders,
    Market,
    OutOfRange,
    clear,
    make_book,
    make_flexible,
    make_market,
    prices,
)
from settlement.units import furthest_potential

BATCHES = 10
SEEDS_PER_BATCH = int(os.environ.get("TRELLIS_REACH_SEEDS", "300"))
LIMITS = ((-3, 3), (0, 5), (-5, 0), (2, 6), (-6, -4), (0, 1), (0, 60), (7, 7))
"""Floors and caps: around zero, beside it, far from it, alike."""


@dataclass(frozen=True)
class World:
    """What is cleared, and how far from 0 the session's check lets its potentials be."""

    book: Book
    market: Market
    flexible: FlexibleOrders
    furthest: int


def deepest_charge(market: Market) -> int:
    """Zones of these markets come after their parents."""
    charges = [0]
    for parent, charge in zip(market.parent[1:], market.charge[1:], strict=True):
        charges.append(charges[parent] + int(charge))
    return max(charges)


def random_world(seed: int) -> World:
    random = np.random.default_rng((seed, 2))
    zones, qualities, windows = (int(random.integers(1, most)) for most in (6, 6, 4))
    floor, cap = LIMITS[random.integers(0, len(LIMITS))]
    market = make_market(
        windows,
        parent=[ROOT, *(int(random.integers(0, zone)) for zone in range(1, zones))],
        charge=[0, *random.integers(1, 3, zones - 1)],
        capacity_wh=[UNLIMITED_WH, *random.choice([0, 0, 1, 2, UNLIMITED_WH], zones - 1)],
        qualities=qualities,
        substitutions=random_substitutions(random, qualities),
        floor=floor,
        cap=cap,
    )
    furthest = furthest_potential(floor, cap, qualities, zones, deepest_charge(market))
    return World(_book(random, market), market, _flexible(random, market), furthest)


def _limits(random: np.random.Generator, side: np.ndarray, market: Market) -> np.ndarray:
    """Mostly such as trade at any price; some such as never do, or anything between."""
    willing = np.where(side == BUY, market.cap, market.floor)
    other = random.integers(market.floor, market.cap + 1, len(side))
    return np.where(random.random(len(side)) < random.choice((0.6, 0.9)), willing, other)


def _book(random: np.random.Generator, market: Market) -> Book:
    rows = int(random.integers(1, 3 * market.zones * market.windows + 2))
    side = random.integers(0, 2, rows)
    return make_book(
        order=random.permutation(rows),
        side=side,
        zone=random.integers(0, market.zones, rows),
        quality=random.integers(0, market.qualities, rows),
        window=random.integers(0, market.windows, rows),
        quantity_wh=random.integers(1, 4, rows),
        limit=_limits(random, side, market),
    )


def _flexible(random: np.random.Generator, market: Market) -> FlexibleOrders:
    rows = int(random.integers(0, 4))
    side = random.integers(0, 2, rows)
    return make_flexible(
        order=np.arange(rows) + 10_000,
        side=side,
        zone=random.integers(0, market.zones, rows),
        first_window=np.zeros(rows, np.int64),
        last_window=np.full(rows, market.windows - 1),
        energy_wh=random.integers(1, 5, rows),
        max_wh_per_window=random.integers(1, 4, rows),
        limit=_limits(random, side, market),
    )


@pytest.mark.parametrize("batch", range(BATCHES))
def test_no_admitted_book_pushes_potentials_beyond_the_outer_bounds(
    batch: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for seed in range(batch * SEEDS_PER_BATCH, (batch + 1) * SEEDS_PER_BATCH):
        world = random_world(seed)
        monkeypatch.setattr(prices, "POTENTIAL_LIMIT", world.furthest)
        assert_clears(world, f"seed {seed}")


def test_every_book_of_three_orders_over_two_zones_and_qualities_has_potentials(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """All sides, zones, qualities and limits; a line that is closed, narrow or wide."""
    orders = list(product((BUY, SELL), (0, 1), (0, 1), (-2, 1)))
    monkeypatch.setattr(prices, "POTENTIAL_LIMIT", furthest_potential(-2, 1, 2, 2, 1))
    for capacity in (0, 1, UNLIMITED_WH):
        market = make_market(
            parent=[ROOT, 0], charge=[0, 1], capacity_wh=[0, capacity], qualities=2, floor=-2, cap=1
        )
        for three in product(orders, repeat=3):
            side, zone, quality, limit = zip(*three, strict=True)
            book = make_book(
                order=[0, 1, 2],
                side=side,
                zone=zone,
                quality=quality,
                window=[0] * 3,
                quantity_wh=[2, 1, 1],
                limit=limit,
            )
            assert_clears(World(book, market, make_none(), 0), str(three))


def make_none() -> FlexibleOrders:
    return make_flexible(**{column: [] for column in FlexibleOrders.__dataclass_fields__})


def assert_clears(world: World, told: str) -> None:
    try:
        clear(world.book, world.market, world.flexible)
    except OutOfRange:
        pytest.fail(f"{told}: no potentials within {prices.POTENTIAL_LIMIT}")


@pytest.mark.parametrize("qualities", [2, 3, 5])
def test_unsold_and_unmet_orders_of_zones_apart_take_their_potentials_as_far_as_a_path_goes(
    qualities: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So the bound is in the number of qualities: a premium may be all but one of them times the span."""
    zones, floor, cap = qualities - 1, -2, 1
    market = make_market(
        parent=[ROOT, *range(zones - 1)],
        charge=[1] * zones,
        capacity_wh=[0] * zones,
        qualities=qualities,
        floor=floor,
        cap=cap,
    )
    unsold = [(SELL, zone, zone, floor) for zone in range(zones)]
    unmet = [(BUY, zone, zone + 1, cap) for zone in range(zones)]
    side, zone, quality, limit = zip(*unsold, *unmet, strict=True)
    nothing, ones = [0] * len(side), [1] * len(side)
    book = make_book(
        order=range(len(side)),
        side=side,
        zone=zone,
        quality=quality,
        window=nothing,
        quantity_wh=ones,
        limit=limit,
    )
    furthest = (qualities - 1) * (cap - floor)
    monkeypatch.setattr(prices, "POTENTIAL_LIMIT", furthest)
    assert -clear(book, market).quality.high[-1, 0] == furthest
    monkeypatch.setattr(prices, "POTENTIAL_LIMIT", furthest - 1)
    with pytest.raises(OutOfRange):
        clear(book, market)
