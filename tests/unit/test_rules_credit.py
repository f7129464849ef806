"""Credit cover: warnings begin strictly above their thresholds, and the gravest is told first."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from settlement.errors import InputError
from settlement.rules.configuration import from_json
from settlement.rules.credit import Level, Position, Standing, Thresholds, assess, level_of

CASH = st.integers(-(10**6), 10**30)


@pytest.mark.parametrize(
    ("reserve", "cover", "level"),
    [
        (800, 1000, Level.COVERED),
        (801, 1000, Level.FIRST_WARNING),
        (900, 1000, Level.FIRST_WARNING),
        (901, 1000, Level.SECOND_WARNING),
        (1000, 1000, Level.SECOND_WARNING),
        (1001, 1000, Level.BREACH),
        (0, 0, Level.COVERED),
        (1, 0, Level.BREACH),
        (0, -1, Level.BREACH),
        (8 * 10**29 + 1, 10**30, Level.FIRST_WARNING),
    ],
)
def test_a_threshold_is_passed_only_above_it(reserve: int, cover: int, level: Level) -> None:
    assert level_of(reserve, cover) is level


@given(st.integers(0, 10**30), CASH)
def test_the_default_thresholds_are_eight_and_nine_tenths(reserve: int, cover: int) -> None:
    level = level_of(reserve, cover)
    assert (level >= Level.FIRST_WARNING) == (reserve * 10 > cover * 8 or reserve > cover)
    assert (level >= Level.SECOND_WARNING) == (reserve * 10 > cover * 9 or reserve > cover)


def test_the_gravest_comes_first_and_equals_by_member() -> None:
    positions = [
        Position("f", 100, 1000),
        Position("e", 850, 1000),
        Position("d", 1700, 2000),
        Position("c", 895, 1000),
        Position("b", 2000, 1000),
        Position("a2", 4, 0),
        Position("a", 5, 0),
        Position("g", 0, -9),
    ]
    standings = assess(positions)
    assert [each.member for each in standings] == ["g", "a", "a2", "b", "c", "d", "e", "f"]
    assert standings[1] == Standing("a", Level.BREACH, None, -5)
    assert standings[4] == Standing("c", Level.FIRST_WARNING, 895_000, 105)


@given(st.permutations([Position(str(n), reserve, 100) for n, reserve in enumerate((0, 85, 85, 95, 101))]))
def test_the_order_of_positions_does_not_matter(positions: list[Position]) -> None:
    assert [each.member for each in assess(positions)] == ["4", "3", "1", "2", "0"]


def test_nobody_is_left_out() -> None:
    assert assess([]) == ()
    assert len(assess([Position("a", 0, 0), Position("b", 0, 5)])) == 2


@pytest.mark.parametrize("positions", [[Position("a", -1, 5)], [Position("a", 1, 5), Position("a", 2, 5)]])
def test_a_negative_reserve_and_a_member_given_twice_are_refused(positions: list[Position]) -> None:
    with pytest.raises(InputError, match=r"^a "):
        assess(positions)


def test_thresholds_are_read_from_json() -> None:
    assert from_json(Thresholds, '{"first_ppm": 500000}', "credit.json") == Thresholds(500_000)
    with pytest.raises(InputError, match="exceeds"):
        from_json(Thresholds, '{"first_ppm": 950000}', "credit.json")
