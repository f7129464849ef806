"""The matcher against a linear program of the same market: welfare, energy traded, and potentials."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from matching_cases import random_case
from matching_lp import Highs, arcs_of, extremes

from settlement.matching import clear
from settlement.units import PRICE_CAP

BATCHES = 20
SEEDS_PER_BATCH = 15


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
        clearing = clear(book, market)
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
def test_most_energy_trades_among_equal_welfare_with_up_to_eight_qualities(highs: Highs, batch: int) -> None:
    for seed in seeds_of(batch):
        book, market = random_case(10_000 + seed, most_qualities=8)
        coarse = np.sign(book.limit) * (np.abs(book.limit) // 50_000 + 1)  # few distinct prices: many ties
        book = type(book)(**{**vars(book), "limit": np.minimum(coarse, PRICE_CAP)})
        arcs = arcs_of(book, market)
        gains, energy = [arc.gain for arc in arcs], [arc.energy for arc in arcs]
        welfare = sum(g * wh for g, wh in zip(gains, highs.most(arcs, gains), strict=True))
        volume = sum(e * wh for e, wh in zip(energy, highs.most(arcs, energy, (gains, welfare)), strict=True))
        clearing = clear(book, market)
        assert clearing.welfare_nano == welfare, f"seed {seed}"
        assert clearing.fills_wh[book.buys].sum() == volume, f"seed {seed}"
