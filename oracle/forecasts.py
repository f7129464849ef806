"""What a home's own agent expects of tomorrow, from its own past days only.

Load follows habits: the mean of the same window over the last few days of the same kind (working day or
weekend). PV follows the weather, and yesterday's is the best that a home without a weather service has: a
mean of the last days that forgets geometrically. Integer Wh with integer weights, halves up: the same past
gives the same orders on any machine.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from oracle.errors import OutOfRange, WrongShape
from oracle.messages import WH_BOUND

Wh = npt.NDArray[np.int64]

LIKE_DAYS = 8
"""Over the year of the measured homes the sum of absolute errors is 48% of the load; with 2 days 51%, with
20 48%.
"""
PV_DAYS = 7
PV_KEEP = (1, 2)
"""A day's weight against the next one's, as a fraction. Likewise 23% of generation; with equal weights
25%.
"""
SATURDAY = 5
SECONDS_PER_DAY = 86_400


def weekday(first_window: int, window_length_s: int) -> int:
    """Day of the week of a window's start, Monday 0. (1970-01-01 was a Thursday.)"""
    return (first_window * window_length_s // SECONDS_PER_DAY + 3) % 7


def forecast_load(
    past_wh: Wh, past_weekdays: npt.ArrayLike, target_weekday: int, days: int = LIKE_DAYS
) -> Wh:
    """(W,) expected load: the mean over the last `days` rows of `past_wh` (D, W), oldest first, that are
    working days or weekend days as the target is; over the last `days` of any kind where there is none.

    WrongShape or OutOfRange; without any past day there is nothing to forecast from, and that is OutOfRange
    too.
    """
    past = _checked(past_wh)
    kinds = np.asarray(past_weekdays) >= SATURDAY
    if kinds.shape != (len(past),):
        raise WrongShape("past_weekdays", f"{kinds.shape} for {len(past)} days")
    if days <= 0:
        raise OutOfRange(days, "at least one like day")
    alike = past[kinds == (target_weekday >= SATURDAY)]
    chosen = (alike if len(alike) else past)[-days:]
    return _mean(chosen, np.ones(len(chosen), np.int64))


def forecast_pv(past_wh: Wh, days: int = PV_DAYS, keep: tuple[int, int] = PV_KEEP) -> Wh:
    """(W,) expected generation: the mean over the last `days` rows of `past_wh` (D, W), oldest first, each
    weighing `keep` (a fraction p/q) times the next. WrongShape or OutOfRange.
    """
    past = _checked(past_wh)[-days:] if days > 0 else _checked(past_wh)[:0]
    p, q = keep
    if not len(past) or not 0 < p <= q or len(past) * q ** (len(past) - 1) >= 1 << 32:
        raise OutOfRange((days, keep), "a number of days and a fraction whose weights fit 32 bits")
    newest = len(past) - 1
    weights = np.array([p ** (newest - age) * q**age for age in range(len(past))], np.int64)
    return _mean(past, weights)


def _checked(past_wh: Wh) -> Wh:
    past = np.asarray(past_wh, np.int64)
    if past.ndim != 2:
        raise WrongShape("past_wh", f"{past.shape} instead of (days, windows)")
    if not len(past):
        raise OutOfRange(0, "a forecast needs at least one past day")
    if past.size and (past.min() < 0 or past.max() >= WH_BOUND):
        raise OutOfRange("past_wh", "a window's energy is from 0 to 2^30 - 1")
    return past


def _mean(rows: Wh, weights: npt.NDArray[np.int64]) -> Wh:
    """Weighted mean over the rows, halves up. Below 2^63: weights sum below 2^32, values are below 2^30."""
    total = int(weights.sum())
    mean: Wh = (rows * weights[:, None]).sum(axis=0)
    return (mean + (total >> 1)) // total


@dataclass(frozen=True, slots=True)
class ForecastError:
    """How a forecast did over its windows."""

    mean_wh: float
    """Mean of forecast less actual: the bias."""
    mean_absolute_wh: float
    root_mean_square_wh: float
    share: float | None
    """Sum of absolute errors over the sum of actuals; None where nothing was measured."""


def measure(forecast_wh: Wh, actual_wh: Wh) -> ForecastError:
    """Error measures over arrays of one shape; WrongShape if they differ or are empty."""
    forecast, actual = np.asarray(forecast_wh, np.int64), np.asarray(actual_wh, np.int64)
    if forecast.shape != actual.shape or not forecast.size:
        raise WrongShape("forecast", f"{forecast.shape} against {actual.shape}")
    error = forecast - actual
    absolute, total = int(np.abs(error).sum()), int(actual.sum())
    return ForecastError(
        mean_wh=float(error.mean()),
        mean_absolute_wh=absolute / error.size,
        root_mean_square_wh=float(np.sqrt(np.square(error.astype(np.float64)).mean())),
        share=absolute / total if total else None,
    )
