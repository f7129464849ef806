"""Session keys of all states: granted, replaced, revoked and expired, within and beyond their scopes."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

from chain_world import MEMBERS, SIGNERS, TRADERS, World, key

from settlement.chain.sign import sign_message, sign_schedule
from settlement.reference.messages import KeyGrant, KeyRevocation
from settlement.reference.record import NO_ADDRESS
from settlement.reference.schedule import Schedule, SignedSchedule
from settlement.units import WH_LIMIT

AGENTS = [key(300 + number) for number in range(3)]

KINDS = (1, 1, 15, 14, 0, 16)
MOST_WH = (700, 3_000, 12_000, WH_LIMIT, 0)
MOST_SPEND = (0, 150_000 * 700, 10**9, 10**12, 2**96)
EXPIRIES = (-1, 0, 10_000, 10**7, -(10**6), 2**40)
"""Seconds behind the gate; the last two make no sense."""

Both = Callable[[World, Any, Any], None]
"""Does the same on chain and in the model, where both must refuse alike."""


def draw_keys(world: World, rng: Random, both: Both, gate: int, deadline: int) -> None:
    """A few grants and revocations, many of which make no sense."""
    for _ in range(rng.randint(0, 6)):
        account = rng.choice(TRADERS)
        if rng.random() < 0.25:
            revoke(world, rng, both, account, deadline)
        else:
            grant(world, rng, both, account, gate, deadline)


def grant(world: World, rng: Random, both: Both, account: bytes, gate: int, deadline: int) -> None:
    agents = [agent.address for agent in AGENTS]
    message = KeyGrant(
        account=account,
        key=rng.choice([*agents, *agents, account, NO_ADDRESS]),
        zone=MEMBERS[account].zone if rng.random() < 0.9 else 7,
        kinds=rng.choice(KINDS[: 3 if rng.random() < 0.8 else None]),
        max_wh_per_window=rng.choice(MOST_WH[: 4 if rng.random() < 0.9 else None]),
        max_spend_nano_per_day=rng.choice(MOST_SPEND[: 4 if rng.random() < 0.9 else None]),
        expiry=gate + rng.choice(EXPIRIES[: 4 if rng.random() < 0.9 else None]),
        nonce=world.model.state.nonces.get(account, 0),
        deadline=deadline,
    )
    signature = sign_message(SIGNERS[account], world.exchange.separator, message)
    both(
        world,
        lambda: world.exchange.send(
            world.operator, "relayKeyGrant", tuple(vars(message).values()), signature
        ),
        lambda now: world.model.grant_key_signed(now, message, signature),
    )


def revoke(world: World, rng: Random, both: Both, account: bytes, deadline: int) -> None:
    nonce = world.model.state.nonces.get(account, 0)
    message = KeyRevocation(account, rng.choice(AGENTS).address, nonce, deadline)
    signature = sign_message(SIGNERS[account], world.exchange.separator, message)
    both(
        world,
        lambda: world.exchange.send(
            world.operator, "relayKeyRevocation", tuple(vars(message).values()), signature
        ),
        lambda now: world.model.revoke_key_signed(now, message, signature),
    )


def sign_by_some(world: World, rng: Random, order: Schedule) -> SignedSchedule:
    """The order, signed by its trader or, two times in five, by an agent: one that may, if there is one."""
    if rng.random() < 0.6:
        return world.sign(order)
    granted = [one for one in AGENTS if (order.trader, one.address) in world.model.state.keys]
    return sign_schedule(rng.choice(granted or AGENTS), world.exchange.separator, order)
