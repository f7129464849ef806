"""A city's book and grid as the files that `trellis clear` reads."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from settlement.matching import ROOT, UNLIMITED_WH, Book, Market


def write_book(file: Path, book: Book) -> None:
    """BOOK.csv, its rows shuffled."""
    columns = (book.order, book.side, book.zone, book.quality, book.window, book.quantity_wh, book.limit)
    shuffled = np.random.default_rng(1).permutation(len(book))
    with file.open("w") as out:
        out.write("order_id,side,zone,quality,window,quantity_wh,limit_micro_per_kwh\n")
        for order, side, zone, *rest in zip(*(column[shuffled].tolist() for column in columns), strict=True):
            out.write(f"order-{order:08},{'sell' if side else 'buy'},z{zone},{','.join(map(str, rest))}\n")


def write_grid(file: Path, market: Market) -> None:
    """GRID.json."""
    zones = zip(market.parent.tolist(), market.charge.tolist(), market.capacity_wh.tolist(), strict=True)
    listed = [
        {
            "id": f"z{number}",
            "parent": None if parent == ROOT else f"z{parent}",
            "charge_micro_per_kwh": charge,
            "capacity_wh": None if capacity == UNLIMITED_WH else capacity,
        }
        for number, (parent, charge, capacity) in enumerate(zones)
    ]
    file.write_text(json.dumps({"zones": listed}))
