"""Cumulative registers: what is energy, what is a gap."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oracle.errors import OutOfRange, WrongShape
from oracle.formats.registers import Increment, increments, on_grid

M, R, C, X, RESET = (
    Increment.MEASURED,
    Increment.ROLLED,
    Increment.CATCH_UP,
    Increment.MISSING,
    Increment.RESET,
)

CASES = [
    # name                                     reads                      energy         flag       span
    ("no read", [None, None], [0], [X], [0]),
    ("one read", [None, 5, None], [0, 0], [X, X], [0, 0]),
    ("steady", [10, 10, 14], [0, 4], [M, M], [1, 1]),
    ("as much as can flow", [0, 100], [100], [M], [1]),
    ("more than can flow", [0, 101], [0], [RESET], [1]),
    ("the register turns over", [9990, 5], [15], [R], [1]),
    ("turns over by more than can flow", [9890, 5], [0], [RESET], [1]),
    ("set back to zero", [4000, 0, 7], [0, 7], [RESET, M], [1, 1]),
    ("a missing read", [10, None, 50], [0, 40], [X, C], [0, 2]),
    ("more in two intervals than in one", [10, None, 210], [0, 200], [X, C], [0, 2]),
    (
        "more than half the register in a long gap",
        [0, *[None] * 98, 9000],
        [0] * 98 + [9000],
        [X] * 98 + [C],
        [0] * 98 + [99],
    ),
    ("turns over during a gap", [9990, None, None, 90], [0, 0, 100], [X, X, C], [0, 0, 3]),
    ("set back during a gap", [4000, None, 10], [0, 0], [X, RESET], [0, 2]),
    ("missing ends", [None, 1, 2, None], [0, 1, 0], [X, M, X], [0, 1, 0]),
]


def row(reads):
    present = np.array([read is not None for read in reads], np.bool_)
    return np.array([-1 if read is None else read for read in reads], np.int64), present


@pytest.mark.parametrize(
    ("reads", "energy", "flag", "span"), [case[1:] for case in CASES], ids=[c[0] for c in CASES]
)
def test_a_difference_is_energy_or_a_gap(reads, energy, flag, span) -> None:
    found = increments(*row(reads), digits=4, most=100)
    assert found.energy.tolist() == energy
    assert found.flag.tolist() == flag
    assert found.span.tolist() == span
    assert found.total == sum(energy)


def test_a_register_set_back_after_a_year_without_reads_has_not_turned_over() -> None:
    reads = [4999, *[None] * 8759, 0]
    assert increments(*row(reads), digits=4, most=100).flag[-1] == RESET


walks = st.lists(st.one_of(st.integers(0, 900), st.none()), max_size=60)


@settings(deadline=None)
@given(first=st.integers(0, 99_999), steps=walks)
def test_increments_add_up_to_last_less_first_and_a_modulus_a_roll(first, steps) -> None:
    true, reads = first, [first]
    for step in steps:
        true += step or 0
        reads.append(None if step is None else true % 100_000)
    found = increments(*row(reads), digits=5, most=900)
    known = [read for read in reads if read is not None]
    assert RESET not in found.flag
    assert found.total == known[-1] - known[0] + found.rolls * 100_000
    assert found.total == true - first if steps and steps[-1] is not None else True


@settings(deadline=None)
@given(st.lists(st.one_of(st.integers(0, 9_999_999), st.none()), max_size=40), st.integers(1, 9_999_999))
def test_no_energy_is_negative_or_more_than_can_flow(reads, most) -> None:
    found = increments(*row(reads), digits=7, most=most)
    assert (found.energy >= 0).all()
    assert (found.energy <= found.span * most).all()
    assert (found.energy[found.flag >= X] == 0).all()
    assert found.known.tolist() == [flag in (M, R) for flag in found.flag.tolist()]


def test_eighteen_digits_do_not_overflow() -> None:
    top = 10**18 - 1
    assert increments(*row([top, 0, top]), digits=18, most=top).flag.tolist() == [R, M]
    assert increments(*row([top, None, 4]), digits=18, most=10).energy.tolist() == [0, 5]


@pytest.mark.parametrize(
    ("options", "offender"),
    [
        ({"digits": 0}, "digits 0"),
        ({"digits": 19}, "digits 19"),
        ({"most": 0}, "most 0"),
        ({"most": 10_000}, "most 10000"),
        ({"digits": 1, "most": 5}, "read 1"),
    ],
)
def test_what_is_out_of_range_is_named(options, offender) -> None:
    with pytest.raises(OutOfRange) as caught:
        increments(*row([1, 10]), **{"digits": 4, "most": 100} | options)
    assert caught.value.offender == offender


def test_shapes_and_types_are_checked() -> None:
    with pytest.raises(WrongShape):
        increments(np.zeros(3, np.int64), np.zeros(2, np.bool_), digits=4, most=1)
    with pytest.raises(WrongShape):
        increments(np.zeros(3), np.zeros(3, np.bool_), digits=4, most=1)
    with pytest.raises(WrongShape):
        on_grid(np.zeros(3, np.int64), np.zeros(2, np.int64), first_s=0, length_s=900, count=2)
    with pytest.raises(OutOfRange):
        on_grid(np.zeros(1, np.int64), np.zeros(1, np.int64), first_s=0, length_s=0, count=2)


def test_only_reads_on_a_boundary_count_and_the_last_of_two() -> None:
    times = np.array([0, 900, 901, 900, 2700, -900, 3600], np.int64)
    values, present = on_grid(times, np.arange(1, 8), first_s=0, length_s=900, count=4)
    assert present.tolist() == [True, True, False, True]
    assert values.tolist() == [1, 4, 0, 5]
