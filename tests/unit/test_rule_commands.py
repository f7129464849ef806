"""`trellis settlement share` and `baseline` on files; what is wrong with one is told by line and column."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from settlement import cli

KEYS = {"keys": [{"rule": "static", "shares_ppm": [600_000, 400_000]}, {"rule": "pro_rata"}]}
READINGS = "window,generation,home a,home b\n12:00,1200,800,300\n13:00,1000,100,1200\n"


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    file = tmp_path / "keys.json"
    file.write_text(json.dumps(KEYS))
    return file


def written(folder: Path, text: str) -> Path:
    file = folder / "table.csv"
    file.write_text(text)
    return file


def test_generation_is_divided_by_a_cascade_of_keys(
    tmp_path: Path, keys: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["settlement", "share", str(keys), str(written(tmp_path, READINGS)), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["members"]["home a"] == {"consumed_wh": [800, 100], "residual_wh": [0, 0]}
    assert told["members"]["home b"] == {"consumed_wh": [300, 900], "residual_wh": [0, 300]}
    assert told["surplus_wh"] == [100, 0]


@pytest.mark.parametrize(
    ("table", "why"),
    [
        (READINGS.replace("300", "3.5"), "line 2, column 'home b': '3.5' is no whole number of Wh"),
        (READINGS.replace("1000", ""), "line 3, column 'generation': '' is no whole number"),
        (READINGS + "14:00,1\n", "line 4: 2 cells under 4 columns"),
        (READINGS.replace("generation", "sun"), "line 1: the columns are a window, generation"),
        ("window\n", "a header of two columns or more"),
        ("window,generation,one,two,three\n12:00,9,1,2,3\n", "2 shares for 3 members"),
    ],
)
def test_what_is_wrong_with_readings_is_told_by_line_and_column(
    tmp_path: Path, keys: Path, capsys: pytest.CaptureFixture[str], table: str, why: str
) -> None:
    assert cli.main(["settlement", "share", str(keys), str(written(tmp_path, table))]) == 2
    assert why in capsys.readouterr().err


def test_a_key_that_is_none_is_told_by_its_place(
    tmp_path: Path, keys: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    keys.write_text('{"keys": [{"rule": "static"}]}')
    assert cli.main(["settlement", "share", str(keys), str(written(tmp_path, READINGS))]) == 2
    assert "shares_ppm if its rule is static" in capsys.readouterr().err


def days(rows: dict[str, str]) -> str:
    head = "date," + ",".join(str(slot) for slot in range(1, 49))
    return "\n".join([head, *(f"{day},{cells}" for day, cells in rows.items())]) + "\n"


def flat(wh: int) -> str:
    return ",".join([str(wh)] * 48)


def test_a_baseline_is_the_mean_of_like_days(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = written(tmp_path, days({"2026-06-08": flat(-100), "2026-06-09": flat(-201)}))
    dispatch = ["--day", "2026-06-10", "--slots", "35-36"]
    assert cli.main(["settlement", "baseline", str(table), *dispatch, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["slots"], told["wh"], told["basis"]) == ([35, 36], [-150, -150], "fewer")
    without = [*dispatch, "--instructed", "2026-06-09"]
    assert cli.main(["settlement", "baseline", str(table), *without]) == 0
    assert "-100 Wh" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("cells", "more", "why"),
    [
        (flat(1).replace("1", "x", 1), [], "line 2, column '1': 'x' is no whole number"),
        (flat(1), ["--slots", "49"], "give the first and the last, 1 to 48"),
        (flat(1), ["--day", "soon"], "--day: 'soon' is no date"),
    ],
)
def test_what_is_wrong_with_metered_days_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], cells: str, more: list[str], why: str
) -> None:
    table = written(tmp_path, days({"2026-06-08": cells}))
    dispatch = ["--day", "2026-06-10", "--slots", "35-36", *more]
    assert cli.main(["settlement", "baseline", str(table), *dispatch]) == 2
    assert why in capsys.readouterr().err
