"""What the contract must refuse: each case is a custom error by name, and leaves the storage as it was.

Nothing is estimated: every refused transaction is mined, so that its effect could be seen.
"""

from __future__ import annotations

from dataclasses import replace

import pytest
from chain_world import (
    DAY,
    GATE,
    PROSUMERS,
    RICH,
    STRANGER,
    World,
    make_schedule,
    remember,
)
from refusals import (
    BUYER,
    buy,
    clear_data,
    honest,
    order_hash,
    refused,
    sell,
    try_order,
    with_posting,
)

from settlement.chain import abi, operator
from settlement.chain.books import Session
from settlement.chain.errors import UnacceptableOrder
from settlement.chain.events import ScheduleIneligible, events_of
from settlement.chain.progress import Progress
from settlement.chain.sign import sign_schedule
from settlement.reference import eip712, schedule
from settlement.reference.accounts import UNCOVERED
from settlement.reference.orders import encode_all
from settlement.reference.schedule import SignedSchedule

# Orders -------------------------------------------------------------------------------------------------


def test_an_order_signed_with_another_key_is_refused(turned_back: World) -> None:
    world = turned_back
    error, _ = try_order(
        world, lambda session: sign_schedule(STRANGER, world.exchange.separator, buy(session))
    )
    assert (error.name, error.arguments) == ("BadSignature", (STRANGER.address, BUYER.address))


def test_a_signature_of_another_schedule_is_refused(turned_back: World) -> None:
    world = turned_back

    def reused(session: Session) -> SignedSchedule:
        return SignedSchedule(buy(session, nonce=99), world.sign(buy(session)).signature)

    error, _ = try_order(world, reused)
    assert error.name == "BadSignature"
    assert error.arguments[1] == BUYER.address


def test_a_signature_with_high_s_is_refused(turned_back: World) -> None:
    world = turned_back

    def malleated(session: Session) -> SignedSchedule:
        order = world.sign(buy(session))
        r, s, v = order.signature[:32], order.signature[32:64], order.signature[64]
        high = eip712.CURVE_ORDER - int.from_bytes(s, "big")
        return SignedSchedule(order.schedule, r + high.to_bytes(32, "big") + bytes([55 - v]))

    error, _ = try_order(world, malleated)
    assert (error.name, error.arguments) == ("BadSignature", (bytes(20), BUYER.address))


def test_an_order_for_another_session_chain_or_contract_is_refused(turned_back: World) -> None:
    world = turned_back
    prepared = honest(world)
    operator.post_header(world.exchange, world.operator, prepared)
    order, session = buy(prepared.session), prepared.session
    chain_id, contract = world.chain.chain_id, world.exchange.address
    signatures = [
        sign_schedule(BUYER, world.exchange.separator, replace(order, session=b"\x01" * 32)),
        sign_schedule(BUYER, eip712.domain_separator(chain_id + 1, contract), order),
        sign_schedule(BUYER, eip712.domain_separator(chain_id, bytes(20)), order),
    ]
    for foreign in signatures:
        record = schedule.encode(foreign)
        error = refused(world, world.operator, clear_data(prepared, record))
        assert error.name == "BadSignature"
    with pytest.raises(UnacceptableOrder, match="another session"):
        operator.seal(world.exchange, session, [signatures[0]])


@pytest.mark.parametrize("limit", [-2_000_001, 6_000_001])
def test_a_limit_out_of_range_is_refused(turned_back: World, limit: int) -> None:
    world = turned_back
    error, hash_ = try_order(
        world, lambda session: world.sign(buy(session, limit_micro_per_kwh=(200_000, limit, 0, 0)))
    )
    assert (error.name, error.arguments) == ("LimitOutOfRange", (hash_,))


def test_a_quantity_that_no_lane_holds_is_refused(turned_back: World) -> None:
    world = turned_back
    error, hash_ = try_order(world, lambda s: world.sign(buy(s, quantity_wh=(0, 65_536, 0, 0))))
    assert (error.name, error.arguments) == ("QuantityOverflow", (hash_,))


def test_orders_that_overflow_a_lane_together_are_not_sealed(turned_back: World) -> None:
    world = turned_back
    session = world.open_session()
    orders = [world.sign(buy(session, nonce=n, quantity_wh=(40_000,) * 4)) for n in range(2)]
    with pytest.raises(UnacceptableOrder, match="with its trader's others"):
        operator.seal(world.exchange, session, orders)


@pytest.mark.parametrize("first", [-1, 1])
def test_an_order_beyond_its_sessions_windows_is_refused(turned_back: World, first: int) -> None:
    world = turned_back
    error, hash_ = try_order(world, lambda s: world.sign(buy(s, first_window=DAY + first)))
    assert (error.name, error.arguments) == ("WindowOutOfSession", (hash_,))


def test_an_order_of_a_quality_that_the_grid_lacks_is_refused(turned_back: World) -> None:
    world = turned_back
    error, _ = try_order(world, lambda s: world.sign(buy(s, quality=3)))
    assert (error.name, error.arguments) == ("UnknownQuality", (3,))


def test_an_unregistered_trader_is_refused(turned_back: World) -> None:
    world = turned_back
    error, _ = try_order(world, lambda s: world.sign(make_schedule(s, STRANGER.address)))
    assert (error.name, error.arguments) == ("UnregisteredTrader", (STRANGER.address,))


def test_the_operator_may_not_trade(turned_back: World) -> None:
    world = turned_back
    error, _ = try_order(
        world,
        lambda session: sign_schedule(
            world.operator,
            world.exchange.separator,
            make_schedule(session, world.operator.address),
        ),
    )
    assert (error.name, error.arguments) == ("OperatorMayNotTrade", (world.operator.address,))


def test_duplicate_and_unsorted_orders_are_refused(turned_back: World) -> None:
    world = turned_back
    prepared = honest(world)
    operator.post_header(world.exchange, world.operator, prepared)
    first, second = map(schedule.encode, prepared.sealed.orders)
    for records, previous, given in ((first + first, 0, 0), (second + first, 1, 0)):
        error = refused(world, world.operator, clear_data(prepared, records))
        hashes = prepared.sealed.hashes
        assert (error.name, error.arguments) == ("NotAscending", (hashes[previous], hashes[given]))


def test_an_order_of_an_earlier_chunk_is_refused_in_the_next(turned_back: World) -> None:
    world = turned_back
    prepared = honest(world)
    operator.post_header(world.exchange, world.operator, prepared)
    start = Progress()
    at, _ = operator.clear_next(world.exchange, world.operator, prepared, start, range(0, 1))
    again = clear_data(prepared, schedule.encode(prepared.sealed.orders[0]), at.carry)
    assert refused(world, world.operator, again).name == "NotAscending"
    record = schedule.encode(prepared.sealed.orders[1])
    fresh = refused(world, world.operator, clear_data(prepared, record))
    assert (fresh.name, fresh.arguments) == ("WrongLength", ("cells", 0, 16))
    assert at.carry is not None
    other = replace(at.carry, last_hash=bytes(32))
    assert refused(world, world.operator, clear_data(prepared, record, other)).name == "WrongCarry"


def test_padded_and_truncated_records_are_refused(turned_back: World) -> None:
    world = turned_back
    prepared = honest(world)
    operator.post_header(world.exchange, world.operator, prepared)
    records = encode_all(prepared.sealed.orders)
    second = len(schedule.encode(prepared.sealed.orders[0]))
    bad = [
        (records + b"\0", len(records)),
        (records + bytes(99), len(records)),
        (records[:-1], second),
        (records[: second - 1], 0),
    ]
    for data, offset in bad:
        error = refused(world, world.operator, clear_data(prepared, data))
        assert (error.name, error.arguments) == ("MalformedRecord", (offset,))


def test_padded_and_truncated_calldata_is_refused(turned_back: World) -> None:
    world = turned_back
    prepared = honest(world)
    operator.post_header(world.exchange, world.operator, prepared)
    data = clear_data(prepared, encode_all(prepared.sealed.orders))
    for wrong in (data + b"\0", data + bytes(32), data[:-1], data[:-64], data[:300], data[:4]):
        error = refused(world, world.operator, wrong)
        assert error.name == "BadCalldata"
        assert error.arguments[0] == len(wrong)


def test_arrays_of_another_length_are_refused(turned_back: World) -> None:
    world = turned_back
    prepared = honest(world)
    short = replace(prepared.header, qualities=prepared.header.qualities[:-1])
    error = refused(world, world.operator, abi.post_header(prepared.session.epoch, short))
    assert (error.name, error.arguments) == ("WrongLength", ("qualityPotentials", 11, 12))
    operator.post_header(world.exchange, world.operator, prepared)
    posting = replace(prepared.root.posting, energy=prepared.root.posting.energy * 2)
    error = refused(world, world.operator, clear_data(with_posting(prepared, posting), b""))
    assert (error.name, error.arguments) == ("WrongLength", ("energyPotentials", 8, 4))


# No error -----------------------------------------------------------------------------------------------


def test_an_uncovered_schedule_fills_zero_with_an_event(turned_back: World) -> None:
    world = turned_back
    session = world.open_session()
    vast = make_schedule(
        session,
        PROSUMERS[3].address,
        quantity_wh=(2**30 - 1,) * 4,
        limit_micro_per_kwh=(6_000_000,) * 4,
    )
    assert schedule.cover(vast, session.params.buy_reserve, 0) > RICH
    orders = [world.sign(vast), world.sign(buy(session)), world.sign(sell(session))]
    remember(world, orders)
    prepared = world.clear(session, orders)
    hash_ = order_hash(world, vast)
    told = [event for event in events_of(world.exchange) if isinstance(event, ScheduleIneligible)]
    assert told == [ScheduleIneligible(session.epoch, vast.trader, hash_, UNCOVERED)]
    assert prepared.fills[prepared.sealed.hashes.index(hash_)] == (0,) * 4
    assert sum(map(sum, prepared.fills)) == 8000
    world.assert_same()


def test_cash_stands_still_while_a_session_clears(turned_back: World) -> None:
    world = turned_back
    honest(world)
    assert world.now() >= GATE
    data = world.exchange.abi.encode("deposit", BUYER.address, 1)
    assert refused(world, world.admin, data).name == "ClearingInProgress"
