"""`trellis bench match`: its books are the same every time, its figures have the names they go by."""

from __future__ import annotations

import json
import os
import venv
from argparse import Namespace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from settlement import cli
from settlement.bench import match
from settlement.bench.city import LEVELS, city, tree
from settlement.bench.match_case import SHAPES, book_of, seconds_of
from settlement.bench.match_files import write_book, write_grid
from settlement.errors import MissingPrerequisite
from settlement.matching import ROOT, clear


def test_the_city_is_a_tree_of_four_levels_and_435_zones() -> None:
    parent = np.array(tree())
    depth = np.zeros(len(parent), int)
    for zone in range(1, len(parent)):
        assert parent[zone] < zone
        depth[zone] = depth[parent[zone]] + 1
    assert parent[0] == ROOT
    assert np.bincount(depth).tolist() == list(LEVELS)
    assert len(parent) == 435


def test_a_seed_makes_one_book() -> None:
    one, two = (city(homes=50, windows=4, qualities=3, flexible=7) for _ in range(2))
    assert one.book.limit.tobytes() == two.book.limit.tobytes()
    assert one.flexible.energy_wh.tobytes() == two.flexible.energy_wh.tobytes()
    assert len(one.book) == 200


@pytest.mark.parametrize("name", SHAPES)
def test_every_case_clears_and_holds_when_it_is_small(name: str) -> None:
    assert seconds_of(SHAPES[name], book_of(SHAPES[name], shrink=1_000)).wall > 0


def test_the_day_is_as_large_as_asked() -> None:
    day = SHAPES["city_day"]
    assert (day.homes, day.windows, day.qualities, day.flexible) == (100_000, 48, 4, 5_000)
    assert day.levels == LEVELS


def test_figures_have_the_names_they_are_compared_by(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    monkeypatch.setattr(match, "_run", lambda words, given="": answer(words))
    monkeypatch.setattr(match, "_process_s", lambda _: [3.0, 1.0, 2.0])
    monkeypatch.setattr(match, "_peer_python", lambda tell: "python")
    figures = match.measure(Namespace(repetitions=3, shrink=1_000), told.append)
    assert figures == {
        "one_zone_100k_s": 2.0,
        "city_window_1m_s": 2.0,
        "city_window_2m_s": 4.0,
        "city_day_s": 2.0,
        "city_day_cpu_s": 1.0,
        "city_day_peak_mb": 900,
        "clear_csv_1m_s": 2.0,
        "city_window_growth_2x": 2.0,
        "trellis_10k_s": 2.0,
        "pymarket_compared": 1,
        "pymarket_10k_s": 2.0,
        "pymarket_10k_traded_wh": 7,
    }


def answer(words: list[str]) -> dict[str, Any]:
    """What a measured process would print."""
    factor = 2 if "city_window_2m" in words else 1
    seconds = [1.0 * factor, 3.0 * factor, 2.0 * factor]
    return {"seconds": seconds, "cpu": [1.0 * factor], "peak_mb": 900, "traded": 7.0}


def test_without_the_peer_its_figures_are_left_out(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    told: list[str] = []
    monkeypatch.setattr(match, "PEER", tmp_path / "peers" / "bin" / "python")
    for command, reason in (
        (["sh", "-c", "echo no index >&2; exit 2"], "takes a package index: no index; try `make .venv-peers"),
        ([str(tmp_path / "uv")], "in a checkout only"),
    ):
        told.clear()
        monkeypatch.setattr(match, "PEER_SET_UP", command)
        figures = match._peer(Namespace(repetitions=1, shrink=1_000), told.append)
        assert figures == {"pymarket_compared": 0}
        assert told[0] == "match: installing pymarket into .venv-peers, once ..."
        assert reason in told[1]


def test_the_peer_is_set_up_where_it_is_missing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    python = tmp_path / "peers" / "bin" / "python"
    monkeypatch.setattr(match, "PEER", python)
    install = 'mkdir -p "$UV_PROJECT_ENVIRONMENT/bin" && touch "$UV_PROJECT_ENVIRONMENT/bin/python"'
    monkeypatch.setattr(match, "PEER_SET_UP", ["sh", "-c", install])
    assert match._peer_python(lambda _: None) == str(python)
    assert (tmp_path / "peers" / ".set-up").exists()


def bare_python(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The interpreter that an interrupted installation leaves: it is there, pymarket is not."""
    venv.create(folder / "peers", symlinks=True, with_pip=False)
    python = folder / "peers" / "bin" / "python"
    monkeypatch.setattr(match, "PEER", python)
    return python


def test_an_interpreter_without_the_peer_is_set_up_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    python, told = bare_python(tmp_path, monkeypatch), list[str]()
    monkeypatch.setattr(match, "PEER_SET_UP", ["sh", "-c", "echo no index >&2; exit 2"])
    assert match._peer(Namespace(repetitions=1, shrink=1_000), told.append) == {"pymarket_compared": 0}
    assert "no index" in told[1]
    monkeypatch.setattr(match, "PEER_SET_UP", ["true"])
    assert match._peer_python(told.append) == str(python)
    monkeypatch.setattr(match, "PEER_SET_UP", ["false"])
    assert match._peer_python(told.append) == str(python)
    os.utime(tmp_path / "peers" / ".set-up", (0, 0))
    with pytest.raises(MissingPrerequisite):  # the lock is newer
        match._peer_python(told.append)


def test_a_peer_that_fails_costs_no_other_figure(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    bare_python(tmp_path, monkeypatch)
    (tmp_path / "peers" / ".set-up").touch()
    told: list[str] = []
    assert match._peer(Namespace(repetitions=1, shrink=1_000), told.append) == {"pymarket_compared": 0}
    assert "pymarket failed: ModuleNotFoundError: No module named" in told[0]
    assert "remove .venv-peers" in told[0]


def test_the_files_of_a_city_clear_to_what_its_arrays_do(tmp_path: Path) -> None:
    town = city(homes=400, windows=2, qualities=2)
    book, grid, out = (tmp_path / name for name in ("book.csv", "grid.json", "result.json"))
    write_book(book, town.book)
    write_grid(grid, town.market)
    assert cli.main(["clear", str(book), "--grid", str(grid), "--out", str(out), "--check"]) == 0

    assert json.loads(out.read_text())["welfare_nano"] == clear(town.book, town.market).welfare_nano


@pytest.mark.parametrize("words", [["--shrink", "0"], ["--repetitions", "none"]])
def test_options_of_the_match_bench_are_checked(words: list[str]) -> None:
    assert cli.main(["bench", "match", *words]) == 2
