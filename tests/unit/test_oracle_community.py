"""The measured homes through the whole oracle: every Wh that their meters signed is in the posting."""

from datetime import date
from pathlib import Path

import numpy as np
import pytest
from oracle_world import NODE_KEYS, NODES, SEPARATOR

from oracle.estimation import History
from oracle.homes import Community, by_day, day_of, load_homes
from oracle.messages import EXPORT, IMPORT, Reading, SignedReading, meter_id, private_key, public_point, sign
from oracle.node import DayInputs, OracleNode, agree
from oracle.registry import Meter, MeterRegistry
from settlement.reference.posting import unpack_part

DATE = date(2017, 6, 14)
DAY = day_of(DATE)
COUNT = 17
TIDY = Path(__file__).resolve().parents[3] / "shared" / "data" / "tidy" / "readings.parquet"


def serial(number: int) -> str:
    return f"HOME-{number:02}"


def registry() -> MeterRegistry:
    return MeterRegistry(
        Meter(meter_id(serial(n)), *public_point(private_key(n)), account=bytes((n,)) * 20, capacity_w=15_000)
        for n in range(1, COUNT + 1)
    )


def register(home, number: int) -> np.ndarray:
    return home.import_wh if number == IMPORT else home.export_wh


def signed_day(community: Community) -> tuple[SignedReading, ...]:
    return tuple(
        sign(
            Reading(meter_id(serial(home.number)), number, 3600, DAY.first_window + w, int(wh), 1),
            private_key(home.number),
        )
        for home in community.on(DATE).homes
        for number in (IMPORT, EXPORT)
        for w, wh in enumerate(register(home, number))
    )


def history(community: Community, meters: MeterRegistry, days: int = 7) -> History:
    homes = {meter_id(serial(home.number)): home for home in community.before(DATE, days).homes}
    wh = np.stack([by_day(register(homes[meter], number)) for meter, number in meters.series])
    return History(wh, np.ones(wh.shape, np.bool_))


@pytest.fixture(scope="module")
def agreement():
    community, meters = load_homes(), registry()
    batch = signed_day(community)
    lost = [m for m in batch if m.message[1:33] == meter_id(serial(3)) and m.message[33] == IMPORT][5:7]
    given = DayInputs(
        zone=1,
        day=DAY,
        registry=meters,
        batch=tuple(m for m in batch if m not in lost),
        history=history(community, meters),
        surplus=(50_000,) * 24,
        deficit=(300_000,) * 24,
        day_key=bytes(range(32)),
        accounts_per_part=7,
    )
    votes = [OracleNode(key).vote(given, SEPARATOR)[0] for key in NODE_KEYS]
    return community, agree(votes, NODES, 2, SEPARATOR)


def test_three_nodes_post_the_day_of_seventeen_homes(agreement) -> None:
    community, agreed = agreement
    assert agreed.signers == tuple(sorted(NODES))
    assert [len(unpack_part(part, 24)) for part in agreed.posted.parts] == [7, 7, 3]
    entries = [entry for part in agreed.posted.parts for entry in unpack_part(part, 24)]
    for home, entry in zip(community.on(DATE).homes, entries, strict=True):
        expected = (home.pv_wh - home.load_wh).tolist()
        if home.number == 3:  # two hours of its import did not arrive
            assert entry.flags == (0,) * 5 + (1, 1) + (0,) * 17
            assert list(entry.metered[:5]) + list(entry.metered[7:]) == expected[:5] + expected[7:]
        else:
            assert list(entry.metered) == expected
            assert not any(entry.flags)


@pytest.mark.skipif(not TIDY.exists(), reason="the shared data is not here")
def test_load_and_generation_agree_with_the_tidied_data() -> None:
    pandas = pytest.importorskip("pandas")
    rows = pandas.read_parquet(TIDY)
    community = load_homes()
    for home in community.homes:
        mine = rows[rows.home_id == f"CL{home.number:02}"]
        for channel, wh in (("load", home.load_wh), ("pv", home.pv_wh)):
            theirs = mine[(mine.channel == channel) & (mine.flag == "")]
            # They are UTC, from UTC-8 local hours; here the local hour is treated as UTC.
            starts = theirs.ts_start_utc.dt.tz_localize(None) - pandas.Timedelta(hours=8)
            windows = (starts - pandas.Timestamp(0)) // pandas.Timedelta(hours=1) - community.first_window
            assert np.abs(wh[windows.to_numpy()] - theirs.kwh.to_numpy() * 1000).max(initial=0) <= 0.51
