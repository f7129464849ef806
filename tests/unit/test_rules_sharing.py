"""Sharing keys: energy is neither made nor lost, and nobody gets more than it drew."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from settlement.errors import InputError
from settlement.rules.configuration import PPM, from_json
from settlement.rules.sharing import Key, Rule, Sharing, pro_rata, share, static
from settlement.units import Ints

WH = st.one_of(st.integers(0, 5000), st.integers(0, 2**40))


def ints(*values: object) -> Ints:
    return np.array(values, np.int64)


def column(*values: int) -> Ints:
    """(M, 1)."""
    return np.array(values, np.int64)[:, None]


def shared(generation: int, draws: tuple[int, ...], *keys: Key) -> Sharing:
    return share(ints(generation), column(*draws), keys)


@st.composite
def keys(draw: st.DrawFn, members: int) -> Key:
    part = draw(st.sampled_from([0, 1, 333_333, PPM]))
    if draw(st.booleans()):
        cuts = sorted(draw(st.lists(st.integers(0, PPM), min_size=members, max_size=members)))
        shares = tuple(high - low for low, high in zip([0, *cuts], cuts, strict=False))
        return Key(Rule.STATIC, shares, part_ppm=part)
    served = draw(st.none() | st.lists(st.integers(0, members - 1), unique=True).map(tuple))
    return Key(Rule.PRO_RATA, members=served, part_ppm=part)


@st.composite
def communities(draw: st.DrawFn) -> tuple[Ints, Ints, tuple[Key, ...], Ints | None]:
    members, windows = draw(st.integers(1, 5)), draw(st.integers(1, 4))
    generation = ints(*draw(st.lists(WH, min_size=windows, max_size=windows)))
    cells = st.lists(WH, min_size=members * windows, max_size=members * windows)
    draws = np.array(draw(cells), np.int64).reshape(members, windows)
    caps = draw(st.none() | st.lists(WH, min_size=members, max_size=members))
    cascade = tuple(draw(st.lists(keys(members), min_size=1, max_size=3)))
    return generation, draws, cascade, None if caps is None else ints(*caps)


def test_a_static_key_leaves_what_its_members_do_not_draw() -> None:
    result = shared(1000, (160, 300, 350), static(300_000, 500_000, 200_000))
    assert result.allocated_wh[0].T.tolist() == [[300, 500, 200]]
    assert result.consumed_wh.T.tolist() == [[160, 300, 200]]
    assert result.consumed_wh.sum() == 660
    assert result.residual_wh.T.tolist() == [[0, 0, 150]]
    assert result.surplus_wh.tolist() == [340]


def test_a_pro_rata_key_allocates_by_draws() -> None:
    result = shared(1000, (200, 300), pro_rata())
    assert result.allocated_wh[0].T.tolist() == [[400, 600]]
    assert result.consumed_wh.T.tolist() == [[200, 300]]
    assert result.surplus_wh.tolist() == [500]


def test_what_a_key_leaves_is_shared_by_the_next() -> None:
    result = shared(1000, (160, 300, 350), static(300_000, 500_000, 200_000), pro_rata())
    assert result.consumed_wh.T.tolist() == [[160, 300, 350]]
    assert result.surplus_wh.tolist() == [190]


def test_a_building_comes_before_the_street() -> None:
    result = shared(500, (200, 200, 400), pro_rata(0, 1), pro_rata())
    assert result.allocated_wh[0].T.tolist() == [[250, 250, 0]]
    assert result.consumed_wh.T.tolist() == [[200, 200, 100]]


def test_nothing_is_drawn_and_everything_is_surplus() -> None:
    result = shared(1000, (0, 0), pro_rata())
    assert result.consumed_wh.sum() == 0
    assert result.surplus_wh.tolist() == [1000]


def test_a_cap_holds_over_all_keys_and_frees_energy_for_others() -> None:
    result = share(ints(600), column(400, 400), (static(PPM, 0), pro_rata()), ints(150, 1000))
    assert result.consumed_wh.T.tolist() == [[150, 400]]
    assert result.surplus_wh.tolist() == [50]


@pytest.mark.parametrize(("generation", "drawn"), [(2**32, 2**30), (2**50, 2**50)])
def test_products_beyond_64_bits_are_exact(generation: int, drawn: int) -> None:
    thirds = [n * generation // 3 for n in range(4)]
    allocation = shared(generation, (drawn,) * 3, pro_rata()).allocated_wh[0][:, 0].tolist()
    assert allocation == [high - low for low, high in pairwise(thirds)]


def test_thirds_of_ten_sum_to_ten() -> None:
    assert shared(10, (9, 9, 9), pro_rata()).allocated_wh[0].T.tolist() == [[3, 3, 4]]


@settings(max_examples=300)
@given(communities())
def test_energy_is_conserved_and_nobody_gets_more_than_it_drew_or_may(
    community: tuple[Ints, Ints, tuple[Key, ...], Ints | None],
) -> None:
    generation, draws, cascade, caps = community
    result = share(generation, draws, cascade, caps)
    assert (result.consumed_wh.sum(axis=0) + result.surplus_wh == generation).all()
    assert (result.consumed_wh + result.residual_wh == draws).all()
    for array in (result.consumed_wh, result.residual_wh, result.surplus_wh, *result.allocated_wh):
        assert array.dtype == np.int64
        assert (array >= 0).all()
    if caps is not None:
        assert (result.consumed_wh <= caps[:, None]).all()


@given(communities())
def test_windows_are_independent(community: tuple[Ints, Ints, tuple[Key, ...], Ints | None]) -> None:
    generation, draws, cascade, caps = community
    whole = share(generation, draws, cascade, caps)
    for w in range(len(generation)):
        one = share(generation[w : w + 1], draws[:, w : w + 1], cascade, caps)
        assert (one.consumed_wh[:, 0] == whole.consumed_wh[:, w]).all()


@given(WH, st.lists(WH, min_size=1, max_size=6))
def test_an_allocation_is_within_one_of_its_exact_share_and_sums_to_all(
    generation: int, draws: list[int]
) -> None:
    allocation = shared(generation, tuple(draws), pro_rata()).allocated_wh[0][:, 0].tolist()
    assert sum(allocation) == (generation if sum(draws) else 0)
    for part, drawn in zip(allocation, draws, strict=True):
        assert abs(part - Fraction(generation * drawn, max(1, sum(draws)))) < 1


def test_a_cascade_is_read_from_json() -> None:
    document = '[{"rule": "static", "shares_ppm": [600000, 400000]}, {"rule": "pro_rata", "members": [1]}]'
    assert from_json(tuple[Key, ...], document, "keys.json") == (static(600_000, 400_000), pro_rata(1))


@pytest.mark.parametrize(
    ("document", "fault"),
    [
        ('{"rule": "static"}', "shares_ppm"),
        ('{"rule": "pro_rata", "shares_ppm": [1]}', "only then"),
        ('{"rule": "static", "shares_ppm": [600000, 500000]}', "sum of shares_ppm is 1100000"),
        ('{"rule": "static", "shares_ppm": [0.3]}', "shares_ppm.0"),
        ('{"rule": "lottery"}', "rule"),
    ],
)
def test_a_wrong_key_names_its_file_and_fault(document: str, fault: str) -> None:
    with pytest.raises(InputError, match=rf"keys\.json.*{fault}"):
        from_json(Key, document, "keys.json")


@pytest.mark.parametrize(
    ("generation", "draws", "key", "fault"),
    [
        (ints(1), column(-1), pro_rata(), "not negative"),
        (ints(1, 2), column(1), pro_rata(), "give"),
        (ints(1), column(1, 2), static(PPM), "1 shares for 2 members"),
        (ints(1), column(1), pro_rata(1), "names member 1"),
        (ints(2**59), column(1, 1), pro_rata(), "check its unit"),
        (ints(2**60), column(1), pro_rata(), "check its unit"),
    ],
)
def test_energy_and_keys_that_do_not_fit_are_refused(
    generation: Ints, draws: Ints, key: Key, fault: str
) -> None:
    with pytest.raises(InputError, match=fault):
        share(generation, draws, (key,))
