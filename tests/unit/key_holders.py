"""Agents that sign for the accounts of a random day, with session keys of all states."""

from __future__ import annotations

import random
from contextlib import suppress
from dataclasses import replace

import reference_world as world
import tree_world
from reference_world import DAY_END

from settlement.chain.books import Session
from settlement.reference.errors import Refused
from settlement.reference.exchange import Exchange
from settlement.reference.orders import Order, SignedOrder
from settlement.reference.record import NO_ADDRESS
from settlement.reference.session_key import Scope

AGENTS = {world.address_of(key): key for key in (world.key_of(5000 + number) for number in range(3))}
UNLIMITED = Scope(kinds=15, max_wh=2**32 - 1, max_spend=2**96 - 1, expiry=2**40 - 1)


def draw_keys(dice: random.Random, exchange: Exchange, session: Session) -> None:
    """Before the gate some accounts grant a key, or change or end one."""
    now = session.params.gate - 100
    for account in sorted(exchange.state.members):
        if dice.random() < 0.5:
            continue
        agent = dice.choice(list(AGENTS))
        with suppress(Refused):
            if dice.random() < 0.15:
                exchange.revoke_key(now, account, agent)
            else:
                zone = exchange.state.members[account].zone
                exchange.grant_key(now, account, agent, zone, draw_scope(dice, session))


def draw_scope(dice: random.Random, session: Session) -> Scope:
    """Half of the time nothing is beyond it."""
    if dice.random() < 0.5:
        return UNLIMITED
    return Scope(
        kinds=dice.choice((1, 1, 15, 14)),
        max_wh=dice.choice((1, 1000, 5000, 10**6)),
        max_spend=dice.choice((0, 10**6, 10**8, 10**10)),
        expiry=session.params.gate + dice.choice((-1, 0, 1, DAY_END)),
    )


def sign_by_some(dice: random.Random, exchange: Exchange, order: Order) -> SignedOrder:
    """One in three by an agent: one that its trader granted, if there is one; few of those donate."""
    separator = exchange.separator
    if dice.random() < 0.67:
        return tree_world.sign(separator, order)
    if dice.random() < 0.7:
        order = replace(order, beneficiary=NO_ADDRESS)
    granted = [key for at, key in AGENTS.items() if (order.trader, at) in exchange.state.keys]
    return tree_world.sign(separator, order, dice.choice(granted or [*AGENTS.values()]))
