"""The two integer divisions differ below zero, and only there."""

from __future__ import annotations

import numpy as np
import pytest

from settlement.units import floor_div, trunc_div


@pytest.mark.parametrize(
    ("numerator", "denominator", "floored", "truncated"),
    [
        (7, 2, 3, 3),
        (-7, 2, -4, -3),
        (7, -2, -4, -3),
        (-7, -2, 3, 3),
        (-8, 2, -4, -4),
        (0, 5, 0, 0),
        (-1, 2**70, -1, 0),
    ],
)
def test_floor_rounds_down_and_trunc_towards_zero(
    numerator: int, denominator: int, floored: int, truncated: int
) -> None:
    assert floor_div(numerator, denominator) == floored
    assert trunc_div(numerator, denominator) == truncated


def test_arrays_divide_as_their_elements_do() -> None:
    values = np.arange(-9, 10)
    assert floor_div(values, 4).tolist() == [floor_div(v, 4) for v in values.tolist()]
    assert trunc_div(values, 4).tolist() == [trunc_div(v, 4) for v in values.tolist()]
