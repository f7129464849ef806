"""Random small markets and books, by seed, made to hit what clearing finds hard.

Coarse prices (ties across cells), flat books (everything at one price), limits at floor and cap, floors and
caps of any kind (wide, narrow, alike, to one side of zero, far from it), negative prices, zero and one Wh,
congested and closed lines, zones without orders, and substitutions that are chains, stars or rings.
"""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np

from settlement.matching import (
    UNLIMITED_WH,
    Book,
    FlexibleOrders,
    Market,
    make_book,
    make_flexible,
    make_market,
)

FLEXIBLE_COLUMNS = tuple(field.name for field in fields(FlexibleOrders))
COLUMNS = ("order", "side", "zone", "quality", "window", "quantity_wh", "limit")


def random_case(seed: int, most_qualities: int = 4, most_rows: int = 60) -> tuple[Book, Market]:
    """A book and the market it fits."""
    random = np.random.default_rng(seed)
    market = random_market(random, most_qualities)
    return random_book(random, market, most_rows), market


def random_flexible_case(
    seed: int, most_qualities: int = 4, most_rows: int = 60, most_flexible: int = 4
) -> tuple[Book, FlexibleOrders, Market]:
    """A book, flexible orders and the market they fit."""
    random = np.random.default_rng((seed, 1))
    market = random_market(random, most_qualities)
    book = random_book(random, market, most_rows)
    return book, random_flexible(random, market, most_flexible), market


def random_flexible(random: np.random.Generator, market: Market, most: int) -> FlexibleOrders:
    """Orders over ranges of windows, with energy and caps that bind, one or the other, or neither."""
    rows = int(random.integers(0, most + 1))
    side, first = random.integers(0, 2, rows), random.integers(0, market.windows, rows)
    small, none = random.integers(0, 2, rows), random.random(rows)
    return make_flexible(
        order=random.permutation(rows),
        side=side,
        zone=random.integers(0, market.zones, rows),
        first_window=first,
        last_window=random.integers(first, market.windows),
        energy_wh=np.where(none < 0.1, small, random.integers(0, 5_000, rows)),
        max_wh_per_window=np.where(none > 0.9, small, random.integers(0, 2_500, rows)),
        limit=_limits(random, side, np.zeros(rows, np.int64), market),
    )


def random_market(random: np.random.Generator, most_qualities: int) -> Market:
    zones, qualities = int(random.integers(1, 7)), int(random.integers(1, most_qualities + 1))
    parent = [-1, *(int(random.integers(0, zone)) for zone in range(1, zones))]
    charge = [int(random.choice([1, 800, random.integers(1, 40_000)])) for _ in range(zones)]
    capacity = [int(random.choice([UNLIMITED_WH, 0, random.integers(1, 3_000)])) for _ in range(zones)]
    turned = np.append(0, 1 + random.permutation(zones - 1)) if random.random() < 0.5 else np.arange(zones)
    market = make_market(
        int(random.integers(1, 4)),
        parent=parent,
        charge=charge,
        capacity_wh=capacity,
        qualities=qualities,
        substitutions=random_substitutions(random, qualities),
        **random_range(random),
    )
    return _renumbered(market, turned)


def random_range(random: np.random.Generator) -> dict[str, int]:
    """Floor and cap: mostly the usual ones, else such as cut limits, or lie where nobody would trade."""
    if random.random() < 0.5:
        return {}
    most = int(random.choice([200_000, 2**24]))
    floor = int(random.integers(-most, most + 1))
    return {"floor": floor, "cap": floor + int(random.choice([0, random.integers(1, 2_000_000), 2**24]))}


def _renumbered(market: Market, new: np.ndarray) -> Market:
    """The same tree with other zone numbers: children need not come after parents."""
    old = np.argsort(new)
    parent = np.where(market.parent[old] < 0, -1, new[market.parent[old]])
    return replace(market, parent=parent, charge=market.charge[old], capacity_wh=market.capacity_wh[old])


def random_substitutions(random: np.random.Generator, qualities: int) -> list[tuple[int, int]]:
    """A chain, a star, both, or a chain that also runs back up (so that some qualities are equal)."""
    chain = [(q, q - 1) for q in range(1, qualities)]
    star = [(q, 0) for q in range(2, qualities)]
    back = [(q - 1, q) for q in range(1, qualities) if random.random() < 0.3]
    ring = [(0, qualities - 1)] if qualities > 2 else []
    return [chain, chain + star, chain + back, chain + ring][int(random.integers(0, 4))]


def random_book(random: np.random.Generator, market: Market, most_rows: int) -> Book:
    rows = int(random.integers(0, most_rows + 1))
    side, quality = random.integers(0, 2, rows), random.integers(0, market.qualities, rows)
    return make_book(
        order=random.permutation(rows),
        side=side,
        zone=random.integers(0, market.zones, rows),
        quality=quality,
        window=random.integers(0, market.windows, rows),
        quantity_wh=np.where(
            random.random(rows) < 0.15, random.integers(0, 2, rows), random.integers(0, 2000, rows)
        ),
        limit=_limits(random, side, quality, market),
    )


def _limits(random: np.random.Generator, side: np.ndarray, quality: np.ndarray, market: Market) -> np.ndarray:
    """Within floor and cap."""
    return np.clip(_wanted(random, side, quality, market), market.floor, market.cap)


def _wanted(random: np.random.Generator, side: np.ndarray, quality: np.ndarray, market: Market) -> np.ndarray:
    rows, kind = len(side), random.random()
    if kind < 0.15:
        return np.full(rows, 200_000)
    if kind < 0.4:
        between = random.integers(market.floor, market.cap + 1)
        return random.choice([market.floor, market.cap, 200_000, between], rows)
    tick = int(random.choice([1, 10_000, 50_000]))
    level = random.normal(np.where(side == 0, 220_000, 160_000 + 15_000 * quality), 60_000)
    sign = np.where(random.random(rows) < 0.1, -1, 1)
    return sign * np.clip(level, -100_000, 400_000).astype(np.int64) // tick * tick
