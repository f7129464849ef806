"""Range checks and gap estimation: an actual stays what it is, everything else says that it is none."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from oracle_world import DAY

from oracle.day import MISSING, OUT_OF_SERVICE, Day, MeterDay, blank, only_in_service
from oracle.errors import OutOfRange, WrongShape, WrongWindow
from oracle.estimation import History, estimate, estimated_share, no_history
from oracle.registers import RegisterReads
from settlement.reference.posting import ACTUAL, DEFAULT, ESTIMATED

GAP = None
ENERGY = st.integers(0, 2**30 - 1)


def one_row(*values: int | None) -> MeterDay:
    """A day of one series, with None where nothing arrived."""
    day = Day(3600, 0, len(values))
    empty = blank(day, ((bytes(32), 1),))
    wh = np.array([[value or 0 for value in values]], np.int64)
    flags = np.array([[MISSING if value is None else ACTUAL for value in values]], np.uint8)
    return empty.replace(wh, flags)


def filled(readings: MeterDay, *past: tuple[int | None, ...]) -> tuple[list[int], list[int]]:
    windows = readings.day.windows
    wh = np.array([[value or 0 for value in day] for day in past], np.int64).reshape(1, len(past), windows)
    known = np.array([[value is not None for value in day] for day in past]).reshape(1, len(past), windows)
    result = estimate(readings, History(wh, known.astype(np.bool_)))
    return result.wh[0].tolist(), result.flags[0].tolist()


@pytest.mark.parametrize(
    ("values", "wh", "flags"),
    [
        #    arrived                 result               0 actual, 1 estimated, 2 default
        ((10, GAP, 20), [10, 15, 20], [0, 1, 0]),
        ((10, GAP, 21), [10, 16, 21], [0, 1, 0]),  # 15.5, halves up
        ((0, GAP, GAP, 30), [0, 10, 20, 30], [0, 1, 1, 0]),
        ((30, GAP, GAP, 0), [30, 20, 10, 0], [0, 1, 1, 0]),
        ((10, GAP, GAP, GAP, 50), [10, 0, 0, 0, 50], [0, 2, 2, 2, 0]),  # too long for a line, no past
        ((GAP, 10, 20), [0, 10, 20], [2, 0, 0]),  # at the edge of the day
        ((10, 20, GAP), [10, 20, 0], [0, 0, 2]),
        ((GAP, GAP), [0, 0], [2, 2]),
        ((1, 2), [1, 2], [0, 0]),
    ],
)
def test_short_gaps_are_lines_and_the_rest_is_zero_by_default(values, wh, flags) -> None:
    assert filled(one_row(*values)) == (wh, flags)


@pytest.mark.parametrize(
    ("values", "past", "wh", "flags"),
    [
        ((GAP, 10), [(4, 9), (7, 9)], [6, 10], [1, 0]),  # 5.5, halves up
        ((GAP, 10), [(4, 9), (None, 9)], [4, 10], [1, 0]),
        ((GAP, 10), [(None, 9)], [0, 10], [2, 0]),
        ((GAP, GAP, GAP, 10), [(1, 2, 3, 4)], [1, 2, 3, 10], [1, 1, 1, 0]),
        ((10, GAP, 20), [(0, 99, 0)], [10, 15, 20], [0, 1, 0]),  # a line goes before the past
    ],
)
def test_other_gaps_are_the_mean_of_past_days(values, past, wh, flags) -> None:
    assert filled(one_row(*values), *past) == (wh, flags)


@pytest.mark.parametrize(("length_s", "bridged"), [(300, 24), (900, 8), (1800, 4), (3600, 2)])
def test_a_line_spans_two_hours_whatever_the_windows_are(length_s: int, bridged: int) -> None:
    for gap, flag in ((bridged, ESTIMATED), (bridged + 1, DEFAULT)):
        readings = blank(Day(length_s, 0, gap + 2), ((bytes(32), 1),))
        flags = readings.flags.copy()
        flags[0, [0, -1]] = ACTUAL
        result = estimate(readings.replace(readings.wh, flags), no_history(1, readings.day))
        assert result.flags[0, 1:-1].tolist() == [flag] * gap


def test_like_days_go_before_others() -> None:
    wh = np.array([[[10, 10], [20, 20], [60, 60]]])
    known = np.array([[[True, False], [True, False], [True, True]]])
    result = estimate(one_row(GAP, GAP), History(wh, known, like=np.array([True, True, False])))
    assert result.wh[0].tolist() == [15, 60]
    with pytest.raises(WrongShape):
        History(wh, known, like=np.array([True]))


def advanced(readings: MeterDay, *bounds: int | None, past: tuple[int, ...] = ()) -> tuple[list, list]:
    """Filled with the help of register reads at those of the bounds that are not None."""
    reads = RegisterReads(np.array([[b or 0 for b in bounds]]), np.array([[b is not None for b in bounds]]))
    shape = (1, 1 if past else 0, readings.day.windows)
    history = History(np.array(past, np.int64).reshape(shape), np.ones(shape, np.bool_))
    result = estimate(readings, history, reads)
    return result.wh[0].tolist(), result.flags[0].tolist()


@pytest.mark.parametrize(
    ("values", "bounds", "past", "wh", "flags"),
    [
        #  arrived               reads                 past          result                flags
        ((10, GAP, 20, 5), (0, GAP, GAP, GAP, 55), (), [10, 20, 20, 5], [0, 1, 0, 0]),
        ((10, GAP, GAP, 40), (0, GAP, GAP, GAP, 95), (), [10, 18, 27, 40], [0, 1, 1, 0]),  # 20 : 30
        ((GAP, GAP, GAP, GAP), (7, GAP, GAP, GAP, 17), (), [2, 3, 2, 3], [1, 1, 1, 1]),  # no shape: even
        ((GAP, GAP, GAP, 9), (7, GAP, GAP, GAP, 26), (1, 0, 4, 9), [2, 0, 8, 9], [1, 1, 1, 0]),
        ((GAP, GAP, 3, GAP), (7, GAP, 12, GAP, GAP), (), [2, 3, 3, 0], [1, 1, 0, 2]),
        ((10, GAP, 20, 5), (0, GAP, GAP, GAP, 35), (), [10, 0, 20, 5], [0, 1, 0, 0]),
        ((10, GAP, 20, 5), (0, GAP, GAP, GAP, 34), (), [10, 15, 20, 5], [0, 1, 0, 0]),  # reads are wrong
        ((10, GAP, 20, 5), (0, GAP, GAP, GAP, 2**31), (), [10, 15, 20, 5], [0, 1, 0, 0]),
        ((10, GAP, 20, 5), (0, GAP, GAP, GAP, GAP), (), [10, 15, 20, 5], [0, 1, 0, 0]),
        ((10, GAP, 20, GAP), (0, 10, 22, 42, 49), (), [10, 12, 20, 7], [0, 1, 0, 1]),
    ],
)
def test_a_gap_between_register_reads_sums_to_the_advance(values, bounds, past, wh, flags) -> None:
    assert advanced(one_row(*values), *bounds, past=past) == (wh, flags)


@st.composite
def days(draw: st.DrawFn) -> tuple[MeterDay, History]:
    rows, windows, past = draw(st.integers(0, 3)), draw(st.integers(1, 8)), draw(st.integers(0, 3))
    readings = blank(Day(1800, 0, windows), tuple((bytes((row,)) * 32, 1) for row in range(rows)))
    arrived = draw(hnp.arrays(np.bool_, (rows, windows)))
    wh = np.where(arrived, draw(hnp.arrays(np.int64, (rows, windows), elements=ENERGY)), 0)
    flags = np.where(arrived, ACTUAL, MISSING).astype(np.uint8)
    known = draw(hnp.arrays(np.bool_, (rows, past, windows)))
    history = draw(hnp.arrays(np.int64, (rows, past, windows), elements=ENERGY))
    return readings.replace(wh, flags, arrived.astype(np.uint64)), History(history, known)


@given(days())
def test_estimation_never_touches_an_actual_and_leaves_nothing_missing(world) -> None:
    readings, history = world
    result = estimate(readings, history)
    actual = readings.flags == ACTUAL
    assert (result.wh[actual] == readings.wh[actual]).all()
    assert ((result.flags == ACTUAL) == actual).all()
    assert (result.sequence == readings.sequence).all()
    assert np.isin(result.flags, (ACTUAL, ESTIMATED, DEFAULT)).all()
    assert (result.wh[result.flags == DEFAULT] == 0).all()


def test_an_advance_beyond_the_capacity_is_not_believed() -> None:
    readings = one_row(10, GAP, 20, GAP, 30)
    jumped = RegisterReads(
        np.array([[0, 10, 90_000, 90_020, 90_035, 0]]), np.array([[True, True, True, True, True, False]])
    )
    result = estimate(readings, no_history(1, readings.day), jumped, np.array([50]))
    assert result.wh[0].tolist() == [10, 15, 20, 15, 30]  # a line, and the register where it did not jump
    with pytest.raises(WrongShape):
        estimate(readings, no_history(1, readings.day), jumped, np.array([50, 50]))


@st.composite
def read_days(draw: st.DrawFn) -> tuple[MeterDay, History, RegisterReads, np.ndarray]:
    """Days with reads of registers that counted right, and what really flowed."""
    readings, history = draw(days())
    shape = readings.wh.shape
    flowed = draw(hnp.arrays(np.int64, shape, elements=st.integers(0, 2**27)))
    flowed = np.where(readings.flags == ACTUAL, readings.wh, flowed)
    registers = np.zeros((shape[0], shape[1] + 1), np.int64)
    np.cumsum(flowed, axis=1, out=registers[:, 1:])
    known = draw(hnp.arrays(np.bool_, registers.shape))
    return readings, history, RegisterReads(registers, known), flowed


@given(read_days())
def test_where_the_register_was_read_every_wh_is_accounted_for(world) -> None:
    readings, history, reads, flowed = world
    result = estimate(readings, history, reads)
    actual = readings.flags == ACTUAL
    assert (result.wh[actual] == readings.wh[actual]).all()
    assert ((result.flags == ACTUAL) == actual).all()
    for row in range(len(readings.series)):
        bounds = np.flatnonzero(reads.known[row])
        for start, stop in pairwise(bounds.tolist()):
            assert result.wh[row, start:stop].sum() == flowed[row, start:stop].sum()
            assert not (result.flags[row, start:stop] == DEFAULT).any()


def test_out_of_service_is_left_as_it_is() -> None:
    readings = only_in_service(one_row(10, GAP, GAP, GAP), np.array([[True, True, False, False]]))
    past = History(np.full((1, 1, 4), 9), np.ones((1, 1, 4), np.bool_))
    reads = RegisterReads(np.array([[0, 0, 0, 0, 30]]), np.array([[True, False, False, False, True]]))
    result = estimate(readings, past, reads)
    assert result.wh[0].tolist() == [10, 20, 0, 0]
    assert result.flags[0].tolist() == [ACTUAL, ESTIMATED, OUT_OF_SERVICE, OUT_OF_SERVICE]


@given(days())
def test_an_estimate_lies_between_what_it_is_made_of(world) -> None:
    readings, history = world
    result = estimate(readings, history)
    for row, column in zip(*np.nonzero(result.flags == ESTIMATED), strict=True):
        today = readings.wh[row][readings.flags[row] == ACTUAL].tolist()
        past = history.wh[row, :, column][history.actual[row, :, column]].tolist()
        assert min(today + past) <= result.wh[row, column] <= max(today + past)


@given(days())
def test_estimating_twice_changes_nothing(world) -> None:
    readings, history = world
    once = estimate(readings, history)
    twice = estimate(once, history)
    assert (once.wh == twice.wh).all()
    assert (once.flags == twice.flags).all()


@given(days(), ENERGY)
def test_a_wrong_value_where_history_is_unknown_changes_nothing(world, noise) -> None:
    readings, history = world
    noisy = History(np.where(history.actual, history.wh, noise), history.actual)
    assert (estimate(readings, history).wh == estimate(readings, noisy).wh).all()


def test_the_share_that_is_not_actual() -> None:
    assert estimated_share(np.array([[0, 1], [2, 0]], np.uint8)) == 0.5
    assert estimated_share(np.zeros((0, 4), np.uint8)) == 0.0


def test_history_must_fit_the_day() -> None:
    with pytest.raises(WrongShape):
        estimate(one_row(1, 2), no_history(2, Day(3600, 0, 2)))
    with pytest.raises(WrongShape):
        History(np.zeros((1, 2), np.int64), np.zeros((1, 2), np.bool_))
    with pytest.raises(OutOfRange):
        History(np.full((1, 1, 1), -1), np.ones((1, 1, 1), np.bool_))


@pytest.mark.parametrize(
    ("length", "first", "windows"), [(60, 0, 1), (3600, -1, 1), (3600, 0, 0), (3600, 2**32 - 1, 2)]
)
def test_a_day_must_fit_the_formats(length: int, first: int, windows: int) -> None:
    with pytest.raises(OutOfRange):
        Day(length, first, windows)


def test_a_window_outside_the_day_is_named() -> None:
    with pytest.raises(WrongWindow) as caught:
        DAY.column(DAY.first_window + DAY.windows)
    assert caught.value.offender == DAY.first_window + DAY.windows


def test_a_meter_day_refuses_what_is_none() -> None:
    good = one_row(1, 2)
    with pytest.raises(WrongShape):
        good.replace(good.wh[:, :1], good.flags)
    with pytest.raises(OutOfRange):
        good.replace(good.wh - 2, good.flags)
    with pytest.raises(WrongShape):
        blank(DAY, ((bytes(32), 2), (bytes(32), 1)))
    with pytest.raises(WrongShape):  # a float is no energy
        good.replace(good.wh.astype(np.float64), good.flags)
    with pytest.raises(ValueError, match="read-only"):
        good.wh[0, 0] = 5
