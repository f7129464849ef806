"""Forecasts from a home's own past."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from oracle.errors import OutOfRange, WrongShape
from oracle.forecasts import forecast_load, forecast_pv, measure, weekday

PAST = hnp.arrays(
    np.int64,
    st.tuples(st.integers(1, 9), st.integers(1, 5)),
    elements=st.integers(0, 2**30 - 1),
)
MON, FRI, SAT, SUN = 0, 4, 5, 6


def rows(*values: int) -> np.ndarray:
    return np.array(values, np.int64).reshape(-1, 1)


@pytest.mark.parametrize(
    ("past", "weekdays", "target", "days", "expected"),
    [
        ((10, 20, 100, 200), (3, FRI, SAT, SUN), MON, 5, 15),
        ((10, 20, 100, 200), (3, FRI, SAT, SUN), SAT, 5, 150),
        ((10, 20, 100, 201), (3, FRI, SAT, SUN), SUN, 5, 151),  # halves up
        ((10, 20, 30), (1, 2, 3), MON, 2, 25),  # the last two
        ((10, 20), (MON, 1), SAT, 5, 15),  # no like day: any
    ],
)
def test_load_is_the_mean_of_the_last_like_days(past, weekdays, target, days, expected) -> None:
    assert forecast_load(rows(*past), weekdays, target, days).tolist() == [expected]


@pytest.mark.parametrize(
    ("past", "expected"),
    [((100,), 100), ((0, 100), 67), ((100, 0), 33), ((50, 50, 50), 50)],  # weights 1/2 and 1
)
def test_pv_is_a_mean_that_forgets(past, expected) -> None:
    assert forecast_pv(rows(*past)).tolist() == [expected]


def test_pv_looks_back_so_many_days_only() -> None:
    assert forecast_pv(rows(1000, 1, 1), days=2).tolist() == [1]


@given(PAST)
def test_a_forecast_lies_within_the_past(past) -> None:
    for forecast in (forecast_pv(past), forecast_load(past, np.arange(len(past)) % 7, SAT)):
        assert forecast.dtype == np.int64
        assert (past.min(axis=0) <= forecast).all()
        assert (forecast <= past.max(axis=0)).all()


@given(PAST)
def test_what_was_before_the_days_looked_at_does_not_count(past) -> None:
    longer = np.vstack([np.full((3, past.shape[1]), 7), past])
    assert (forecast_pv(past, days=len(past)) == forecast_pv(longer, days=len(past))).all()


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda: forecast_pv(np.zeros((0, 24), np.int64)), OutOfRange),
        (lambda: forecast_load(np.zeros((0, 24), np.int64), [], MON), OutOfRange),
        (lambda: forecast_pv(np.zeros(24, np.int64)), WrongShape),
        (lambda: forecast_pv(rows(-1)), OutOfRange),
        (lambda: forecast_pv(rows(2**30)), OutOfRange),
        (lambda: forecast_pv(rows(1), days=0), OutOfRange),
        (lambda: forecast_pv(rows(1), keep=(2, 1)), OutOfRange),
        (lambda: forecast_pv(rows(*range(40)), days=40), OutOfRange),
        (lambda: forecast_load(rows(1, 2), [MON], MON), WrongShape),
        (lambda: forecast_load(rows(1), [MON], MON, days=0), OutOfRange),
    ],
)
def test_a_past_that_is_none_is_refused(call, error) -> None:
    with pytest.raises(error):
        call()


def test_weekdays_count_from_monday() -> None:
    assert weekday(0, 3600) == 3  # Thursday 1970-01-01
    assert weekday(415_944, 3600) == 2  # Wednesday 2017-06-14
    assert weekday(415_944 * 2 + 47, 1800) == 2
    assert weekday(415_944 * 2 + 48, 1800) == 3


def test_error_measures() -> None:
    error = measure(np.array([10, 20, 30]), np.array([10, 10, 40]))
    assert (error.mean_wh, error.mean_absolute_wh) == (0.0, 20 / 3)
    assert error.root_mean_square_wh == pytest.approx((200 / 3) ** 0.5)
    assert error.share == 20 / 60
    assert measure(np.array([1]), np.array([0])).share is None
    with pytest.raises(WrongShape):
        measure(np.array([1]), np.array([1, 2]))
    with pytest.raises(WrongShape):
        measure(np.array([]), np.array([]))
