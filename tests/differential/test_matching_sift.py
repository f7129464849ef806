"""Sifting, forced upon small networks, finds what solving them directly finds."""

from __future__ import annotations

import os

import numpy as np
import pytest
from matching_cases import random_flexible_case

from settlement.bench.city import city
from settlement.matching import Clearing, check, clear, sift

BATCHES = 10
SEEDS_PER_BATCH = int(os.environ.get("TRELLIS_LP_SEEDS", "15"))


@pytest.fixture
def sifted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every network counts as large, and few levels as near."""
    monkeypatch.setattr(sift, "FEWEST_LEVELS", 1)
    monkeypatch.setattr(sift, "MERGED_LEVELS", 0)
    monkeypatch.setattr(sift, "NEAR_LEVELS", 2)


def outcome(clearing: Clearing) -> tuple[int, int, bytes]:
    """What does not depend on which optimal flow was found."""
    volume = int(clearing.fills_wh.sum() + clearing.flexible_wh.sum())
    return clearing.welfare_nano, volume, clearing.prices.tobytes()


@pytest.mark.parametrize("batch", range(BATCHES))
def test_a_sifted_clearing_is_optimal_and_has_the_same_prices(
    batch: int, sifted: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for seed in range(batch * SEEDS_PER_BATCH, (batch + 1) * SEEDS_PER_BATCH):
        book, flexible, market = random_flexible_case(seed, most_rows=200, most_flexible=8)
        found = clear(book, market, flexible)
        assert check(book, market, found, flexible) == [], f"seed {seed}"
        with monkeypatch.context() as patch:
            patch.setattr(sift, "FEWEST_LEVELS", 10**9)
            assert outcome(found) == outcome(clear(book, market, flexible)), f"seed {seed}"


@pytest.mark.parametrize("flexible", [0, 40])
def test_a_large_book_is_sifted_to_the_outcome_of_solving_it_directly(
    flexible: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    town = city(homes=3_000, windows=8, qualities=3, flexible=flexible, levels=(1, 3, 9))
    found = clear(town.book, town.market, town.flexible)
    assert check(town.book, town.market, found, town.flexible) == []
    monkeypatch.setattr(sift, "FEWEST_LEVELS", 10**9)
    assert outcome(found) == outcome(clear(town.book, town.market, town.flexible))
    assert len(np.unique(town.book.limit)) > sift.NEAR_LEVELS
