"""A book, flexible orders and a grid, as read from files: arrays for the matcher, and the names behind them.

A book's windows are those of its rows. A flexible order trades in those of them that its range covers. Beyond
them only another flexible order could meet it, so windows that ranges of both sides cover count too.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as arrow

from settlement.errors import InputError
from settlement.formats.grid import Grid
from settlement.formats.memory import as_ints, equal_to
from settlement.formats.orders import LIMIT, refuse_limits_outside, sides_of
from settlement.formats.source import Rows
from settlement.matching import Book, FlexibleOrders, Market, make_market, no_flexible
from settlement.matching.market import CELL_LIMIT, Ints

MOST_CHAINED = 256
"""Qualities lie below where no grid says what serves what: each then serves the next lower, down to 0."""

ONE_ZONE = "one zone"
"""Stands in messages for the grid that was not given."""


@dataclass(frozen=True, eq=False)
class Case:
    """What is cleared. `zones`, `qualities` and `windows` are the names of the market's dense indices.

    ids        [I] order ids in ascending order of their bytes: ranks index it
    """

    market: Market
    book: Book
    flexible: FlexibleOrders
    ids: pa.Array
    zones: tuple[str, ...]
    qualities: Ints
    windows: Ints


def make_case(book: Rows, flexible: Rows | None, grid: Grid | None) -> Case | None:
    """The case of files that have been read; None if there is no window to clear."""
    grid = _one_zone(book, flexible) if grid is None else grid
    ids, book_rank, flexible_rank = _ranks(book, flexible)
    zone = _zones(book, grid)
    flexible_zone = None if flexible is None else _zones(flexible, grid)
    for rows in (book, flexible):
        if rows is not None:
            refuse_limits_outside(rows, grid.floor, grid.cap)
    windows = _windows(book, flexible)
    _refuse_twice(book, book_rank, windows)
    pairs, qualities = _qualities(book, flexible, grid)
    if not len(windows):
        return None
    market = make_market(
        len(windows),
        parent=grid.parent,
        charge=grid.charge,
        capacity_wh=grid.capacity_wh,
        qualities=len(qualities),
        substitutions=pairs,
        floor=grid.floor,
        cap=grid.cap,
    )
    return Case(
        market=market,
        book=_book(book, book_rank, zone, qualities, windows),
        flexible=_flexible(flexible, flexible_rank, flexible_zone, windows),
        ids=ids,
        zones=grid.zones,
        qualities=qualities,
        windows=windows,
    )


def _one_zone(book: Rows, flexible: Rows | None) -> Grid:
    """The grid of the zone that every row names."""
    named = [rows for rows in (book, flexible) if rows is not None and len(rows)]
    if not named:
        return Grid(ONE_ZONE, ("",))
    zone = named[0].texts["zone"][0].as_py()
    for rows in named:
        rows.refuse_first(
            ~equal_to(rows.texts["zone"], zone),
            "zone",
            f"{{}} is not {zone!r}: without --grid all rows name one zone",
        )
    return Grid(ONE_ZONE, (zone,))


def _ranks(book: Rows, flexible: Rows | None) -> tuple[pa.Array, Ints, Ints]:
    """All ids in ascending order of their bytes, and the place in it of each row's."""
    parts = [rows.texts["order_id"] for rows in (book, flexible) if rows is not None]
    encoded = pa.chunked_array(parts, pa.string()).combine_chunks().dictionary_encode()
    order = arrow.array_sort_indices(encoded.dictionary)
    rank_of = np.empty(len(order), np.int64)
    rank_of[as_ints(order)] = np.arange(len(order))
    rank = rank_of[as_ints(encoded.indices)] if len(order) else np.zeros(0, np.int64)
    of_book, of_flexible = rank[: len(book)], rank[len(book) :]
    if flexible is not None:
        _refuse_shared(flexible, of_book, of_flexible, len(order))
    return encoded.dictionary.take(order), of_book, of_flexible


def _refuse_shared(flexible: Rows, of_book: Ints, of_flexible: Ints, ids: int) -> None:
    """A flexible order has one row, and an id of its own."""
    in_book = np.zeros(ids, bool)
    in_book[of_book] = True
    flexible.refuse_first(in_book[of_flexible], "order_id", "{} is an order of the book too")
    _, first = np.unique(of_flexible, return_index=True)
    again = np.ones(len(of_flexible), bool)
    again[first] = False
    flexible.refuse_first(again, "order_id", "{} has another row: a flexible order has one")


def _zones(rows: Rows, grid: Grid) -> Ints:
    """[N] places of the rows' zones in the grid."""
    encoded = rows.texts["zone"].dictionary_encode()
    place = {zone: index for index, zone in enumerate(grid.zones)}
    known = np.array([place.get(zone, -1) for zone in encoded.dictionary.to_pylist()], np.int64)
    zone = known[as_ints(encoded.indices)] if len(rows) else np.zeros(0, np.int64)
    rows.refuse_first(zone < 0, "zone", f"{{}} is no zone of {grid.name}")
    return zone


def _windows(book: Rows, flexible: Rows | None) -> Ints:
    """The market's windows, ascending."""
    windows = np.unique(book.numbers["window"])
    if flexible is None or not len(flexible):
        return windows
    side, first, last = sides_of(flexible), flexible.numbers["first_window"], flexible.numbers["last_window"]
    edges = np.unique(np.concatenate([first, last + 1]))
    covered = [_coverage(edges, first[side == one], last[side == one]) for one in (0, 1)]
    both = np.flatnonzero((covered[0] > 0) & (covered[1] > 0))
    lengths = [int(edges[at + 1]) - int(edges[at]) for at in both]
    if sum(lengths) >= CELL_LIMIT:
        raise InputError(
            f"{flexible.name}: ranges of buys and of sells share {sum(lengths):,} windows: too many"
        )
    shared = [np.arange(edges[at], edges[at + 1]) for at in both]
    return np.unique(np.concatenate([windows, *shared]))


def _coverage(edges: Ints, first: Ints, last: Ints) -> Ints:
    """How many ranges cover the stretch from each edge to the next."""
    change = np.zeros(len(edges), np.int64)
    np.add.at(change, np.searchsorted(edges, first), 1)
    np.subtract.at(change, np.searchsorted(edges, last + 1), 1)
    return np.cumsum(change)


def _refuse_twice(book: Rows, rank: Ints, windows: Ints) -> None:
    """An order has one row a window."""
    window = np.searchsorted(windows, book.numbers["window"])
    key = rank * max(1, len(windows)) + window
    by_key = np.argsort(key, kind="stable")
    again = np.flatnonzero(key[by_key][1:] == key[by_key][:-1]) + 1
    if len(again):
        row = int(by_key[again].min())
        told = f"order {book.shown(row, 'order_id')} has another row in window {book.shown(row, 'window')}"
        book.refuse(row, "window", told)


def _qualities(book: Rows, flexible: Rows | None, grid: Grid) -> tuple[list[tuple[int, int]], Ints]:
    """Substitutions as pairs of dense indices, and the qualities behind the indices: 0 is the first."""
    used = np.unique(np.append(book.numbers["quality"], 0))
    if grid.substitution is None:
        if used[-1] >= MOST_CHAINED:
            row = int(np.argmax(book.numbers["quality"]))
            book.refuse(row, "quality", f"{used[-1]} needs a grid that says what it may serve")
        used = np.arange(used[-1] + 1)
        return [(q + 1, q) for q in range(len(used) - 1)], used
    qualities = np.unique(np.append(used, np.array(grid.substitution, np.int64).ravel()))
    place = {quality: index for index, quality in enumerate(qualities.tolist())}
    pairs = sorted((place[giver], place[taker]) for giver, taker in grid.substitution)
    _refuse_stranded(book, pairs, qualities, grid)
    return pairs, qualities


def _refuse_stranded(book: Rows, pairs: list[tuple[int, int]], qualities: Ints, grid: Grid) -> None:
    """Every quality must be able to serve quality 0."""
    reaches, waiting = {0}, [0]
    while waiting:
        here = waiting.pop()
        found = {giver for giver, taker in pairs if taker == here} - reaches
        reaches |= found
        waiting += sorted(found)
    stranded = [int(quality) for index, quality in enumerate(qualities) if index not in reaches]
    if stranded:
        told = f"quality {stranded[0]} can serve quality 0 by no chain of substitutions of {grid.name}"
        rows = np.flatnonzero(book.numbers["quality"] == stranded[0])
        if len(rows):
            book.refuse(int(rows[0]), "quality", told)
        raise InputError(f"{grid.name}, substitution: {told}")


def _book(rows: Rows, rank: Ints, zone: Ints, qualities: Ints, windows: Ints) -> Book:
    return Book(
        order=rank,
        side=sides_of(rows),
        zone=zone,
        quality=np.searchsorted(qualities, rows.numbers["quality"]),
        window=np.searchsorted(windows, rows.numbers["window"]),
        quantity_wh=rows.numbers["quantity_wh"],
        limit=rows.numbers[LIMIT],
    )


def _flexible(rows: Rows | None, rank: Ints, zone: Ints | None, windows: Ints) -> FlexibleOrders:
    """The orders whose range covers a window of the market."""
    if rows is None or zone is None:
        return no_flexible()
    numbers, side = rows.numbers, sides_of(rows)
    first = np.searchsorted(windows, numbers["first_window"])
    last = np.searchsorted(windows, numbers["last_window"], side="right") - 1
    return FlexibleOrders(
        order=rank,
        side=side,
        zone=zone,
        first_window=first,
        last_window=last,
        energy_wh=numbers["energy_wh"],
        max_wh_per_window=numbers["max_wh_per_window"],
        limit=numbers[LIMIT],
    ).rows(np.flatnonzero(first <= last))
