"""Books of a city, the same for the same seed: homes under substations, under feeders, under one system."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from settlement.matching import ROOT, UNLIMITED_WH, Book, FlexibleOrders, Market, make_market
from settlement.units import floor_div

LEVELS = (1, 14, 70, 350)
"""Zones of the tree, from the root down: 435."""

SUNNY = (14, 36)
"""Half-hours of the day in which roofs have something to sell."""


NARROW_WH = 60
"""The most that a narrow line carries, for each home of an average zone."""


@dataclass(frozen=True)
class City:
    """A book, flexible orders, and the market they are for."""

    book: Book
    flexible: FlexibleOrders
    market: Market


def tree(levels: tuple[int, ...] = LEVELS) -> list[int]:
    """Parents, each level's zones spread evenly under the level above."""
    parent, above = [ROOT], [0]
    for size in levels[1:]:
        here = list(range(len(parent), len(parent) + size))
        parent += [above[floor_div(place * len(above), size)] for place in range(size)]
        above = here
    return parent


def city_market(homes: int, windows: int, qualities: int, levels: tuple[int, ...] = LEVELS) -> Market:
    """Charges are arbitrary; a third of the lines are so narrow that some of them fill up."""
    parent = tree(levels)
    random = np.random.default_rng(len(parent))
    narrow = random.random(len(parent)) < 0.33
    most = floor_div(NARROW_WH * homes, len(parent)) + 1
    capacity = np.where(narrow, random.integers(0, most, len(parent)), UNLIMITED_WH)
    charge = random.integers(1_000, 12_000, len(parent))
    return make_market(windows, parent=parent, charge=charge, capacity_wh=capacity, qualities=qualities)


def city(
    homes: int,
    windows: int,
    qualities: int,
    flexible: int = 0,
    levels: tuple[int, ...] = LEVELS,
    seed: int = 1,
) -> City:
    """Every home asks or offers in every window; limits are arbitrary micros, so price levels abound."""
    random = np.random.default_rng(seed)
    market = city_market(homes, windows, qualities, levels)
    return City(
        book=_book(random, homes, market),
        flexible=_flexible(random, flexible, market),
        market=market,
    )


def _book(random: np.random.Generator, homes: int, market: Market) -> Book:
    rows = homes * market.windows
    home, window = np.divmod(np.arange(rows), market.windows)
    zone = random.integers(0, market.zones, homes)[home]
    roof = (random.random(homes) < 0.6)[home]
    sunny = (window % 48 >= SUNNY[0]) & (window % 48 < SUNNY[1]) if market.windows > 1 else True
    sells = roof & sunny & (random.random(rows) < 0.75) | (random.random(rows) < 0.1)
    quality = random.integers(0, market.qualities, homes)[home]
    centre = np.where(sells, 160_000 + 12_000 * quality, 220_000 + 8_000 * quality)
    limit = random.normal(centre, 50_000).astype(np.int64)
    return Book(
        order=home,
        side=sells.astype(np.int64),
        zone=zone,
        quality=quality,
        window=window,
        quantity_wh=random.integers(20, 1_500, rows),
        limit=np.clip(limit, market.floor, market.cap),
    )


def _flexible(random: np.random.Generator, orders: int, market: Market) -> FlexibleOrders:
    """Cars that charge within a part of the day, and one in five that gives back."""
    first = random.integers(0, max(1, market.windows - 8), orders)
    last = np.minimum(first + random.integers(4, 24, orders), market.windows - 1)
    sells = random.random(orders) < 0.2
    return FlexibleOrders(
        order=np.arange(orders),
        side=sells.astype(np.int64),
        zone=random.integers(0, market.zones, orders),
        first_window=np.minimum(first, market.windows - 1),
        last_window=last,
        energy_wh=random.integers(4_000, 40_000, orders),
        max_wh_per_window=random.integers(1_500, 5_500, orders),
        limit=random.normal(np.where(sells, 240_000, 200_000), 30_000).astype(np.int64),
    )
