"""Ways to change one call of an honest plan: what it carries, its orders, what it posts."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from tree_chain import tree_world, world
from tree_script import Call, Clear, Close, Hook, Plan, Post, replaced

from settlement.reference.clearing import Carry, Header, header_words, initial_carry, zone_words
from settlement.reference.eip712 import CURVE_ORDER
from settlement.reference.orders import encode_all
from settlement.reference.words import word

Maker = Callable[[random.Random, Plan], Hook | None]
Change = Callable[[Any], "Call | bytes | None"]


def once(
    kind: type | tuple[type, ...], change: Change, which: Callable[[Any], bool] = lambda _: True
) -> Maker:
    """Instead of the first call of a kind that fits, another one."""

    def make(_: random.Random, __: Plan) -> Hook:
        done = False

        def hook(call: Call) -> Call | bytes | None:
            nonlocal done
            if done or not isinstance(call, kind) or not which(call):
                return None
            other = change(call)
            done = other is not None
            return other

        return hook

    return make


def has_carry(call: Any) -> bool:
    return call.carry is not None


def has_children(call: Any) -> bool:
    return len(call.children) > 0


def has_two(call: Any) -> bool:
    return len(call.children) > 1


def has_orders(call: Any) -> bool:
    return len(call.orders) > 0


def proves(call: Any) -> bool:
    return call.zone == 0 and len(call.flows) > 0


# What is carried ----------------------------------------------------------------------------------------


def carry(**changes: Callable[[Any], Any]) -> Maker:
    """One word of what is carried into a chunk or a close."""

    def change(call: Clear | Close) -> Call:
        assert call.carry is not None
        other = {name: new(getattr(call.carry, name)) for name, new in changes.items()}
        return replace(call, carry=replace(call.carry, **other))

    return once((Clear, Close), change, has_carry)


def first_cell(cells: tuple[Any, ...]) -> tuple[Any, ...]:
    return (replace(cells[0], net=cells[0].net + 1), *cells[1:])


def bent_hash(value: bytes) -> bytes:
    return bytes([value[0] ^ 1]) + value[1:]


def a_first_chunk_with(**changes: Any) -> Maker:
    """Something brought to a first chunk, which starts from nothing."""

    def make(_: random.Random, plan: Plan) -> Hook | None:
        start = replace(initial_carry(plan.session.market), **changes)
        return once(Clear, lambda call: replace(call, carry=start), lambda call: call.carry is None)(_, plan)

    return make


def a_stale_carry(_: random.Random, __: Plan) -> Hook:
    """What the chunk before brought, not what it left."""
    last: dict[int, Carry | None] = {}

    def hook(call: Call) -> Call | None:
        if isinstance(call, Clear):
            before = last.get(call.zone)
            last[call.zone] = call.carry
            return replace(call, carry=before) if before is not None else None
        if isinstance(call, Close) and call.zone in last and last[call.zone] is not None:
            return replace(call, carry=last[call.zone])
        return None

    return hook


def the_carry_of_another_zone(_: random.Random, __: Plan) -> Hook:
    last: list[tuple[int, Carry]] = []

    def hook(call: Call) -> Call | None:
        if isinstance(call, Close) and call.carry is not None:
            others = [one for zone, one in last if zone != call.zone]
            last.append((call.zone, call.carry))
            return replace(call, carry=others[-1]) if others else None
        return None

    return hook


# Orders -------------------------------------------------------------------------------------------------


def first_signature(change: Callable[[bytes], bytes]) -> Maker:
    def altered(call: Clear) -> Call:
        first = call.orders[0]
        other = replace(first, signature=change(first.signature))
        return replace(call, orders=(other, *call.orders[1:]))

    return once(Clear, altered, has_orders)


def high_s(signature: bytes) -> bytes:
    s, v = int.from_bytes(signature[32:64], "big"), signature[64]
    return signature[:32] + (CURVE_ORDER - s).to_bytes(32, "big") + bytes([55 - v])


def first_order(**changes: Any) -> Maker:
    def altered(call: Clear) -> Call:
        return replace(call, orders=(replace(call.orders[0], **changes), *call.orders[1:]))

    return once(Clear, altered, has_orders)


def flags(bits: int) -> Maker:
    """Flags of the first record that it does not have."""

    def altered(call: Clear) -> Call | None:
        records = bytearray(encode_all(call.orders))
        if records[20] & bits:
            return None
        records[20] |= bits
        return replace(call, records=bytes(records))

    return once(Clear, altered, has_orders)


def records(change: Callable[[bytes], bytes]) -> Maker:
    def altered(call: Clear) -> Call:
        return replace(call, records=change(encode_all(call.orders)))

    return once(Clear, altered, has_orders)


def an_order_by(build: Callable[[Plan, Any], Any]) -> Maker:
    """A record in front of the others that nobody committed to."""

    def make(_: random.Random, plan: Plan) -> Hook:
        def altered(call: Clear) -> Call:
            return replace(call, orders=(build(plan, call),))

        return once(Clear, altered)(_, plan)

    return make


def order_of(plan: Plan, call: Any, trader: bytes, **changes: Any) -> Any:
    order = world.make_schedule(plan.session.id, trader, zone=call.zone, **changes)
    return tree_world.sign(plan.separator, order, tree_world.KEYS.get(trader, world.ORACLES[0]))


def a_stranger_s(plan: Plan, call: Any) -> Any:
    return order_of(plan, call, world.address_of(world.ORACLES[0]))


def the_network_operator_s(plan: Plan, call: Any) -> Any:
    return order_of(plan, call, tree_world.NETWORK_ADDRESS)


def of_another_session(plan: Plan, call: Any) -> Any:
    trader = tree_world.home(call.zone, 0)
    elsewhere = world.make_schedule(bytes(31) + b"\x01", trader, zone=call.zone)
    signed = tree_world.sign(plan.separator, elsewhere)
    return replace(signed, schedule=replace(elsewhere, session=plan.session.id))


def beyond_the_cap(plan: Plan, call: Any) -> Any:
    return order_of(plan, call, tree_world.home(call.zone, 0), limit_micro_per_kwh=(6_000_001,))


def beyond_the_session(plan: Plan, call: Any) -> Any:
    return order_of(plan, call, tree_world.home(call.zone, 0), first_window=world.DAY + world.WINDOWS)


def beyond_the_lanes(plan: Plan, call: Any) -> Any:
    return order_of(plan, call, tree_world.home(call.zone, 0), quantity_wh=(2**16,))


def of_no_quality(plan: Plan, call: Any) -> Any:
    return order_of(plan, call, tree_world.home(call.zone, 0), quality=9)


# What is posted -----------------------------------------------------------------------------------------


def another_header(call: Any) -> Call:
    first, *rest = call.header.qualities
    return replace(call, header=Header((replace(first, rank_lo=first.rank_lo + 1), *rest)))


def another_posting(call: Any) -> Call:
    energy = call.posting.energy
    other = replace(energy[0], rank_lo=energy[0].rank_lo + 1)
    return replace(call, posting=replace(call.posting, energy=replaced(energy, 0, other)))


def lengths(name: str, change: Callable[[Any], Any]) -> Maker:
    def altered(call: Any) -> Call:
        return replace(call, posting=replace(call.posting, **{name: change(getattr(call.posting, name))}))

    return once((Clear, Close), altered)


def a_bit_above(value: Callable[[Any], int]) -> Change:
    """Sets a bit that a word must not have, in the calldata."""

    def change(call: Any) -> bytes:
        data, plain = call.data(), word(value(call))
        assert plain in data
        return data.replace(plain, bytes([1]) + plain[1:], 1)

    return change


def header_word(call: Post) -> int:
    return header_words(call.header)[0]


def energy_word(call: Any) -> int:
    return zone_words(call.posting)[0][0]
