"""Energy in windows of another length: no Wh is lost, and what nobody measured is no actual."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from oracle.day import MISSING, OUT_OF_SERVICE, Day, MeterDay, blank
from oracle.errors import OutOfRange, WrongLength, WrongShape
from oracle.split import split
from oracle.windows import coarser, finer
from settlement.reference.posting import ACTUAL, DEFAULT, ESTIMATED

LENGTHS = (300, 900, 1800, 3600)
FLAGS = (ACTUAL, ESTIMATED, DEFAULT, MISSING, OUT_OF_SERVICE)


def day_of(length_s: int, wh: list[int], flags: list[int]) -> MeterDay:
    first = 12 * 3600 // length_s
    empty = blank(Day(length_s, first, len(wh)), ((bytes(32), 1),))
    return empty.replace(np.array([wh], np.int64), np.array([flags], np.uint8))


@st.composite
def days(draw: st.DrawFn) -> MeterDay:
    """Two hours of two registers in windows of any length."""
    length_s = draw(st.sampled_from(LENGTHS))
    shape = (2, 7200 // length_s)
    flags = draw(hnp.arrays(np.uint8, shape, elements=st.sampled_from(FLAGS)))
    wh = draw(hnp.arrays(np.int64, shape, elements=st.integers(0, 2**25)))
    empty = blank(Day(length_s, 7200 // length_s, shape[1]), ((bytes(32), 1), (bytes(32), 2)))
    return empty.replace(np.where(flags <= ESTIMATED, wh, 0), flags)


@pytest.mark.parametrize(
    ("flags", "wh", "flag"),
    [
        ([ACTUAL, ACTUAL], 30, ACTUAL),
        ([ACTUAL, ESTIMATED], 30, ESTIMATED),
        ([DEFAULT, ESTIMATED], 30, DEFAULT),
        ([ACTUAL, MISSING], 0, MISSING),
        ([OUT_OF_SERVICE, ACTUAL], 20, ACTUAL),
        ([OUT_OF_SERVICE, MISSING], 0, MISSING),
        ([OUT_OF_SERVICE, OUT_OF_SERVICE], 0, OUT_OF_SERVICE),
    ],
)
def test_a_longer_window_has_the_sum_and_the_worst_flag(flags, wh, flag) -> None:
    values = [0 if each == OUT_OF_SERVICE else value for each, value in zip(flags, (10, 20), strict=True)]
    result = coarser(day_of(1800, values, flags), 3600)
    assert (result.day, result.wh.tolist(), result.flags.tolist()) == (Day(3600, 12, 1), [[wh]], [[flag]])


def test_a_shorter_window_has_its_share_and_is_an_estimate() -> None:
    result = finer(day_of(3600, [10, 0, 5], [ACTUAL, OUT_OF_SERVICE, DEFAULT]), 900)
    assert result.day == Day(900, 48, 12)
    assert result.wh[0].tolist() == [2, 3, 2, 3, 0, 0, 0, 0, 1, 1, 1, 2]
    assert result.flags[0].tolist() == [ESTIMATED] * 4 + [OUT_OF_SERVICE] * 4 + [DEFAULT] * 4


def test_a_profile_shapes_the_shorter_windows() -> None:
    profile = np.array([[0, 3, 1, 0, 0, 0, 0, 0]])
    result = finer(day_of(3600, [8, 9], [ACTUAL, ACTUAL]), 900, profile)
    assert result.wh[0].tolist() == [0, 6, 2, 0, 2, 2, 2, 3]
    with pytest.raises(WrongShape):
        finer(day_of(3600, [8], [ACTUAL]), 900, profile)


@given(days(), st.sampled_from(LENGTHS), st.integers(0, 3))
def test_no_wh_is_lost_either_way(readings, length_s, seed) -> None:
    known = np.where(readings.flags == MISSING, 0, readings.wh)
    if length_s <= readings.day.window_length_s:
        profile = np.arange(2 * 7200 // length_s).reshape(2, -1) * seed % 5
        result = finer(readings, length_s, profile)
        assert (coarser(result, readings.day.window_length_s).wh == known).all()
        assert not (result.flags == ACTUAL).any()
    else:
        result = coarser(readings, length_s)
        whole = (result.flags != MISSING).repeat(length_s // readings.day.window_length_s, axis=1)
        assert result.wh.sum() == known[whole].sum()


@pytest.mark.parametrize(
    ("first", "windows", "length_s"), [(1, 4, 3600), (2, 3, 3600), (2, 4, 2700), (2, 4, 900), (2, 4, 0)]
)
def test_windows_that_do_not_fill_longer_ones_are_refused(first: int, windows: int, length_s: int) -> None:
    with pytest.raises(WrongLength):
        coarser(blank(Day(1800, first, windows), ()), length_s)


def test_windows_that_do_not_fill_the_days_are_refused() -> None:
    for length_s in (3600, 700, 0):
        with pytest.raises(WrongLength):
            finer(blank(Day(1800, 0, 2), ()), length_s)
    with pytest.raises(OutOfRange):  # a length that no window has
        finer(blank(Day(1800, 0, 2), ()), 600)


def test_a_sum_beyond_the_formats_is_refused() -> None:
    with pytest.raises(OutOfRange):
        coarser(day_of(1800, [2**30 - 1, 1], [ACTUAL, ACTUAL]), 3600)


@given(st.lists(st.tuples(st.integers(0, 2**40), st.lists(st.integers(0, 2**40), min_size=1, max_size=5))))
def test_a_split_sums_exactly_and_is_within_one_of_its_share(groups) -> None:
    totals = np.array([total for total, _ in groups], np.int64)
    weights = np.array([weight for _, each in groups for weight in each], np.int64)
    counts = np.array([len(each) for _, each in groups], np.int64)
    parts = split(totals, weights, counts).tolist()
    for total, each in groups:
        mine, parts = parts[: len(each)], parts[len(each) :]
        each = each if any(each) else [1] * len(each)
        assert sum(mine) == total
        for part, weight in zip(mine, each, strict=True):
            assert abs(part * sum(each) - total * weight) < sum(each)
            assert part >= 0


def test_a_split_refuses_what_it_cannot_split() -> None:
    one = np.array([1])
    for totals, weights, error in (
        (-one, one, OutOfRange),
        (one, -one, OutOfRange),
        (one, one[:0], WrongShape),
    ):
        with pytest.raises(error):
            split(totals, weights, one)
