"""`trellis clear`: what it writes, and that it writes nothing when something is wrong."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from settlement import cli, matching
from settlement.formats.orders import BOOK_COLUMNS, FLEX_COLUMNS
from settlement.matching import Violation

Files = Callable[..., list[str]]

ROWS = [
    "sun,sell,street,1,34,900,120000",
    "sun,sell,street,1,35,900,120000",
    "tea,buy,town,0,34,600,250000",
    "Zoe,buy,street,1,34,100,-5",
    "mill,sell,town,0,34,100,-500",
]
CARS = ["car,buy,street,30,40,700,400,200000"]
GRID = {
    "zones": [
        {"id": "town", "parent": None},
        {"id": "street", "parent": "town", "charge_micro_per_kwh": 5000, "capacity_wh": 400},
    ]
}


@pytest.fixture
def files(tmp_path: Path) -> Files:
    """Writes the inputs, and gives the words of a command that clears them to `result.json`."""

    def write(
        rows: list[str] = ROWS, cars: list[str] | None = CARS, grid: dict[str, Any] | None = GRID
    ) -> list[str]:
        words = ["clear", str(tmp_path / "book.csv"), "--out", str(tmp_path / "result.json")]
        (tmp_path / "book.csv").write_text("\n".join([",".join(BOOK_COLUMNS), *rows]) + "\n")
        if cars is not None:
            (tmp_path / "cars.csv").write_text("\n".join([",".join(FLEX_COLUMNS), *cars]) + "\n")
            words += ["--flexible", str(tmp_path / "cars.csv")]
        if grid is not None:
            (tmp_path / "grid.json").write_text(json.dumps(grid))
            words += ["--grid", str(tmp_path / "grid.json")]
        return words

    return write


def result_of(words: list[str]) -> dict[str, Any]:
    """What the command wrote."""
    assert cli.main(words) == 0
    found: dict[str, Any] = json.loads(Path(words[3]).read_text())
    return found


def test_a_result_says_what_traded_at_what_price_and_why(files: Files) -> None:
    found = result_of([*files(), "--check"])
    assert list(found) == [
        *("welfare_nano", "prices", "fills", "flows", "substitutions", "energy_prices", "premiums"),
    ]
    assert found["welfare_nano"] == 131_050_000
    assert found["fills"] == [
        {"order_id": "car", "window": 34, "fill_wh": 300},
        {"order_id": "car", "window": 35, "fill_wh": 400},
        {"order_id": "mill", "window": 34, "fill_wh": 100},
        {"order_id": "sun", "window": 34, "fill_wh": 700},
        {"order_id": "sun", "window": 35, "fill_wh": 400},
        {"order_id": "tea", "window": 34, "fill_wh": 500},
    ]
    assert found["flows"] == [{"window": 34, "from_zone": "street", "to_zone": "town", "wh": 400}]
    assert found["substitutions"] == [
        {"window": 34, "from_quality": 1, "to_quality": 0, "wh": 700},
        {"window": 35, "from_quality": 1, "to_quality": 0, "wh": 400},
    ]
    assert [(p["window"], p["zone"], p["quality"]) for p in found["prices"]] == [
        *((34, "street", 0), (34, "street", 1), (34, "town", 0), (35, "street", 0), (35, "street", 1)),
    ]
    assert found["prices"][2]["price_micro_per_kwh"] == 250_000
    assert [(e["window"], e["zone"]) for e in found["energy_prices"]] == [
        *((34, "street"), (34, "town"), (35, "street"), (35, "town")),
    ]
    assert [(g["window"], g["quality"]) for g in found["premiums"]] == [(34, 0), (34, 1), (35, 0), (35, 1)]


def test_rows_in_any_order_give_the_same_bytes(files: Files) -> None:
    tied = [f"o{n},{side},town,0,1,{7 + n},200000" for n in range(9) for side in ("buy",)]
    tied += [f"p{n},sell,town,0,1,{5 + n},200000" for n in range(6)]
    cars = [f"c{n},buy,street,1,{34 + n},{50 + n},40,200000" for n in range(5)]
    written = set()
    for seed in range(6):
        rows, some_cars, zones = [*ROWS, *tied], list(cars), list(GRID["zones"])
        for each in (rows, some_cars, zones):
            random.Random(seed).shuffle(each)
        words = files(rows, some_cars, {"zones": zones})
        result_of(words)
        written.add(Path(words[3]).read_bytes())
    assert len(written) == 1


def test_ids_are_sorted_as_bytes_and_escaped_as_json_needs(files: Files) -> None:
    ids = ["é", "Z", "a", '"q', "back\\slash", "\u2028", "\U0001f600"]
    rows = [f'"{i.replace(chr(34), chr(34) * 2)}",buy,z,0,1,1,9' for i in ids] + ["\x01s,sell,z,0,1,7,1"]
    found = result_of(files(rows, None, None))
    assert [fill["order_id"] for fill in found["fills"]] == sorted([*ids, "\x01s"], key=str.encode)


def test_ties_go_by_id_and_sums_are_exact(files: Files) -> None:
    rows = ["b,buy,z,0,1,5,200", "a,buy,z,0,1,5,200", "c,buy,z,0,1,5,200", "s,sell,z,0,1,10,100"]
    found = result_of(files(rows, None, None))
    assert [fill["fill_wh"] for fill in found["fills"]] == [3, 3, 4, 10]


def test_welfare_beyond_64_bits_is_written_whole(files: Files) -> None:
    most, pairs = 2**30 - 1, 1_200
    rows = [f"b{n},buy,z,0,{n},{most},6000000" for n in range(pairs)]
    rows += [f"s{n},sell,z,0,{n},{most},-2000000" for n in range(pairs)]
    assert result_of(files(rows, None, None))["welfare_nano"] == pairs * most * 8_000_000 > 2**63


def test_an_empty_book_has_an_empty_result(files: Files) -> None:
    found = result_of([*files([], None), "--check"])
    assert found == {"welfare_nano": 0} | {name: [] for name in list(found)[1:]}


def test_one_side_alone_trades_nothing_and_still_has_its_proof(files: Files) -> None:
    found = result_of(files(["a,buy,z,0,7,10,100"], None, None))
    assert found["fills"] == found["prices"] == []
    assert [entry["window"] for entry in found["energy_prices"]] == [7]
    assert found["premiums"] == [{"window": 7, "quality": 0, "micro_per_kwh": 0}]


def test_flexible_orders_alone_can_trade_with_each_other(files: Files) -> None:
    cars = ["car,buy,z,1,3,10,4,300", "v2g,sell,z,2,9,10,4,100"]
    found = result_of([*files([], cars, None), "--check"])
    assert sum(fill["fill_wh"] for fill in found["fills"]) == 16
    assert {(price["window"], price["quality"]) for price in found["prices"]} == {(2, 0), (3, 0)}


def test_a_range_that_misses_every_window_fills_nothing(files: Files) -> None:
    found = result_of(files(ROWS, ["car,buy,street,90,99,700,400,200000"]))
    assert all(fill["order_id"] != "car" for fill in found["fills"])


@pytest.mark.parametrize(
    ("broken", "told"),
    [
        ({"rows": [*ROWS, "x,buy,moon,0,1,1,1"]}, "book.csv, line 7, column zone"),
        ({"rows": ["x,buy,town,0,1,one,1"]}, "book.csv, line 2, column quantity_wh"),
        ({"cars": ["sun,buy,town,0,1,1,1,1"]}, "cars.csv, line 2, column order_id"),
        ({"grid": {"zones": []}}, "grid.json, zones"),
    ],
)
def test_on_a_mistake_nothing_is_written_and_what_was_there_stays(
    files: Files, broken: dict[str, Any], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    words = files(**broken)
    out = Path(words[3])
    assert cli.main(words) == 2
    assert told in capsys.readouterr().err
    assert not out.exists()
    out.write_text("before")
    assert cli.main(words) == 2
    assert out.read_text() == "before"
    assert not [file for file in out.parent.iterdir() if file.name.startswith(".")]


def test_limits_too_far_apart_for_any_prices_are_told_by_key_with_what_would_do(
    files: Files, capsys: pytest.CaptureFixture[str]
) -> None:
    wide = {"price_floor_micro_per_kwh": -(2**28), "price_cap_micro_per_kwh": 2**28}
    rows = [f"a,sell,street,0,1,1,{-(2**28)}", f"b,buy,street,1,1,1,{2**28}", f"c,sell,town,1,1,1,{-(2**28)}"]
    town, street = GRID["zones"]
    words = files(rows, None, {"zones": [town, street | {"capacity_wh": 0}]} | wide)
    assert cli.main(words) == 2
    told = capsys.readouterr().err
    assert "grid.json, price_floor_micro_per_kwh and price_cap_micro_per_kwh: -268435456 and" in told
    assert "at most 178950304 apart" in told
    assert not Path(words[3]).exists()


def test_charges_too_high_for_any_prices_are_told_by_key(
    files: Files, capsys: pytest.CaptureFixture[str]
) -> None:
    town, street = GRID["zones"]
    zones = [town, street | {"charge_micro_per_kwh": 2**29}]
    rows = [f"s,sell,street,1,1,2,{-(2**29)}", f"b,buy,town,1,1,900,{2**29}", f"c,sell,town,0,1,1,{-(2**29)}"]
    grid = {"zones": zones, "price_floor_micro_per_kwh": -(2**29), "price_cap_micro_per_kwh": 2**29}
    assert cli.main(files(rows, None, grid)) == 2
    assert "grid.json, zones: charge_micro_per_kwh, up to 536870912" in capsys.readouterr().err


def test_a_directory_is_no_place_for_a_result(
    files: Files, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = files()
    words[3] = str(tmp_path)
    assert cli.main(words) == 2
    assert f"--out {tmp_path} is a directory; give a file name" in capsys.readouterr().err


def test_no_input_is_replaced_by_the_result(
    files: Files, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = files()
    inputs = {"BOOK": words[1]} | {name: words[words.index(name) + 1] for name in ("--grid", "--flexible")}
    link = tmp_path / "link"
    for option, file in inputs.items():
        before = Path(file).read_bytes()
        link.unlink(missing_ok=True)
        link.symlink_to(file)
        for out in (file, str(link)):
            words[3] = out
            assert cli.main(words) == 2
            assert f"--out {out} is the file of {option}, which it would replace" in capsys.readouterr().err
            assert Path(file).read_bytes() == before


def test_a_link_is_followed_and_a_pipe_written_to(files: Files, tmp_path: Path) -> None:
    words = files()
    expected = result_of(words)
    target, link, pipe = (tmp_path / name for name in ("target.json", "link.json", "pipe"))
    link.symlink_to(target)
    assert cli.main([*words[:3], str(link), *words[4:]]) == 0
    assert link.is_symlink()
    assert json.loads(target.read_text()) == expected
    os.mkfifo(pipe)
    reader = subprocess.Popen(["cat", str(pipe)], stdout=subprocess.PIPE)
    assert cli.main([*words[:3], str(pipe), *words[4:]]) == 0
    assert json.loads(reader.communicate(timeout=30)[0]) == expected
    assert pipe.is_fifo()


def test_a_check_that_fails_exits_with_1_and_writes_nothing(
    files: Files, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(matching, "check", lambda *_: [Violation("support_low", (1, 2))])
    words = [*files(), "--check"]
    assert cli.main(words) == 1
    assert "support_low at [1, 2]" in capsys.readouterr().err
    assert not Path(words[3]).exists()


def test_missing_files_and_folders_are_bad_input(files: Files, tmp_path: Path) -> None:
    assert cli.main(["clear", str(tmp_path / "none.csv"), "--out", str(tmp_path / "r.json")]) == 2
    words = files()
    words[3] = str(tmp_path / "no" / "folder" / "r.json")
    assert cli.main(words) == 2


def test_the_summary_is_json_on_request_and_progress_goes_to_standard_error(
    files: Files, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main([*files(), "--json", "--check"]) == 0
    shown = capsys.readouterr()
    told = json.loads(shown.out)
    assert (told["rows"], told["flexible_orders"], told["zones"], told["checked"]) == (5, 1, 2, True)
    assert (told["traded_wh"], told["welfare_nano"]) == (1_200, 131_050_000)
    assert shown.err.startswith("cleared 5 rows in ")


def test_clearing_a_csv_imports_no_pandas(files: Files) -> None:
    """It would take longer than a hundred thousand rows."""
    program = (
        "import sys; from settlement.cli import main; main(sys.argv[1:]); sys.exit('pandas' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program, *files()], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_help_shows_the_columns(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["clear", "--help"])
    shown = capsys.readouterr().out
    assert ",".join(BOOK_COLUMNS) in shown
    assert ",".join(FLEX_COLUMNS) in shown
