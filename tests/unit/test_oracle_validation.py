"""Each check finds what it is for and nothing else; what cannot be true is taken out, what is odd is told."""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from oracle_world import DAY, batch, inputs, meter, past, registry, signed

from oracle import checks
from oracle.day import MISSING, OUT_OF_SERVICE, Day, MeterDay, blank
from oracle.errors import OutOfRange, WrongShape
from oracle.estimation import History, estimate
from oracle.intake import Reason
from oracle.node import compute
from oracle.registers import RegisterReads, stretches
from oracle.registry import MeterRegistry
from oracle.validation import (
    ORDER,
    RULES,
    UNLIMITED,
    Action,
    Evidence,
    Rules,
    capacities_wh,
    validate,
)
from settlement.reference.posting import ACTUAL

DATA = Path(os.environ.get("TRELLIS_DATA", Path(__file__).resolve().parents[3] / "shared" / "data"))
TIDY = DATA / "tidy" / "readings.parquet"
GAP = None


def one_row(*values: int | None, register: int = 1) -> MeterDay:
    """An hourly day of one series, with None where nothing arrived."""
    empty = blank(Day(3600, 0, len(values)), ((bytes(32), register),))
    wh = np.array([[value or 0 for value in values]], np.int64)
    flags = np.array([[MISSING if value is None else ACTUAL for value in values]], np.uint8)
    return empty.replace(wh, flags)


def evidence(readings: MeterDay, **fields: object) -> Evidence:
    return replace(Evidence(np.full(len(readings.series), UNLIMITED)), **fields)


def reads(*bounds: int | None) -> RegisterReads:
    """The reads of one register at each bound, None where there is none."""
    wh = np.array([[bound or 0 for bound in bounds]], np.int64)
    return RegisterReads(wh, np.array([[bound is not None for bound in bounds]]))


def columns(mask: np.ndarray) -> list[int]:
    return np.flatnonzero(mask[0]).tolist()


def told(readings: MeterDay, given: Evidence, rules: Rules = RULES) -> tuple[list, list]:
    """(window, reason) of what was taken out, and of the warnings."""
    found = validate(readings, given, rules)
    return tuple(
        [(failure.reading.window_index, failure.reason) for failure in part]
        for part in (found.failures, found.warnings)
    )


# The checks ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "found"),
    [
        ((10, 10, 10, 28), []),  # 180% more than the third highest is not above it
        ((10, 10, 10, 29), [3]),
        ((10, 29, 10, 29), [1, 3]),  # two spikes hide neither
        ((10, 29, 29, 29), []),  # three are the day's shape
        ((GAP, 10, 10, 99), [3]),
        ((GAP, GAP, 10, 99), []),  # there is no third
        ((0, 0, 0, 21), [3]),
        ((0, 0, 0, 20), []),  # the floor
        ((5, 99), []),
    ],
)
def test_a_spike_is_far_above_the_third_highest_of_its_day(values, found) -> None:
    day = one_row(*values)
    assert columns(checks.spikes(day.wh, day.flags == ACTUAL, (14, 5), floor_wh=20)) == found


@pytest.mark.parametrize(
    ("values", "found"),
    [
        ((5, 0, 0, 5), []),
        ((5, 0, 0, 0), [1, 2, 3]),
        ((0, 0, 0, 7, 0, 0, 0, 0), [0, 1, 2, 4, 5, 6, 7]),
        ((0, 0, GAP, 0, 0), []),  # a gap ends a run: nobody knows what was there
    ],
)
def test_a_run_of_zeros_is_found_whole(values, found) -> None:
    day = one_row(*values)
    assert columns(checks.zero_runs(day.wh, day.flags == ACTUAL, longest=2)) == found


@pytest.mark.parametrize(
    ("values", "found"),
    [
        ((7, 7, 8, 7), []),
        ((7, 7, 7, 8), [0, 1, 2]),
        ((7, 7, 7, 8, 8, 8), [0, 1, 2, 3, 4, 5]),
        ((0, 0, 0, 0), []),
        ((7, 7, GAP, 7), []),
    ],
)
def test_a_stuck_value_is_found_whole(values, found) -> None:
    day = one_row(*values)
    assert columns(checks.stuck(day.wh, day.flags == ACTUAL, longest=2)) == found


@given(hnp.arrays(np.int64, (3, 9), elements=st.integers(0, 2)), hnp.arrays(np.bool_, (3, 9)))
def test_runs_are_those_that_a_walk_along_the_row_finds(wh, actual) -> None:
    expected = np.zeros(wh.shape, np.bool_)
    for row in range(3):
        for start in range(9):
            for stop in range(start + 3, 10):
                part = wh[row, start:stop]
                if actual[row, start:stop].all() and part[0] != 0 and (part == part[0]).all():
                    expected[row, start:stop] = True
    assert (checks.stuck(wh, actual, longest=2) == expected).all()


def test_runs_do_not_go_on_from_one_register_to_the_next() -> None:
    wh = np.array([[1, 7, 7], [7, 7, 1]])
    assert not checks.stuck(wh, np.ones((2, 3), np.bool_), longest=2).any()


def test_a_reading_cannot_arrive_before_its_window_is_over() -> None:
    day = one_row(1, 1, 1, GAP)
    arrived = np.array([[3600 - 61, 7200 - 60, checks.NEVER, 0]])
    assert columns(checks.early(day.flags == ACTUAL, arrived, day.day, tolerance_s=60)) == [0]
    with pytest.raises(WrongShape):
        checks.early(day.flags == ACTUAL, arrived[:, :2], day.day, 60)


@pytest.mark.parametrize(
    ("values", "bounds", "failed", "confirmed"),
    [
        ((10, 20, 30), (5, GAP, GAP, 65), [], [0, 1, 2]),
        ((10, 20, 30), (5, GAP, GAP, 67), [], [0, 1, 2]),  # 1 Wh of the reads, half a Wh of each window
        ((10, 20, 30), (5, GAP, GAP, 68), [0, 1, 2], []),
        ((10, 20, 30), (5, GAP, GAP, 63), [], [0, 1, 2]),
        ((10, 20, 30), (5, GAP, GAP, 62), [0, 1, 2], []),
        ((10, GAP, 30), (5, GAP, GAP, 99), [], []),  # what is missing may be the rest
        ((10, GAP, 30), (5, GAP, GAP, 42), [0, 2], []),
        ((10, 20, 30), (5, 15, GAP, 99), [1, 2], [0]),
        ((10, 20, 30), (5, 15, 35, GAP), [], [0, 1]),
        ((0, 20, 30), (5, 4, GAP, GAP), [0], []),  # a counter that runs backwards confirms nothing
        ((10, 20, 30), (GAP, GAP, GAP, 65), [], []),
    ],
)
def test_windows_sum_to_what_the_register_advanced_by(values, bounds, failed, confirmed) -> None:
    day, known = one_row(*values), stretches(reads(*bounds), (1, 3))
    found = checks.sum_check(day.wh, day.flags == ACTUAL, known, np.ones((1, 3), np.bool_), 1)
    assert [columns(mask) for mask in found] == [failed, confirmed]


def test_register_reads_must_fit_the_day() -> None:
    with pytest.raises(WrongShape):
        stretches(reads(0, 1, 2), (1, 3))
    with pytest.raises(WrongShape):
        RegisterReads(np.zeros((1, 1), np.int64), np.ones((1, 1), np.bool_))


# What follows from them ---------------------------------------------------------------------------------


def test_an_actual_above_the_capacity_is_taken_out_and_reported() -> None:
    limited = MeterRegistry([meter(0, capacity_w=1000, registers=(1,))])
    capacity = capacities_wh(limited, 1800)
    assert capacity.tolist() == [500]
    kept, failures, warnings = validate(one_row(500, 501, GAP), Evidence(capacity))
    assert kept.flags[0].tolist() == [ACTUAL, MISSING, MISSING]
    assert kept.wh[0].tolist() == [500, 0, 0]
    assert [(f.reading.wh, f.reason) for f in failures] == [(501, Reason.OVER_CAPACITY)]
    assert warnings == ()


def test_a_capacity_is_rounded_up_and_none_limits_nothing() -> None:
    registered = MeterRegistry([meter(0, capacity_w=1), meter(1)])
    assert sorted(capacities_wh(registered, 300).tolist()) == [1, 1, UNLIMITED, UNLIMITED]
    with pytest.raises(WrongShape):
        validate(one_row(1), Evidence(np.zeros(2, np.int64)))


def test_a_surge_and_a_spike_are_told_and_stay() -> None:
    day = one_row(300, 300, 300, 3001, 300)
    assert told(day, evidence(day)) == ([], [(3, Reason.SURGE), (3, Reason.SPIKE)])
    day = one_row(300, 300, 300, 2900, 300)
    assert told(day, evidence(day)) == ([], [(3, Reason.SPIKE)])


HALF_HOURS = 48
PEAKS = {
    "a battery exports 5 kW for an hour": (2, 0, {36: 2500, 37: 2500}),
    "a car charges at 7.4 kW for an hour": (1, 120, {4: 3700, 5: 3700}),
    "a car charges 5 kWh in half an hour": (1, 120, {4: 5000}),
    "a battery exports 3.2 kW for half an hour": (2, 0, {24: 1600}),
}


@pytest.mark.parametrize(("register", "base", "peaks"), PEAKS.values(), ids=PEAKS)
def test_an_honest_peak_is_posted_as_the_meter_signed_it(register: int, base: int, peaks: dict) -> None:
    """A connection of 15 kW, a past without any peak, and no register read: nothing is estimated."""
    empty = blank(Day(1800, 0, HALF_HOURS), ((bytes(32), register),))
    row = np.full((1, HALF_HOURS), base, np.int64)
    row[0, list(peaks)] = list(peaks.values())
    day = empty.replace(row, np.zeros(row.shape, np.uint8))
    flat = History(np.full((1, 5, HALF_HOURS), base), np.ones((1, 5, HALF_HOURS), np.bool_))
    found = validate(day, Evidence(np.array([7500]), flat))
    posted = estimate(found.readings, flat)
    assert found.failures == ()
    assert {(w.reading.window_index, w.reason) for w in found.warnings} >= {(w, Reason.SURGE) for w in peaks}
    assert posted.wh.tolist() == row.tolist()
    assert not posted.flags.any()


def test_by_default_only_capacity_and_the_register_take_a_reading_out() -> None:
    removing = {reason for reason in ORDER if getattr(RULES, reason.name.lower()) is Action.REMOVE}
    assert removing == {Reason.OVER_CAPACITY, Reason.DENIED}


def test_a_register_that_ran_backwards_or_advanced_enough_denies_no_surge() -> None:
    day = one_row(300, 300, 300, 4000, 300)
    for bounds in ((9000, GAP, GAP, GAP, GAP, 0), (0, GAP, GAP, GAP, GAP, 4100)):
        removed, warned = told(day, evidence(day, reads=reads(*bounds)))
        assert removed == []
        assert {(3, Reason.SURGE), (3, Reason.SUM)} <= set(warned)


def test_a_surge_that_the_register_confirms_did_flow() -> None:
    day = one_row(300, 300, 300, 4000, 300)
    confirming, denying = reads(0, GAP, GAP, GAP, GAP, 5200), reads(0, GAP, GAP, GAP, GAP, 1500)
    assert told(day, evidence(day, reads=confirming)) == ([], [(3, Reason.SPIKE)])
    assert told(day, evidence(day, reads=denying)) == ([(3, Reason.DENIED)], [])  # the rest may be 300


def test_a_zero_run_is_odd_only_where_zeros_are_rare() -> None:
    day, rare = one_row(*[0] * 7, 50), np.full((1, 5, 8), 50)
    known = np.ones((1, 5, 8), np.bool_)
    assert told(day, evidence(day)) == ([], [])  # nobody knows its past
    expected = [(column, Reason.ZERO_RUN) for column in range(7)]
    assert told(day, evidence(day, history=History(rare, known))) == ([], expected)
    often = rare.copy()
    often[0, 0, :3] = 0  # 3 of 40 are more than 1 of 20
    assert told(day, evidence(day, history=History(often, known))) == ([], [])
    export = one_row(*[0] * 7, 50, register=2)
    assert told(export, evidence(export, history=History(rare, known))) == ([], [])


def test_limits_are_of_time_and_hold_for_every_window_length() -> None:
    rules = Rules(stuck_s=1800)
    for length, longest in ((300, 6), (900, 2), (1800, 1)):
        day = blank(Day(length, 0, longest + 2), ((bytes(32), 1),))
        wh = np.full((1, longest + 2), 7)
        wh[0, longest:] = 1, 2
        day = day.replace(wh, np.zeros(wh.shape, np.uint8))
        assert told(day, evidence(day), rules) == ([], [])
        wh[0, longest] = 7
        day = day.replace(wh, np.zeros(wh.shape, np.uint8))
        assert len(told(day, evidence(day), rules)[1]) == longest + 1


@pytest.mark.parametrize("reason", ORDER)
def test_every_check_can_be_off_told_or_remove(reason: Reason) -> None:
    day = one_row(*[0] * 7, *[9000] * 13, 20_000_000, 9000, 9000, 30)
    arrived = np.zeros((1, 24), np.int64)
    history = History(np.full((1, 1, 24), 50), np.ones((1, 1, 24), np.bool_))
    given = Evidence(np.array([10_000_000]), history, reads(0, *[GAP] * 23, 10_000_000), arrived)
    off = Rules(*[Action.OFF] * len(ORDER))
    assert told(day, given, off) == ([], [])
    removed, _ = told(day, given, replace(off, **{reason.name.lower(): Action.REMOVE}))
    _, warned = told(day, given, replace(off, **{reason.name.lower(): Action.WARN}))
    assert removed == warned
    assert {each for _, each in warned} == {reason}


def test_what_one_check_took_out_no_other_looks_at() -> None:
    day = one_row(300, 300, 300, 40_000, 300)
    given = Evidence(np.array([20_000]))
    every = Rules(spike=Action.REMOVE, surge=Action.WARN)
    assert told(day, given, every) == ([(3, Reason.OVER_CAPACITY)], [])


def test_rules_that_are_none_are_refused() -> None:
    for wrong in ({"stuck_s": -1}, {"spike_ratio": (1, 0)}, {"zero_share": (-1, 20)}, {"resolution_wh": -1}):
        with pytest.raises(OutOfRange):
            Rules(**wrong)


@given(st.data())
def test_validation_changes_nothing_but_what_it_reports(data) -> None:
    wh = data.draw(hnp.arrays(np.int64, (2, 8), elements=st.sampled_from([0, 7, 300, 5000, 90_000])))
    flags = data.draw(
        hnp.arrays(np.uint8, (2, 8), elements=st.sampled_from([ACTUAL, MISSING, OUT_OF_SERVICE]))
    )
    day = blank(Day(3600, 0, 8), ((bytes(32), 1), (bytes(32), 2)))
    day = day.replace(np.where(flags == ACTUAL, wh, 0), flags)
    rules = Rules(*data.draw(st.lists(st.sampled_from(Action), min_size=8, max_size=8)), stuck_s=7200)
    found = validate(day, evidence(day), rules)
    out = {(f.reading.register - 1, f.reading.window_index) for f in found.failures}
    assert len(out) == len(found.failures)
    for cell in np.ndindex(2, 8):
        if cell in out:
            assert day.flags[cell] == ACTUAL
            assert (found.readings.wh[cell], found.readings.flags[cell]) == (0, MISSING)
        else:
            assert found.readings.wh[cell] == day.wh[cell]
            assert found.readings.flags[cell] == day.flags[cell]
    assert not out & {(w.reading.register - 1, w.reading.window_index) for w in found.warnings}


def test_a_node_posts_an_honest_peak_as_actual_by_default_and_tells_of_it() -> None:
    """A battery exports 5 kWh in an hour, a car draws 7.4 kWh in another."""
    peaks = (signed(0, 2, 5, 5_000), signed(1, 1, 0, 7_400, sequence=2))
    honest = (*batch(without=lambda n, register, column: (n, register, column) == (0, 2, 5)), *peaks)
    computed = compute(inputs(honest, history=past(3, 250, 10)))
    assert computed.failures == ()
    assert {f.reading.wh for f in computed.warnings} == {5_000, 7_400}
    assert not computed.readings.flags.any()
    assert computed.accounts.of(meter(0).account)[0][5] == 5_000 - 150
    assert computed.accounts.of(meter(1).account)[0][0] == -7_400


def test_a_node_estimates_what_a_rule_takes_out_and_tells_of_a_warning() -> None:
    surged = (*batch(), signed(0, 1, 2, 50_000, sequence=2), signed(1, 1, 2, 1_500, sequence=2))
    strict = Rules(surge=Action.REMOVE)
    computed = compute(inputs(surged, history=past(3, 250, 10), rules=strict))
    assert [(f.reading.wh, f.reason) for f in computed.failures] == [(50_000, Reason.SURGE)]
    assert [(f.reading.wh, f.reason) for f in computed.warnings] == [(1_500, Reason.SPIKE)]
    assert computed.readings.flags[registry().series.index((meter(0).meter_id, 1))].tolist() == [
        0,
        0,
        1,
        0,
        0,
        0,
    ]


def test_a_register_that_serves_no_more_is_neither_estimated_nor_counted() -> None:
    serving = np.ones((6, DAY.windows), np.bool_)
    row = registry().series.index((meter(0).meter_id, 1))
    serving[row, 3:] = False
    computed = compute(inputs(in_service=serving))
    assert computed.readings.flags[row].tolist() == [ACTUAL] * 3 + [OUT_OF_SERVICE] * 3
    assert computed.readings.wh[row].tolist() == [100, 110, 120, 0, 0, 0]


@pytest.mark.skipif(not TIDY.exists(), reason="the shared data is not here")
def test_of_measured_days_only_the_lumps_after_a_gap_and_two_peaks_are_surges() -> None:
    pandas = pytest.importorskip("pandas")
    rows = pandas.read_parquet(TIDY)
    rows = rows[rows.channel.isin(["import", "export", "load", "pv"])]
    taken = []
    for (home, _, minutes), part in rows.groupby(["home_id", "channel", "minutes"], observed=True):
        starts = part.ts_start_utc.dt
        day, days = pandas.factorize(starts.date)
        cells = day, ((starts.hour * 60 + starts.minute) // minutes).to_numpy()
        shape = len(days), 1440 // minutes
        wh, actual = np.zeros(shape, np.int64), np.zeros(shape, np.bool_)
        flag = np.full(shape, "", object)
        wh[cells], actual[cells], flag[cells] = np.rint(part.kwh * 1000), True, part.flag.astype(str)
        ratio, floor_wh = RULES.surge_ratio, RULES.surge_floor_w * minutes // 60
        found = checks.spikes(wh, actual, ratio, floor_wh)
        taken += [
            (home, days[row], flag[row, column]) for row, column in zip(*np.nonzero(found), strict=True)
        ]
    assert sum(why == "gap_catchup" for _, _, why in taken) == (rows.flag == "gap_catchup").sum()
    assert len({(home, day) for home, day, why in taken if why != "gap_catchup"}) == 2
