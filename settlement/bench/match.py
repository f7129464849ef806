"""`trellis bench match`: how fast the matcher clears, and how much memory it takes.

Each case runs in a process of its own, on books that are the same every time (`settlement/bench/city.py`).
Seconds are medians, from order arrays to result arrays; those of `city_window_1m_s` include the check, those
of `clear_csv_1m_s` a whole process of `trellis clear`, from CSV to JSON.
"""

from __future__ import annotations

import argparse
import json
import os
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

ROOT = Path(__file__).parents[2]
PEER = ROOT / ".venv-peers" / "bin" / "python"
PEER_SET_UP = [str(ROOT / "tools" / "uv"), "sync", "--frozen", "--only-group", "peers"]
"""As `make .venv-peers/.set-up` does it."""
LOCKS = ("pyproject.toml", "uv.lock")
"""What an environment is older than if it must be set up again."""
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
    """The same ten thousand orders in one zone. `pymarket_compared` is 0 if the peer cannot be installed or
    fails: the other figures took minutes and are kept.
    """
    try:
        return {"pymarket_compared": 1} | _compared(_peer_python(tell), arguments)
    except MissingPrerequisite as missing:
        tell(f"  left out: {missing}")
    except (OSError, RuntimeError, ValueError, KeyError) as failure:
        tell(
            f"  left out: pymarket failed: {_last_line(str(failure))}; remove .venv-peers to have it "
            "installed again"
        )
    return {"pymarket_compared": 0}


def _compared(python: str, arguments: argparse.Namespace) -> dict[str, int | float]:
    book = book_of(SHAPES["one_zone_10k"], arguments.shrink).book
    rows = zip(book.quantity_wh.tolist(), book.limit.tolist(), (book.side == BUY).tolist(), strict=True)
    given = {"bids": list(rows), "repetitions": min(PEER_REPETITIONS, arguments.repetitions)}
    told = _run([python, str(Path(__file__).with_name("peer.py"))], json.dumps(given))
    return {"pymarket_10k_s": _seconds(told["seconds"]), "pymarket_10k_traded_wh": round(told["traded"])}


def _peer_python(tell: Tell) -> str:
    """The interpreter of an environment that has pymarket, set up unless it agrees with the lock."""
    stamp = PEER.parents[1] / ".set-up"
    if _is_set_up(stamp):
        return str(PEER)
    tell("match: installing pymarket into .venv-peers, once ...")
    environment = os.environ | {"UV_PROJECT_ENVIRONMENT": str(PEER.parents[1])}
    try:
        done = subprocess.run(PEER_SET_UP, cwd=ROOT, env=environment, capture_output=True, text=True)
    except OSError as error:
        raise MissingPrerequisite(f"pymarket is installed in a checkout only: {error}") from None
    if done.returncode or not PEER.exists():
        raise MissingPrerequisite(
            f"pymarket could not be installed, which takes a package index: {_last_line(done.stderr)}; try "
            "`make .venv-peers/.set-up` when one can be reached"
        )
    stamp.touch()  # make need not do it again
    return str(PEER)


def _is_set_up(stamp: Path) -> bool:
    """As make decides: an interpreter alone may be what an interrupted installation left."""
    try:
        made = stamp.stat().st_mtime
        return PEER.exists() and all((ROOT / lock).stat().st_mtime <= made for lock in LOCKS)
    except OSError:
        return False


def _last_line(text: str) -> str:
    return (text.strip().splitlines() or ["it said nothing"])[-1].strip()
