"""Trees of zones in the reference: honest sessions are proved, and each rule refuses by its own name."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import pytest
import reference_world as world
import tree_world
from reference_world import DAY, GATE, OPENING, set_aside
from settling_world import round_prices
from small_trees import LINE, across_the_line, free, leaf, plain, posted, session_of
from tree_world import (
    BALANCING_ADDRESS,
    NETWORK_ADDRESS,
    RICH,
    TreeSession,
    home,
    make_exchange,
)

from settlement.reference import clearing, errors, line, product_id
from settlement.reference.accounts import BALANCING_PARTY, NETWORK_OPERATOR, Member
from settlement.reference.closing import closed_hash
from settlement.reference.exchange import Exchange, Stage
from settlement.reference.exchange.events import (
    NetworkPaid,
    ScheduleCleared,
    ZoneJoined,
)
from settlement.reference.orders import encode, order_hash
from settlement.reference.potential import Potential
from settlement.reference.product_id import ProductId
from settlement.reference.session import NO_PARENT, UNLIMITED_WH, Grid

# Honest sessions ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(60))
def test_random_trees_are_proved_and_cash_sums_to_what_is_set_aside(seed: int) -> None:
    found = tree_world.draw(seed, **tree_world.draw_range(random.Random(seed)))
    found.bring(chunk=1 + seed % 5, batch=1 + seed % 3)
    exchange, header, zones = found.exchange, found.prepared.header, found.prepared.zones
    assert exchange.stage(GATE, found.id) is Stage.PROVED
    cleared = [event for event in exchange.events if isinstance(event, ScheduleCleared)]
    kept = set_aside(exchange, orders_of(found), lambda zone: round_prices(header, zones[zone].posting))
    cash = [exchange.cash(GATE, account) for account in exchange.state.members]
    assert sum(one.free + one.reserved for one in cash) + kept == exchange.state.vault
    told = dict(zip(found.prepared.sealed.hashes, found.prepared.fills, strict=True))
    assert all(event.filled_wh == told[event.order] for event in cleared)


def orders_of(found: TreeSession) -> dict[bytes, Any]:
    sealed = found.prepared.sealed
    return dict(zip(sealed.hashes, sealed.orders, strict=True))


def test_a_congested_line_earns_its_rent() -> None:
    found = across_the_line()
    found.bring()
    exchange = found.exchange
    assert [e.filled_wh for e in exchange.events if isinstance(e, ScheduleCleared)] == [(600,), (600,)]
    (paid,) = [event for event in exchange.events if isinstance(event, NetworkPaid)]
    assert paid.rent_nano == 600 * (200_000 - 100_000)
    assert free(exchange, NETWORK_ADDRESS) == RICH + paid.rent_nano
    assert free(exchange, home(0, 0)) == RICH - 600 * (200_000 + 100_000)
    assert free(exchange, home(1, 0)) == RICH - 600 * found.session.params.delivery_reserve


def test_what_a_zone_leaves_is_told_and_kept() -> None:
    found = across_the_line()
    closed = found.bring()
    told = [event for event in found.exchange.events if isinstance(event, ZoneJoined)]
    assert [(event.zone, event.joined) for event in told] == [(1, 0), (0, 1)]
    assert [event.closed_hash for event in told] == [closed_hash(closed[1]), closed_hash(closed[0])]
    assert closed[1].nets[0] == -600
    assert closed[0].rent_nano == 600 * 100_000


def test_a_product_is_of_its_zone() -> None:
    found = across_the_line()
    found.bring()
    claim = ProductId(DAY, world.WINDOW_LENGTH, 0, 0)
    obligation = replace(claim, zone=1, side=product_id.OBLIGATION)
    assert found.exchange.balance(GATE, home(0, 0), product_id.encode(claim)) == 600
    assert found.exchange.balance(GATE, home(1, 0), product_id.encode(obligation)) == 600


# Grids and members --------------------------------------------------------------------------------------


def test_children_of_a_zone_are_neighbours() -> None:
    grid = Grid((0,), (), (NO_PARENT, 0, 0, 1, 1, 2), (0,) + (1,) * 5, (UNLIMITED_WH,) * 6)
    assert [list(grid.children(zone)) for zone in range(6)] == [[1, 2], [3, 4], [5], [], [], []]
    assert grid.children(3).start == 6


def test_lines_need_a_network_operator() -> None:
    exchange = Exchange(world.CHAIN_ID, world.CONTRACT, world.WINDOW_LENGTH)
    exchange.register(OPENING, BALANCING_ADDRESS, Member(BALANCING_PARTY))
    exchange.open_day(DAY, world.WINDOWS, exchange.add_grid(LINE))
    with pytest.raises(errors.BadSession):
        exchange.open_session(OPENING, world.make_params())
    exchange.register(OPENING, NETWORK_ADDRESS, Member(NETWORK_OPERATOR))
    exchange.open_session(OPENING, world.make_params())


@pytest.mark.parametrize("role", [BALANCING_PARTY, NETWORK_OPERATOR])
def test_there_is_one_of_them_and_at_the_root(role: int) -> None:
    exchange = Exchange(world.CHAIN_ID, world.CONTRACT, world.WINDOW_LENGTH)
    with pytest.raises(errors.BadTerms):
        exchange.register(OPENING, BALANCING_ADDRESS, Member(role, zone=1))
    exchange.register(OPENING, BALANCING_ADDRESS, Member(role))
    with pytest.raises(errors.BadTerms):
        exchange.register(OPENING, NETWORK_ADDRESS, Member(role))


def test_substitutions_of_a_grid_are_at_most_32() -> None:
    codes = tuple(range(12))
    pairs = [(a, b) for a in codes for b in codes if a % 8 > b % 8 and a // 8 >= b // 8][:33]
    flat = tuple(index for pair in pairs for index in pair)
    with pytest.raises(errors.BadGrid):
        make_exchange(Grid(codes, flat, (NO_PARENT,), (0,), (UNLIMITED_WH,)), world.WINDOWS)


# Commitment ---------------------------------------------------------------------------------------------


def test_books_are_committed_zone_by_zone() -> None:
    found = across_the_line()
    exchange, (root, leaf) = found.exchange, found.prepared.sealed.commitments
    world.commit(exchange, GATE, found.id, root)
    assert exchange.stage(GATE, found.id) is Stage.OPEN
    with pytest.raises(errors.BadCommitment):
        world.commit(exchange, GATE, found.id, leaf, leaf)
    world.commit(exchange, GATE, found.id, leaf)
    assert exchange.stage(GATE, found.id) is Stage.COMMITTED


def test_a_session_is_void_if_a_zone_s_book_is_late() -> None:
    found = across_the_line()
    world.commit(found.exchange, GATE, found.id, found.prepared.sealed.commitments[0])
    assert found.exchange.stage(world.COMMIT_BY + 1, found.id) is Stage.VOID


def test_books_together_are_no_larger_than_the_session_takes() -> None:
    found = session_of(LINE, max_orders=3)
    with pytest.raises(errors.BadCommitment):
        found.exchange.commit_books(GATE, found.id, [2, 2], [bytes(32)] * 2)
    found.exchange.state.submissions[(found.session.epoch, 1)] = 1
    found.exchange.commit_books(GATE, found.id, [2, 2], [bytes(32)] * 2)


@pytest.mark.parametrize(("counts", "roots"), [([], []), ([1], [])])
def test_a_commitment_has_as_many_roots_as_counts(counts: list[int], roots: list[bytes]) -> None:
    found = across_the_line()
    with pytest.raises(errors.BadCommitment):
        found.exchange.commit_books(GATE, found.id, counts, roots)


# Closing ------------------------------------------------------------------------------------------------


def test_no_zone_is_beyond_the_grid() -> None:
    found = posted(LINE)
    args = (found.prepared.header, found.prepared.zones[0].posting, None)
    with pytest.raises(errors.ZoneClosed):
        found.exchange.clear(GATE, found.id, 2, *args, b"")
    with pytest.raises(errors.ZoneClosed):
        found.exchange.close_zone(GATE, found.id, 2, *args, (), ())


def test_a_closed_zone_is_neither_cleared_nor_closed_again() -> None:
    found = posted(LINE)
    leaf(found, 1)
    args = (found.prepared.header, found.prepared.zones[1].posting)
    carry = clearing.initial_carry(found.session.market)
    with pytest.raises(errors.WrongCarry):
        found.exchange.clear(GATE, found.id, 1, *args, carry, b"")
    with pytest.raises(errors.WrongCarry):
        found.exchange.close_zone(GATE, found.id, 1, *args, carry, (), ())


def test_children_are_joined_in_order_each_once_and_complete() -> None:
    found = posted()
    three, two = leaf(found, 3), leaf(found, 2)
    for wrong in ([two], [three], [three, two]):
        with pytest.raises(errors.WrongClosedZone):
            found.close_zone(0, None, wrong, last=len(wrong) == 2)
    incomplete = leaf(found, 1)
    with pytest.raises(errors.WrongClosedZone):
        found.close_zone(0, None, [incomplete], last=False)
    one = found.join(1, incomplete, [three], last=False)
    with pytest.raises(errors.TooManyChildren):
        found.join(1, one, [three], last=False)
    root = found.close_zone(0, None, [one], last=False)
    with pytest.raises(errors.WrongClosedZone):
        found.join(0, root, [one], last=True)
    with pytest.raises(errors.WrongClosedZone):
        found.join(0, replace(root, rent_nano=1), [two], last=True)
    found.join(0, root, [two], last=True)
    assert found.exchange.stage(GATE, found.id) is Stage.PROVED
    with pytest.raises(errors.WrongStage):
        found.join(0, root, [two], last=True)


def test_a_zone_that_is_not_closed_is_joined_to_nothing() -> None:
    found = posted()
    with pytest.raises(errors.WrongClosedZone):
        found.join(1, leaf(found, 3), (), last=False)


def test_the_header_and_the_flows_are_brought_where_they_prove_and_nowhere_else() -> None:
    found = posted(LINE)
    exchange, flows, header = found.exchange, found.prepared.flows, found.prepared.header
    args = (header, found.prepared.zones[1].posting, None)
    with pytest.raises(errors.WrongLength):
        exchange.close_zone(GATE, found.id, 1, *args, (), flows)
    child, root = leaf(found, 1), found.close_zone(0, None, (), last=False)
    with pytest.raises(errors.WrongLength):
        exchange.join_children(GATE, found.id, 0, root, (), header, ())
    with pytest.raises(errors.WrongLength):
        exchange.join_children(GATE, found.id, 0, root, [child], header, ())
    changed = replace(header, qualities=(Potential(-9, 0, 0, 0), *header.qualities[1:]))
    with pytest.raises(errors.WrongHeader):
        exchange.join_children(GATE, found.id, 0, root, [child], changed, flows)
    exchange.join_children(GATE, found.id, 0, root, [child], header, flows)


def test_submitted_orders_are_counted_and_none_is_left_out() -> None:
    found = session_of(LINE, plain(home(0, 0), 0, 0, 5, 200_000))
    (order,) = found.prepared.root.orders
    found.commit()
    found.post_header()
    exchange, args = found.exchange, (GATE, found.id, 0, found.prepared.header, found.prepared.root.posting)
    flagged = encode(replace(order, submitted=True))
    with pytest.raises(errors.NotSubmitted):
        exchange.clear(*args, None, flagged)
    exchange.state.submitted[order_hash(exchange.separator, order.schedule)] = found.session.epoch
    exchange.state.submissions[(found.session.epoch, 0)] = 1
    before = exchange.state.copy()
    carry = exchange.clear(*args, None, encode(order))
    assert carry.submitted == 0
    with pytest.raises(errors.SubmissionOmitted):
        exchange.close_zone(*args, carry, (), ())
    exchange.state = before
    carry = exchange.clear(*args, None, flagged)
    assert carry.submitted == 1
    exchange.close_zone(*args, carry, (), ())


# Lines --------------------------------------------------------------------------------------------------


def at(lo: int, hi: int, rank: int = 0) -> Potential:
    return Potential(lo, hi, rank, rank)


def test_a_line_demands_by_its_room_and_its_flow() -> None:
    both = {(arc.to_parent, arc.cost) for arc in line.arcs(5, 100, 0)}
    assert both == {(True, 5), (False, 5)}
    importing = {(arc.to_parent, arc.cost) for arc in line.arcs(5, 100, 40)}
    assert importing == {(True, 5), (False, 5), (True, -5)}
    full = {(arc.to_parent, arc.cost) for arc in line.arcs(5, 100, 100)}
    assert full == {(True, 5), (True, -5)}
    exporting = {(arc.to_parent, arc.cost) for arc in line.arcs(5, 100, -100)}
    assert exporting == {(False, -5), (False, 5)}
    assert line.arcs(5, 0, 0) == []
    endless = {(arc.to_parent, arc.cost) for arc in line.arcs(5, UNLIMITED_WH, 2**40)}
    assert endless == {(True, 5), (False, 5), (True, -5)}


def test_a_tight_line_holds_the_head_from_above_and_the_tail_from_below() -> None:
    (room, *_) = line.arcs(5, 100, 0)
    child, parent = at(10, 20, rank=1), at(15, 25, rank=2)
    assert room.holds(child, parent)
    assert room.supports(child, parent) == ((False, False), (False, True))
    assert room.supports(replace(child, rank_lo=3), parent) == ((True, False), (False, True))
    assert not room.holds(child, at(16, 25))
    assert not room.holds(child, at(15, 26))


def broken(found: TreeSession, zone: int, **changes: int) -> type[BaseException]:
    """What a session is refused by if the first energy potential of a zone is another."""
    zones = list(found.prepared.zones)
    first, *rest = zones[zone].posting.energy
    energy = (replace(first, **changes), *rest)
    zones[zone] = replace(zones[zone], posting=replace(zones[zone].posting, energy=energy))
    found.prepared = replace(found.prepared, zones=tuple(zones))
    with pytest.raises(errors.Refused) as refusal:
        found.bring()
    assert found.exchange.stage(GATE, found.id) is not Stage.PROVED
    return refusal.type


@pytest.mark.parametrize(
    ("zone", "changes", "error"),
    [
        (0, {"rank_lo": 0, "rank_hi": 0}, errors.EnergyUnsupported),
        (0, {"lo": 150_000}, errors.LineViolated),
        (0, {"hi": 200_000, "lo": 110_001}, errors.LineViolated),
        (1, {"hi": 189_999}, errors.LineViolated),
        (1, {"hi": 2**29 + 1}, errors.PotentialOutOfRange),
    ],
)
def test_lines_refuse_what_they_do_not_allow(
    zone: int, changes: dict[str, int], error: type[errors.Refused]
) -> None:
    trades = (plain(home(0, 0), 0, 0, 500, 200_000), plain(home(1, 0), 1, 1, 500, 100_000))
    assert broken(session_of(LINE, *trades), zone, **changes) is error


def test_more_than_a_line_carries_is_refused() -> None:
    exchange_ = across_the_line()
    narrow = replace(LINE, capacities=(UNLIMITED_WH, 599))
    exchange_.exchange.state.grids = (narrow,)
    exchange_.commit()
    exchange_.post_header()
    child = leaf(exchange_, 1)
    with pytest.raises(errors.LineOverCapacity):
        exchange_.close_zone(0, exchange_.clear_zone(0), [child], last=True)
