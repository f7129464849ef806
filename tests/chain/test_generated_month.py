"""Three days of three homes through three runs, with late, missing, wrong and contested readings."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

import numpy as np
import pytest
from month_checks import (
    check_challenges,
    check_every_run_nets_to_zero,
    check_final,
    check_flags,
    statement_hashes,
    told,
)
from month_troubles import LATE, SECOND, troubles
from months import SEED, Measured, Month, starts_before

from api.services.audit import audit_chain
from settlement.chain.anvil import Anvil

HOMES, DAYS, PAST, WINDOWS = 3, 3, 18, 24


def generated() -> Measured:
    """Homes with a base load, an evening and some sun, other every day."""
    dice = np.random.default_rng(SEED)
    shape = (HOMES, PAST + DAYS, WINDOWS)
    hours = np.arange(WINDOWS)
    evening = np.where((hours >= 17) & (hours < 22), 1_500, 0)
    load = 400 + evening + dice.integers(0, 400, shape)
    sun = np.maximum(0, 2_600 - 80 * (hours - 12) ** 2) * np.array([1, 0, 1])[:, None, None]
    pv = sun * dice.integers(50, 101, (HOMES, PAST + DAYS, 1)) // 100
    return Measured(date(2026, 5, 4), "Europe/Brussels", 3_600, load.astype(np.int64), pv.astype(np.int64))


@pytest.fixture(scope="module")
def month() -> Iterator[Month]:
    measured = generated()
    with Anvil(timestamp=starts_before(measured, PAST)) as anvil:
        found = Month(anvil, measured, PAST, DAYS, troubles(SEED, HOMES, DAYS, WINDOWS))
        found.play()
        yield found


def test_every_run_of_every_day_nets_to_zero(month: Month) -> None:
    assert check_every_run_nets_to_zero(month) > DAYS + 2


def test_after_the_last_run_everyone_has_what_final_readings_give(month: Month) -> None:
    check_final(month)


def test_what_had_not_come_in_was_flagged_estimated_until_it_did(month: Month) -> None:
    check_flags(month)


def test_challenges_held_and_later_runs_kept_what_they_said(month: Month) -> None:
    check_challenges(month)


def test_a_late_reading_changes_the_next_run_and_none_that_was_issued(month: Month) -> None:
    late = next(one for one in month.troubles if one.kind == LATE and one.known_by == SECOND)
    zone = month.homes[late.home].zone
    entries = told(month, late.home, late.day)
    first, second, third = (next(one for one in entries if one.run == run) for run in (0, 1, 2))
    assert first.imbalance_wh != second.imbalance_wh == third.imbalance_wh
    issued = statement_hashes(month, zone, late.day, second.block - 1)
    assert statement_hashes(month, zone, late.day, second.block) != issued
    assert statement_hashes(month, zone, late.day) == statement_hashes(month, zone, late.day, second.block)
    assert first.block < second.block < third.block


def test_the_audit_of_all_runs_holds(month: Month) -> None:
    checks = audit_chain([month.anvil.rpc_url], "0x" + month.exchange.address.hex())
    assert [check.name for check in checks if not check.holds] == []
    counted = {check.name: check.count for check in checks}
    assert counted["later runs"] == 2 * DAYS * len(month.cast.zones)
    assert counted["challenges"] == len(month.challenges)
