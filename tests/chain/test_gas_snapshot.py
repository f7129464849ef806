"""Gas of a community's day against tests/benchmarks/gas.json: beyond 2% either way is a failure.

The cases are those of `trellis bench gas`, whole; `make snap` writes the snapshot anew.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from settlement.bench import gas
from settlement.bench.community import running

SNAPSHOT = Path(__file__).resolve().parents[1] / "benchmarks" / "gas.json"
TOLERANCE_PERCENT = 2

Gas = Mapping[str, int]


def drifts(snapped: Gas, found: Gas) -> list[str]:
    """What changed by more than is tolerated, a line each."""
    told = []
    for step in sorted(snapped.keys() | found.keys()):
        before, now = snapped.get(step, 0), found.get(step, 0)
        if abs(now - before) * 100 > before * TOLERANCE_PERCENT:
            what = "grew: cheapen it" if now > before else "shrank: keep the gain"
            told.append(f"{step} {what}, or review and run `make snap` ({before:,} was snapped, now {now:,})")
    return told


def update(case: str, found: Gas) -> None:
    snapped = json.loads(SNAPSHOT.read_text()) if SNAPSHOT.exists() else {}
    snapped[case] = dict(found)
    ordered = {name: snapped[name] for name in gas.CASES if name in snapped}
    SNAPSHOT.write_text(json.dumps(ordered, indent=2) + "\n")


@pytest.mark.parametrize("case", gas.CASES)
def test_a_day_costs_what_it_did(case: str) -> None:
    with running(gas.CASES[case]) as community:
        found = gas.measure_day(community).gas
    if os.environ.get("UPDATE_SNAPSHOTS"):
        update(case, found)
    snapped = json.loads(SNAPSHOT.read_text())
    assert case in snapped, "no snapshot of this case: run `make snap`"
    changed = drifts(snapped[case], found)
    assert not changed, "\n".join(changed)


def test_the_snapshot_has_exactly_the_cases_measured() -> None:
    assert list(json.loads(SNAPSHOT.read_text())) == list(gas.CASES)


@pytest.mark.parametrize(
    ("found", "told"),
    [
        ({"clear": 1000, "settle": 500}, []),
        ({"clear": 1020, "settle": 490}, []),  # 2% is tolerated
        ({"clear": 1021, "settle": 500}, ["clear grew"]),
        ({"clear": 979, "settle": 500}, ["clear shrank"]),
        ({"clear": 1021, "settle": 489}, ["clear grew", "settle shrank"]),
        ({"clear": 1000}, ["settle shrank"]),
        ({"clear": 1000, "settle": 500, "prove": 1}, ["prove grew"]),
    ],
)
def test_a_step_that_drifted_is_named(found: Gas, told: list[str]) -> None:
    lines = drifts({"clear": 1000, "settle": 500}, found)
    assert [" ".join(line.split()[:2]).rstrip(":") for line in lines] == told
