"""Local days in whole windows: 46, 48 or 50 half-hours in London, and days elsewhere that are odder."""

from datetime import UTC, date, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from oracle_world import inputs, meter

from oracle.day import MISSING, Day, MeterDay
from oracle.errors import MisalignedDay, OutOfRange, UnknownTimeZone, WrongLength, WrongWindow
from oracle.estimation import estimate, no_history
from oracle.history import history_of, is_working_day
from oracle.localdays import columns_by_local_time, date_of, local_day, period_of, time_zone, window_of
from oracle.messages import Reading, private_key, sign
from oracle.node import compute
from oracle.registry import MeterRegistry
from settlement.reference.posting import ACTUAL, unpack_part

LONDON = time_zone("Europe/London")
SPRING, AUTUMN = date(2026, 3, 29), date(2026, 10, 25)
SERIES = ((bytes(32), 1),)


def start_of(day: Day, period: int) -> str:
    return f"{datetime.fromtimestamp(window_of(day, period) * day.window_length_s, UTC):%Y-%m-%dT%H:%MZ}"


@pytest.mark.parametrize(
    ("day", "length_s", "windows", "first"),
    [
        (date(2026, 1, 15), 1800, 48, "2026-01-15T00:00Z"),
        (date(2026, 7, 15), 1800, 48, "2026-07-14T23:00Z"),
        (SPRING, 1800, 46, "2026-03-29T00:00Z"),
        (AUTUMN, 1800, 50, "2026-10-24T23:00Z"),
        (AUTUMN, 3600, 25, "2026-10-24T23:00Z"),
        (SPRING, 300, 276, "2026-03-29T00:00Z"),
        (AUTUMN, 900, 100, "2026-10-24T23:00Z"),
    ],
)
def test_a_day_in_london_has_its_settlement_periods(day, length_s, windows, first) -> None:
    found = local_day(day, "Europe/London", length_s)
    assert found.windows == windows
    assert start_of(found, 1) == first
    assert date_of(found, LONDON) == day


def test_the_last_period_of_the_long_day_ends_at_midnight() -> None:
    assert start_of(local_day(AUTUMN, LONDON, 1800), 50) == "2026-10-25T23:30Z"
    assert start_of(local_day(SPRING, LONDON, 1800), 46) == "2026-03-29T22:30Z"


def test_a_period_is_counted_from_one() -> None:
    day = local_day(AUTUMN, LONDON, 1800)
    assert [period_of(day, day.first_window), period_of(day, day.first_window + 49)] == [1, 50]
    for period in (0, 51):
        with pytest.raises(WrongWindow):
            window_of(day, period)
    with pytest.raises(WrongWindow):
        period_of(day, day.first_window + 50)


@pytest.mark.parametrize(
    ("zone", "day", "length_s", "windows"),
    [
        ("Asia/Kolkata", date(2026, 5, 1), 1800, 48),  # +05:30
        ("Asia/Kathmandu", date(2026, 5, 1), 900, 96),  # +05:45
        ("Australia/Lord_Howe", date(2026, 4, 5), 1800, 49),  # clocks go back by half an hour
        ("Australia/Lord_Howe", date(2026, 10, 4), 1800, 47),
        ("America/Sao_Paulo", date(2018, 11, 4), 3600, 23),  # there was no midnight
        ("America/Havana", date(2024, 11, 3), 3600, 25),  # midnight comes twice
        ("Africa/Cairo", date(2026, 4, 24), 3600, 23),
        ("Africa/Cairo", date(2026, 10, 29), 3600, 25),
        ("Pacific/Apia", date(2011, 12, 29), 3600, 24),  # the eve of the day that it skipped
    ],
)
def test_days_of_other_zones(zone, day, length_s, windows) -> None:
    assert local_day(day, zone, length_s).windows == windows


@pytest.mark.parametrize(
    ("zone", "day", "length_s", "why"),
    [
        ("Asia/Kolkata", date(2026, 5, 1), 3600, "2026-04-30T18:30Z, inside a window of 3600 s"),
        ("Asia/Kathmandu", date(2026, 5, 1), 1800, "use shorter windows"),
        ("Australia/Lord_Howe", date(2026, 4, 5), 3600, "use shorter windows"),
        ("Pacific/Apia", date(2011, 12, 30), 1800, "clocks of Pacific/Apia skip it"),
    ],
)
def test_a_day_without_whole_windows_is_refused(zone, day, length_s, why) -> None:
    with pytest.raises(MisalignedDay, match=why):
        local_day(day, zone, length_s)


def test_a_zone_or_length_that_is_none_is_refused() -> None:
    for name in ("Europe/Londn", "../zones", ""):
        with pytest.raises(UnknownTimeZone):
            local_day(AUTUMN, name, 1800)
    for length_s in (0, 600, -1800):
        with pytest.raises(OutOfRange):
            local_day(AUTUMN, LONDON, length_s)
    for day in (date.min, date(1970, 12, 31), date.max):
        with pytest.raises(OutOfRange):
            local_day(day, "Asia/Tokyo", 1800)


@given(
    st.dates(date(1975, 1, 1), date(2037, 12, 30)),
    st.sampled_from(["Europe/London", "Europe/Paris", "America/Sao_Paulo", "Africa/Cairo", "Asia/Kathmandu"]),
)
def test_days_follow_each_other_without_gap_or_overlap(day, zone) -> None:
    try:
        one, next_one = local_day(day, zone, 300), local_day(day + timedelta(days=1), zone, 300)
    except MisalignedDay:  # Nepal was at +05:30 before 1986, and changed in the middle of a window
        return
    assert one.first_window + one.windows == next_one.first_window


def test_a_day_of_fifty_half_hours_is_posted_whole() -> None:
    day = local_day(AUTUMN, LONDON, 1800)
    home = meter(0, registers=(1,))
    readings = [
        sign(Reading(home.meter_id, 1, 1800, window_of(day, period), period, 1), private_key(1))
        for period in range(1, 51)
    ]
    computed = compute(
        inputs(
            tuple(readings),
            day=day,
            registry=MeterRegistry([home]),
            history=no_history(1, day),
            surplus=(50_000,) * 50,
            deficit=(300_000,) * 50,
        )
    )
    (entry,) = unpack_part(computed.posted.parts[0], 50)
    assert entry.metered == tuple(-period for period in range(1, 51))
    assert set(entry.flags) == {ACTUAL}


# History ------------------------------------------------------------------------------------------------


def past_day(day: date, first_wh: int = 0, series=SERIES, length_s: int = 1800) -> MeterDay:
    """Each window measures its place in the day, above `first_wh`."""
    when = local_day(day, LONDON, length_s)
    wh = np.tile(first_wh + np.arange(when.windows), (len(series), 1))
    return MeterDay(when, series, wh, np.zeros(wh.shape, np.uint8), np.ones(wh.shape, np.uint64))


def test_days_line_up_by_the_wall_clock() -> None:
    usual, spring, autumn = (local_day(d, LONDON, 1800) for d in (date(2026, 6, 3), SPRING, AUTUMN))
    at = columns_by_local_time
    assert at(usual, usual, LONDON).tolist() == list(range(48))
    # From 01:00 to 02:00 there was no clock in spring, and in autumn it came twice.
    assert at(spring, usual, LONDON).tolist() == [0, 1, -1, -1, *range(2, 46)]
    assert at(usual, spring, LONDON).tolist() == [0, 1, *range(4, 48)]
    assert at(autumn, usual, LONDON).tolist() == [0, 1, 2, 3, *range(6, 50)]
    assert at(usual, autumn, LONDON).tolist() == [0, 1, 2, 3, 2, 3, *range(4, 48)]
    assert at(autumn, autumn, LONDON).tolist() == list(range(50))


def test_a_gap_is_filled_from_the_same_local_time_of_days_before_the_clocks_changed() -> None:
    target = local_day(AUTUMN, LONDON, 1800)
    history = history_of([past_day(AUTUMN - timedelta(days=7)), past_day(SPRING)], SERIES, target, LONDON)
    blank_day = MeterDay(
        target,
        SERIES,
        np.zeros((1, 50), np.int64),
        np.full((1, 50), MISSING, np.uint8),
        np.zeros((1, 50), np.uint64),
    )
    filled = estimate(blank_day, history).wh[0].tolist()
    assert filled[:6] == [0, 1, 2, 3, 2, 3]
    assert filled[6:] == [column - 1 for column in range(4, 48)]  # the mean of c and c - 2


def test_registers_that_a_past_day_did_not_have_are_unknown_there() -> None:
    today = ((bytes(32), 1), (bytes(31) + b"\x01", 1))
    yesterday = (today[1], (bytes(31) + b"\x02", 1))
    past = past_day(date(2026, 6, 3), 5, yesterday)
    history = history_of([past], today, local_day(date(2026, 6, 4), LONDON, 1800), LONDON)
    assert not history.actual[0].any()
    assert history.actual[1].all()
    assert history.wh[1, 0, 0] == 5


def test_what_was_not_actual_is_unknown() -> None:
    past = past_day(date(2026, 6, 3))
    flags = past.flags.copy()
    flags[0, 3] = MISSING
    past = past.replace(past.wh, flags)
    history = history_of([past], SERIES, local_day(date(2026, 6, 4), LONDON, 1800), LONDON)
    assert np.flatnonzero(~history.actual[0, 0]).tolist() == [3]
    assert (past.flags[0, :3] == ACTUAL).all()


def test_like_days_are_working_days_or_the_others() -> None:
    friday, saturday, christmas = date(2026, 12, 18), date(2026, 12, 19), date(2026, 12, 25)
    past = [past_day(day) for day in (friday, saturday, christmas)]
    monday = local_day(date(2026, 12, 28), LONDON, 1800)
    assert history_of(past, SERIES, monday, LONDON, {christmas}).like.tolist() == [True, False, False]
    assert history_of(past, SERIES, monday, LONDON).like.tolist() == [True, False, True]
    holiday = history_of(past, SERIES, monday, LONDON, {christmas, date(2026, 12, 28)})
    assert holiday.like.tolist() == [False, True, True]
    assert [is_working_day(day, {christmas}) for day in (friday, saturday, christmas)] == [True, False, False]


def test_history_of_another_window_length_is_refused() -> None:
    with pytest.raises(WrongLength):
        history_of([past_day(AUTUMN, length_s=900)], SERIES, local_day(AUTUMN, LONDON, 1800), LONDON)
