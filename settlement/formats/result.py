"""RESULT.json: what a clearing says, with names in the place of indices.

Lists are sorted by their columns from left to right. Each row is one line, put together column by column, so
that a million of them take no loop.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as arrow

from settlement.formats.case import Case
from settlement.formats.memory import as_arrow, as_texts, literal
from settlement.matching import Clearing, traded_wh

ESCAPED = r'["\\\x00-\x1f]'
OPEN = ",\n{"
ROWS_AT_ONCE = 1 << 20
"""A text array of Arrow's holds less than 2 GB."""

LISTS = ("prices", "fills", "flows", "substitutions", "energy_prices", "premiums")

Values: TypeAlias = Any
"""Whole numbers, or texts that are JSON already."""


def empty_result() -> bytes:
    """The result of a book without a window."""
    return b"".join(_document(0, {name: [] for name in LISTS}))


def write_result(case: Case, clearing: Clearing) -> bytes:
    """The result's bytes: the same for the same orders, whatever the order of their rows."""
    zones = as_texts([json.dumps(zone, ensure_ascii=False) for zone in case.zones])
    lists = {
        "prices": _prices(case, clearing, zones),
        "fills": _fills(case, clearing),
        "flows": _flows(case, clearing, zones),
        "substitutions": _substitutions(case, clearing),
        "energy_prices": _energy_prices(case, clearing, zones),
        "premiums": _premiums(case, clearing),
    }
    return b"".join(_document(clearing.welfare_nano, lists))


def _document(welfare: int, lists: Mapping[str, Sequence[memoryview]]) -> Iterator[bytes | memoryview]:
    yield f'{{\n"welfare_nano": {welfare}'.encode()
    for name, rows in lists.items():
        yield f',\n"{name}": ['.encode()
        yield from rows
        yield b"\n]" if rows else b"]"
    yield b"\n}\n"


def _rows(columns: Mapping[str, Values]) -> Sequence[memoryview]:
    """One JSON object a line, commas between them."""
    rows = len(next(iter(columns.values())))
    starts = range(0, rows, ROWS_AT_ONCE)
    parts = [
        _lines({name: values[at : at + ROWS_AT_ONCE] for name, values in columns.items()}) for at in starts
    ]
    return [part[not place :] for place, part in enumerate(parts)]


def _lines(columns: Mapping[str, Values]) -> memoryview:
    """A comma, a line's end and an object for each row, as Arrow holds them: one after the other."""
    pieces: list[pa.Array | pa.Scalar] = []
    for name, values in columns.items():
        texts = (
            values.cast(pa.string()) if isinstance(values, pa.Array) else as_arrow(values).cast(pa.string())
        )
        pieces += [literal(f'{"," if pieces else OPEN}"{name}":'), texts]
    joined = arrow.binary_join_element_wise(*pieces, literal("}"), literal(""))
    _, offsets, characters = joined.buffers()
    ends = np.frombuffer(offsets, np.int32)
    return memoryview(characters)[int(ends[joined.offset]) : int(ends[joined.offset + len(joined)])]


def _prices(case: Case, clearing: Clearing, zones: pa.Array) -> Sequence[memoryview]:
    """The cells in which something traded."""
    traded = np.any(traded_wh(case.book, case.market, clearing.fills_wh), axis=3, keepdims=True)[..., 0]
    order, window = np.nonzero(clearing.flexible_wh)
    traded[case.flexible.zone[order], 0, window] = True
    window, zone, quality = np.nonzero(traded.transpose(2, 0, 1))
    return _rows(
        {
            "window": case.windows[window],
            "zone": zones.take(as_arrow(zone)),
            "quality": case.qualities[quality],
            "price_micro_per_kwh": clearing.prices[zone, quality, window],
        }
    )


def _fills(case: Case, clearing: Clearing) -> Sequence[memoryview]:
    """What every order got, in each window in which it got something."""
    row = np.flatnonzero(clearing.fills_wh)
    flexible, window = np.nonzero(clearing.flexible_wh)
    rank = np.append(case.book.order[row], case.flexible.order[flexible])
    window = np.append(case.book.window[row], window)
    fill = np.append(clearing.fills_wh[row], clearing.flexible_wh[clearing.flexible_wh != 0])
    sorted_rows = np.argsort(rank * case.market.windows + window)
    rank, window, fill = rank[sorted_rows], window[sorted_rows], fill[sorted_rows]
    ids = _quoted(case.ids).take(as_arrow(rank))
    return _rows({"order_id": ids, "window": case.windows[window], "fill_wh": fill})


def _quoted(texts: pa.Array) -> pa.Array:
    """Texts as JSON; only those with quotes, backslashes or control characters one by one."""
    if arrow.any(arrow.match_substring_regex(texts, ESCAPED)).as_py():
        return as_texts([json.dumps(text, ensure_ascii=False) for text in texts.to_pylist()])
    return arrow.binary_join_element_wise(literal('"'), texts, literal('"'), literal(""))


def _flows(case: Case, clearing: Clearing, zones: pa.Array) -> Sequence[memoryview]:
    """Net flows over lines, in their direction."""
    child, window = np.nonzero(clearing.flows_wh)
    parent, wh = case.market.parent[child], clearing.flows_wh[child, window]
    giver, taker = np.where(wh > 0, parent, child), np.where(wh > 0, child, parent)
    by = np.lexsort((taker, giver, window))
    return _rows(
        {
            "window": case.windows[window[by]],
            "from_zone": zones.take(as_arrow(giver[by])),
            "to_zone": zones.take(as_arrow(taker[by])),
            "wh": np.abs(wh[by]),
        }
    )


def _substitutions(case: Case, clearing: Clearing) -> Sequence[memoryview]:
    pair, window = np.nonzero(clearing.substituted_wh)
    giver, taker = case.market.substitutions[pair].T
    by = np.lexsort((taker, giver, window))
    return _rows(
        {
            "window": case.windows[window[by]],
            "from_quality": case.qualities[giver[by]],
            "to_quality": case.qualities[taker[by]],
            "wh": clearing.substituted_wh[pair, window][by],
        }
    )


def _energy_prices(case: Case, clearing: Clearing, zones: pa.Array) -> Sequence[memoryview]:
    window, zone = (axis.ravel() for axis in np.indices((case.market.windows, case.market.zones)))
    return _rows(
        {
            "window": case.windows[window],
            "zone": zones.take(as_arrow(zone)),
            "micro_per_kwh": clearing.energy.mid[zone, window],
        }
    )


def _premiums(case: Case, clearing: Clearing) -> Sequence[memoryview]:
    window, quality = (axis.ravel() for axis in np.indices((case.market.windows, case.market.qualities)))
    return _rows(
        {
            "window": case.windows[window],
            "quality": case.qualities[quality],
            "micro_per_kwh": clearing.premiums[quality, window],
        }
    )
