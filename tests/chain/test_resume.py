"""Whoever restarts with the same book or posting goes on where the chain is."""

from __future__ import annotations

from dataclasses import replace

import pytest
from chain_world import DAY, DAY_END, PROSUMERS, World, settle_entries
from refusals import of_zone
from test_day import small_book

from settlement.chain import closer, operator, settler
from settlement.chain.chunks import Limits, plan_chunks
from settlement.chain.errors import OutOfGas, WrongProgress
from settlement.chain.exchange import RunStage, Stage
from settlement.chain.prepared import Prepared
from settlement.chain.progress import Progress
from settlement.chain.settler import SignedPosting
from settlement.chain.steps import Step


def committed(world: World) -> Prepared:
    session = world.open_session()
    return world.commit(session, small_book(world, session))[1]


def names(steps: tuple[Step, ...]) -> list[str]:
    return [step.name for step in steps]


@pytest.mark.parametrize("done", [0, 1, 2, 3])
def test_an_operator_goes_on_after_any_step(turned_back: World, done: int) -> None:
    world = turned_back
    prepared = committed(world)
    session, sealed = prepared.session, prepared.sealed
    if done >= 1:
        operator.post_header(world.exchange, world.operator, prepared)
    at = Progress()
    for first in range(0, 4 * (done - 1), 4):
        part = range(first, first + 4)
        at, _ = operator.clear_next(world.exchange, world.operator, prepared, at, part)
    found = operator.find_session(world.exchange, session.epoch)
    assert found == session
    outcome = operator.run(world.exchange, world.operator, found, sealed)
    assert names(outcome.steps) == [*(["postHeader"] if done == 0 else []), "clear", "closeZone"]
    assert outcome.fills == dict(zip(sealed.hashes, prepared.fills, strict=True))
    assert world.exchange.session(session.epoch)[1] is Stage.PROVED
    again = operator.run(world.exchange, world.operator, found, sealed)
    assert (again.steps, again.fills, again.prices) == ((), outcome.fills, outcome.prices)


def test_a_chunk_that_runs_out_of_gas_is_halved(turned_back: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world = turned_back
    prepared = committed(world)
    operator.post_header(world.exchange, world.operator, prepared)
    monkeypatch.setattr(operator, "MOST_GAS", 600_000)
    start = Progress()
    at, steps = operator.clear_all(world.exchange, world.operator, prepared, start)
    assert len(steps) > 1
    assert (at.count, sum(step.count for step in steps)) == (12, 12)
    closer.close(world.exchange, world.operator, prepared, at)
    assert world.exchange.session(prepared.session.epoch)[1] is Stage.PROVED


def test_an_order_that_no_gas_clears_is_told(turned_back: World, monkeypatch: pytest.MonkeyPatch) -> None:
    prepared = committed(turned_back)
    operator.post_header(turned_back.exchange, turned_back.operator, prepared)
    monkeypatch.setattr(operator, "MOST_GAS", 90_000)
    with pytest.raises(OutOfGas):
        operator.clear_all(turned_back.exchange, turned_back.operator, prepared, Progress())


def test_chunks_keep_to_the_limits(turned_back: World) -> None:
    prepared = committed(turned_back)
    lanes = {order.schedule.trader: 16 for order in prepared.sealed.orders}
    for limits in (Limits(gas=500_000), Limits(bytes=4_000)):
        chunks = plan_chunks(prepared, 0, lanes, limits=limits)
        assert len(chunks) > 2
        assert [at for chunk in chunks for at in chunk] == list(range(12))
    assert plan_chunks(prepared, 0, lanes) == [range(12)]
    assert plan_chunks(prepared, 0, lanes, start=5) == [range(5, 12)]
    assert plan_chunks(prepared, 0, lanes, start=12) == []


def test_another_book_than_the_committed_one_is_told(turned_back: World) -> None:
    prepared = committed(turned_back)
    sealed = of_zone(prepared.sealed.orders[1:], prepared.sealed.hashes[1:])
    with pytest.raises(WrongProgress, match="not committed to this book"):
        operator.run(turned_back.exchange, turned_back.operator, prepared.session, sealed)


def test_sessions_that_cannot_be_cleared_are_told(turned_back: World) -> None:
    world = turned_back
    prepared = committed(world)
    world.clock.advance_to(prepared.session.params.prove_by + 1)
    with pytest.raises(WrongProgress, match="void"):
        operator.run(world.exchange, world.operator, prepared.session, prepared.sealed)
    with pytest.raises(WrongProgress, match="no session has number 99"):
        operator.find_session(world.exchange, 99)


# Settling -----------------------------------------------------------------------------------------------


def posted(world: World) -> SignedPosting:
    """A proved session, and its day over and posted."""
    prepared = committed(world)
    operator.run(world.exchange, world.operator, prepared.session, prepared.sealed)
    world.clock.advance_to(DAY_END)
    entries = settle_entries({signer.address: (2_000, -3_000, 10, 0) for signer in PROSUMERS})
    signed = world.sign_posting(entries, per_part=1)
    settler.post(world.exchange, world.node, signed)
    return signed


ALL_STEPS = ["settle"] * 4 + ["certify"] * 4


@pytest.mark.parametrize("done", range(0, 9, 2))
def test_a_settler_goes_on_after_any_step(turned_back: World, done: int) -> None:
    world = turned_back
    signed = posted(world)
    partial(world, signed, done)
    rest = settler.run(world.exchange, world.node, signed)
    assert names(rest.steps) == ALL_STEPS[done:]
    assert world.exchange.run(0, DAY).stage is RunStage.CERTIFIED
    assert settler.run(world.exchange, world.node, signed).steps == ()


def partial(world: World, signed: SignedPosting, steps: int) -> None:
    """The first steps of a run, by hand."""
    day = settler.DayRun(world.exchange, world.node, [signed])
    for _ in range(steps):
        day.send_next()


def test_a_posting_with_other_parts_is_told(turned_back: World) -> None:
    world = turned_back
    signed = posted(world)
    partial(world, signed, 2)
    entries = settle_entries({signer.address: (9, 9, 9, 9) for signer in PROSUMERS})
    other = world.sign_posting(entries, per_part=1)
    with pytest.raises(WrongProgress, match="other entries"):
        settler.run(world.exchange, world.node, replace(other, posting=signed.posting))
