"""The chain that a demo's day runs on, where it is not its own."""

from __future__ import annotations

import json
from datetime import date, timedelta
from pathlib import Path

import pytest

from api.services import places
from api.services.plan import Plan
from settlement.chain.anvil import Anvil
from settlement.chain.client import Chain
from settlement.cli import main

PLAN = Plan(date(2017, 6, 14))


def test_days_follow_each_other_week_by_week_on_an_anvil_that_somebody_runs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    days = []
    with Anvil(timestamp=PLAN.opens_at) as anvil:
        for _ in range(2):
            command = ["demo", "--homes", "2", "--rpc", anvil.rpc_url, "--out", str(tmp_path), "--json"]
            assert main(command) == 0
            days.append(date.fromisoformat(json.loads(capsys.readouterr().out)["date"]))
    assert days[1] - days[0] == timedelta(weeks=1)
    assert days[0] == PLAN.day


@pytest.mark.parametrize(
    ("after_s", "weeks"), [(0, 0), (-5, 0), (1, 1), (7 * 86_400 - 600, 1), (7 * 86_400, 2)]
)
def test_a_day_is_put_off_until_its_session_can_be_opened(after_s: int, weeks: int) -> None:
    with Anvil(timestamp=PLAN.opens_at + after_s) as anvil:
        assert places.weeks_until(PLAN, Chain(anvil.rpc_url)) == weeks


def test_a_day_that_is_put_off_stays_on_its_day_of_the_week() -> None:
    assert places.later(PLAN, 3).day.weekday() == PLAN.day.weekday()


def test_two_chains_are_not_named_at_once(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    options = ["--rpc", "http://127.0.0.1:9", "--network", str(tmp_path), "--out", str(tmp_path)]
    assert main(["demo", *options]) == 2
    assert "give one of them" in capsys.readouterr().err
