"""What a book and a market may be, and how rows add up to price levels."""

from __future__ import annotations

from typing import Any

import pytest

from settlement.errors import InputError
from settlement.matching import ROOT, clear, empty_book, make_book, make_market
from settlement.matching.book import aggregate

ROW = {
    "order": [0],
    "side": [0],
    "zone": [0],
    "quality": [0],
    "window": [0],
    "quantity_wh": [1],
    "limit": [0],
}


def test_rows_of_one_cell_side_and_limit_are_one_level() -> None:
    market = make_market(2, qualities=2)
    book = make_book(
        order=[3, 1, 2, 0, 4],
        side=[1, 0, 0, 0, 0],
        zone=[0, 0, 0, 0, 0],
        quality=[1, 1, 1, 0, 1],
        window=[1, 1, 1, 0, 1],
        quantity_wh=[5, 6, 7, 8, 0],
        limit=[-9, 40, 40, 40, 41],
    )
    levels = aggregate(book, market)
    assert levels.cell.tolist() == [0, 3, 3]
    assert levels.side.tolist() == [0, 0, 1]
    assert levels.limit.tolist() == [40, 40, -9]
    assert levels.quantity_wh.tolist() == [8, 13, 5]


def test_an_empty_book_has_no_levels() -> None:
    assert len(aggregate(empty_book(), make_market()).cell) == 0


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("order", -1),
        ("order", 2**34),
        ("side", 2),
        ("zone", 1),
        ("quality", -1),
        ("window", 1),
        ("quantity_wh", 2**30),
        ("quantity_wh", -1),
        ("limit", 6_000_001),
        ("limit", -2_000_001),
    ],
)
def test_a_row_outside_the_market_is_refused(column: str, value: int) -> None:
    with pytest.raises(InputError, match=column):
        clear(make_book(**{**ROW, column: [value]}), make_market())


def test_an_order_with_two_rows_in_a_window_is_refused() -> None:
    twice = {column: values * 2 for column, values in ROW.items()}
    with pytest.raises(InputError, match="two rows"):
        clear(make_book(**twice), make_market())
    clear(make_book(**{**twice, "window": [0, 1]}), make_market(2))


def test_columns_of_unequal_length_are_refused() -> None:
    with pytest.raises(InputError, match="equally long"):
        make_book(**{**ROW, "limit": [1, 2]})


def test_numbers_that_are_not_integers_are_refused() -> None:
    with pytest.raises(InputError, match="integers"):
        make_book(**{**ROW, "limit": [1.5]})


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"windows": 0}, "at least one window"),
        ({"qualities": 0}, "at least one window"),
        ({"windows": 2**29}, "2\\^29"),
        ({"floor": 1, "cap": 0}, "ordered"),
        ({"cap": 2**29 + 1}, "within"),
        ({"parent": [ROOT, 0]}, "every zone needs"),
        ({"parent": [0], "charge": [1], "capacity_wh": [0]}, "exactly one root"),
        ({"parent": [ROOT, ROOT], "charge": [1, 1], "capacity_wh": [0, 0]}, "exactly one root"),
        ({"parent": [ROOT, 2, 1], "charge": [1] * 3, "capacity_wh": [0] * 3}, "ring"),
        ({"parent": [ROOT, 3, 1, 2], "charge": [1] * 4, "capacity_wh": [0] * 4}, "ring"),
        ({"parent": [ROOT, 2], "charge": [1, 1], "capacity_wh": [0, 0]}, "not a zone"),
        ({"parent": [ROOT, 0], "charge": [0, 0], "capacity_wh": [0, 0]}, "charge"),
        ({"parent": [ROOT, 0], "charge": [0, 2**32], "capacity_wh": [0, 0]}, "charge"),
        ({"parent": [ROOT, 0], "charge": [0, 1], "capacity_wh": [0, -1]}, "capacity"),
        ({"qualities": 2, "substitutions": []}, "cannot serve quality 0"),
        ({"qualities": 3, "substitutions": [(1, 0), (1, 2)]}, "\\[2\\] cannot serve quality 0"),
        ({"qualities": 2, "substitutions": [(1, 0), (1, 1)]}, "itself"),
        ({"qualities": 2, "substitutions": [(1, 0), (1, 0)]}, "twice"),
        ({"qualities": 2, "substitutions": [(2, 0)]}, "not in the market"),
    ],
)
def test_a_market_that_cannot_be_cleared_is_refused(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        make_market(**wrong)
