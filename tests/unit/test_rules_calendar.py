"""Working days, and when runs are due. Dates were counted by hand on a calendar with its bank holidays."""

from __future__ import annotations

import json
from datetime import date, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from settlement import cli
from settlement.errors import InputError
from settlement.rules.calendar import GREAT_BRITAIN, Run, RunCalendar, Terms, due, runs_of
from settlement.rules.configuration import from_json
from settlement.rules.workdays import ENGLAND_AND_WALES, WorkingDays

DATES = st.dates(date(2002, 1, 1), date(2090, 1, 1))

BELGIUM = {
    "terms": [
        {"first": "2024-01-01", "runs": [{"name": "initial", "working_days": 3}]},
        {
            "first": "2025-01-01",
            "runs": [{"name": "initial", "working_days": 1}, {"name": "final", "working_days": 2}],
        },
    ],
    "working_days": {"country": "BE"},
}


def due_dates(settled: str) -> dict[str, str]:
    return {run.name: run.due_date.isoformat() for run in runs_of(date.fromisoformat(settled))}


@pytest.mark.parametrize(
    ("settled", "initial"),
    [
        ("2026-01-12", "2026-01-19"),  # an ordinary week
        ("2026-01-10", "2026-01-16"),  # a Saturday: counted from the Monday
        ("2026-03-27", "2026-04-07"),  # over Good Friday and Easter Monday
        ("2026-12-18", "2026-12-29"),  # Christmas on a Friday, Boxing Day kept on the Monday
        ("2021-12-20", "2021-12-29"),  # both kept on Monday and Tuesday
        ("2022-05-27", "2022-06-07"),  # the spring holiday moved to Thursday, the Platinum Jubilee on Friday
        ("2022-09-13", "2022-09-21"),  # a state funeral on the Monday
        ("2023-04-28", "2023-05-09"),  # early May on Monday, the coronation a week later
        ("2020-05-01", "2020-05-11"),  # early May moved to the Friday, 75 years after the war
    ],
)
def test_the_initial_run_is_due_after_five_days_worked_in_england_and_wales(
    settled: str, initial: str
) -> None:
    assert due_dates(settled)["II"] == initial


def test_reconciliations_count_from_the_settlement_date() -> None:
    assert due_dates("2026-12-18")["SF"] == "2027-01-14"
    # 2026-01-01 to 2026-12-31 has 253 working days; the 292nd after 31 December 2025 is the 39th of 2027.
    assert due_dates("2025-12-31")["RF"] == "2027-02-25"


def test_terms_change_with_the_settlement_date_and_not_with_the_day_of_the_run() -> None:
    before, after = due_dates("2027-07-01"), due_dates("2027-07-02")
    assert list(before) == ["II", "SF", "R1", "R2", "R3", "RF"]
    assert before["II"] == "2027-07-08"
    assert list(after) == ["II", "SF", "R1", "RF"]
    assert after == {"II": "2027-07-08", "SF": "2027-07-13", "R1": "2027-08-13", "RF": "2027-10-29"}


def test_runs_are_numbered_from_one() -> None:
    assert [run.number for run in runs_of(date(2026, 1, 12))] == [1, 2, 3, 4, 5, 6]


@given(DATES, st.integers(1, 300))
def test_a_delay_passes_exactly_that_many_days_worked(day: date, number: int) -> None:
    found = ENGLAND_AND_WALES.after(day, number)
    passed = (day + timedelta(days=n) for n in range(1, (found - day).days + 1))
    assert ENGLAND_AND_WALES.holds(found)
    assert sum(map(ENGLAND_AND_WALES.holds, passed)) == number


@given(DATES, st.lists(DATES, max_size=5))
def test_due_runs_come_in_the_order_of_making_and_none_is_ahead(today: date, settled: list[date]) -> None:
    found = due(today, settled)
    assert list(found) == sorted(found)
    assert all(each.due_date <= today for each in found)
    assert len(found) == sum(run.due_date <= today for day in set(settled) for run in runs_of(day))


def test_a_job_that_was_down_asks_from_the_day_it_last_ran() -> None:
    days = [date(2026, 1, 12) + timedelta(days=n) for n in range(5)]
    at_once = GREAT_BRITAIN.due(date(2026, 1, 23), days, after=date(2026, 1, 19))
    in_turn = [
        each
        for day in range(20, 24)
        for each in GREAT_BRITAIN.due(date(2026, 1, day), days, after=date(2026, 1, day - 1))
    ]
    assert list(at_once) == in_turn
    assert [each.settlement_date.day for each in at_once] == [13, 14, 15, 16]


def test_a_market_declares_its_own_holidays_and_rest_days() -> None:
    friday_off = WorkingDays("GB", "ENG", rest_days=(4, 5), extra=(date(2026, 1, 13),))
    assert friday_off.after(date(2026, 1, 12), 4) == date(2026, 1, 19)  # not 13, 16, 17; 18 is a Sunday
    assert not friday_off.holds(date(2026, 1, 13))
    assert WorkingDays("GB", "ENG", worked=(date(2026, 4, 3),)).holds(date(2026, 4, 3))


def test_another_market_brings_its_calendar_as_json() -> None:
    belgium = from_json(RunCalendar, json.dumps(BELGIUM), "belgium.json")
    assert belgium.runs_of(date(2024, 5, 7)) == (("initial", 1, date(2024, 5, 13)),)  # over Ascension
    assert [run.due_date for run in belgium.runs_of(date(2025, 7, 18))] == [
        date(2025, 7, 22),  # Monday is the national holiday
        date(2025, 7, 23),
    ]


@pytest.mark.parametrize(
    ("document", "fault"),
    [
        ('{"terms": []', "the document"),
        ('{"terms": [], "working_days": {"country": "BE"}}', "ascend"),
        ('{"terms": [{"first": "2024-01-01", "runs": []}]}', "name no run"),
        (
            '{"terms": [{"first": "2024-01-01", "runs": [{"name": "a", "working_days": 1.5}]}]}',
            "working_days",
        ),
        ('{"terms": [{"first": "2024-01-01", "runs": [{"name": "a", "working_days": 0}]}]}', "from 1"),
        ('{"terms": [], "rules": 1}', "rules"),
        ('{"terms": [], "working_days": {"country": "XX"}}', "no holidays are known of XX"),
    ],
)
def test_a_wrong_calendar_names_its_file_and_fault(document: str, fault: str) -> None:
    with pytest.raises(InputError, match=rf"(?s)market\.json.*{fault}"):
        from_json(RunCalendar, document, "market.json")


@pytest.mark.parametrize("rest_days", [(0, 1, 2, 3, 4, 5, 6), (7,), (-1,)])
def test_rest_days_are_weekdays_and_not_all_of_them(rest_days: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match="rest_days"):
        WorkingDays("GB", rest_days=rest_days)


@pytest.mark.parametrize("delays", [(3, 3), (5, 4)])
def test_delays_rise(delays: tuple[int, int]) -> None:
    with pytest.raises(InputError, match="let them rise"):
        Terms(date(2024, 1, 1), (Run("a", delays[0]), Run("b", delays[1])))


@pytest.mark.parametrize("day", [date(1990, 1, 1), date(2100, 1, 1), date.max])
def test_a_date_outside_the_calendar_is_refused(day: date) -> None:
    with pytest.raises(InputError):
        runs_of(day)


def test_the_command_tells_runs_and_due_dates(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["settlement", "calendar", "2027-07-02"]) == 0
    assert "4  RF  Fri 2027-10-29" in capsys.readouterr().out
    assert cli.main(["settlement", "calendar", "2027-07-02", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["settlement_date"] == "2027-07-02"
    assert shown["runs"][1] == {"name": "SF", "number": 2, "due_date": "2027-07-13"}


def test_the_command_takes_another_calendar(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "belgium.json").write_text(json.dumps(BELGIUM))
    words = ["settlement", "calendar", "2024-05-07", "--calendar", str(tmp_path / "belgium.json")]
    assert cli.main(words) == 0
    assert "1  initial  Mon 2024-05-13" in capsys.readouterr().out


@pytest.mark.parametrize(
    "words", [["27.3.2026"], ["1990-01-01"], ["2026-01-12", "--calendar", "no-such.json"]]
)
def test_the_command_refuses_what_it_cannot_read(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["settlement", "calendar", *words]) == 2
    assert capsys.readouterr().err.startswith("trellis: error: ")
