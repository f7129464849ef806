"""The read model says what the chain says, whatever happens on it; on both databases."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from typing import Any

import index_world  # noqa: F401  (puts tests/chain on the path)
import pytest
from audit_world import finish_day
from chain_world import DAY, GRID, PROSUMERS, PROVE_BY, World, running_world
from index_world import Index, indexed
from sqlalchemy import select
from test_audit_days import claim_of
from test_day import small_book

from api.db.market_models import (
    Book,
    CashMovement,
    Day,
    Order,
    Pause,
    Position,
    Reading,
    Run,
    Session,
    SessionKey,
    Settlement,
)
from api.readmodel.project import project
from api.readmodel.rows import Rows
from api.readmodel.stages import Interval, stage_of
from settlement.chain import operator
from settlement.chain.abi import interface
from settlement.chain.progress import Progress
from settlement.chain.rpc import Receipt, to_bytes, to_hex
from settlement.chain.sign import Signer
from settlement.reference import product_id
from settlement.reference.exchange import events as told
from settlement.reference.session_key import Scope

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def morning() -> Iterator[World]:
    with running_world() as world:
        yield world


@pytest.fixture
def open_day(morning: World) -> Iterator[World]:
    with morning.turned_back():
        yield morning


@pytest.fixture
async def index(open_day: World, database_url: str) -> AsyncIterator[Index]:
    async with indexed(open_day, database_url) as found:
        yield found


async def test_a_day_from_members_to_certificates(index: Index) -> None:
    world = index.world
    await index.catch_up()
    await index.assert_cash_is_the_chain_s()
    session = world.open_session()
    world.clear(session, small_book(world, session), chunk=5)
    await index.catch_up()
    assert await index.assert_positions_are_the_chain_s() > 10
    finish_day(world)
    await index.catch_up()
    await index.assert_cash_is_the_chain_s()
    await index.assert_rebuilt_the_same()


async def test_orders_have_the_fills_and_reasons_of_the_reference(index: Index) -> None:
    world = index.world
    session = world.open_session()
    world.clear(session, small_book(world, session), chunk=5)
    await index.catch_up()
    orders = await index.orders()
    cleared = {one.order: one for one in world.model.events if isinstance(one, told.ScheduleCleared)}
    refused = {one.order: one for one in world.model.events if isinstance(one, told.ScheduleIneligible)}
    for hash_, event in cleared.items():
        assert orders[hash_].filled_wh == list(event.filled_wh)
        assert orders[hash_].net_nano == event.net_nano
        assert to_bytes(orders[hash_].trader) == event.trader
    assert {hash_: orders[hash_].reason for hash_ in refused} == {h: one.reason for h, one in refused.items()}
    assert set(orders) == {*cleared, *refused}
    assert all(one.terms and one.record and one.epoch == 1 for one in orders.values())


async def test_a_session_s_proof_is_kept_as_it_was_posted(index: Index) -> None:
    world = index.world
    session = world.open_session()
    prepared = world.clear(session, small_book(world, session))
    await index.catch_up()
    async with index.store.sessions() as db:
        found, book = await db.get_one(Session, 1), await db.get_one(Book, (1, 0))
    assert (to_bytes(found.id), found.committed_orders, found.rent_nano) == (session.id, 12, None)
    assert found.proved_at == world.now()
    assert len(found.qualities or []) == (len(GRID.qualities) - 1) * found.params["windows"]
    assert (book.count, book.cleared, book.joined) == (12, 12, 0)
    assert to_bytes(book.root) == prepared.sealed.commitments[0].root


async def test_calls_through_the_access_manager_are_read_as_well(index: Index) -> None:
    world, manager = index.world, interface("Administration")
    plain = world.exchange.send_data

    def executed(signer: Signer, data: bytes, *, gas: int | None = None) -> Receipt:
        call = manager.encode("execute", world.exchange.address, data)
        return world.chain.send(signer, world.deployment.authority, call, gas=gas)

    session = world.open_session()
    book = small_book(world, session)
    try:
        world.exchange.send_data = executed  # type: ignore[method-assign]
        world.clear(session, book, chunk=5)
    finally:
        world.exchange.send_data = plain  # type: ignore[method-assign]
    await index.catch_up()
    assert await index.assert_positions_are_the_chain_s() > 10
    assert all(one.record for one in (await index.orders()).values())


async def test_where_calldata_tells_nothing_events_still_count(index: Index) -> None:
    """As if an unknown contract had sent the calls: orders without terms, cash all the same."""
    world, source = index.world, index.indexer.source
    session = world.open_session()
    world.clear(session, small_book(world, session))
    plain, hidden = Rows(), Rows()
    for block in await source.blocks(index.indexer.first_block, world.chain.block_number()):
        project(plain, source.watched, block)
        sent = tuple(replace(one, to=b"\x55" * 20) for one in block.sent)
        project(hidden, source.watched, replace(block, sent=sent))

    def rows_of(rows: Rows, model: type) -> dict[Any, Any]:
        return {key: values for one, key, _, values in rows.changed() if one is model}

    assert rows_of(hidden, CashMovement) == rows_of(plain, CashMovement) != {}
    orders = rows_of(hidden, Order)
    assert set(orders) == set(rows_of(plain, Order))
    assert {one["record"] for one in orders.values()} == {None}
    assert rows_of(hidden, Position) == {}


async def test_session_keys_are_what_the_chain_says(index: Index) -> None:
    """A key granted, granted another scope, and ended; and the same again from the chain."""
    world, owner, agents = index.world, PROSUMERS[0], [b"\x01" * 20, b"\x02" * 20]
    for agent, most in ((agents[0], 700), (agents[1], 800), (agents[0], 900)):
        world.exchange.send(owner, "grantKey", agent, 0, 15, most, 2**96 - 1, 2**40 - 1)
    world.exchange.send(owner, "revokeKey", agents[1])
    await index.catch_up()
    ring = world.exchange.session_keys([(owner.address, agent) for agent in agents])
    async with index.store.sessions() as db:
        rows = list(await db.scalars(select(SessionKey).order_by(SessionKey.key)))
    assert len(rows) == 2
    for row, key in zip(rows, ring.keys.values(), strict=True):
        scope = (row.kinds, row.max_wh_per_window, row.max_spend_nano_per_day, row.expiry)
        assert Scope(*scope) == key.scope
        assert (row.granted_at, row.revoked_at or 0) == (key.granted_at, key.revoked_at)
    await index.assert_rebuilt_the_same()


async def test_a_session_that_is_void_moves_nothing(index: Index) -> None:
    world = index.world
    session = world.open_session()
    _, prepared = world.commit(session, small_book(world, session))
    operator.post_header(world.exchange, world.operator, prepared)
    operator.clear_next(world.exchange, world.operator, prepared, Progress(), range(5))
    world.clock.advance_to(PROVE_BY + 1)
    await index.catch_up()
    await index.assert_cash_is_the_chain_s()
    async with index.store.sessions() as db:
        assert (await db.get_one(Session, 1)).proved_at is None


async def test_a_claim_that_changes_hands_takes_its_reserve_along(index: Index) -> None:
    world = index.world
    session = world.open_session()
    world.clear(session, small_book(world, session))
    giver, taker = PROSUMERS[2], PROSUMERS[0]
    id_ = product_id.encode(claim_of(world, giver.address))
    world.exchange.send(taker, "accept", giver.address, id_, 9)
    world.exchange.send(giver, "transfer", taker.address, id_, 7)
    await index.catch_up()
    await index.assert_cash_is_the_chain_s()
    await index.assert_positions_are_the_chain_s()


async def test_readings_and_results_of_a_run(index: Index) -> None:
    world = index.world
    session = world.open_session()
    world.clear(session, small_book(world, session))
    finish_day(world)
    await index.catch_up()
    async with index.store.sessions() as db:
        readings = list(await db.scalars(select(Reading)))
        results = {to_bytes(one.account): one for one in await db.scalars(select(Settlement))}
        run, day = await db.get_one(Run, (0, DAY, 0)), await db.get_one(Day, DAY)
    metered = {to_hex(PROSUMERS[0].address): [2900, 2500, -10, 800]}
    assert {one.account: one.wh for one in readings}.items() >= metered.items()
    for event in world.model.events:
        if isinstance(event, told.AccountSettled):
            found = results[event.account]
            assert (found.imbalance_wh, found.cash_nano) == (sum(event.imbalance_wh), event.cash_nano)
        if isinstance(event, told.AccountCertified):
            assert results[event.account].certified_wh == event.certified_wh
    assert (run.parts, run.certified_parts, day.settled, day.certified) == (2, 2, True, True)
    assert sum(one.imbalance_wh + one.delivered_wh for one in results.values()) == 0


@pytest.mark.parametrize("unpaused", [None, 120])
@pytest.mark.parametrize("began", [-400, 250, 3590])
async def test_stages_are_the_chain_s_whenever_it_was_paused(
    index: Index, began: int, unpaused: int | None
) -> None:
    """Paused before, at and after the gate, until it ends by itself or sooner; asked around each deadline."""
    world, max_pause = index.world, index.store.watched.max_pause
    session = world.open_session()
    world.clock.advance_to(session.params.gate + began)
    world.exchange.send(world.admin, "pause")
    if unpaused is not None:
        world.clock.advance_to(world.now() + unpaused)
        world.exchange.send(world.admin, "unpause")
    seen = set()
    params = session.params
    for after in (0, params.commit_by, params.commit_by + 119, params.commit_by + 121, params.prove_by + 1):
        for later in (0, max_pause, max_pause + 1):
            if after + later <= world.now():
                continue
            world.clock.advance_to(after + later)
            seen.add(await _assert_same_stage(index))
    assert "void" in seen


async def _assert_same_stage(index: Index) -> str:
    await index.catch_up()
    world = index.world
    async with index.store.sessions() as db:
        row = await db.get_one(Session, 1)
        pauses = [Interval(one.began, one.ended) for one in await db.scalars(select(Pause))]
    found = stage_of(vars(row), pauses, index.store.watched.max_pause, world.now())
    assert found == world.exchange.session(1)[1].name.lower()
    return found


async def test_stages_are_the_chain_s_from_the_book_to_the_proof(index: Index) -> None:
    world = index.world
    session = world.open_session()
    seen = [await _assert_same_stage(index)]
    _, prepared = world.commit(session, small_book(world, session))
    seen.append(await _assert_same_stage(index))
    operator.post_header(world.exchange, world.operator, prepared)
    seen.append(await _assert_same_stage(index))
    world.clock.advance_to(PROVE_BY)
    seen.append(await _assert_same_stage(index))
    world.clock.advance_to(PROVE_BY + 1)
    seen.append(await _assert_same_stage(index))
    assert seen == ["open", "committed", "posted", "posted", "void"]
