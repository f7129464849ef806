"""What is withheld of a day is paid out to the last nano, and one that is not is found."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from audit_world import audited, run_day
from chain_world import World, running_world

from settlement.audit.sums import Sums


@pytest.fixture(scope="module")
def day() -> Iterator[World]:
    with running_world() as world:
        run_day(world)
        yield world


def paid_one_more(sums: Sums, *_: Any) -> None:
    day = next(iter(sums.closed), 0)
    sums.paid[day] += 1


def kept_one_less(sums: Sums, event: Any, *_: Any) -> None:
    sums.kept[event.session] -= 1


def withheld_one_more(sums: Sums, event: Any, *_: Any) -> None:
    sums.withheld[event.session] += 1


def earned_one_more(sums: Sums, event: Any, *_: Any) -> None:
    sums.earned[event.session] += 1


@pytest.mark.parametrize(
    ("after", "change", "check"),
    [
        ("_pay", paid_one_more, "escrow"),
        ("_end", paid_one_more, "cash"),
        ("_cleared", kept_one_less, "cash"),
        ("_cleared", withheld_one_more, "escrow"),
        ("_cleared", earned_one_more, "cash"),
    ],
)
def test_one_nano_that_does_not_add_up_is_found(
    day: World, monkeypatch: pytest.MonkeyPatch, after: str, change: Callable[..., None], check: str
) -> None:
    original = getattr(Sums, after)

    def changed(sums: Sums, *arguments: Any) -> None:
        original(sums, *arguments)
        change(sums, *arguments)

    monkeypatch.setattr(Sums, after, changed)
    found = audited(day).difference
    assert found is not None
    assert found.check == check


def test_a_day_that_adds_up_is_found_to(day: World) -> None:
    found = audited(day)
    assert found.difference is None
    assert found.checks["escrow"].count == 1
