"""What tests of refusals share: a book of one trade a window, and a transaction that must change nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest
from chain_world import (
    PROSUMERS,
    World,
    make_schedule,
    remember,
)

from settlement.chain import abi, operator
from settlement.chain.books import SealedBook, Session, ZoneBook
from settlement.chain.client import MOST_GAS
from settlement.chain.errors import ContractRevert
from settlement.chain.prepared import Prepared
from settlement.chain.rpc import to_hex
from settlement.chain.sign import Signer
from settlement.reference import orders, schedule
from settlement.reference.clearing import Carry, ZonePosting
from settlement.reference.orders import SignedOrder
from settlement.reference.schedule import SELL, Schedule, SignedSchedule

BUYER, SELLER = PROSUMERS[2], PROSUMERS[0]


def storage(world: World) -> str:
    """A hash of everything the Exchange stores."""
    proof = world.chain.rpc("eth_getProof", to_hex(world.exchange.address), [], "latest")
    return str(proof["storageHash"])


def refused(world: World, signer: Signer, data: bytes) -> ContractRevert:
    """The error of a transaction that must fail and change nothing."""
    before = storage(world), world.token.balance(world.exchange.address)
    with pytest.raises(ContractRevert) as caught:
        world.exchange.send_data(signer, data, gas=MOST_GAS)
    assert (storage(world), world.token.balance(world.exchange.address)) == before
    return caught.value


# One trade a window: a price from 100,000 to 200,000 is optimal, 150,000 is the rule's -------------------


def buy(session: Session, **changes: object) -> Schedule:
    fixed = {"quantity_wh": (1000,) * 4, "limit_micro_per_kwh": (200_000,) * 4, "nonce": 7}
    return make_schedule(session, BUYER.address, **(fixed | changes))


def sell(session: Session, **changes: object) -> Schedule:
    fixed = {"quantity_wh": (1000,) * 4, "limit_micro_per_kwh": (100_000,) * 4, "side": SELL, "nonce": 8}
    return make_schedule(session, SELLER.address, **(fixed | changes))


def honest(world: World, extra: Sequence[SignedSchedule] = ()) -> Prepared:
    """A committed book of one buyer and one seller, and `extra`."""
    session = world.open_session()
    orders = [world.sign(buy(session)), world.sign(sell(session)), *extra]
    remember(world, orders)
    return world.commit(session, orders)[1]


def order_hash(world: World, order: Schedule) -> bytes:
    return orders.order_hash(world.exchange.separator, order)


def clear_data(prepared: Prepared, records: bytes, carry: Carry | None = None) -> bytes:
    posted = abi.posted_tuple(prepared.header, prepared.root.posting)
    return abi.clear(prepared.session.epoch, 0, posted, abi.carry_tuple(carry), records)


def try_records(world: World, prepared: Prepared, records: bytes) -> ContractRevert:
    operator.post_header(world.exchange, world.operator, prepared)
    return refused(world, world.operator, clear_data(prepared, records))


def try_order(world: World, build: Callable[[Session], SignedSchedule]) -> tuple[ContractRevert, bytes]:
    """A single order's refusal, and its hash."""
    prepared = honest(world)
    order = build(prepared.session)
    error = try_records(world, prepared, schedule.encode(order))
    return error, order_hash(world, order.schedule)


def with_posting(prepared: Prepared, posting: ZonePosting) -> Prepared:
    """The same but for what is posted for the root."""
    root = replace(prepared.root, posting=posting)
    return replace(prepared, zones=(root, *prepared.zones[1:]))


def of_zone(orders: Sequence[SignedOrder], hashes: Sequence[bytes]) -> SealedBook:
    """The book of a session of one zone."""
    return SealedBook((ZoneBook(tuple(orders), tuple(hashes)),))
