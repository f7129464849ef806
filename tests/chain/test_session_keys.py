"""An agent trades for a home by a session key: taken in, sealed, cleared, claimed and audited."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from audit_world import audited, counts
from chain_world import GATE, STRANGER, World, key, running_world
from claims_world import (
    ANYTHING,
    BUYER,
    SELLER,
    Bonded,
    fund_operator,
    make_intake,
    member_of,
    open_bonded,
)

from settlement.chain import claims, operator
from settlement.chain.errors import UnacceptableOrder
from settlement.chain.events import events_of
from settlement.chain.key_events import KeyGranted, KeyRevoked
from settlement.chain.receipts import keep
from settlement.reference.schedule import SELL
from settlement.reference.session_key import NO_KEYS

AGENT, OTHER = key(500), key(501)


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with running_world() as found:
        fund_operator(found)
        yield found


@pytest.fixture
def bonded(world: World) -> Iterator[Bonded]:
    with world.turned_back():
        yield open_bonded(world)


def test_an_agent_s_order_fills_for_its_account_and_the_audit_follows(bonded: Bonded) -> None:
    world = bonded.world
    bonded.grant(BUYER, AGENT)
    bonded.grant(BUYER, OTHER)
    bonded.revoke(BUYER, OTHER)
    bought = bonded.order(BUYER)
    agents = bonded.by(AGENT, bought)
    ended = bonded.by(OTHER, bought, nonce=2)
    bonded.prove(bonded.order(SELLER, side=SELL), agents, ended)
    told = [event for event in events_of(world.exchange) if isinstance(event, KeyGranted | KeyRevoked)]
    granted = KeyGranted(BUYER.address, AGENT.address, 0, *vars(ANYTHING).values())
    assert told == [
        granted,
        replace(granted, key=OTHER.address),
        KeyRevoked(BUYER.address, OTHER.address),
    ]
    bonded.assert_same()
    found = audited(world)
    assert found.ok
    assert counts(found)["session keys"] == 2
    assert counts(found)["ineligible"] == 1


def test_an_order_of_an_agent_that_was_left_out_is_paid_to_its_account(bonded: Bonded) -> None:
    world = bonded.world
    bonded.grant(BUYER, AGENT)
    agents = bonded.by(AGENT, bonded.order(BUYER))
    kept = keep(agents, bonded.receipt_of(agents))
    bonded.prove(bonded.order(SELLER, side=SELL))
    bonded.revoke(BUYER, AGENT)
    claims.claim(world.exchange, STRANGER, bonded.session, kept)
    world.model.claim_omission(
        world.now(), bonded.session.id, 0, kept.record, kept.receipt, bonded.absence(agents)
    )
    cancel, hash_ = bonded.cancel(agents, AGENT), bonded.hash(agents)
    assert bonded.both("defend_cancelled", hash_, 0, b"", cancel) == "WrongSigner"
    assert bonded.both("defend_cancelled", hash_, 0, bonded.record(agents), cancel) == ""
    bonded.assert_same()
    assert audited(world).ok


def test_the_intake_takes_what_an_agent_may_sign(bonded: Bonded) -> None:
    world, intake, now = bonded.world, make_intake(bonded), GATE - 100
    scope = replace(ANYTHING, max_wh=1500)
    bonded.grant(BUYER, AGENT, scope)
    bonded.grant(BUYER, OTHER, replace(scope, expiry=GATE - 1))
    ring = world.exchange.session_keys([(BUYER.address, one.address) for one in (AGENT, OTHER)])
    own = bonded.order(BUYER, nonce=9)
    agents = bonded.by(AGENT, bonded.order(BUYER))
    member = member_of(world, own)

    def refused(match: str, order, given=ring) -> None:
        with pytest.raises(UnacceptableOrder, match=match):
            intake.take(now, order, member, given)

    intake.take(now, own, member)
    refused("nor a session key of it signed it", agents, NO_KEYS)
    refused("expires before the gate", bonded.by(OTHER, own))
    refused("beyond the scope", bonded.by(AGENT, own, quantity_wh=(1501,)))
    refused("did not sign the order it replaces", bonded.by(AGENT, bonded.replacing(own)))
    receipt = intake.take(now, agents, member, ring)
    assert intake.take(now, agents, member, ring) == receipt
    with pytest.raises(UnacceptableOrder, match="another account"):
        intake.cancel(now, bonded.hash(own), bonded.cancel(own, AGENT))
    again = bonded.by(AGENT, bonded.replacing(agents))
    intake.take(now, again, member, ring)
    intake.cancel(now, bonded.hash(again), bonded.cancel(again, AGENT))
    assert [bonded.hash(one) for one in intake.book()] == [bonded.hash(own)]


def test_an_order_of_a_key_never_granted_is_not_sealed(bonded: Bonded) -> None:
    agents = bonded.by(AGENT, bonded.order(BUYER))
    with pytest.raises(UnacceptableOrder, match="nor a session key of it signed it") as refusal:
        operator.seal(bonded.world.exchange, bonded.session, [agents])
    assert refusal.value.order_hash == bonded.hash(agents)
