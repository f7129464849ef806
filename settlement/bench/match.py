"""`trellis bench match`: how fast the matcher clears, and how much memory it takes.

Each case runs in a process of its own, on books that are the same every time (`settlement/bench/city.py`).
Seconds are medians, from order arrays to result arrays; those of `city_window_1m_s` include the check, those
of `clear_csv_1m_s` a whole process of `trellis clear`, from CSV to JSON.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

from settlement.bench.match_case import SHAPES, book_of
from settlement.bench.match_files import write_book, write_grid
from settlement.bench.registry import Figures, Tell
from settlement.errors import MissingPrerequisite
from settlement.matching import BUY

PEER = Path(__file__).parents[2] / ".venv-peers" / "bin" / "python"
PEER_REPETITIONS = 3


def measure(arguments: argparse.Namespace, tell: Tell) -> Figures:
    """Every case in turn, the quick ones first."""
    found: dict[str, int | float] = {}
    for name in ("one_zone_10k", "one_zone_100k", "city_window_1m", "city_window_2m", "city_day"):
        tell(f"match: {name} ...")
        told = _case(name, arguments)
        found[f"{name}_s"] = _seconds(told["seconds"])
        found[f"{name}_cpu_s"] = _seconds(told["cpu"])
        found[f"{name}_peak_mb"] = told["peak_mb"]
    tell("match: clear_csv_1m ...")
    found["clear_csv_1m_s"] = round(median(_process_s(arguments)), 3)
    tell("match: pymarket_10k ...")
    found |= _peer(arguments, tell)
    return _figures(found)


def _figures(found: dict[str, int | float]) -> Figures:
    """Named as they are compared; growth is of processor time, which other processes disturb least."""
    growth = round(found["city_window_2m_cpu_s"] / found["city_window_1m_cpu_s"], 2)
    kept: tuple[str, ...] = ("one_zone_100k_s", "city_window_1m_s", "city_window_2m_s")
    kept += ("city_day_s", "city_day_cpu_s", "city_day_peak_mb")
    named = {name: found[name] for name in (*kept, "clear_csv_1m_s")}
    named |= {"city_window_growth_2x": growth, "trellis_10k_s": found["one_zone_10k_s"]}
    return named | {name: number for name, number in found.items() if name.startswith("pymarket")}


def _case(name: str, arguments: argparse.Namespace) -> dict[str, Any]:
    words = [name, str(arguments.repetitions), str(arguments.shrink)]
    return _run([sys.executable, "-m", "settlement.bench.match_case", *words])


def _seconds(each: list[float]) -> float:
    return round(median(each), 4)


def _run(words: list[str], given: str = "") -> dict[str, Any]:
    done = subprocess.run(words, input=given, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(words)} failed:\n{done.stderr}")
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def _process_s(arguments: argparse.Namespace) -> list[float]:
    """Whole processes of `trellis clear` on a million rows in 435 zones."""
    orders = book_of(SHAPES["city_window_1m"], arguments.shrink)
    with tempfile.TemporaryDirectory() as folder:
        book, grid, out = (Path(folder) / name for name in ("book.csv", "grid.json", "result.json"))
        write_book(book, orders.book)
        write_grid(grid, orders.market)
        words = ["clear", str(book), "--grid", str(grid), "--out", str(out)]
        return [
            _timed([sys.executable, "-m", "settlement.cli", *words]) for _ in range(arguments.repetitions)
        ]


def _timed(words: list[str]) -> float:
    start = time.perf_counter()
    subprocess.run(words, check=True, capture_output=True)
    return time.perf_counter() - start


def _peer(arguments: argparse.Namespace, tell: Tell) -> dict[str, int | float]:
    """The same ten thousand orders in one zone; nothing if the peer is not installed."""
    try:
        python = _peer_python()
    except MissingPrerequisite as missing:
        tell(f"  left out: {missing}")
        return {}
    book = book_of(SHAPES["one_zone_10k"], arguments.shrink).book
    rows = zip(book.quantity_wh.tolist(), book.limit.tolist(), (book.side == BUY).tolist(), strict=True)
    given = {"bids": list(rows), "repetitions": min(PEER_REPETITIONS, arguments.repetitions)}
    told = _run([python, str(Path(__file__).with_name("peer.py"))], json.dumps(given))
    return {"pymarket_10k_s": _seconds(told["seconds"]), "pymarket_10k_traded_wh": round(told["traded"])}


def _peer_python() -> str:
    if not PEER.exists():
        raise MissingPrerequisite("pymarket is not there: `make .venv-peers/.set-up` installs it")
    return str(PEER)
