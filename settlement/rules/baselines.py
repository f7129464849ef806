"""Baselines: what a site would have metered had it not been instructed.

From the last like days: working days for a working day, others for any other, looking back a bounded number
of days, without days on which the site was instructed, days of a clock change and days with a gap where it
matters. Optionally moved, all slots alike, by what the site did just before the dispatch (the in-day
adjustment). After BL01 of the Balancing and Settlement Code's Baselining Methodology (P376), and the
"mid 8 of 10" and "high 4 of 5" of North American markets (NYISO, PJM).

A slot is a place in a normal local day (half-hours: 0 to 47), by the clock on the wall; energy is Wh,
injection positive. A mean is rounded once, to the nearest Wh, halves up.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from enum import StrEnum

from settlement.errors import InputError
from settlement.rules.configuration import KNOWN_KEYS_ONLY
from settlement.rules.workdays import ENGLAND_AND_WALES, WorkingDays
from settlement.units import floor_div

DayWh = Sequence[int | None]
"""A day's metered energy slot by slot, None where nothing is known. A day with more or fewer slots than
normal had a clock change, and stands for no other."""


class Kept(StrEnum):
    """Which of the days looked at count, ranked by what the site used in the dispatched slots."""

    ALL = "all"
    MIDDLE = "middle"
    """The lowest and the highest are dropped alike, the highest first."""
    HIGHEST = "highest"
    """The lowest are dropped."""


@dataclass(frozen=True)
class Choice:
    """Of the last `of` like days, `keep` count."""

    of: int
    keep: int

    __pydantic_config__ = KNOWN_KEYS_ONLY

    def __post_init__(self) -> None:
        if not 1 <= self.keep <= self.of:
            raise InputError(f"keep {self.keep} of {self.of} days: at least 1, at most all")


@dataclass(frozen=True)
class Method:
    """A baselining methodology."""

    name: str
    working: Choice = Choice(10, 10)
    """For a dispatch on a working day."""
    other: Choice = Choice(4, 4)
    """For a dispatch on any other day."""
    kept: Kept = Kept.ALL
    within_days: int = 60
    """How far back like days are sought, the day before the dispatch being 1."""
    least_days: int = 1
    """With fewer like days there is no baseline."""
    adjusted: bool = False
    """Whether the in-day adjustment is made; off for domestic sites, who could shift what it looks at."""
    adjustment_slots: int = 6
    """Its span: 3 hours of half-hours."""
    adjustment_gap_slots: int = 0
    """Slots between its span and the first dispatched slot, as where notice is given ahead."""
    slots: int = 48
    """Of a normal day."""

    __pydantic_config__ = KNOWN_KEYS_ONLY

    def __post_init__(self) -> None:
        for name in ("within_days", "least_days", "adjustment_slots", "slots"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} of the method {self.name} is {getattr(self, name)}: 1 or more")
        if self.adjustment_gap_slots < 0:
            raise InputError(f"adjustment_gap_slots of the method {self.name} is below 0")


BL01 = Method("BL01", adjusted=True)
BL01_DOMESTIC = Method("BL01_DOMESTIC")
MID_8_OF_10 = Method("MID_8_OF_10", Choice(10, 8), Choice(4, 2), Kept.MIDDLE)
HIGH_4_OF_5 = Method("HIGH_4_OF_5", Choice(5, 4), Choice(3, 2), Kept.HIGHEST, within_days=45)


class Basis(StrEnum):
    """What a baseline rests on."""

    FULL = "full"
    """As many like days as the method asks for."""
    FEWER = "fewer"
    """Those that there were: all count but for what the method drops, and at least one does."""
    NONE = "none"
    """Fewer than the least: there is no baseline, and nothing counts as delivered."""


@dataclass(frozen=True)
class Baseline:
    """The result for one dispatch."""

    wh: tuple[int, ...]
    """Of each dispatched slot; empty if the basis is none."""
    basis: Basis
    days: tuple[date, ...]
    """Like days that counted, latest first."""
    adjustment_wh: int | None
    """What was added to each slot, rounded; None if no adjustment was made."""


@dataclass(frozen=True)
class Site:
    """What is known of one site."""

    history: Mapping[date, DayWh]
    """Metered days; the day of the dispatch too if there is an adjustment."""
    event_days: Collection[date] = ()
    """Days on which the site was instructed."""
    dispatched: Mapping[date, Collection[int]] = field(default_factory=dict)
    """Slots of a day in which it was: what it metered in them is no sign of what it would have done after."""
    clock_changes: Collection[date] = ()
    """Days of a clock change, whose energy may be given by the clock on the wall in as many slots as any."""


def baseline(
    method: Method, site: Site, day: date, slots: range, working_days: WorkingDays = ENGLAND_AND_WALES
) -> Baseline:
    """The baseline of a dispatch of consecutive `slots` on `day`.

    Too few like days give another basis, never an error. If what the adjustment looks at is not known in full
    (a gap, a dispatch too early in the day, a clock change), or all of it was dispatched, none is made.
    InputError for slots outside the day, as a mistake of the caller.
    """
    if not slots or slots.step != 1 or not 0 <= slots.start < slots.stop <= method.slots:
        raise InputError(f"{slots} are no slots of a day of {method.slots}")
    choice = method.working if working_days.holds(day) else method.other
    found = like_days(method, site, day, slots, working_days)
    if len(found) < method.least_days:
        return Baseline((), Basis.NONE, (), None)
    kept = _kept(method.kept, choice, site.history, found, slots)
    basis = Basis.FULL if len(found) == choice.of else Basis.FEWER
    sums = [_sum_of(site.history, kept, slot) for slot in slots]
    before = _adjustment_slots(method, site, day, slots)
    today = _known(_normal(site, day), before, method.slots) if before else None
    if today is None:
        return Baseline(tuple(_nearest(each, len(kept)) for each in sums), basis, kept, None)
    # Mean of metered less mean, over the span: one fraction, so that one rounding suffices.
    excess = sum(today) * len(kept) - sum(_sum_of(site.history, kept, slot) for slot in before)
    whole = len(kept) * len(before)
    adjusted = tuple(_nearest(each * len(before) + excess, whole) for each in sums)
    return Baseline(adjusted, basis, kept, _nearest(excess, whole))


def like_days(
    method: Method, site: Site, day: date, slots: range, working_days: WorkingDays = ENGLAND_AND_WALES
) -> tuple[date, ...]:
    """The latest days that may stand for `day`, latest first, at most as many as the method looks at.

    A day counts if every slot is known that is dispatched or adjusted by.
    """
    worked = working_days.holds(day)
    wanted = (method.working if worked else method.other).of
    needed = (*_adjustment_slots(method, site, day, slots), *slots)
    found: list[date] = []
    for back in range(1, method.within_days + 1):
        each = day - timedelta(days=back)
        if each in site.event_days or working_days.holds(each) != worked:
            continue
        if _known(_normal(site, each), needed, method.slots) is not None:
            found.append(each)
        if len(found) == wanted:
            break
    return tuple(found)


def _adjustment_slots(method: Method, site: Site, day: date, slots: range) -> tuple[int, ...]:
    """Those of the span before a dispatch in which the site was left alone. Empty if there is no adjustment,
    or the day begins too late for it.
    """
    stop = slots.start - method.adjustment_gap_slots
    start = stop - method.adjustment_slots
    if not method.adjusted or start < 0:
        return ()
    instructed = site.dispatched.get(day, ())
    return tuple(slot for slot in range(start, stop) if slot not in instructed)


def _normal(site: Site, day: date) -> DayWh:
    """A day's energy; nothing of a day of a clock change."""
    return () if day in site.clock_changes else site.history.get(day, ())


def _known(day: DayWh, slots: Sequence[int], normal: int) -> list[int] | None:
    """The energy of these slots; None if one is missing or the day is no normal one."""
    if len(day) != normal:
        return None
    values = [day[slot] for slot in slots]
    known = [value for value in values if value is not None]
    return known if len(known) == len(values) else None


def _kept(
    kept: Kept, choice: Choice, history: Mapping[date, DayWh], found: tuple[date, ...], slots: range
) -> tuple[date, ...]:
    """The days that count; of equal use the later day ranks higher."""
    dropped = min(choice.of - choice.keep, len(found) - 1)
    if kept is Kept.ALL or dropped == 0:
        return found
    used = {day: -sum(_sum_of(history, (day,), slot) for slot in slots) for day in found}
    ranked = sorted(found, key=lambda day: (used[day], day))
    low = dropped if kept is Kept.HIGHEST else floor_div(dropped, 2)
    counted = ranked[low : len(ranked) - (dropped - low)]
    return tuple(sorted(counted, reverse=True))


def _sum_of(history: Mapping[date, DayWh], days: tuple[date, ...], slot: int) -> int:
    """Over days on which the slot is known."""
    return sum(wh for day in days if (wh := history[day][slot]) is not None)


def _nearest(numerator: int, denominator: int) -> int:
    """The nearest integer, halves up: of 5/2 it is 3, of -5/2 it is -2."""
    return floor_div(2 * numerator + denominator, 2 * denominator)
