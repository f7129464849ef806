"""A month of measured homes settles through three runs, with late, missing, wrong and contested readings.

The premises of Byron Bay (half-hours, UTC+10): every one that is there, 28 days after the 15 that agents
learn from. Meters sign with keys that are made here; the market is on a chain of the test's own. It runs
where the measurements are: in the folder that `TRELLIS_DATA` names, or in `shared/data` beside the checkout.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from month_checks import (
    check_challenges,
    check_every_run_nets_to_zero,
    check_final,
    check_flags,
    statement_hashes,
    told,
)
from month_troubles import CONTESTED, LATE, MISSING, SECOND, WRONG, troubles
from months import SEED, Measured, Month, starts_before

from api.services.audit import audit_chain
from settlement.chain.anvil import Anvil

DATA = Path(os.environ.get("TRELLIS_DATA", Path(__file__).resolve().parents[2].parent / "shared" / "data"))
READINGS = DATA / "tidy" / "readings.parquet"
TZ = "Australia/Brisbane"
FIRST_DAY, WHOLE_DAYS = date(2017, 2, 27), 49
PAST, DAYS, WINDOWS = 15, 28, 48

pytestmark = [
    pytest.mark.skipif(not READINGS.is_file(), reason=f"no measurements in {DATA}: set TRELLIS_DATA"),
    pytest.mark.timeout(1_200),
]


def measured() -> Measured:
    """Load and PV of all premises on whole local days, each half-hour in whole Wh."""
    table = pd.read_parquet(READINGS)
    table = table[table["home_id"].astype(str).str.startswith("BB")]
    local = table["ts_start_utc"].dt.tz_convert(TZ)
    first = pd.Timestamp(FIRST_DAY, tz=TZ)
    table = table.assign(
        slot=((local - first) // pd.Timedelta(minutes=30)).astype("int64"),
        wh=(table["kwh"] * 1000).round().astype("int64"),
        home=table["home_id"].astype(str),
        channel=table["channel"].astype(str),
    )
    slots = range(WHOLE_DAYS * WINDOWS)
    wide = table.pivot_table(index="slot", columns=["channel", "home"], values="wh", aggfunc="sum").loc[slots]
    homes = sorted(wide["load"].columns)
    load, pv = (wide[name].reindex(columns=homes).fillna(0) for name in ("load", "pv"))
    assert not wide["load"].isna().any().any()

    def days(frame: pd.DataFrame) -> np.ndarray:
        return frame.to_numpy(np.int64).T.reshape(len(homes), WHOLE_DAYS, WINDOWS)

    return Measured(FIRST_DAY, TZ, 1_800, days(load), days(pv))


@pytest.fixture(scope="module")
def month() -> Iterator[Month]:
    homes = measured()
    with Anvil(timestamp=starts_before(homes, PAST)) as anvil:
        found = Month(anvil, homes, PAST, DAYS, troubles(SEED, homes.homes, DAYS, WINDOWS))
        found.play()
        yield found


def test_there_are_all_kinds_of_trouble_every_few_days(month: Month) -> None:
    kinds = Counter(one.kind for one in month.troubles)
    assert month.measured.homes == 8
    assert min(kinds[kind] for kind in (LATE, MISSING, WRONG)) >= 9
    assert kinds[CONTESTED] >= 4
    assert len(month.done) == 3 * DAYS


def test_every_run_of_every_zone_and_day_nets_to_zero(month: Month) -> None:
    assert check_every_run_nets_to_zero(month) > 2 * DAYS


def test_totals_after_the_last_run_are_those_of_a_fresh_settlement(month: Month) -> None:
    check_final(month)


def test_estimates_are_flagged_until_the_truth_is_in(month: Month) -> None:
    check_flags(month)


def test_challenges_held_and_no_later_run_undid_them(month: Month) -> None:
    check_challenges(month)


def test_a_late_actual_changes_the_next_run_and_no_issued_one(month: Month) -> None:
    changed = 0
    contested = {one.day for one in month.troubles if one.kind == CONTESTED}
    for late in month.troubles:
        if late.kind != LATE or late.known_by != SECOND or late.day in contested:
            continue
        zone = month.homes[late.home].zone
        first, second, third = (
            next(one for one in told(month, late.home, late.day) if one.run == run) for run in range(3)
        )
        before = statement_hashes(month, zone, late.day, second.block - 1)
        assert before == statement_hashes(month, zone, late.day, first.block + 1), late
        after = statement_hashes(month, zone, late.day, second.block)
        assert (before != after) == (first.imbalance_wh != second.imbalance_wh), late
        changed += before != after
        assert third.block > second.block > first.block
    assert changed >= 7


def test_the_audit_of_the_month_holds(month: Month) -> None:
    checks = audit_chain([month.anvil.rpc_url], "0x" + month.exchange.address.hex())
    assert [check.name for check in checks if not check.holds] == []
    counted = {check.name: check.count for check in checks}
    assert counted["later runs"] == 2 * DAYS * len(month.cast.zones)
    assert counted["challenges"] == len(month.challenges)
