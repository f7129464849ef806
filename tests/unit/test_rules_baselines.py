"""Which days make a baseline, and what it comes to."""

from __future__ import annotations

from datetime import date, timedelta
from fractions import Fraction
from math import floor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from settlement.errors import InputError
from settlement.rules.baselines import (
    BL01,
    BL01_DOMESTIC,
    HIGH_4_OF_5,
    MID_8_OF_10,
    Basis,
    Choice,
    Kept,
    Method,
    Site,
    baseline,
    like_days,
)
from settlement.rules.configuration import from_json
from settlement.rules.workdays import ENGLAND_AND_WALES

FRIDAY = date(2026, 2, 20)
SATURDAY = date(2026, 2, 21)
TEATIME = range(34, 37)
"""Three half-hours from 17:00."""

Days = dict[date, list[int | None]]

DAY_WH = st.lists(st.integers(-500, 500), min_size=9, max_size=9).map(lambda wh: [0] * 28 + wh + [0] * 11)


def flat(wh: int | None, slots: int = 48) -> list[int | None]:
    return [wh] * slots


def before(day: date, count: int = 70, wh: int = -100) -> Days:
    """Days up to the one before `day`, all alike."""
    return {day - timedelta(days=n): flat(wh) for n in range(1, count + 1)}


def working(day: date, count: int) -> list[date]:
    """The last working days before `day`, latest first."""
    days = (day - timedelta(days=n) for n in range(1, 100))
    return [each for each in days if ENGLAND_AND_WALES.holds(each)][:count]


def uses(day: date, *wh: int) -> Days:
    """The last working days before `day`, latest first, with these uses in every slot."""
    return {each: flat(-use) for each, use in zip(working(day, len(wh)), wh, strict=True)}


def test_a_working_day_looks_at_the_last_ten_working_days() -> None:
    found = like_days(BL01_DOMESTIC, Site(before(FRIDAY)), FRIDAY, TEATIME)
    assert found == tuple(date(2026, 2, day) for day in (19, 18, 17, 16, 13, 12, 11, 10, 9, 6))


def test_any_other_day_looks_at_the_last_four_others_bank_holidays_among_them() -> None:
    assert like_days(BL01_DOMESTIC, Site(before(SATURDAY)), SATURDAY, TEATIME) == (
        date(2026, 2, 15),
        date(2026, 2, 14),
        date(2026, 2, 8),
        date(2026, 2, 7),
    )
    easter_monday = date(2026, 4, 6)
    assert like_days(BL01_DOMESTIC, Site(before(easter_monday)), easter_monday, TEATIME) == (
        date(2026, 4, 5),
        date(2026, 4, 4),
        date(2026, 4, 3),
        date(2026, 3, 29),
    )


def test_event_days_gaps_and_clock_changes_are_passed_over() -> None:
    monday = date(2026, 3, 30)
    history = before(monday)
    sunday, saturday = date(2026, 3, 29), date(2026, 3, 28)
    history[sunday] = flat(-100, 46)
    history[saturday][35] = None
    history[date(2026, 3, 21)][0] = None  # a gap where nothing was dispatched
    event = date(2026, 3, 22)
    found = like_days(BL01_DOMESTIC, Site(history, {event}), date(2026, 4, 3), TEATIME)
    assert found == tuple(date(2026, 3, day) for day in (21, 15, 14, 8))


def test_the_adjustment_needs_its_own_slots_to_be_known() -> None:
    history = before(FRIDAY)
    history[date(2026, 2, 19)][28] = None
    assert like_days(BL01, Site(history), FRIDAY, TEATIME)[0] == date(2026, 2, 18)
    assert like_days(BL01_DOMESTIC, Site(history), FRIDAY, TEATIME)[0] == date(2026, 2, 19)


def test_days_further_back_than_sixty_do_not_count() -> None:
    old = {day: wh for day, wh in before(SATURDAY, 100).items() if (SATURDAY - day).days >= 55}
    found = like_days(BL01_DOMESTIC, Site(old), SATURDAY, TEATIME)
    assert found == (date(2025, 12, 28), date(2025, 12, 27), date(2025, 12, 26), date(2025, 12, 25))
    older = {day: wh for day, wh in old.items() if (SATURDAY - day).days >= 58}
    found = like_days(BL01_DOMESTIC, Site(older), SATURDAY, TEATIME)
    assert found == (date(2025, 12, 25),)  # 58 days back; the next, of 20 and 21 December, are 63 and 62


@pytest.mark.parametrize(
    ("method", "day", "last"),
    [
        (BL01_DOMESTIC, date(2026, 3, 17), date(2026, 1, 16)),
        (HIGH_4_OF_5, date(2026, 3, 13), date(2026, 1, 27)),
    ],
)
def test_the_last_day_of_the_span_counts_and_the_one_before_does_not(
    method: Method, day: date, last: date
) -> None:
    history: Days = {last: flat(-1), last - timedelta(days=1): flat(-1)}
    assert (day - last).days == method.within_days
    assert like_days(method, Site(history), day, TEATIME) == (last,)


def test_a_baseline_is_the_mean_slot_by_slot() -> None:
    history = uses(FRIDAY, *range(10, 20))
    for day in history:
        history[day][35] = 7
    found = baseline(BL01_DOMESTIC, Site(history), FRIDAY, TEATIME)
    assert found.wh == (-14, 7, -14)  # -14.5 rounds up
    assert (found.basis, found.adjustment_wh) == (Basis.FULL, None)


def test_the_adjustment_adds_what_the_site_did_in_the_three_hours_before() -> None:
    history = uses(FRIDAY, *[100] * 10)
    history[FRIDAY] = flat(None)
    history[FRIDAY][28:34] = [-130, -130, -130, -130, -130, -100]
    found = baseline(BL01, Site(history), FRIDAY, TEATIME)
    assert (found.wh, found.adjustment_wh) == ((-125, -125, -125), -25)
    assert baseline(BL01_DOMESTIC, Site(history), FRIDAY, TEATIME).wh == (-100, -100, -100)


def test_an_adjustment_may_end_before_notice_was_given() -> None:
    notice = Method("with an hour's notice", adjusted=True, adjustment_gap_slots=2)
    history = uses(FRIDAY, *[100] * 10)
    history[FRIDAY] = flat(-160)
    history[FRIDAY][32:34] = [0, 0]
    assert baseline(notice, Site(history), FRIDAY, TEATIME).wh == (-160, -160, -160)


@pytest.mark.parametrize(
    ("today", "slots"), [(flat(None), TEATIME), (flat(-160, 50), TEATIME), (flat(-160), range(5, 8))]
)
def test_there_is_no_adjustment_by_what_is_not_known(today: list[int | None], slots: range) -> None:
    history = uses(FRIDAY, *[100] * 10) | {FRIDAY: today}
    found = baseline(BL01, Site(history), FRIDAY, slots)
    assert (found.wh, found.adjustment_wh) == ((-100, -100, -100), None)


def test_mid_8_of_10_drops_the_lowest_and_the_highest() -> None:
    history = uses(FRIDAY, 5, 1, 3, 3, 3, 3, 3, 3, 3, 90)
    found = baseline(MID_8_OF_10, Site(history), FRIDAY, TEATIME)
    assert found.days == tuple(day for day, wh in history.items() if wh[0] in {-5, -3})
    assert found.wh == (-3, -3, -3)  # 26 / 8 = 3.25


def test_high_4_of_5_drops_the_lowest_and_of_equals_the_earlier() -> None:
    found = baseline(HIGH_4_OF_5, Site(uses(FRIDAY, 8, 4, 8, 4, 8, 99)), FRIDAY, TEATIME)
    assert found.days == tuple(each for n, each in enumerate(working(FRIDAY, 5)) if n != 3)
    assert found.wh == (-7, -7, -7)


@pytest.mark.parametrize(
    ("method", "days"), [(MID_8_OF_10, [15, 14]), (HIGH_4_OF_5, [15, 14]), (BL01, [15, 14, 8, 7])]
)
def test_a_day_of_rest_has_its_own_choice(method: Method, days: list[int]) -> None:
    used = {15: 20, 14: 30, 8: 10, 7: 40, 1: 0}
    history: Days = {date(2026, 2, day): flat(-use) for day, use in used.items()}
    found = baseline(method, Site(history), SATURDAY, TEATIME)
    assert found.basis is Basis.FULL
    assert [each.day for each in found.days] == days


def test_fewer_like_days_say_so_and_still_make_a_baseline() -> None:
    found = baseline(BL01_DOMESTIC, Site(uses(FRIDAY, 10, 20)), FRIDAY, TEATIME)
    assert (found.basis, found.wh, len(found.days)) == (Basis.FEWER, (-15, -15, -15), 2)
    one = baseline(MID_8_OF_10, Site(uses(FRIDAY, 10)), FRIDAY, TEATIME)
    assert (one.basis, one.wh) == (Basis.FEWER, (-10, -10, -10))


def test_without_enough_like_days_there_is_none() -> None:
    assert baseline(BL01, Site({}), FRIDAY, TEATIME).basis is Basis.NONE
    demanding = Method("at least three", least_days=3)
    found = baseline(demanding, Site(uses(FRIDAY, 1, 2)), FRIDAY, TEATIME)
    assert (found.basis, found.wh, found.days) == (Basis.NONE, (), ())


@given(st.lists(DAY_WH, min_size=10, max_size=10), DAY_WH)
def test_a_baseline_is_the_exact_mean_and_adjustment_rounded_once(
    like: list[list[int | None]], today: list[int | None]
) -> None:
    history = dict(zip(working(FRIDAY, 10), like, strict=True)) | {FRIDAY: today}
    found = baseline(BL01, Site(history), FRIDAY, TEATIME)
    means = [Fraction(sum(day[slot] or 0 for day in like), 10) for slot in range(48)]
    moved = sum(((today[slot] or 0) - means[slot] for slot in range(28, 34)), Fraction(0))
    assert found.wh == tuple(floor(means[slot] + moved * Fraction(1, 6) + Fraction(1, 2)) for slot in TEATIME)


@pytest.mark.parametrize("slots", [range(0), range(47, 49), range(0, 10, 2), range(-1, 3)])
def test_slots_outside_the_day_are_refused(slots: range) -> None:
    with pytest.raises(InputError, match="no slots of a day"):
        baseline(BL01, Site({}), FRIDAY, slots)


def test_a_method_is_read_from_json() -> None:
    document = '{"name": "mid 4 of 6", "working": {"of": 6, "keep": 4}, "kept": "middle", "slots": 96}'
    method = from_json(Method, document, "method.json")
    assert method == Method("mid 4 of 6", Choice(6, 4), kept=Kept.MIDDLE, slots=96)


@pytest.mark.parametrize(
    ("document", "fault"),
    [
        ('{"name": "a", "working": {"of": 4, "keep": 5}}', "keep 5 of 4"),
        ('{"name": "a", "within_days": 0}', "within_days"),
        ('{"name": "a", "kept": "best"}', "kept"),
    ],
)
def test_a_wrong_method_names_its_file_and_fault(document: str, fault: str) -> None:
    with pytest.raises(InputError, match=rf"method\.json.*{fault}"):
        from_json(Method, document, "method.json")
