"""What comes after the first run, or instead of it: corrections, challenges, claims; and trees of zones."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from datetime import date
from types import SimpleNamespace
from typing import Any

import index_world  # noqa: F401  (puts tests/chain on the path)
import pytest
from chain_world import DAY, World, running_world
from claims_world import fund_operator, open_bonded
from index_world import indexed
from metered_world import BOND, LATE, meter_of, post_and_settle, read_of, stake, traded_world
from sqlalchemy import select
from test_omission import STEPS, Play

from api.db.market_models import Book, Challenge, Claim, Meter, Order, Posting, Reading, Run, Session
from api.services.cast import make_cast
from api.services.community import CommunityDay
from api.services.measured import MeasuredChain
from api.services.plan import Plan
from oracle.homes import load_homes
from settlement.chain import challenger
from settlement.chain.anvil import Anvil
from settlement.chain.client import AnvilClock
from settlement.chain.rpc import to_bytes, to_hex

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def traded() -> Iterator[World]:
    with traded_world() as found:
        stake(found)
        yield found


@pytest.fixture(scope="module")
def funded() -> Iterator[World]:
    with running_world() as found:
        fund_operator(found)
        yield found


async def test_a_correction_and_a_challenge_change_what_stood(traded: World, database_url: str) -> None:
    with traded.turned_back():
        day = post_and_settle(traded)
        day.correct(read_of(LATE.address, 0, 650, sequence=2))
        day.correct(read_of(LATE.address, 0, 640, sequence=3))
        brought = challenger.signed_by(
            LATE, traded.exchange, day.challenge(LATE.address, 0, 1_700, sequence=4)
        )
        found = challenger.challenge(traded.exchange, LATE, brought)
        async with indexed(traded, database_url) as index:
            await index.catch_up()
            await index.assert_cash_is_the_chain_s()
            traded.clock.advance_to(found.answer_by + 1)
            challenger.settle(traded.exchange, LATE, found.id)
            await index.catch_up()
            await index.assert_cash_is_the_chain_s()
            await index.assert_rebuilt_the_same()
            async with index.store.sessions() as db:
                contested = await db.get_one(Challenge, to_hex(found.id))
                runs = {one.run: one for one in await db.scalars(select(Run))}
                posted = list(await db.scalars(select(Posting.run).order_by(Posting.run)))
                key = (0, DAY, to_hex(LATE.address), 1)
                change, meter = (
                    await db.get_one(Reading, key),
                    await db.get(Meter, to_hex(meter_of(LATE.address))),
                )
    assert (contested.state, contested.bond_nano, contested.paid_nano) == ("upheld", BOND, BOND)
    assert [runs[number].stage for number in sorted(runs)] == ["certified", "complete", "complete"]
    assert posted == [0, 1, 2]
    assert (change.wh[0], meter is not None) == (-50, True)


@pytest.mark.parametrize("seed", range(2))
async def test_bonds_and_claims_whatever_anybody_does(funded: World, database_url: str, seed: int) -> None:
    with funded.turned_back():
        dice = random.Random(seed)
        bonded = open_bonded(funded, max_orders=dice.choice((2, 1000)), max_submitted=2)
        play = Play(bonded, dice)
        for _ in range(10):
            play.submit()
        play.end()
        for _ in range(STEPS):
            play.step()
        bonded.pass_defence()
        for order in play.orders:
            bonded.both("pay_claim", bonded.hash(order))
        bonded.both("release_bond")
        async with indexed(funded, database_url) as index:
            await index.catch_up()
            await index.assert_cash_is_the_chain_s()
            await index.assert_rebuilt_the_same()
            async with index.store.sessions() as db:
                bond = (await db.get_one(Session, 1)).bond_nano
                claims = list(await db.scalars(select(Claim)))
                submitted = list(await db.scalars(select(Order.hash).where(Order.submitted)))
        locked = [one.locked_nano for one in funded.model.state.bonds.values()]
        assert [bond] == locked
        assert all(one.state in ("open", "defeated", "paid") for one in claims)
        assert {to_bytes(one) for one in submitted} >= set(funded.model.state.submitted)


async def test_streets_below_a_substation_with_cars_that_charge_when_it_is_cheap(database_url: str) -> None:
    """Zones cleared and joined, flexible orders, line charges paid to the network operator."""
    plan = Plan(date(2017, 6, 14), seed=5, imbalance_margin=10_000, streets=2, cars=3, line_capacity_wh=5_000)
    cast = make_cast(plan.seed, range(1, 7), plan.streets, plan.cars)
    with Anvil(timestamp=plan.opens_at) as anvil:
        chain = MeasuredChain(str(anvil.ipc_path))
        day = CommunityDay(plan, cast, load_homes(6), chain, AnvilClock(chain), anvil.rpc_url)
        for step in (day.deploy, day.register, day.order, day.clear):
            await asyncio.to_thread(step)
        world = _world_of(anvil, day)
        async with indexed(world, database_url) as index:
            await index.catch_up()
            await index.assert_positions_are_the_chain_s()
            for step in (day.deliver, day.settle):
                await asyncio.to_thread(step)
            await index.catch_up()
            await index.assert_cash_is_the_chain_s()
            await index.assert_rebuilt_the_same()
            day.close()
            async with index.store.sessions() as db:
                books, session = list(await db.scalars(select(Book))), await db.get_one(Session, 1)
                orders = list(await db.scalars(select(Order)))
    assert (len(books), session.committed_zones, session.zones) == (3, 3, 3)
    assert all(one.energy and one.joined is not None for one in books)
    assert sum("energy_wh" in (one.terms or {}) for one in orders) >= 3
    assert (session.rent_nano or 0) > 0


def _world_of(anvil: Anvil, day: CommunityDay) -> Any:
    exchange = day.exchange
    parts = {"deployment": exchange.deployment, "chain": exchange.chain}
    return SimpleNamespace(anvil=anvil, exchange=exchange, **parts)
