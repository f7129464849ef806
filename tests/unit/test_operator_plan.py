"""Which sessions are due follows from the plan and the time alone."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from api.services.operator_plan import Plan, due_sessions, params_of, read_plan
from settlement import cli
from settlement.errors import InputError

WINDOW_S = 1800
RECEIPTS = b"\x07" * 20

TWO_ROUNDS = """
time_zone = "Europe/London"

[[sessions]]
name = "day-ahead"
opens = "D-1 08:00"
gate = "D-1 12:00"

[[sessions]]
name = "evening"
opens = "D-1 13:00"
gate = "D 00:00"
prove_within_s = 3600
first_period = 33
last_period = 44
"""


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())


def plan_of(folder: Path, text: str) -> Plan:
    file = folder / "plan.toml"
    file.write_text(text)
    return read_plan(file, WINDOW_S)


def names(plan: Plan, now: str) -> list[str]:
    return [due.name for due in due_sessions(plan, at(now), WINDOW_S)]


@pytest.mark.parametrize(
    "now", ["2026-03-01T00:00", "2026-03-01T11:59:59", "2026-03-01T12:00", "2026-03-29T01:30"]
)
def test_the_default_plan_always_has_one_session_open(now: str) -> None:
    (due,) = due_sessions(Plan(), at(now), WINDOW_S)
    assert due.opens <= at(now) < due.gate == due.day.first_window * WINDOW_S - 12 * 3600


def test_sessions_open_and_close_by_the_zones_clocks(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, TWO_ROUNDS)
    assert names(plan, "2026-07-01T06:59") == []
    assert names(plan, "2026-07-01T07:00") == ["day-ahead of 2026-07-02"]  # 08:00 in London
    assert names(plan, "2026-07-01T11:00") == []
    assert names(plan, "2026-07-01T12:00") == ["evening of 2026-07-02"]
    assert names(plan, "2026-12-01T07:59") == []
    assert names(plan, "2026-12-01T08:00") == ["day-ahead of 2026-12-02"]


def test_a_day_of_a_clock_change_has_all_its_windows(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, TWO_ROUNDS)
    (due,) = due_sessions(plan, at("2026-10-24T08:00"), WINDOW_S)
    params = params_of(due, round_=0, grid_version=3, max_pause_s=86_400, receipt_signer=RECEIPTS)
    assert (params.windows, params.first_window * WINDOW_S) == (50, at("2026-10-24T23:00"))
    assert params.gate == at("2026-10-24T11:00")
    assert (params.commit_by, params.prove_by) == (params.gate + 900, params.gate + 7200)
    assert params.claim_by == params.prove_by + (2 + 7) * 86_400
    assert (params.receipt_signer, params.grid_version) == (RECEIPTS, 3)


def test_a_session_may_have_some_periods_only(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, TWO_ROUNDS)
    (due,) = due_sessions(plan, at("2026-12-01T14:00"), WINDOW_S)
    params = params_of(due, round_=1, grid_version=1, max_pause_s=0, receipt_signer=RECEIPTS)
    assert (params.first_window - params.day, params.windows, params.round) == (32, 12, 1)


def test_only_planned_days_are_opened(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, "first_day = 2026-05-02\nlast_day = 2026-05-03\n")
    found = [names(plan, f"2026-05-0{day}T00:00") for day in range(1, 4)]
    assert found == [["day-ahead of 2026-05-02"], ["day-ahead of 2026-05-03"], []]
    assert names(plan, "2026-04-30T13:00") == ["day-ahead of 2026-05-02"]


WRONG = {
    "not TOML": ("x", "is no TOML"),
    "unknown setting": ("days = 3", "days: Extra inputs are not permitted"),
    "unknown zone": ('time_zone = "Mars/Olympus"', "Mars/Olympus"),
    "no sessions": ("sessions = []", "one at least"),
    "no moment": ('[[sessions]]\ngate = "noon"', r"sessions\.0\.gate: String should match"),
    "opens late": ('[[sessions]]\nopens = "D-1 12:00"', "opens D-1 12:00 is not before gate"),
    "gate late": ('[[sessions]]\ngate = "D 00:30"', "after its first period has begun"),
    "deadlines": ("[[sessions]]\ncommit_within_s = 7200", "commit_within_s must be below"),
    "periods": ("[[sessions]]\nfirst_period = 51", "a day has 48 periods"),
    "same names": ("[[sessions]]\n[[sessions]]", "a name of its own"),
    "gates too close": (
        '[[sessions]]\nname = "a"\n[[sessions]]\nname = "b"\ngate = "D-1 13:00"',
        "its gate must follow",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_plan_that_cannot_be_run_is_refused_at_its_place(tmp_path: Path, name: str) -> None:
    text, told = WRONG[name]
    with pytest.raises(InputError, match=told):
        plan_of(tmp_path, text)


def test_a_plan_is_shown_by_a_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "plan.toml").write_text(TWO_ROUNDS)
    code = cli.main(["operator", "plan", "--plan", str(tmp_path / "plan.toml"), "--day", "2026-07-02"])
    shown = capsys.readouterr().out
    assert code == 0
    assert "2026-07-02  day-ahead        energy           opens 2026-07-01T07:00:00Z" in shown
    assert shown.count("\n") == 2
