"""All instructions of one site under one service, settled: baselines from its history, delivery, payment.

Instructions of neighbouring slots of a day in one direction are one dispatch: its baseline is made once, and
adjusted, where the method does, by what was metered before its first slot. A day with any instruction is an
event day for all. A dispatch ends at midnight. Adjustments leave out slots of an earlier dispatch.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import date

from settlement.errors import InputError
from settlement.rules import baselines, flexibility
from settlement.rules.baselines import Baseline, DayWh, Site
from settlement.rules.flexibility import Delivery, Direction, Dispatch, Service
from settlement.rules.workdays import ENGLAND_AND_WALES, WorkingDays


@dataclass(frozen=True)
class Instruction:
    """Of one slot."""

    day: date
    slot: int
    """From 0."""
    direction: Direction
    instructed_wh: int
    price_micro_per_kwh: int


@dataclass(frozen=True)
class SettledSlot:
    """One instruction, and what came of it."""

    instruction: Instruction
    metered_wh: int
    baseline_wh: int | None
    """None if there is no baseline."""
    delivery: Delivery


@dataclass(frozen=True)
class SettledDispatch:
    """Neighbouring slots with one baseline."""

    baseline: Baseline
    slots: tuple[SettledSlot, ...]

    @property
    def cash_nano(self) -> int:
        """In favour of the site where positive."""
        return sum(one.delivery.cash_nano for one in self.slots)


def settle_all(
    service: Service,
    history: Mapping[date, DayWh],
    instructions: Iterable[Instruction],
    events: Collection[date] = (),
    working_days: WorkingDays = ENGLAND_AND_WALES,
    clock_changes: Collection[date] = (),
) -> tuple[SettledDispatch, ...]:
    """Every dispatch, in the order of time; `events` are further days that stand for none, `clock_changes` as
    of `Site`.

    InputError for two instructions of one slot, a slot outside the day, or one that was not metered: a
    missing reading is estimated before it is settled by. A day of other slots than normal cannot be settled:
    which of them an instruction means follows from the clock on the wall.
    """
    ordered = sorted(instructions, key=lambda one: (one.day, one.slot))
    site = _site(history, ordered, events, clock_changes)
    found = []
    for dispatch in _dispatches(ordered):
        slots = range(dispatch[0].slot, dispatch[-1].slot + 1)
        base = baselines.baseline(service.method, site, dispatch[0].day, slots, working_days)
        settled = (_settled(service, history, base, at, one) for at, one in enumerate(dispatch))
        found.append(SettledDispatch(base, tuple(settled)))
    return tuple(found)


def _site(
    history: Mapping[date, DayWh],
    instructions: Iterable[Instruction],
    events: Collection[date],
    clock_changes: Collection[date],
) -> Site:
    slots: dict[date, set[int]] = {}
    for one in instructions:
        slots.setdefault(one.day, set()).add(one.slot)
    return Site(history, {*events, *slots}, slots, clock_changes)


def _dispatches(ordered: list[Instruction]) -> list[list[Instruction]]:
    found: list[list[Instruction]] = []
    for one in ordered:
        last = found[-1][-1] if found else None
        if last is not None and (last.day, last.slot) == (one.day, one.slot):
            raise InputError(f"slot {one.slot + 1} of {one.day} is instructed twice: give one instruction")
        follows = last is not None and (last.day, last.slot + 1) == (one.day, one.slot)
        if follows and last is not None and last.direction is one.direction:
            found[-1].append(one)
        else:
            found.append([one])
    return found


def _settled(
    service: Service, history: Mapping[date, DayWh], base: Baseline, at: int, one: Instruction
) -> SettledSlot:
    day = history.get(one.day, ())
    if len(day) not in (0, service.method.slots):
        raise InputError(
            f"{one.day} has {len(day)} slots, not {service.method.slots}: give it by the clock on the wall"
        )
    metered = day[one.slot] if one.slot < len(day) else None
    if metered is None:
        raise InputError(f"slot {one.slot + 1} of {one.day} was not metered: estimate it first")
    expected = base.wh[at] if base.wh else None
    dispatch = Dispatch(one.direction, one.instructed_wh, one.price_micro_per_kwh, metered, expected)
    return SettledSlot(one, metered, expected, flexibility.settle(service, dispatch))
