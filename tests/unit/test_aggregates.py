"""Aggregates hide every account, at whatever level they are told."""

from __future__ import annotations

from collections import defaultdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.aggregates import LEVELS, SHARE, Row, may_tell, tell

GROUP = 4
ROWS = st.lists(
    st.builds(
        Row,
        account=st.sampled_from("abcdefg"),
        window=st.integers(0, 2),
        quality=st.sampled_from((0, 5)),
        measure=st.sampled_from(("bought_wh", "sold_wh")),
        amount=st.integers(0, 40),
    ),
    max_size=80,
)


@pytest.mark.parametrize(
    ("amounts", "told"),
    [
        ((), False),
        ((5, 5, 5), False),  # too few
        ((5, 5, 5, 0), False),  # who brings nothing is not one of them
        ((5, 5, 5, 5), True),
        ((100, 5, 5, 5), True),
        ((101, 5, 5, 5), False),  # the second knows the largest to within a tenth
        ((-5, -5, 5, 5), True),
    ],
)
def test_a_sum_is_told_if_it_is_of_enough_accounts_and_none_stands_out(
    amounts: tuple[int, ...], told: bool
) -> None:
    assert may_tell(amounts, GROUP) is told


@given(ROWS)
def test_no_sum_that_is_told_gives_an_account_away(rows: list[Row]) -> None:
    found = tell(rows, GROUP)
    if found is None:
        return
    for (window, quality), sums in found.cells.items():
        for measure, total in sums.items():
            each: dict[str, int] = defaultdict(int)
            for row in rows:
                here = window in (None, row.window) and quality in (None, row.quality)
                if here and row.measure == measure:
                    each[row.account] += row.amount
            brought = sorted((one for one in each.values() if one), reverse=True)
            assert total == sum(brought)
            assert len(brought) >= GROUP
            assert (total - brought[0] - brought[1]) * SHARE >= brought[0]


@given(ROWS)
def test_a_day_is_told_at_one_level_whole(rows: list[Row]) -> None:
    """So that no sum is the difference of two others, and nothing is left out of any."""
    found = tell(rows, GROUP)
    if found is None:
        return
    assert found.level in LEVELS
    for measure in ("bought_wh", "sold_wh"):
        told = sum(sums.get(measure, 0) for sums in found.cells.values())
        assert told == sum(row.amount for row in rows if row.measure == measure)
    shapes = {(window is None, quality is None) for window, quality in found.cells}
    assert len(shapes) == 1


def test_the_finest_level_that_hides_everyone_is_taken() -> None:
    everyone = [Row(one, 0, 0, "bought_wh", 10) for one in "abcd"]
    assert tell(everyone, GROUP).level == "window"  # type: ignore[union-attr]
    scattered = [Row(one, at % 3, 0, "bought_wh", 10) for at, one in enumerate("abcd")]
    assert tell(scattered, GROUP).level == "quality"  # type: ignore[union-attr]
    mixed = [Row(one, 0, 5 * (at % 2), "bought_wh", 10) for at, one in enumerate("abcd")]
    assert tell(mixed, GROUP).level == "day"  # type: ignore[union-attr]
    assert tell(everyone[:3], GROUP) is None
