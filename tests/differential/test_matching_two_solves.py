"""Where one cost for all aims is too much for the solver, two solves find what one would."""

from __future__ import annotations

import os

import pytest
from matching_cases import random_flexible_case

from settlement.bench.city import city
from settlement.matching import (
    BUY,
    ROOT,
    SELL,
    UNLIMITED_WH,
    Book,
    Clearing,
    FlexibleOrders,
    Market,
    check,
    clear,
    flow,
    make_book,
    make_flexible,
    make_market,
    sift,
)
from settlement.matching.book import aggregate
from settlement.matching.flexible import parts_of
from settlement.matching.flow import CostRange
from settlement.matching.network import make_network
from settlement.units import POTENTIAL_LIMIT, PRICE_CAP, PRICE_FLOOR, furthest_potential

BATCHES = 10
SEEDS_PER_BATCH = int(os.environ.get("TRELLIS_LP_SEEDS", "25"))

ADMITTED = [
    (1, 128, -(2**28), 2**28),
    (435, 48, 2**28, 2**28 + 10**6),
    (1_000, 128, PRICE_FLOOR, PRICE_CAP),
]
"""Zones, windows, floor and cap of sessions that the contract opens, of 16 qualities each."""


def aims(clearing: Clearing) -> tuple[int, int, int, bytes]:
    """What all optimal flows have in common."""
    volume = int(clearing.fills_wh.sum() + clearing.flexible_wh.sum())
    return clearing.welfare_nano, volume, int(clearing.substituted_wh.sum()), clearing.prices.tobytes()


@pytest.mark.parametrize("fewest_levels", [1, 10**9], ids=["sifted", "directly"])
@pytest.mark.parametrize("batch", range(BATCHES))
def test_two_solves_reach_the_aims_of_one(
    batch: int, fewest_levels: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sift, "FEWEST_LEVELS", fewest_levels)
    monkeypatch.setattr(sift, "NEAR_LEVELS", 2)
    for seed in range(batch * SEEDS_PER_BATCH, (batch + 1) * SEEDS_PER_BATCH):
        book, flexible, market = random_flexible_case(seed, most_rows=100, most_flexible=6)
        wanted = aims(clear(book, market, flexible))
        with monkeypatch.context() as patch:
            patch.setattr(flow, "SCALED_LIMIT", 0)
            found = clear(book, market, flexible)
        assert check(book, market, found, flexible) == [], f"seed {seed}"
        assert aims(found) == wanted, f"seed {seed}"


def test_a_large_book_reaches_the_same_aims_in_two_solves(monkeypatch: pytest.MonkeyPatch) -> None:
    town = city(homes=3_000, windows=8, qualities=3, flexible=40, levels=(1, 3, 9))
    wanted = aims(clear(town.book, town.market, town.flexible))
    monkeypatch.setattr(flow, "SCALED_LIMIT", 0)
    assert aims(clear(town.book, town.market, town.flexible)) == wanted


def session(zones: int, windows: int, floor: int, cap: int) -> Market:
    market = make_market(
        windows,
        parent=[ROOT] + [0] * (zones - 1),
        charge=[0] + [1] * (zones - 1),
        capacity_wh=[UNLIMITED_WH] * zones,
        qualities=16,
        floor=floor,
        cap=cap,
    )
    assert furthest_potential(floor, cap, 16, zones, min(1, zones - 1)) <= POTENTIAL_LIMIT
    return market


def everywhere(market: Market) -> FlexibleOrders:
    """One order that ties all windows together."""
    return make_flexible(
        order=[2 * market.windows],
        side=[BUY],
        zone=[0],
        first_window=[0],
        last_window=[market.windows - 1],
        energy_wh=[5],
        max_wh_per_window=[1],
        limit=[market.cap],
    )


def in_one_solve(book: Book, market: Market, flexible: FlexibleOrders) -> None:
    network, parts = (
        make_network(aggregate(book, market), market, flexible),
        parts_of(flexible, market.windows),
    )
    cost = flow.one_cost(network.arcs, parts, market)
    flow.solve_parts(network.arcs, cost, parts[flow.window_of(network, market, flexible)])


@pytest.mark.parametrize(("zones", "windows", "floor", "cap"), ADMITTED)
def test_one_flexible_order_over_all_windows_stops_no_session(
    zones: int, windows: int, floor: int, cap: int
) -> None:
    market = session(zones, windows, floor, cap)
    flexible = everywhere(market)
    every = list(range(windows))
    book = make_book(
        order=range(2 * windows),
        side=[SELL] * windows + [BUY] * windows,
        zone=[0] * 2 * windows,
        quality=[15] * windows + [0] * windows,
        window=every * 2,
        quantity_wh=[2] * windows + [2] * windows,
        limit=[floor] * windows + [cap] * windows,
    )
    with pytest.raises(CostRange):
        in_one_solve(book, market, flexible)
    clearing = clear(book, market, flexible)
    assert check(book, market, clearing, flexible) == []
    assert int(clearing.fills_wh[windows:].sum() + clearing.flexible_wh.sum()) == 2 * windows
