"""`trellis settlement flexibility`: from metered days and instructions to a payment."""

from __future__ import annotations

import json
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from settlement import cli

SLOTS = 48
DISPATCH = date(2026, 6, 17)
SERVICE: dict[str, Any] = {
    "name": "evening",
    "method": {"name": "BL01", "adjusted": True},
    "tolerance_ppm": 100_000,
    "penalty_micro_per_kwh": 20_000,
}
HEAD = "date,slot,direction,instructed_wh,price_micro_per_kwh\n"
EVENING = HEAD + "2026-06-17,35,up,500,150000\n2026-06-17,36,up,500,150000\n"


def metered(**changed: str) -> str:
    """Twenty days of 400 Wh drawn in every slot, and the dispatched one with other cells by slot (s35)."""
    days = [DISPATCH - timedelta(days=back) for back in range(20, -1, -1)]
    rows = []
    for day in days:
        cells = dict.fromkeys(range(1, SLOTS + 1), "-400")
        if day == DISPATCH:
            cells |= {int(name[1:]): wh for name, wh in changed.items()}
        rows.append(f"{day}," + ",".join(cells.values()))
    return "date," + ",".join(map(str, range(1, SLOTS + 1))) + "\n" + "\n".join(rows) + "\n"


def run(folder: Path, days: str, instructions: str, *more: str, service: dict[str, Any] = SERVICE) -> int:
    for name, text in (("m.csv", days), ("i.csv", instructions), ("s.json", json.dumps(service))):
        (folder / name).write_text(text)
    files = [str(folder / "m.csv"), str(folder / "i.csv"), "--service", str(folder / "s.json")]
    return cli.main(["settlement", "flexibility", *files, *more])


def test_what_is_delivered_is_paid_and_what_is_missing_beyond_the_tolerance_costs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """In slot 35 the site uses 300 Wh less (of 500), in slot 36 600 Wh less: 500 of it count."""
    assert run(tmp_path, metered(s35="-100", s36="200"), EVENING, "--json") == 0
    told = json.loads(capsys.readouterr().out)
    (dispatch,) = told["dispatches"]
    assert (dispatch["basis"], len(dispatch["days"]), dispatch["adjustment_wh"]) == ("full", 10, 0)
    first, second = dispatch["slots"]
    assert (first["baseline_wh"], first["delivered_wh"], first["missing_wh"]) == (-400, 300, 200)
    assert (first["payment_nano"], first["penalty_nano"]) == (str(300 * 150_000), str(150 * 20_000))
    assert (second["delivered_wh"], second["payment_nano"]) == (500, str(500 * 150_000))
    assert told["cash_nano"] == str(800 * 150_000 - 150 * 20_000)
    assert told["delivered_wh"] == 800


def test_the_hours_before_move_the_baseline(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = {f"s{slot}": "-500" for slot in range(29, 35)}
    assert run(tmp_path, metered(**before, s35="-100", s36="-500"), EVENING, "--json") == 0
    (dispatch,) = json.loads(capsys.readouterr().out)["dispatches"]
    assert dispatch["adjustment_wh"] == -100
    assert [(one["baseline_wh"], one["delivered_wh"]) for one in dispatch["slots"]] == [
        (-500, 400),
        (-500, 0),
    ]


def test_an_earlier_dispatch_of_the_day_does_not_adjust_a_later_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It delivers 300 Wh in slots 29 to 31. In the three slots between, 100 Wh more are drawn than usual."""
    asked = HEAD + "".join(f"2026-06-17,{slot},up,300,150000\n" for slot in (29, 30, 31, 35))
    cells = dict.fromkeys(("s29", "s30", "s31"), "-100") | dict.fromkeys(("s32", "s33", "s34"), "-500")
    assert run(tmp_path, metered(**cells, s35="-200"), asked, "--json") == 0
    first, second = json.loads(capsys.readouterr().out)["dispatches"]
    assert (first["adjustment_wh"], second["adjustment_wh"]) == (0, -100)
    assert (second["slots"][0]["baseline_wh"], second["slots"][0]["delivered_wh"]) == (-500, 300)


def test_a_dispatch_that_only_others_precede_is_not_adjusted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Slots 29 to 34 are one dispatch, 35 goes the other way: none of the three hours is left."""
    asked = HEAD + "".join(f"2026-06-17,{slot},up,300,150000\n" for slot in range(29, 35))
    asked += "2026-06-17,35,down,300,150000\n"
    cells = {f"s{slot}": "-100" for slot in range(29, 35)}
    assert run(tmp_path, metered(**cells), asked, "--json") == 0
    _, second = json.loads(capsys.readouterr().out)["dispatches"]
    assert (second["adjustment_wh"], second["slots"][0]["baseline_wh"]) == (None, -400)


def test_directions_and_gaps_are_dispatches_of_their_own(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    more = EVENING + "2026-06-17,37,down,100,50000\n2026-06-17,40,up,100,50000\n"
    assert run(tmp_path, metered(s37="-450"), more, "--json") == 0
    found = json.loads(capsys.readouterr().out)["dispatches"]
    assert [[one["slot"] for one in dispatch["slots"]] for dispatch in found] == [[35, 36], [37], [40]]
    assert found[1]["slots"][0]["delivered_wh"] == 50


def test_without_a_baseline_nothing_is_paid_or_owed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = metered(s35="-100", s36="-100").splitlines()
    alone = "\n".join([lines[0], lines[-1]]) + "\n"
    assert run(tmp_path, alone, EVENING) == 0
    shown = capsys.readouterr().out
    assert "too few like days, so nothing is paid or owed" in shown
    assert "in all 0 nano to the site" in shown


def test_a_table_shows_every_slot(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(tmp_path, metered(s35="-100", s36="200"), EVENING) == 0
    shown = capsys.readouterr().out
    assert "2026-06-17   35 up" in shown
    assert "baseline full: 2026-06-16" in shown
    assert "in all 117000000 nano to the site" in shown


@pytest.mark.parametrize(
    ("instructions", "why"),
    [
        ("date,slot\n", "line 1: the columns are date,slot,direction"),
        (HEAD + "2026-06-17,35,up,500\n", "line 2: 4 cells under 5 columns"),
        (HEAD + "2026-06-17,49,up,500,1\n", "line 2, column 'slot': '49' is none: 1 to 48"),
        (HEAD + "2026-06-17,35,left,500,1\n", "'left' is neither up nor down"),
        (HEAD + "2026-06-17,35,up,5.0,1\n", "column 'instructed_wh': '5.0' is no whole number"),
        (HEAD + "2026-06-17,35,up,-5,1\n", "instructed_wh is -5"),
        (HEAD + "soon,35,up,5,1\n", "line 2: 'soon' is no date"),
        (HEAD + "2026-06-17,35,up,5,1\n2026-06-17,35,up,5,1\n", "slot 35 of 2026-06-17 is instructed twice"),
        (HEAD + "2026-06-18,35,up,5,1\n", "slot 35 of 2026-06-18 was not metered: estimate it first"),
        (HEAD + "2026-06-17,40,up,5,1\n", "slot 40 of 2026-06-17 was not metered"),
    ],
)
def test_what_is_wrong_with_instructions_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], instructions: str, why: str
) -> None:
    assert run(tmp_path, metered(s40=""), instructions) == 2
    assert why in capsys.readouterr().err


def test_what_is_wrong_with_the_service_or_the_days_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(tmp_path, metered(), EVENING, service={**SERVICE, "price": 1}) == 2
    assert "s.json, price" in capsys.readouterr().err
    hourly = {**SERVICE, "method": {"name": "hourly", "slots": 24}}
    assert run(tmp_path, metered(), EVENING, service=hourly) == 2
    assert "48 slots, and the method's day has 24" in capsys.readouterr().err
    lines = metered().splitlines()
    assert run(tmp_path, "\n".join([*lines, lines[-1]]), EVENING) == 2
    assert "a day comes twice" in capsys.readouterr().err


@pytest.mark.parametrize("padding", ["", ",,"])
def test_a_dispatch_on_a_day_of_a_clock_change_is_metered_by_the_wall_clock(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], padding: str
) -> None:
    """In London 2026-03-29 has 46 half-hours: the 33rd is the one at 17:00, which is slot 35 of any day."""
    flat = ",".join(["-400"] * SLOTS)
    changed = ",".join("-100" if place == 33 else "-400" for place in range(1, 47)) + padding
    days = f"2026-03-22,{flat}\n2026-03-28,{flat}\n2026-03-29,{changed}\n"
    head = metered().splitlines()[0]
    asked = HEAD + "2026-03-29,35,up,300,150000\n"
    assert run(tmp_path, f"{head}\n{days}", asked, "--json") == 0
    (dispatch,) = json.loads(capsys.readouterr().out)["dispatches"]
    assert (dispatch["slots"][0]["metered_wh"], dispatch["slots"][0]["delivered_wh"]) == (-100, 300)
    assert (dispatch["basis"], dispatch["adjustment_wh"]) == ("fewer", None)
    skipped = HEAD + "2026-03-29,3,up,300,150000\n"
    assert run(tmp_path, f"{head}\n{days}", skipped) == 2
    assert "slot 3 of 2026-03-29 was not metered" in capsys.readouterr().err


def test_a_day_that_is_empty_where_clocks_skip_is_by_the_wall_clock_already(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flat = ["-400"] * SLOTS
    changed = [*flat[:2], "", "", *flat[4:34], "-100", *flat[35:46], "", ""]
    rows = f"2026-03-28,{','.join(flat)}\n2026-03-29,{','.join(changed)}\n"
    asked = HEAD + "2026-03-29,35,up,300,150000\n"
    assert run(tmp_path, f"{metered().splitlines()[0]}\n{rows}", asked, "--json") == 0
    (dispatch,) = json.loads(capsys.readouterr().out)["dispatches"]
    assert dispatch["slots"][0]["metered_wh"] == -100


def test_a_dispatch_on_a_day_of_another_length_needs_the_clocks_that_made_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = metered().splitlines()
    rows[-1] = rows[-1].rsplit(",", 2)[0]
    assert run(tmp_path, "\n".join(rows) + "\n", EVENING) == 2
    assert "2026-06-17 has 46 slots, not 48" in capsys.readouterr().err
