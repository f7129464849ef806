"""`trellis settlement share` and `baseline` on files; what is wrong with one is told by line and column."""

from __future__ import annotations

import json
from datetime import date, timedelta
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
    assert told["members"]["home a"] == {
        "allocated_wh": [[720, 600], [180, 0]],
        "consumed_wh": [800, 100],
        "residual_wh": [0, 0],
    }
    assert told["members"]["home b"] == {
        "allocated_wh": [[480, 400], [0, 500]],
        "consumed_wh": [300, 900],
        "residual_wh": [0, 300],
    }
    assert told["surplus_wh"] == [100, 0]


def shared(folder: Path, keys: object, table: str, *more: str) -> int:
    (folder / "keys.json").write_text(json.dumps(keys))
    return cli.main(["settlement", "share", str(folder / "keys.json"), str(written(folder, table)), *more])


def test_what_keys_allocate_is_shown_beside_what_is_consumed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = "window,generation,home a,home b\n12:00,1000,200,300\n"
    assert shared(tmp_path, {"keys": [{"rule": "pro_rata"}]}, table) == 0
    assert [line.split() for line in capsys.readouterr().out.splitlines()] == [
        ["member", "allocated", "Wh", "consumed", "Wh", "residual", "Wh"],
        ["home", "a", "400", "200", "0"],
        ["home", "b", "600", "300", "0"],
        ["surplus", "500"],
    ]
    assert shared(tmp_path, [{"rule": "pro_rata"}], table, "--json") == 0
    told = json.loads(capsys.readouterr().out)["members"]
    assert [one["allocated_wh"] for one in told.values()] == [[[400]], [[600]]]


def test_a_cascade_may_be_the_list_of_its_keys(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for keys in (KEYS, KEYS["keys"]):
        assert shared(tmp_path, keys, READINGS) == 0
        shown = capsys.readouterr().out
        assert "by key 1     by key 2  consumed Wh" in shown
        assert shown.splitlines()[-1].split() == ["surplus", "100"]


def test_a_cap_bounds_what_a_member_consumes_over_all_keys(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert shared(tmp_path, {**KEYS, "caps_wh": [750, None]}, READINGS, "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert told["members"]["home a"]["consumed_wh"] == [750, 100]
    assert told["members"]["home a"]["residual_wh"] == [50, 0]
    assert told["members"]["home b"]["consumed_wh"] == [300, 900]
    assert told["surplus_wh"] == [150, 0]


@pytest.mark.parametrize(
    ("caps", "why"),
    [
        ([1], "caps_wh has 1 caps for 2 members: one each"),
        ([1, -1], "caps_wh[1] is -1: 0 to 2^60 - 1 Wh, or null"),
        ([1, 1.5], "keys.json, caps_wh.1"),
    ],
)
def test_caps_that_are_none_are_told_by_their_place(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], caps: list[float], why: str
) -> None:
    assert shared(tmp_path, {**KEYS, "caps_wh": caps}, READINGS) == 2
    assert why in capsys.readouterr().err


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


def test_slots_of_an_earlier_dispatch_do_not_adjust_a_baseline(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Dispatched in slots 29 to 31 the site drew nothing; in 32 to 34 it drew 100 Wh more than usual."""
    own = ",".join(["-400"] * 28 + ["0"] * 3 + ["-500"] * 17)
    table = written(tmp_path, days({"2026-06-08": flat(-400), "2026-06-09": flat(-400), "2026-06-10": own}))
    dispatch = ["--day", "2026-06-10", "--slots", "35", "--json"]
    assert cli.main(["settlement", "baseline", str(table), *dispatch, "--earlier", "29-31"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["wh"], told["adjustment_wh"]) == ([-500], -100)
    assert cli.main(["settlement", "baseline", str(table), *dispatch, "--earlier", "49"]) == 2
    assert "--earlier '49': give the first and the last, 1 to 48" in capsys.readouterr().err


SPRING, AUTUMN = "2026-03-29", "2026-10-25"
"""Of Europe/London, Sundays both."""


@pytest.mark.parametrize(
    ("changed", "cells", "after"),
    [
        (SPRING, ",".join(["-900"] * 46), "2026-04-04"),
        (SPRING, ",".join(["-900"] * 46) + ",,", "2026-04-04"),
        (SPRING, flat(-900), "2026-04-04"),
        (AUTUMN, ",".join(["-900"] * 50), "2026-10-31"),
        (AUTUMN, flat(-900), "2026-10-31"),
    ],
)
def test_a_day_of_a_clock_change_stands_for_no_other_however_it_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], changed: str, cells: str, after: str
) -> None:
    before = str(date.fromisoformat(changed) - timedelta(days=1))
    table = written(tmp_path, days({before: flat(-100), changed: cells}))
    assert cli.main(["settlement", "baseline", str(table), "--day", after, "--slots", "35", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["days"], told["wh"]) == ([before], [-100])


def test_clocks_are_those_of_the_time_zone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = written(tmp_path, days({SPRING: flat(-900), "2026-03-08": flat(-300)}))
    dispatch = ["--day", "2026-04-04", "--slots", "35", "--json"]
    for zone, day in (("Europe/London", "2026-03-08"), ("America/New_York", SPRING)):
        assert cli.main(["settlement", "baseline", str(table), *dispatch, "--tz", zone]) == 0
        assert json.loads(capsys.readouterr().out)["days"] == [day]
    assert cli.main(["settlement", "baseline", str(table), *dispatch, "--tz", "Nowhere"]) == 2
    assert "--tz 'Nowhere' is no time zone" in capsys.readouterr().err


def test_hours_have_days_of_23_and_25(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    method = tmp_path / "hourly.json"
    method.write_text('{"name": "hourly", "slots": 24}')
    rows = {"2026-03-28": ",".join(["-5"] * 24), SPRING: ",".join(["-9"] * 23)}
    head = "date," + ",".join(str(slot) for slot in range(1, 25))
    table = written(tmp_path, "\n".join([head, *(f"{day},{cells}" for day, cells in rows.items())]) + "\n")
    more = ["--day", "2026-04-04", "--slots", "18", "--method", str(method), "--json"]
    assert cli.main(["settlement", "baseline", str(table), *more]) == 0
    assert json.loads(capsys.readouterr().out)["days"] == ["2026-03-28"]


def test_rows_of_any_other_length_and_days_told_twice_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    dispatch = ["--day", "2026-04-04", "--slots", "35"]
    short = written(tmp_path, days({SPRING: ",".join(["-900"] * 45)}))
    assert cli.main(["settlement", "baseline", str(short), *dispatch]) == 2
    assert "line 2: 46 cells under 49 columns" in capsys.readouterr().err
    howe = written(tmp_path, days({"2026-04-05": ",".join(["-900"] * 49), "2026-04-04": flat(-1)}))
    weekend = [str(howe), "--day", "2026-04-11", "--slots", "35"]
    assert cli.main(["settlement", "baseline", *weekend]) == 2
    assert "line 2: 49 slots, which 2026-04-05 does not have in Europe/London" in capsys.readouterr().err
    assert cli.main(["settlement", "baseline", *weekend, "--tz", "Australia/Lord_Howe"]) == 0
    assert "fewer: 2026-04-04" in capsys.readouterr().out
    twice = written(tmp_path, days({"2026-03-28": flat(1)}) + f"2026-03-28,{flat(2)}\n")
    assert cli.main(["settlement", "baseline", str(twice), *dispatch]) == 2
    assert "a day comes twice" in capsys.readouterr().err
