"""A day's run over the zones of its grid in the reference."""

from __future__ import annotations

from dataclasses import replace

import pytest
import reference_world as world
import tree_world
from reference_world import DAY, DAY_END
from settling_world import Settler, round_prices
from small_trees import FORK, LINE, across_the_line
from tree_world import (
    home,
    make_exchange,
    members,
)

from settlement.reference import errors, posting
from settlement.reference.accounts import PROSUMER
from settlement.reference.exchange import Exchange, RunStage
from settlement.reference.exchange.events import (
    RunSettled,
)
from settlement.reference.posting import Entry, Posting

# A day over its zones -----------------------------------------------------------------------------------


def posting_of(
    exchange: Exchange, zone: int, parts: int = 2, sequence: int = 1
) -> tuple[Posting, list[bytes]]:
    known = exchange.state.members.items()
    metered = sorted(a for a, m in known if m.role == PROSUMER and m.zone == zone)
    windows = exchange.day(DAY).windows
    entries = [Entry(a, (0,) * windows, (10 * n - zone,) * windows) for n, a in enumerate(metered)]
    size = -(-len(entries) // parts)
    packed = [posting.pack_part(entries[at : at + size]) for at in range(0, len(entries), size)]
    hashes = tuple(posting.part_hash(part) for part in packed)
    prices = ((80_000 + zone,) * windows, (240_000,) * windows)
    message = Posting(zone, DAY, windows, sequence, len(entries), bytes(32), *prices, hashes)
    return message, packed


def post(exchange: Exchange, message: Posting) -> None:
    digest = world.eip712.digest(exchange.separator, posting.struct_hash(message))
    nodes = sorted(world.ORACLES[:2], key=world.address_of)
    exchange.post_metering(DAY_END, message, [world.sign_digest(key, digest) for key in nodes])


def traded() -> Settler:
    """A settler of a day on which energy crossed the line."""
    found = across_the_line()
    found.bring()
    header, zones = found.prepared.header, found.prepared.zones
    prices = {zone: (round_prices(header, zones[zone].posting),) for zone in range(2)}
    return Settler(found.exchange, DAY_END, DAY, prices)


def test_a_day_is_settled_zone_by_zone_to_the_last_nano() -> None:
    settler = traded()
    exchange = settler.exchange
    days = [posting_of(exchange, zone) for zone in range(2)]
    for message, _ in days:
        post(exchange, message)
    for message, packed in days:
        for part in packed:
            settler.settle(message.zone, part)
    assert exchange.run(DAY).stage is RunStage.SETTLED
    assert [e.zone for e in exchange.events if isinstance(e, RunSettled)] == [1]
    assert settler.carry is not None
    escrow, kept = settler.carry.cash, 600 * 100_000
    assert escrow == (600 - 9) * 100_000
    held = sum(exchange.cash(DAY_END, a).free for a in exchange.state.members)
    assert held + escrow + kept == exchange.state.vault
    settler.certify_all()
    assert sum(exchange.cash(DAY_END, a).free for a in exchange.state.members) == exchange.state.vault
    assert exchange.run(DAY).stage is RunStage.CERTIFIED


def test_zones_are_settled_in_their_order() -> None:
    settler = traded()
    exchange = settler.exchange
    (first, packed), (second, later) = (posting_of(exchange, zone) for zone in range(2))
    post(exchange, second)
    with pytest.raises(errors.WrongPosting):
        exchange.settle(DAY_END, 1, DAY, None, later[0])
    with pytest.raises(errors.WrongPosting):
        exchange.settle(DAY_END, 0, DAY, None, packed[0])
    post(exchange, first)
    settler.settle(0, packed[0])
    with pytest.raises(errors.WrongPosting):
        exchange.settle(DAY_END, 1, DAY, settler.carry, later[0])
    settler.settle(0, packed[1])
    assert settler.carry is not None
    assert (settler.carry.last_account, settler.carry.parts) == (bytes(20), 0)
    settler.settle(1, later[0])


def test_a_settled_zone_s_posting_stays() -> None:
    settler = traded()
    exchange = settler.exchange
    (first, packed), (second, _) = (posting_of(exchange, zone) for zone in range(2))
    post(exchange, first)
    post(exchange, second)
    carry = exchange.settle(DAY_END, 0, DAY, None, packed[0])
    exchange.settle(DAY_END, 0, DAY, carry, packed[1])
    with pytest.raises(errors.BadPosting):
        post(exchange, posting_of(exchange, 0, sequence=2)[0])
    post(exchange, posting_of(exchange, 1, parts=1, sequence=2)[0])


def test_a_zone_without_metered_members_needs_no_posting_and_gets_none() -> None:
    exchange = make_exchange(FORK, world.WINDOWS)
    empty = Posting(3, DAY, world.WINDOWS, 1, 0, bytes(32), (0,) * 4, (0,) * 4, ())
    for address in [home(3, number) for number in range(tree_world.HOMES)]:
        del exchange.state.members[address]
    with pytest.raises(errors.BadPosting):
        post(exchange, empty)
    carry = None
    for zone in range(3):
        message, packed = posting_of(exchange, zone)
        post(exchange, message)
        for part in packed:
            carry = exchange.settle(DAY_END, zone, DAY, carry, part)
    assert exchange.run(DAY).stage is RunStage.SETTLED


def test_no_posting_is_for_a_zone_beyond_the_grid() -> None:
    exchange = traded().exchange
    with pytest.raises(errors.BadPosting):
        post(exchange, replace(posting_of(exchange, 1)[0], zone=2))


def test_no_session_opens_once_a_zone_is_posted() -> None:
    exchange = make_exchange(LINE, world.WINDOWS)
    post(exchange, posting_of(exchange, 1)[0])
    with pytest.raises(errors.BadSession):
        exchange.open_session(DAY_END, world.make_params())


def test_everyone_of_a_tree_is_somewhere() -> None:
    assert {member.zone for member in members(3).values()} == {0, 1, 2}
