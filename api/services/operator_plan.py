"""Which sessions an operator opens, and when: the plan file (docs/operator.md), and the sessions of a day.

No chain and no clock in here: what is due at a time follows from the plan, the time and what is open.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError
from pydantic_core import ErrorDetails

from oracle.day import Day
from oracle.localdays import local_day, time_zone
from settlement.errors import InputError
from settlement.reference.product_id import ENERGY, FLEXIBILITY_DOWN, FLEXIBILITY_UP
from settlement.reference.session import SessionParams
from settlement.units import PRICE_CAP, PRICE_FLOOR

KINDS = {"energy": ENERGY, "flexibility-up": FLEXIBILITY_UP, "flexibility-down": FLEXIBILITY_DOWN}
DAY_S = 86_400
BETWEEN_S = 60
"""From the deadline of a session to the gate of the next, at least: the contract's rule."""
CHECKED_DAYS = 4

_MOMENT = re.compile(r"D(?:-([1-9]|[12]\d))? ([01]\d|2[0-3]):([0-5]\d)")
Moment = Annotated[str, StringConstraints(pattern=f"^{_MOMENT.pattern}$")]
"""`D-1 12:00`: noon of the day before the delivery day, on the zone's wall clocks."""


class Planned(BaseModel):
    """One session of every day. Prices in micro-currency/kWh, cash in nano-currency."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(default="day-ahead", min_length=1, max_length=40)
    kind: Literal["energy", "flexibility-up", "flexibility-down"] = "energy"
    opens: Moment = "D-2 12:00"
    gate: Moment = "D-1 12:00"
    commit_within_s: int = Field(default=900, ge=60, lt=DAY_S)
    prove_within_s: int = Field(default=7_200, ge=120, le=DAY_S)
    """From the gate."""
    first_period: int = Field(default=1, ge=1)
    """Settlement period of the day, from 1."""
    last_period: int | None = Field(default=None, ge=1)
    """None is the day's last."""
    floor: int = PRICE_FLOOR
    cap: int = PRICE_CAP
    buy_reserve: int = Field(default=1_000_000, ge=0)
    sell_reserve: int = Field(default=1_000_000, ge=0)
    imbalance_min: int = -1_000_000
    imbalance_max: int = 1_000_000
    max_orders: int = Field(default=1_000, ge=1, lt=2**20)
    max_submitted: int = Field(default=100, ge=0, lt=2**20)
    bond_nano: int = Field(default=10**9, ge=0)
    claims_days: int = Field(default=7, ge=1, le=30)
    """For claims, behind the latest end that pauses may give the session."""


class Plan(BaseModel):
    """The plan file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    time_zone: str = "UTC"
    grid_version: int | None = Field(default=None, ge=1)
    """None is the latest that the registrar set when a day is opened."""
    first_day: date | None = None
    last_day: date | None = None
    sessions: tuple[Planned, ...] = (Planned(),)


@dataclass(frozen=True)
class Due:
    """One session of one day, before it has a grid and a round."""

    planned: Planned
    day: Day
    delivery: date
    opens: int
    gate: int
    """Unix seconds, as all of them."""

    @property
    def kind(self) -> int:
        return KINDS[self.planned.kind]

    @property
    def prove_by(self) -> int:
        return self.gate + self.planned.prove_within_s

    @property
    def name(self) -> str:
        return f"{self.planned.name} of {self.delivery}"


def read_plan(file: Path | None, window_length_s: int) -> Plan:
    """The plan of a file, or the default one. InputError with the place of what is wrong in it."""
    plan = Plan() if file is None else _parse(file)
    where = "the default plan" if file is None else str(file)
    time_zone(plan.time_zone)
    names = [one.name for one in plan.sessions]
    if not names or len(set(names)) != len(names):
        raise InputError(f"{where}, sessions: each needs a name of its own, and one at least")
    _check_order(plan, window_length_s, where)
    return plan


def _parse(file: Path) -> Plan:
    try:
        return Plan.model_validate(tomllib.loads(file.read_text()))
    except OSError as cause:
        raise InputError(f"{file} cannot be read: {cause.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as cause:
        raise InputError(f"{file} is no TOML: {cause}") from None
    except ValidationError as cause:
        raise InputError(f"{file}, {_told(cause.errors()[0])}") from None


def _told(error: ErrorDetails) -> str:
    return f"{'.'.join(map(str, error['loc']))}: {error['msg']}"


def _check_order(plan: Plan, window_length_s: int, where: str) -> None:
    """What the contract would refuse every day is told at once."""
    start = plan.first_day or date(2025, 1, 6)
    days = [start + timedelta(days=ahead) for ahead in range(CHECKED_DAYS)]
    found = sorted(_of_days(plan, days, window_length_s), key=lambda due: (due.opens, due.gate))
    for due in found:
        _check_one(due, window_length_s, where)
    for before, after in pairwise(found):
        if after.gate < before.prove_by + BETWEEN_S:
            raise InputError(
                f"{where}, sessions: {after.name} opens after {before.name}, so its gate must follow that "
                f"one's prove_within_s by {BETWEEN_S} s"
            )


def _check_one(due: Due, window_length_s: int, where: str) -> None:
    one, first = due.planned, due.day.first_window + due.planned.first_period - 1
    told = f"{where}, session {one.name}"
    if due.opens >= due.gate:
        raise InputError(f"{told}: opens {one.opens} is not before gate {one.gate}")
    if due.gate > first * window_length_s:
        raise InputError(f"{told}: gate {one.gate} is after its first period has begun")
    if one.commit_within_s >= one.prove_within_s:
        raise InputError(f"{told}: commit_within_s must be below prove_within_s")
    if due.day.windows < max(one.first_period, one.last_period or 1):
        raise InputError(f"{told}: a day has {due.day.windows} periods")
    if one.last_period is not None and one.last_period < one.first_period:
        raise InputError(f"{told}: last_period is before first_period")


# What is due --------------------------------------------------------------------------------------------


def due_sessions(plan: Plan, now: int, window_length_s: int) -> list[Due]:
    """The sessions that orders could be taken for now, by gate."""
    today = datetime.fromtimestamp(now, UTC).date()
    days = (today + timedelta(days=ahead) for ahead in range(-1, _most_ahead(plan) + 2))
    wanted = [day for day in days if _is_planned(plan, day)]
    found = _of_days(plan, wanted, window_length_s)
    return sorted((due for due in found if due.opens <= now < due.gate), key=lambda due: due.gate)


def _most_ahead(plan: Plan) -> int:
    return max(int(_parts(one.opens)[0]) for one in plan.sessions)


def _is_planned(plan: Plan, day: date) -> bool:
    return (plan.first_day is None or plan.first_day <= day) and (
        plan.last_day is None or day <= plan.last_day
    )


def _of_days(plan: Plan, days: Sequence[date], window_length_s: int) -> Iterator[Due]:
    for delivery in days:
        day = local_day(delivery, plan.time_zone, window_length_s)
        for one in plan.sessions:
            opens, gate = (_moment(plan, delivery, text) for text in (one.opens, one.gate))
            yield Due(one, day, delivery, opens, gate)


def _moment(plan: Plan, delivery: date, text: str) -> int:
    before, hour, minute = _parts(text)
    day = delivery - timedelta(days=before)
    return int(datetime.combine(day, time(hour, minute), time_zone(plan.time_zone)).timestamp())


def _parts(text: str) -> tuple[int, int, int]:
    found = _MOMENT.fullmatch(text)
    assert found is not None
    return int(found[1] or 0), int(found[2]), int(found[3])


def params_of(
    due: Due, *, round_: int, grid_version: int, max_pause_s: int, receipt_signer: bytes
) -> SessionParams:
    """What the contract is asked to open."""
    one = due.planned
    last = due.day.windows if one.last_period is None else min(one.last_period, due.day.windows)
    return SessionParams(
        kind=due.kind,
        round=round_,
        windows=last - one.first_period + 1,
        grid_version=grid_version,
        day=due.day.first_window,
        first_window=due.day.first_window + one.first_period - 1,
        gate=due.gate,
        commit_by=due.gate + one.commit_within_s,
        prove_by=due.prove_by,
        floor=one.floor,
        cap=one.cap,
        buy_reserve=one.buy_reserve,
        sell_reserve=one.sell_reserve,
        imbalance_min=one.imbalance_min,
        imbalance_max=one.imbalance_max,
        max_orders=one.max_orders,
        max_submitted=one.max_submitted,
        bond_nano=one.bond_nano,
        claim_by=due.prove_by + 2 * max_pause_s + one.claims_days * DAY_S,
        receipt_signer=receipt_signer,
        certificate_run=0,
    )


def told(plan: Plan, days: Sequence[date], window_length_s: int) -> list[dict[str, Any]]:
    """The sessions of some days, for people."""

    def moment(seconds: int) -> str:
        return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

    return [
        {
            "name": due.planned.name,
            "day": str(due.delivery),
            "kind": due.planned.kind,
            "windows": due.day.windows,
            "opens": moment(due.opens),
            "gate": moment(due.gate),
            "prove_by": moment(due.prove_by),
        }
        for due in sorted(_of_days(plan, days, window_length_s), key=lambda due: due.gate)
    ]
