"""What an operator sends for a session over a tree, call by call, to the chain and to the reference alike.

A `Plan` is all that is posted; `script` turns it into calls, each made of what the ones before left. `Pair`
makes every call on both sides and insists on one answer: the same result, or the same error.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from tree_chain import TreeChain, tree_world, world

from settlement.chain import abi
from settlement.chain.books import Session
from settlement.chain.calldata import arguments, function_of, header
from settlement.chain.client import MOST_GAS
from settlement.chain.errors import ContractRevert
from settlement.chain.prepared import Prepared, PreparedZone
from settlement.reference.clearing import Carry, Header, ZonePosting
from settlement.reference.closing import ClosedZone, Commitment
from settlement.reference.errors import Refused
from settlement.reference.exchange import Exchange, Stage
from settlement.reference.orders import SignedOrder, encode, encode_all

CHUNK, BATCH = 5, 2


@dataclass(frozen=True)
class Plan:
    """All that an operator brings for a session."""

    session: Session
    books: tuple[Commitment, ...]
    header: Header
    zones: tuple[PreparedZone, ...]
    flows: tuple[int, ...]
    separator: bytes
    """The EIP-712 domain separator that orders are signed under."""
    childless: int | None = None
    """A zone that no child is joined to."""

    def with_posting(self, zone: int, **changes: Any) -> Plan:
        own = self.zones[zone]
        return self.with_zone(replace(own, posting=replace(own.posting, **changes)))

    def with_zone(self, own: PreparedZone) -> Plan:
        return replace(self, zones=(*self.zones[: own.zone], own, *self.zones[own.zone + 1 :]))


def plan_of(ready: Prepared, separator: bytes) -> Plan:
    books = ready.sealed.commitments
    return Plan(ready.session, books, ready.header, ready.zones, ready.flows, separator)


# Calls --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Commit:
    epoch: int
    books: tuple[Commitment, ...]

    def data(self) -> bytes:
        return abi.commit_books(self.epoch, self.books)


@dataclass(frozen=True)
class Post:
    epoch: int
    header: Header

    def data(self) -> bytes:
        return abi.post_header(self.epoch, self.header)


@dataclass(frozen=True)
class Clear:
    epoch: int
    zone: int
    header: Header
    posting: ZonePosting
    carry: Carry | None
    orders: tuple[SignedOrder, ...]
    records: bytes | None = None
    """Instead of the orders' own."""

    def data(self) -> bytes:
        posted = abi.posted_tuple(self.header, self.posting)
        records = encode_all(self.orders) if self.records is None else self.records
        return abi.clear(self.epoch, self.zone, posted, abi.carry_tuple(self.carry), records)


@dataclass(frozen=True)
class Close:
    epoch: int
    zone: int
    header: Header
    posting: ZonePosting
    carry: Carry | None
    children: tuple[ClosedZone, ...]
    flows: tuple[int, ...]

    def data(self) -> bytes:
        posted = abi.posted_tuple(self.header, self.posting)
        brought = abi.carry_tuple(self.carry)
        return abi.close_zone(self.epoch, self.zone, posted, brought, self.children, self.flows)


@dataclass(frozen=True)
class Join:
    epoch: int
    zone: int
    own: ClosedZone
    children: tuple[ClosedZone, ...]
    header: Header
    flows: tuple[int, ...]

    def data(self) -> bytes:
        return abi.join_children(self.epoch, self.zone, self.own, self.children, self.header, self.flows)


Call = Commit | Post | Clear | Close | Join
Hook = Callable[[Call], "Call | bytes | None"]
"""What is sent first in a call's place; None leaves it alone."""


def script(plan: Plan) -> Generator[Call, Any, None]:
    """The calls of a plan; each answer is sent back in."""
    epoch, grid = plan.session.epoch, plan.session.grid
    for at in range(0, len(plan.books), BATCH):
        yield Commit(epoch, plan.books[at : at + BATCH])
    yield Post(epoch, plan.header)
    closed: dict[int, ClosedZone] = {}
    for zone in reversed(range(grid.zones)):
        own, carry = plan.zones[zone], None
        for at in range(0, len(own.orders), CHUNK):
            carry = yield Clear(epoch, zone, plan.header, own.posting, carry, own.orders[at : at + CHUNK])
        below = range(0) if zone == plan.childless else grid.children(zone)
        cuts = [below[at : at + BATCH] for at in range(0, len(below), BATCH)] or [range(0)]
        for number, cut in enumerate(cuts, start=1):
            proves = zone == 0 and number == len(cuts)
            children, flows = tuple(closed[child] for child in cut), plan.flows if proves else ()
            if number == 1:
                call: Call = Close(epoch, zone, plan.header, own.posting, carry, children, flows)
            else:
                brought = plan.header if proves else Header(())
                call = Join(epoch, zone, closed[zone], children, brought, flows)
            closed[zone] = yield call


# Both sides ---------------------------------------------------------------------------------------------


class Twin:
    """The reference, answering to calldata."""

    def __init__(self, exchange: Exchange) -> None:
        self.exchange = exchange

    def call(self, data: bytes) -> Any:
        entry = function_of(data)
        assert entry is not None
        epoch, *values = arguments(entry, data)
        return getattr(self, entry.name)(self.exchange.state.epochs[epoch - 1], *values)

    def commitBooks(self, id_: bytes, counts: Any, roots: Any) -> None:
        self.exchange.commit_books(world.GATE, id_, counts, roots)

    def postHeader(self, id_: bytes, words: Any) -> None:
        self.exchange.post_header(world.GATE, id_, header(words))

    def clear(self, id_: bytes, zone: int, posted: Any, carry: Carry | None, records: bytes) -> Carry:
        return self.exchange.clear(world.GATE, id_, zone, *posted, carry, records)

    def closeZone(
        self, id_: bytes, zone: int, posted: Any, carry: Carry | None, children: Any, flows: Any
    ) -> ClosedZone:
        return self.exchange.close_zone(world.GATE, id_, zone, *posted, carry, children, flows)

    def joinChildren(
        self, id_: bytes, zone: int, own: ClosedZone, children: Any, words: Any, flows: Any
    ) -> ClosedZone:
        return self.exchange.join_children(world.GATE, id_, zone, own, children, header(words), flows)


@dataclass
class Pair:
    """A chain and a reference in the same state."""

    trees: TreeChain
    twin: Twin
    session: Session

    def both(self, data: bytes) -> tuple[Any, str]:
        """What the reference answers, or by which name both refuse."""
        before, answer, expected = self.twin.exchange.state.copy(), None, ""
        try:
            answer = self.twin.call(data)
        except Refused as refusal:
            expected = type(refusal).__name__
            assert self.twin.exchange.state == before
        found = self.on_chain(data)
        assert found == expected, f"the chain: {found or 'accepted'}, the reference: {expected or 'accepted'}"
        return answer, expected

    def on_chain(self, data: bytes) -> str:
        """Sends it, refused or not: the name of the chain's error."""
        try:
            self.trees.exchange.send_data(self.trees.operator, data, gas=MOST_GAS)
        except ContractRevert as revert:
            return revert.name
        return ""

    def proved(self) -> bool:
        return self.twin.exchange.stage(world.GATE, self.session.id) is Stage.PROVED

    def cash(self) -> dict[bytes, Any]:
        """Everyone's, the same on both sides."""
        members = list(self.twin.exchange.state.members)
        found = {a: one.cash for a, one in self.trees.exchange.accounts(members).items()}
        now = self.trees.chain.now()
        assert found == {a: self.twin.exchange.cash(now, a) for a in members}
        return found


ACCEPTED = "accepted"


def drive(pair: Pair, plan: Plan, hook: Hook = lambda _: None) -> str:
    """Sends a plan, with the hook's calls before those they replace. The name of the first refusal, if any;
    ACCEPTED if one of the hook's was not refused.

    What is refused in a call's place must have changed nothing: the call itself then goes through. A plan
    that is refused itself ends there.
    """
    calls, answer, refused = script(plan), None, ""
    try:
        while True:
            call = calls.send(answer)
            instead = hook(call)
            if instead is not None:
                data = instead if isinstance(instead, bytes) else instead.data()
                answer, name = pair.both(data)
                if not name:
                    return ACCEPTED
                refused = refused or name
            answer, name = pair.both(call.data())
            if name:
                return refused or name
    except StopIteration:
        return refused


# A session to begin with --------------------------------------------------------------------------------


def open_pair(trees: TreeChain, dice: random.Random, zones: int, count: int) -> tuple[Pair, Plan]:
    """A session at its gate on both sides, and what an honest operator brings."""
    grid, place = tree_world.draw_grid(dice, zones), (trees.chain.chain_id, trees.exchange.address)
    trees.open_day(grid)
    model = tree_world.make_exchange(grid, world.WINDOWS, trees.deposit, place)
    session = trees.open_session()
    assert tree_world.open_session(model, grid).id == session.id
    orders = trees.submit_some(session, trees.draw_book(dice, session, count), most=4)
    for order in orders:
        if order.submitted:
            model.submit(tree_world.OPENING, session.id, order.schedule.zone, encode(order))
    trees.clock.advance_to(world.GATE)
    pair = Pair(trees, Twin(model), session)
    return pair, plan_of(tree_world.prepare(model, session, orders), model.separator)


def replaced(values: Sequence[Any], at: int, value: Any) -> tuple[Any, ...]:
    return (*values[:at], value, *values[at + 1 :])
