"""`trellis demo --runs N`: the day is settled again, and what was issued stays."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from settlement.cli import main

STREETS = ["--homes", "4", "--streets", "2", "--seed", "5"]


def demo(capsys: pytest.CaptureFixture[str], out: Path, *options: str) -> dict[str, Any]:
    assert main(["demo", "--json", "--out", str(out), *options]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def changed(run: dict[str, Any]) -> dict[str, int]:
    return {one["name"]: one["bill_nano"] for one in run["changes"]}


def test_later_runs_add_differences_and_change_no_bill_that_was_issued(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    once = demo(capsys, tmp_path / "once", *STREETS)
    again = demo(capsys, tmp_path / "again", *STREETS, "--runs", "4")
    assert again["homes"] == once["homes"]
    assert again["first_run"] == "II"
    assert [run["name"] for run in again["later_runs"]] == ["challenge", "SF", "R1", "R2"]
    challenge, second, third, fourth = again["later_runs"]
    assert sorted(changed(challenge).values())[0] < 0 < sorted(changed(challenge).values())[-1]
    assert (challenge["estimated_windows"] > 0, second["estimated_windows"]) == (True, 0)
    assert changed(second)
    assert changed(third)
    assert fourth["changes"] == []
    for run in again["later_runs"]:
        assert sum(one["imbalance_wh"] for one in run["changes"]) == 0
        assert sum(one["bill_nano"] for one in run["changes"]) == 0
    totals = {one["name"]: one for one in again["bills_after_all_runs"]}
    for name, one in totals.items():
        added = sum(changed(run).get(name, 0) for run in again["later_runs"])
        assert (one["later_nano"], one["total_nano"]) == (added, one["first_nano"] + added)
    assert sum(one["total_nano"] for one in totals.values()) == 0
    assert again["holds"]
    counted = {one["check"]: one["count"] for one in again["audit"]}
    assert (counted["later runs"], counted["challenges"]) == (6, 1)
    page = (tmp_path / "again" / "report.html").read_text()
    assert "Later runs" in page
    assert "each account&#39;s later runs against the chain" in page


def test_with_two_runs_everything_is_known_in_the_second(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["demo", "--homes", "2", "--runs", "2", "--out", str(tmp_path)]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "bill II" in shown
    assert "counted 4% too little" in shown
    assert "0 still estimated" in shown


@pytest.mark.parametrize("runs", ["0", "7", "-1"])
def test_a_number_of_runs_that_the_calendar_has_not_is_refused(
    runs: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["demo", "--out", str(tmp_path), "--runs", runs]) == 2
    assert f"--runs {runs} is out of range: 1 to 6" in capsys.readouterr().err
