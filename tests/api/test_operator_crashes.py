"""An operator killed by SIGKILL at any step of a session resumes, and neither loses nor doubles an order, a
clearing or a posting.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from killed_operator import MOMENTS, Kill
from operator_world import Day, OperatorWorld, running_operator_world

STEPS = (
    *("openDay", "openSession", "gate", "commitBooks", "postHeader"),
    *("clear", "clear", "clear", "closeZone", "closeZone", "closeZone"),
)
"""All that a session takes, in order."""
KILLS = [
    *(Kill(moment, at) for at in range(len(STEPS)) for moment in MOMENTS),
    *(Kill("sealing"), Kill("sealed")),
]


@pytest.fixture(scope="module")
def deployed() -> Iterator[OperatorWorld]:
    with running_operator_world() as found:
        yield found


@pytest.fixture
def day(deployed: OperatorWorld, tmp_path: Path) -> Iterator[Day]:
    with deployed.turned_back():
        yield Day(deployed, tmp_path)


def assert_once(day: Day) -> None:
    """Each step succeeded once and nothing failed; the book is the accepted orders; the audit holds."""
    sent, steps = day.sent(), Counter(STEPS)
    del sent["gate"], steps["gate"]  # whoever restarts behind the gate finds a block there already
    assert sent == steps
    assert sorted(day.book()) == sorted(day.accepted)
    assert day.outbox() == []
    assert day.audit_holds()


def test_a_session_takes_these_steps(day: Day) -> None:
    day.run(None)
    assert day.deaths == 0
    assert_once(day)


def name_of(kill: Kill) -> str:
    return (
        kill.moment
        if "seal" in kill.moment
        else f"{kill.transaction}-{STEPS[kill.transaction]}-{kill.moment}"
    )


@pytest.mark.parametrize("kill", KILLS, ids=name_of)
def test_an_operator_killed_at_any_step_goes_on(day: Day, kill: Kill) -> None:
    day.run(kill)
    assert day.deaths == 1
    assert_once(day)
