"""The clearing against the independent check: honest ones pass, a unit's change anywhere does not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest
from matching_cases import COLUMNS, random_case, random_flexible_case

from settlement.matching import Book, Clearing, Extremes, check, clear, make_book, make_market
from settlement.matching.prices import cell_prices

ARRAYS = ("prices", "marginal_wh", "filled_wh", "flows_wh", "substituted_wh", "fills_wh")
POTENTIALS = [(of, end) for of in ("energy", "quality") for end in ("low", "high")]


def bumped(values: Any, index: int, by: int) -> Any:
    changed = values.copy()
    changed.flat[index % changed.size] += by
    return changed


def shuffled(book: Book, seed: int) -> tuple[Book, Any]:
    order = np.random.default_rng(seed).permutation(len(book))
    return make_book(**{name: getattr(book, name)[order] for name in COLUMNS}), order


def as_bytes(clearing: Clearing) -> list[bytes]:
    parts = [getattr(group, f.name) for group in (clearing.energy, clearing.quality) for f in fields(group)]
    return [part.tobytes() for part in parts + [getattr(clearing, name) for name in ARRAYS[:-1]]]


@pytest.mark.parametrize("batch", range(10))
def test_an_honest_clearing_has_no_violation(batch: int) -> None:
    for seed in range(batch * 40, (batch + 1) * 40):
        book, market = random_case(seed, most_qualities=6)
        assert check(book, market, clear(book, market)) == [], f"seed {seed}"


@pytest.mark.parametrize("batch", range(5))
def test_the_order_of_rows_leaves_no_trace(batch: int) -> None:
    for seed in range(batch * 20, (batch + 1) * 20):
        book, market = random_case(seed)
        other, order = shuffled(book, seed)
        one, two = clear(book, market), clear(other, market)
        assert as_bytes(one) == as_bytes(two), f"seed {seed}"
        assert (one.fills_wh[order] == two.fills_wh).all(), f"seed {seed}"
        assert one.welfare_nano == two.welfare_nano, f"seed {seed}"


@pytest.mark.parametrize("batch", range(5))
def test_the_order_of_flexible_orders_leaves_no_trace(batch: int) -> None:
    for seed in range(batch * 20, (batch + 1) * 20):
        book, flexible, market = random_flexible_case(seed)
        other, order = shuffled(book, seed)
        turned = np.random.default_rng(seed).permutation(len(flexible))
        one, two = clear(book, market, flexible), clear(other, market, flexible.rows(turned))
        assert as_bytes(one) == as_bytes(two), f"seed {seed}"
        assert (one.fills_wh[order] == two.fills_wh).all(), f"seed {seed}"
        assert (one.flexible_wh[turned] == two.flexible_wh).all(), f"seed {seed}"


@pytest.mark.parametrize("by", [-1, 1])
def test_a_flexible_split_that_is_off_by_one_anywhere_is_refused(by: int) -> None:
    for seed in range(100):
        book, flexible, market = random_flexible_case(seed)
        clearing = clear(book, market, flexible)
        if clearing.flexible_wh.size:
            wrong = replace(clearing, flexible_wh=bumped(clearing.flexible_wh, seed * 7, by))
            assert check(book, market, wrong, flexible), f"seed {seed}"


@pytest.mark.parametrize("by", [-1, 1])
@pytest.mark.parametrize(("of", "end"), POTENTIALS)
def test_with_flexible_orders_too_a_potential_off_by_one_is_refused(of: str, end: str, by: int) -> None:
    for seed in range(100):
        book, flexible, market = random_flexible_case(seed)
        clearing = clear(book, market, flexible)
        group = getattr(clearing, of)
        moved = replace(group, **{end: bumped(getattr(group, end), seed * 5, by)})
        wrong = replace(clearing, **{of: moved})
        priced = replace(wrong, prices=cell_prices(wrong.energy.mid, wrong.quality.mid))
        assert check(book, market, priced, flexible), f"seed {seed}"


@pytest.mark.parametrize("by", [-1, 1])
@pytest.mark.parametrize("name", ARRAYS)
def test_an_array_that_is_off_by_one_anywhere_is_refused(name: str, by: int) -> None:
    for seed in range(30):
        book, market = random_case(seed)
        clearing = clear(book, market)
        if getattr(clearing, name).size:
            wrong = replace(clearing, **{name: bumped(getattr(clearing, name), seed * 7, by)})
            assert check(book, market, wrong), f"seed {seed}"


@pytest.mark.parametrize("by", [-1, 1])
@pytest.mark.parametrize(("of", "end"), POTENTIALS)
def test_a_potential_that_is_off_by_one_is_refused_even_with_its_price(of: str, end: str, by: int) -> None:
    for seed in range(60):
        book, market = random_case(seed)
        clearing = clear(book, market)
        group = getattr(clearing, of)
        moved = replace(group, **{end: bumped(getattr(group, end), seed * 5, by)})
        wrong = replace(clearing, **{of: moved})
        priced = replace(wrong, prices=cell_prices(wrong.energy.mid, wrong.quality.mid))
        assert check(book, market, wrong), f"seed {seed}"
        assert check(book, market, priced), f"seed {seed}, with its price"


def test_welfare_off_by_one_is_refused() -> None:
    book, market = random_case(3)
    clearing = clear(book, market)
    wrong = replace(clearing, welfare_nano=clearing.welfare_nano + 1)
    assert [violation.name for violation in check(book, market, wrong)] == ["welfare"]


@pytest.mark.parametrize("rank", ["own", "zero", "other"])
@pytest.mark.parametrize(("end", "other"), [("low", "high"), ("high", "low")])
def test_one_extreme_posted_for_both_is_refused_whatever_its_ranks(end: str, other: str, rank: str) -> None:
    """Feasible, so optimal: but it moves the price towards one side of the market."""
    for seed in range(100):
        book, market = random_case(seed)
        clearing = clear(book, market)
        groups = {of: getattr(clearing, of) for of in ("energy", "quality")}
        if all((getattr(group, end) == getattr(group, other)).all() for group in groups.values()):
            continue
        moved = {of: posted_for_both(group, end, other, rank) for of, group in groups.items()}
        prices = cell_prices(moved["energy"].mid, moved["quality"].mid)
        names = {
            violation.name for violation in check(book, market, replace(clearing, prices=prices, **moved))
        }
        assert f"support_{other}" in names, f"seed {seed}"


def posted_for_both(group: Extremes, end: str, other: str, rank: str) -> Extremes:
    """The group with its `end` in the place of its `other` extreme."""
    ranks = getattr(group, f"rank_{end if rank == 'own' else other}")
    posted = np.where(ranks > 0, 0, ranks) if rank == "zero" else ranks
    return replace(group, **{other: getattr(group, end), f"rank_{other}": posted})


@pytest.mark.parametrize("end", ["low", "high"])
def test_two_potentials_that_only_support_each_other_are_refused(end: str) -> None:
    """A zone and a quality whose difference is pinned, moved together: only the ranks can tell."""
    market = make_market(qualities=2)
    book = make_book(
        order=[0, 1, 2],
        side=[0, 1, 0],
        zone=[0, 0, 0],
        quality=[1, 1, 0],
        window=[0, 0, 0],
        quantity_wh=[10, 5, 1],
        limit=[300, 300, 100],
    )
    clearing = clear(book, market)
    assert check(book, market, clearing) == []
    by = -1 if end == "high" else 1
    energy = replace(clearing.energy, **{end: getattr(clearing.energy, end) + by})
    quality = replace(clearing.quality, **{end: getattr(clearing.quality, end) + np.array([[0], [by]])})
    wrong = replace(clearing, energy=energy, quality=quality, prices=cell_prices(energy.mid, quality.mid))
    names = [violation.name for violation in check(book, market, wrong)]
    assert names == [f"support_{end}"]


def test_a_missing_or_narrow_array_is_a_named_violation() -> None:
    book, market = random_case(1)
    clearing = clear(book, market)
    cut: Callable[[Any], Any] = lambda values: values[:, :-1]  # noqa: E731
    wrong = replace(clearing, flows_wh=cut(clearing.flows_wh))
    assert [violation.name for violation in check(book, market, wrong)] == ["shape"]


@pytest.mark.parametrize("shift", [-400_000_000, -50, 50, 400_000_000])
def test_limits_that_all_lie_on_one_side_of_zero_clear_as_they_do_around_it(shift: int) -> None:
    """Moving every limit by the same moves prices and nothing else: not who trades, nor what is gained."""
    for seed in range(40):
        book, flexible, market = random_flexible_case(seed)
        limits = np.concatenate([book.limit, flexible.limit, [0]])
        moved = replace(market, floor=int(limits.min()) + shift, cap=int(limits.max()) + shift)
        there = replace(book, limit=book.limit + shift), replace(flexible, limit=flexible.limit + shift)
        found = clear(there[0], moved, there[1])
        assert check(there[0], moved, found, there[1]) == [], f"seed {seed}"
        assert found.welfare_nano == clear(book, market, flexible).welfare_nano, f"seed {seed}"
