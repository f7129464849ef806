"""What holds an entry must rank below it: entries of equal rank hold each other nowhere."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from small_trees import flexible, plain, session_of
from tree_world import TreeSession, home

from settlement.reference import slackness, split
from settlement.reference.cell import Cell
from settlement.reference.errors import EnergyUnsupported
from settlement.reference.line import Arc
from settlement.reference.potential import Potential
from settlement.reference.record import BUY, SELL
from settlement.reference.session import NO_PARENT, UNLIMITED_WH, Grid
from settlement.reference.slackness import Flags

Held = Callable[[Potential, Potential], Flags]
"""Whether the first of two entries, of value 7 in both vectors, is held by the second: lo, hi."""

FLAT = Cell(upper=0, lower=0)
BOTH_WAYS = split.Split(lower=(0, 1), upper=(0, 1), capped=False, floored=False, limit=0)


def over_line(to_parent: bool, child: bool) -> Held:
    """An arc without cost to the parent or to the child, and what it holds of one of the two."""

    def held(one: Potential, other: Potential) -> Flags:
        ends = (one, other) if child else (other, one)
        return Arc(to_parent, 0).supports(*ends)[0 if child else 1]

    return held


def by_window(one: Potential, other: Potential) -> Flags:
    found = split.supported(BOTH_WAYS, (one, other))
    return bool(found & 1), bool(found & 2)


HELD: dict[str, tuple[Held, Flags]] = {
    "a zone by a quality": (lambda one, other: slackness.energy_by_cell(one, other, FLAT), (True, True)),
    "a quality by a zone": (lambda one, other: slackness.quality_by_cell(other, one, FLAT), (True, True)),
    "a giver by its taker": (lambda one, other: slackness.giver_by_taker(one, other, 5), (True, True)),
    "a taker by its giver": (lambda one, other: slackness.taker_by_giver(other, one, 5), (True, True)),
    "a child by the line up": (over_line(to_parent=True, child=True), (True, False)),
    "a child by the line down": (over_line(to_parent=False, child=True), (False, True)),
    "a parent by the line up": (over_line(to_parent=True, child=False), (False, True)),
    "a parent by the line down": (over_line(to_parent=False, child=False), (True, False)),
    "a window by another": (by_window, (True, True)),
}
"""And in which of the two vectors it can be."""


@pytest.mark.parametrize("name", HELD)
def test_an_entry_is_held_by_a_lower_rank_and_by_no_equal_one(name: str) -> None:
    held, both = HELD[name]
    other = Potential(7, 7, 4, 6)
    assert held(Potential(7, 7, 5, 7), other) == both
    assert held(Potential(7, 7, 4, 7), other) == (False, both[1])
    assert held(Potential(7, 7, 5, 6), other) == (both[0], False)
    assert held(Potential(7, 7, 4, 6), other) == (False, False)


# Two windows in a circle --------------------------------------------------------------------------------

ALONE = Grid((0,), (), (NO_PARENT,), (0,), (UNLIMITED_WH,))


def in_a_circle(side: int) -> TreeSession:
    """A flexible order that takes half of what it wants in each of two windows, and could take more there:
    so each window is used and has room, and bounds the other both ways.
    """
    limits = (100_000, 200_000) if side == BUY else (200_000, 100_000)
    return session_of(
        ALONE,
        plain(home(0, 0), 0, 1 - side, 0, 0, quantity_wh=(500, 500), limit_micro_per_kwh=(limits[0],) * 2),
        flexible(home(0, 1), 0, side, windows=2, max_wh_per_window=600, limit_micro_per_kwh=limits[1]),
        windows=2,
    )


def with_energy(found: TreeSession, **changes: int) -> TreeSession:
    """The session with other potentials in both windows, and no rank above another."""
    own = found.prepared.zones[0]
    flat = {"rank_lo": 1, "rank_hi": 1} | changes
    energy = tuple(replace(one, **flat) for one in own.posting.energy)
    zone = replace(own, posting=replace(own.posting, energy=energy))
    return replace(found, prepared=replace(found.prepared, zones=(zone,)))


@pytest.mark.parametrize("side", [BUY, SELL])
def test_two_windows_of_a_flexible_order_do_not_hold_each_other(side: int) -> None:
    """Each bounds the other; both lie between 100,000 and 200,000, which the orders' limits hold."""
    found = in_a_circle(side)
    (own,) = found.prepared.zones
    assert {wh for order in own.fills for wh in order} == {500}
    assert {(one.lo, one.hi) for one in own.posting.energy} == {(100_000, 200_000)}
    for change in ({"hi": 150_000}, {"lo": 150_000}):
        with pytest.raises(EnergyUnsupported):
            with_energy(in_a_circle(side), **change).bring()
    with_energy(in_a_circle(side)).bring()
