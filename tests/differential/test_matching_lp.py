"""The matcher against a linear program of the same market: welfare, energy traded, and potentials."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from matching_cases import random_case, random_flexible_case
from matching_lp import Highs, Node, arcs_of, extremes

from settlement.matching import Clearing, Market, check, clear
from settlement.units import PRICE_CAP, PRICE_FLOOR, floor_div

BATCHES = 20
SEEDS_PER_BATCH = int(os.environ.get("TRELLIS_LP_SEEDS", "50"))
"""Instances of each test are twenty times as many: set the variable to try more."""


@pytest.fixture(scope="module")
def highs() -> Iterator[Highs]:
    with Highs() as solver:
        yield solver


def seeds_of(batch: int) -> range:
    return range(batch * SEEDS_PER_BATCH, (batch + 1) * SEEDS_PER_BATCH)


@pytest.mark.parametrize("batch", range(BATCHES))
def test_welfare_equals_the_linear_programs(highs: Highs, batch: int) -> None:
    for seed in seeds_of(batch):
        book, market = random_case(seed)
        arcs = arcs_of(book, market)
        gains = [arc.gain for arc in arcs]
        flow = highs.most(arcs, gains)
        welfare = sum(gain * wh for gain, wh in zip(gains, flow, strict=True))
        assert clear(book, market).welfare_nano == welfare, f"seed {seed}"


@pytest.mark.parametrize("batch", range(BATCHES))
def test_potentials_are_those_of_the_linear_programs_own_optimal_flow(highs: Highs, batch: int) -> None:
    for seed in seeds_of(batch):
        book, market = random_case(seed)
        arcs = arcs_of(book, market)
        low, high = extremes(arcs, highs.most(arcs, [arc.gain for arc in arcs]), market)
        assert_potentials(clear(book, market), market, low, high, seed)


def assert_potentials(
    clearing: Clearing, market: Market, low: dict[Node, int], high: dict[Node, int], seed: int
) -> None:
    for window in range(market.windows):
        for zone in range(market.zones):
            node = ("zone", zone, window)
            assert clearing.energy.low[zone, window] == low[node], f"seed {seed}, {node}"
            assert clearing.energy.high[zone, window] == high[node], f"seed {seed}, {node}"
        for quality in range(1, market.qualities):
            node = ("quality", quality, window)
            assert clearing.quality.low[quality, window] == low[node], f"seed {seed}, {node}"
            assert clearing.quality.high[quality, window] == high[node], f"seed {seed}, {node}"


@pytest.mark.parametrize("batch", range(BATCHES))
def test_with_flexible_orders_welfare_and_potentials_are_the_linear_programs(
    highs: Highs, batch: int
) -> None:
    for seed in seeds_of(batch):
        book, flexible, market = random_flexible_case(seed)
        arcs = arcs_of(book, market, flexible)
        gains = [arc.gain for arc in arcs]
        flow = highs.most(arcs, gains)
        clearing = clear(book, market, flexible)
        assert clearing.welfare_nano == sum(map(int.__mul__, gains, flow)), f"seed {seed}"
        assert_potentials(clearing, market, *extremes(arcs, flow, market), seed)
        assert check(book, market, clearing, flexible) == [], f"seed {seed}"


@pytest.mark.parametrize("batch", range(BATCHES))
def test_with_flexible_orders_most_energy_trades_among_equal_welfare(highs: Highs, batch: int) -> None:
    for seed in seeds_of(batch):
        book, flexible, market = random_flexible_case(20_000 + seed, most_qualities=6)
        market = replace(market, floor=PRICE_FLOOR, cap=PRICE_CAP)
        book = replace(book, limit=floor_div(book.limit, 50_000))
        flexible = replace(flexible, limit=floor_div(flexible.limit, 50_000))
        arcs = arcs_of(book, market, flexible)
        gains, energy = [arc.gain for arc in arcs], [arc.energy for arc in arcs]
        welfare = sum(map(int.__mul__, gains, highs.most(arcs, gains)))
        volume = sum(map(int.__mul__, energy, highs.most(arcs, energy, (gains, welfare))))
        clearing = clear(book, market, flexible)
        bought = clearing.fills_wh[book.buys].sum() + clearing.flexible_wh[flexible.buys].sum()
        assert (clearing.welfare_nano, bought) == (welfare, volume), f"seed {seed}"


@pytest.mark.parametrize("batch", range(BATCHES))
def test_most_energy_trades_among_equal_welfare_with_up_to_eight_qualities(highs: Highs, batch: int) -> None:
    for seed in seeds_of(batch):
        book, market = random_case(10_000 + seed, most_qualities=8)
        market = replace(market, floor=PRICE_FLOOR, cap=PRICE_CAP)
        coarse = np.sign(book.limit) * (np.abs(book.limit) // 50_000 + 1)  # few distinct prices: many ties
        book = type(book)(**{**vars(book), "limit": np.minimum(coarse, PRICE_CAP)})
        arcs = arcs_of(book, market)
        gains, energy = [arc.gain for arc in arcs], [arc.energy for arc in arcs]
        welfare = sum(g * wh for g, wh in zip(gains, highs.most(arcs, gains), strict=True))
        volume = sum(e * wh for e, wh in zip(energy, highs.most(arcs, energy, (gains, welfare)), strict=True))
        clearing = clear(book, market)
        assert clearing.welfare_nano == welfare, f"seed {seed}"
        assert clearing.fills_wh[book.buys].sum() == volume, f"seed {seed}"
