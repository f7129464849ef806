"""What a charge consists of, whichever format states it: signed points, tied into begin and end.

A charge is billed from two readings of one register. Both may be in one record, or each in a record of its
own; then the first record with only a begin belongs with the next one with only an end, of the same format,
serial numbers and transaction.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from decimal import Decimal
from itertools import pairwise
from typing import Final, Literal

from oracle.formats.record import Record

Kind = Literal["begin", "end", ""]

NO_END: Final = "its transaction has no end in this file"
NO_BEGIN: Final = "its transaction has no begin in this file"
NEITHER: Final = "it is neither begin nor end of a transaction"


@dataclass(frozen=True, slots=True)
class Point:
    """A reading at the begin or end of a charge, or between them (of no kind)."""

    kind: Kind
    register: str
    unit: str
    value: Decimal
    time_ns: int | None
    """Nanoseconds of UTC, or of the meter's own time: compared within a meter only."""


@dataclass(frozen=True, slots=True)
class Charge:
    """A record, judged by itself, with what ties it to others."""

    record: Record
    points: tuple[Point, ...] = ()
    serial: tuple[str, ...] = ()
    page: int | None = None
    """The meter's count of its records, if it keeps one."""
    transaction: str = ""
    """What the container calls it; not signed."""

    def has(self, kind: Kind) -> bool:
        return any(point.kind == kind for point in self.points)

    def to(self, kind: Kind) -> Charge:
        """The same with every untied point taken as begin or end."""
        points = tuple(point if point.kind else replace(point, kind=kind) for point in self.points)
        return replace(self, points=points)


def by_own_key(charge: Charge) -> Charge:
    """The same, its reason saying that the key came with the record."""
    record = charge.record
    if record.verdict != "valid":
        return charge
    return replace(charge, record=replace(record, reason=f"{record.reason}, by the file's own key"))


def billed(charges: Iterable[Charge]) -> list[Record]:
    """The records in their order, with the problems of their transactions added."""
    found = list(_once(charges))
    partner = _partners(found)
    return [_judged(found, at, partner.get(at)) for at in range(len(found))]


def _once(charges: Iterable[Charge]) -> Iterator[Charge]:
    """A meter's page that comes again, in another record, is the same energy: it is billed once."""
    seen: dict[tuple[str, tuple[str, ...], int], int] = {}
    for charge in charges:
        if charge.page is None or charge.record.verdict != "valid":
            yield charge
            continue
        first = seen.setdefault((charge.record.format, charge.serial, charge.page), charge.record.index)
        if first == charge.record.index:
            yield charge
        else:
            again = f"page {charge.page} of the meter came already, in record {first}"
            record = replace(charge.record, problems=(*charge.record.problems, again))
            yield replace(charge, record=record)


def _partners(charges: list[Charge]) -> dict[int, int]:
    waiting: dict[tuple[str, tuple[str, ...], str], int] = {}
    partner: dict[int, int] = {}
    for at, charge in enumerate(charges):
        same = (charge.record.format, charge.serial, charge.transaction)
        if charge.has("begin") and not charge.has("end"):
            waiting[same] = at
        elif charge.has("end") and not charge.has("begin") and same in waiting:
            begin = waiting.pop(same)
            partner[begin], partner[at] = at, begin
    return partner


def _judged(charges: list[Charge], at: int, other: int | None) -> Record:
    charge = charges[at]
    record = charge.record
    problems = [*record.problems, *_of_transaction(charges, at, other)] if charge.points else record.problems
    return replace(
        record, problems=tuple(problems), billable=record.verdict == "valid" and not tuple(problems)
    )


def _of_transaction(charges: list[Charge], at: int, other: int | None) -> Iterator[str]:
    charge = charges[at]
    if charge.has("begin") and charge.has("end"):
        yield from faults(charge.points)
    elif other is None:
        yield NO_END if charge.has("begin") else NO_BEGIN if charge.has("end") else NEITHER
    else:
        begin, end = charges[min(at, other)], charges[max(at, other)]
        yield from faults((*begin.points, *end.points))
        if begin.page is not None and end.page is not None and end.page <= begin.page:
            yield f"the end has page {end.page}, its begin {begin.page}: pages count upwards"
        partner = charges[other].record
        if partner.verdict != "valid":
            yield f"the other half of its transaction, record {partner.index}, is {partner.verdict}"
        elif partner.problems:
            yield f"the other half of its transaction, record {partner.index}, has problems"


def faults(points: Iterable[Point]) -> Iterator[str]:
    """What keeps the points from being one charge: a begin and an end for each register that has either, in
    one unit, the value and the time not decreasing from the begin over every interim reading to the end."""
    registers: dict[str, dict[Kind, list[Point]]] = {}
    for point in points:
        registers.setdefault(point.register, {}).setdefault(point.kind, []).append(point)
    for register, kinds in registers.items():
        begins, finals, between = (kinds.get(kind, []) for kind in ("begin", "end", ""))
        if (begins or finals) and not len(begins) == len(finals) == 1:
            yield f"register {register} has {len(begins)} begin and {len(finals)} end readings"
            continue
        yield from _uneven(register, [*begins, *between, *finals])


def _uneven(register: str, points: list[Point]) -> Iterator[str]:
    """Where a register, in its order, changes its unit or runs backwards."""
    for before, after in pairwise(points):
        if before.unit != after.unit:
            how = "begins" if before.kind == "begin" else "goes on"
            yield f"register {register} {how} in {before.unit} and ends in {after.unit}"
        elif after.value < before.value:
            yield f"register {register} falls from {before.value} to {after.value} {after.unit}"
        if before.time_ns is not None and after.time_ns is not None and after.time_ns < before.time_ns:
            ends = before.kind == "begin" and after.kind == "end"
            yield f"register {register} " + ("ends before it begins" if ends else "goes back in time")
