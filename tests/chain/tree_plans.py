"""Dishonest postings: whole plans of an operator that differ from the honest one in one way."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import replace

from tree_ranks import RANKS, at_price
from tree_script import Plan, plan_of, replaced

from settlement.chain import prepared
from settlement.chain.books import ZoneBook
from settlement.reference.flexible import SignedFlexible
from settlement.reference.marginal import Marginal
from settlement.reference.potential import Potential
from settlement.reference.session import UNLIMITED_WH

BIG = 10**6
"""A rank above any honest one."""

Maker = Callable[[random.Random, Plan], Iterator[Plan]]

STEPS = (1, -1, 7, 1000, -1000)


def places(dice: random.Random, plan: Plan, count: int = 4) -> list[tuple[int, int]]:
    """Some zones and windows."""
    every = [(z, w) for z in range(len(plan.zones)) for w in range(plan.session.params.windows)]
    return dice.sample(every, min(count, len(every)))


def energy_at(plan: Plan, zone: int, window: int, potential: Potential) -> Plan:
    energy = plan.zones[zone].posting.energy
    return plan.with_posting(zone, energy=replaced(energy, window, potential))


def one_energy(change: Callable[[Potential], Potential]) -> Maker:
    """One potential of a zone."""

    def make(dice: random.Random, plan: Plan) -> Iterator[Plan]:
        for zone, window in places(dice, plan):
            yield energy_at(plan, zone, window, change(plan.zones[zone].posting.energy[window]))

    return make


def one_quality(change: Callable[[Potential], Potential]) -> Maker:
    """One potential of a quality."""

    def make(dice: random.Random, plan: Plan) -> Iterator[Plan]:
        count = len(plan.header.qualities)
        for at in dice.sample(range(count), min(count, 4)):
            changed = change(plan.header.qualities[at])
            header = replace(plan.header, qualities=replaced(plan.header.qualities, at, changed))
            yield replace(plan, header=header)

    return make


def moved(**by: int) -> Callable[[Potential], Potential]:
    return lambda one: replace(one, **{name: getattr(one, name) + step for name, step in by.items()})


def ranked(**ranks: int) -> Callable[[Potential], Potential]:
    return lambda one: replace(one, **ranks)


# A window's potentials together -------------------------------------------------------------------------


def whole_window(change: Callable[[Potential], Potential]) -> Maker:
    """Every potential of a window, with the at-price volumes that then are; ranks honest, zero or big."""

    def make(dice: random.Random, plan: Plan) -> Iterator[Plan]:
        for window in range(plan.session.params.windows):
            for rank in (None, 0, BIG):
                yield remarked(all_of_window(plan, window, change, rank), dice)

    return make


def all_of_window(
    plan: Plan, window: int, change: Callable[[Potential], Potential], rank: int | None
) -> Plan:
    def altered(one: Potential) -> Potential:
        other = change(one)
        return other if rank is None else replace(other, rank_lo=rank, rank_hi=rank)

    for zone in range(len(plan.zones)):
        energy = plan.zones[zone].posting.energy
        plan = energy_at(plan, zone, window, altered(energy[window]))
    windows = plan.session.params.windows
    qualities = [
        altered(one) if at % windows == window else one for at, one in enumerate(plan.header.qualities)
    ]
    capped = [replace(one, lo=min(one.lo, 0), hi=min(one.hi, 0)) for one in qualities]
    return replace(plan, header=replace(plan.header, qualities=tuple(capped)))


def only_zones(change: Callable[[Potential], Potential]) -> Maker:
    """The energy potentials of a whole zone, with the at-price volumes that then are."""

    def make(dice: random.Random, plan: Plan) -> Iterator[Plan]:
        for zone in range(len(plan.zones)):
            for rank in (None, 0, BIG):
                energy = tuple(map(change, plan.zones[zone].posting.energy))
                if rank is not None:
                    energy = tuple(replace(one, rank_lo=rank, rank_hi=rank) for one in energy)
                yield remarked(plan.with_posting(zone, energy=energy), dice)

    return make


def remarked(plan: Plan, dice: random.Random) -> Plan:
    """With the marginal volumes of the posted prices, of which as before, all or nothing fills."""
    for own in plan.zones:
        totals = at_price(plan, own)
        before, marginals = own.posting.marginals, []
        for cell, (buys, sells) in enumerate(totals):
            if (buys, sells) == before[cell].at_price:
                marginals.append(before[cell])
                continue
            most = dice.choice((before[cell].filled, (buys, sells), (0, 0)))
            filled = (min(most[0], buys), min(most[1], sells))
            marginals.append(Marginal((buys, sells), filled))
        plan = plan.with_posting(own.zone, marginals=tuple(marginals))
    return plan


# Volumes ------------------------------------------------------------------------------------------------


def one_marginal(name: str, by: int) -> Maker:
    def make(dice: random.Random, plan: Plan) -> Iterator[Plan]:
        for own in plan.zones:
            marginals = own.posting.marginals
            some = [cell for cell, one in enumerate(marginals) if any(one.at_price)]
            for cell in dice.sample(some, min(len(some), 2)):
                for side in (0, 1):
                    values = list(getattr(marginals[cell], name))
                    values[side] += by
                    if values[side] >= 0:
                        other = replace(marginals[cell], **{name: (values[0], values[1])})
                        yield plan.with_posting(own.zone, marginals=replaced(marginals, cell, other))

    return make


def one_flow(by: int) -> Maker:
    def make(dice: random.Random, plan: Plan) -> Iterator[Plan]:
        for at in dice.sample(range(len(plan.flows)), min(len(plan.flows), 4)):
            if plan.flows[at] + by >= 0:
                yield replace(plan, flows=replaced(plan.flows, at, plan.flows[at] + by))

    return make


# Splits -------------------------------------------------------------------------------------------------


def one_split(change: Callable[[SignedFlexible, list[int]], None]) -> Maker:
    """The shares of one flexible order."""

    def make(_: random.Random, plan: Plan) -> Iterator[Plan]:
        for own in plan.zones:
            for at, order in enumerate(own.orders):
                if isinstance(order, SignedFlexible) and not own.reasons[at]:
                    shares = list(order.shares_wh)
                    change(order, shares)
                    if min(shares) >= 0 and tuple(shares) != order.shares_wh:
                        other = replace(order, shares_wh=tuple(shares))
                        yield plan.with_zone(replace(own, orders=replaced(own.orders, at, other)))

    return make


def a_share_moved(_: SignedFlexible, shares: list[int]) -> None:
    first = next((k for k, wh in enumerate(shares) if wh), None)
    if first is not None and len(shares) > 1:
        shares[first] -= 1
        shares[(first + 1) % len(shares)] += 1


def a_share_over_the_cap(order: SignedFlexible, shares: list[int]) -> None:
    shares[0] = order.schedule.max_wh_per_window + 1


def shares_over_the_energy(order: SignedFlexible, shares: list[int]) -> None:
    for k in range(len(shares)):
        shares[k] = order.schedule.max_wh_per_window
    if sum(shares) <= order.schedule.energy_wh:
        shares[:] = order.shares_wh


def a_share_less(_: SignedFlexible, shares: list[int]) -> None:
    first = next((k for k, wh in enumerate(shares) if wh), None)
    if first is not None:
        shares[first] -= 1


def nothing_at_all(_: SignedFlexible, shares: list[int]) -> None:
    shares[:] = [0] * len(shares)


# Other grids --------------------------------------------------------------------------------------------


def of_another_grid(**changes: Callable[[tuple[int, ...]], tuple[int, ...]]) -> Maker:
    """Cleared as if the lines were others: optimal for them, and not for these."""

    def make(_: random.Random, plan: Plan) -> Iterator[Plan]:
        grid = plan.session.grid
        other = replace(grid, **{name: change(getattr(grid, name)) for name, change in changes.items()})
        session = replace(plan.session, grid=other)
        sealed = prepared.SealedBook(tuple(own.book for own in plan.zones))
        ready = prepared.prepare(session, sealed, tuple(own.reasons for own in plan.zones))
        yield replace(plan, header=ready.header, zones=ready.zones, flows=ready.flows)

    return make


def unlimited(capacities: tuple[int, ...]) -> tuple[int, ...]:
    return (UNLIMITED_WH,) * len(capacities)


def closed(capacities: tuple[int, ...]) -> tuple[int, ...]:
    return (UNLIMITED_WH, *(0 for _ in capacities[1:]))


def wider(capacities: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(min(most + 1, UNLIMITED_WH) for most in capacities)


def dearer(charges: tuple[int, ...]) -> tuple[int, ...]:
    return (0, *(charge + 5_000 for charge in charges[1:]))


def cheap(charges: tuple[int, ...]) -> tuple[int, ...]:
    return (0, *(1 for _ in charges[1:]))


# Books --------------------------------------------------------------------------------------------------


def another_book(**changes: object) -> Maker:
    """A commitment that the orders do not have."""

    def make(dice: random.Random, plan: Plan) -> Iterator[Plan]:
        zone = dice.randrange(len(plan.books))
        book = plan.books[zone]
        if "count" in changes:
            other = replace(book, count=book.count + 1)
        else:
            other = replace(book, root=bytes([book.root[0] ^ 1]) + book.root[1:])
        yield replace(plan, books=replaced(plan.books, zone, other))

    return make


def an_order_less(dice: random.Random, plan: Plan) -> Iterator[Plan]:
    for own in plan.zones:
        if own.orders:
            at = dice.randrange(len(own.orders))
            yield plan.with_zone(replace(own, orders=own.orders[:at] + own.orders[at + 1 :]))


def an_order_twice(dice: random.Random, plan: Plan) -> Iterator[Plan]:
    for own in plan.zones:
        if own.orders:
            at = dice.randrange(len(own.orders))
            yield plan.with_zone(replace(own, orders=own.orders[: at + 1] + own.orders[at:]))


def orders_unsorted(dice: random.Random, plan: Plan) -> Iterator[Plan]:
    for own in plan.zones:
        if len(own.orders) > 1:
            at = dice.randrange(len(own.orders) - 1)
            swapped = (own.orders[at + 1], own.orders[at])
            yield plan.with_zone(replace(own, orders=own.orders[:at] + swapped + own.orders[at + 2 :]))


def an_order_of_another_zone(_: random.Random, plan: Plan) -> Iterator[Plan]:
    for own, other in zip(plan.zones, plan.zones[1:], strict=False):
        if other.orders:
            yield plan.with_zone(replace(own, orders=(*own.orders, other.orders[0])))


def a_submission_unflagged(_: random.Random, plan: Plan) -> Iterator[Plan]:
    """Read like any other order, and not counted."""
    for own in plan.zones:
        for at, order in enumerate(own.orders):
            if order.submitted:
                other = replace(order, submitted=False)
                yield plan.with_zone(replace(own, orders=replaced(own.orders, at, other)))


def a_submission_left_out(_: random.Random, plan: Plan) -> Iterator[Plan]:
    """Neither committed to nor read; the rest is as honest as can be."""
    for own in plan.zones:
        kept = [at for at, order in enumerate(own.orders) if not order.submitted]
        if len(kept) < len(own.orders):
            book = ZoneBook(tuple(own.orders[at] for at in kept), tuple(own.hashes[at] for at in kept))
            books = replaced([one.book for one in plan.zones], own.zone, book)
            why = replaced(
                [one.reasons for one in plan.zones], own.zone, tuple(own.reasons[at] for at in kept)
            )
            yield plan_of(prepared.prepare(plan.session, prepared.SealedBook(books), why), plan.separator)


def children_left_out(_: random.Random, plan: Plan) -> Iterator[Plan]:
    """A zone goes to its parent as it was before its own children were joined to it."""
    for zone in range(1, len(plan.zones)):
        if plan.session.grid.children(zone):
            yield replace(plan, childless=zone)


PLANS: dict[str, Maker] = {
    **RANKS,
    "a zone joined before its own children": children_left_out,
    "a zone's lowest up": one_energy(moved(lo=1)),
    "a zone's lowest down": one_energy(moved(lo=-1)),
    "a zone's highest up": one_energy(moved(hi=1)),
    "a zone's highest down": one_energy(moved(hi=-1)),
    "a zone's lowest and highest": one_energy(moved(lo=1, hi=1)),
    "a zone's lowest far off": one_energy(moved(lo=-(2**30))),
    "a zone's highest far off": one_energy(moved(hi=2**30)),
    "a zone's rank of the lowest": one_energy(ranked(rank_lo=0)),
    "a zone's rank of the highest": one_energy(ranked(rank_hi=0)),
    "a zone's ranks all big": only_zones(ranked(rank_lo=BIG, rank_hi=BIG)),
    "a zone's ranks all zero": only_zones(ranked(rank_lo=0, rank_hi=0)),
    "a quality's lowest up": one_quality(moved(lo=1)),
    "a quality's lowest down": one_quality(moved(lo=-1)),
    "a quality's highest up": one_quality(moved(hi=1)),
    "a quality's highest down": one_quality(moved(hi=-1)),
    "a quality's ranks": one_quality(ranked(rank_lo=0, rank_hi=0)),
    "a quality's potential positive": one_quality(ranked(hi=1)),
    "a zone's prices moved": only_zones(moved(lo=7, hi=7)),
    "a zone's lowest made its highest": only_zones(lambda one: replace(one, lo=one.hi)),
    "a zone's highest made its lowest": only_zones(lambda one: replace(one, hi=one.lo)),
    "a window's lowest moved": whole_window(moved(lo=-7)),
    "a window's prices moved": whole_window(moved(lo=1000, hi=1000)),
    "a window's lowest made the highest": whole_window(lambda one: replace(one, lo=one.hi)),
    "a window's highest made the lowest": whole_window(lambda one: replace(one, hi=one.lo)),
    "a window's middle made both": whole_window(lambda one: replace(one, lo=one.mid, hi=one.mid)),
    "a window's ranks zero": whole_window(ranked(rank_lo=0, rank_hi=0)),
    "more at the price": one_marginal("at_price", 1),
    "less at the price": one_marginal("at_price", -1),
    "more of it fills": one_marginal("filled", 1),
    "less of it fills": one_marginal("filled", -1),
    "more substituted": one_flow(1),
    "less substituted": one_flow(-1),
    "a share moved": one_split(a_share_moved),
    "a share over the cap": one_split(a_share_over_the_cap),
    "shares over the energy": one_split(shares_over_the_energy),
    "a share less": one_split(a_share_less),
    "no share at all": one_split(nothing_at_all),
    "lines taken for unlimited": of_another_grid(capacities=unlimited),
    "lines taken for one Wh wider": of_another_grid(capacities=wider),
    "lines taken for closed": of_another_grid(capacities=closed),
    "lines taken for dearer": of_another_grid(charges=dearer),
    "lines taken for cheap": of_another_grid(charges=cheap),
    "another count": another_book(count=1),
    "another root": another_book(root=1),
    "an order left out": an_order_less,
    "an order twice": an_order_twice,
    "orders unsorted": orders_unsorted,
    "an order of another zone": an_order_of_another_zone,
    "a submitted order like any other": a_submission_unflagged,
    "a submitted order left out": a_submission_left_out,
}
