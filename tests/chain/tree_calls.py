"""Dishonest calls: one call of an honest plan replaced by another, which both sides must refuse."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from tree_changes import (
    Change,
    Maker,
    a_bit_above,
    a_first_chunk_with,
    a_stale_carry,
    a_stranger_s,
    an_order_by,
    another_header,
    another_posting,
    bent_hash,
    beyond_the_cap,
    beyond_the_lanes,
    beyond_the_session,
    carry,
    energy_word,
    first_cell,
    first_order,
    first_signature,
    flags,
    has_carry,
    has_children,
    has_two,
    header_word,
    high_s,
    lengths,
    of_another_session,
    of_no_quality,
    once,
    proves,
    records,
    the_carry_of_another_zone,
    the_network_operator_s,
)
from tree_script import Call, Clear, Close, Commit, Hook, Join, Plan, Post

from settlement.reference import record
from settlement.reference.clearing import Header
from settlement.reference.closing import ClosedZone, net_words
from settlement.reference.words import word

# Children -----------------------------------------------------------------------------------------------


def children(change: Callable[[tuple[ClosedZone, ...]], tuple[ClosedZone, ...]]) -> Change:
    return lambda call: replace(call, children=change(call.children))


def first_child(**changes: Callable[[Any], Any]) -> Maker:
    def altered(call: Any) -> Call:
        first = call.children[0]
        other = replace(first, **{name: new(getattr(first, name)) for name, new in changes.items()})
        return replace(call, children=(other, *call.children[1:]))

    return once((Close, Join), altered, has_children)


def own_zone(**changes: Callable[[Any], Any]) -> Maker:
    def altered(call: Join) -> Call:
        return replace(
            call,
            own=replace(call.own, **{name: new(getattr(call.own, name)) for name, new in changes.items()}),
        )

    return once(Join, altered)


def plus(by: int) -> Callable[[int], int]:
    return lambda value: value + by


def first_plus(by: int) -> Callable[[tuple[int, ...]], tuple[int, ...]]:
    return lambda values: (values[0] + by, *values[1:])


def all_held(_: int) -> int:
    return 2**256 - 1


def flipped(value: int) -> int:
    return value ^ 1


def a_child_s_word_with_more_bits(call: Any) -> bytes:
    """A net of 64 bits, which a 256-bit word could have more of."""
    data = call.data()
    for net in net_words(call.children[0]):
        plain = word(net)
        if net and data.count(plain) == 1:
            return data.replace(plain, bytes([1]) + plain[1:], 1)
    plain = b"".join(map(word, net_words(call.children[0])))
    assert plain in data
    return data.replace(plain, bytes([1]) + plain[1:], 1)


def a_zone_again(_: random.Random, plan: Plan) -> Hook:
    """Closes a zone a second time before the next call."""
    last: list[Close] = []

    def hook(call: Call) -> Call | None:
        before = last[-1] if last else None
        if isinstance(call, Close):
            last.append(call)
        return before if before is not None and isinstance(call, Close | Join | Clear) else None

    return hook


def a_closed_zone_cleared(_: random.Random, __: Plan) -> Hook:
    last: list[Close] = []

    def hook(call: Call) -> Call | None:
        before = last[-1] if last else None
        if isinstance(call, Close):
            last.append(call)
        if before is None:
            return None
        return Clear(before.epoch, before.zone, before.header, before.posting, before.carry, (), b"")

    return hook


def the_root_at_once(_: random.Random, plan: Plan) -> Hook | None:
    """The root is closed before anything else is cleared, with children that were never closed."""
    if len(plan.zones) < 2:
        return None

    def hook(call: Call) -> Call | None:
        if isinstance(call, Clear | Close) and call.zone == len(plan.zones) - 1 and call.carry is None:
            below = len(plan.session.grid.children(0))
            market = plan.session.market
            nothing = ClosedZone(
                call.posting.energy, (0,) * market.cells, 2**256 - 1, (0,) * (market.qualities - 1)
            )
            root = plan.zones[0].posting
            flows = plan.flows
            return Close(call.epoch, 0, plan.header, root, None, (nothing,) * below, flows)
        return None

    return hook


def a_zone_joined_before_it_is_closed(_: random.Random, plan: Plan) -> Hook:
    def altered(call: Any) -> Call:
        market = plan.session.market
        nothing = ClosedZone(call.posting.energy, (0,) * market.cells, 0, (0,) * (market.qualities - 1))
        return Join(call.epoch, call.zone, nothing, (), Header(()), ())

    hook: Hook = once((Clear, Close), altered)(_, plan)  # type: ignore[assignment]
    return hook


def a_zone_beyond_the_grid(_: random.Random, plan: Plan) -> Hook:
    hook: Hook = once((Clear, Close), lambda call: replace(call, zone=len(plan.zones)))(_, plan)  # type: ignore[assignment]
    return hook


def one_too_many(call: Any) -> Call:
    return replace(call, children=(*call.children, call.children[-1], call.children[-1], call.children[-1]))


# In the wrong order -------------------------------------------------------------------------------------


def before(kind: type, build: Callable[[Plan, Any], Call]) -> Maker:
    """Another call before the first of a kind."""

    def make(_: random.Random, plan: Plan) -> Hook:
        hook: Hook = once(kind, lambda call: build(plan, call))(_, plan)  # type: ignore[assignment]
        return hook

    return make


def a_chunk(plan: Plan, call: Any) -> Call:
    return Clear(call.epoch, 0, plan.header, plan.zones[0].posting, None, ())


def a_close(plan: Plan, call: Any) -> Call:
    return Close(call.epoch, 0, plan.header, plan.zones[0].posting, None, (), ())


def the_header(plan: Plan, call: Any) -> Call:
    return Post(call.epoch, plan.header)


def the_books(plan: Plan, call: Any) -> Call:
    return Commit(call.epoch, plan.books)


def too_many_books(plan: Plan, call: Any) -> Call:
    return Commit(call.epoch, (*plan.books, plan.books[0]))


def too_many_orders(plan: Plan, call: Any) -> Call:
    return Commit(call.epoch, (replace(plan.books[0], count=2000),))


def flows_at(change: Callable[[tuple[int, ...]], tuple[int, ...]], which: Callable[[Any], bool]) -> Maker:
    return once((Close, Join), lambda call: replace(call, flows=change(call.flows)), which)


CALLS: dict[str, Maker] = {
    "the carried support": carry(support=flipped),
    "the carried count of submitted orders": carry(submitted=plus(1)),
    "a carried cell": carry(cells=first_cell),
    "a carried cell less": carry(cells=lambda cells: cells[:-1]),
    "the carried last hash": carry(last_hash=bent_hash),
    "the carried count": carry(frontier=lambda f: replace(f, count=f.count + 1)),
    "the carried tree": carry(frontier=lambda f: replace(f, words=(b"\x07" * 32, *f.words[1:]))),
    "support before the first chunk": a_first_chunk_with(support=3),
    "cells before the first chunk": a_first_chunk_with(),
    "the carry of the chunk before": a_stale_carry,
    "the carry of another zone": the_carry_of_another_zone,
    "a bit of a signature": first_signature(lambda s: bytes([s[0] ^ 1]) + s[1:]),
    "the other v": first_signature(lambda s: s[:64] + bytes([55 - s[64]])),
    "a high s": first_signature(high_s),
    "an order that was not submitted": first_order(submitted=True),
    "an unknown flag": flags(64),
    "another side": flags(record.SIDE_FLAG),
    "a schedule read as a flexible order": flags(record.FLEXIBLE_FLAG),
    "a record cut short": records(lambda data: data[:-1]),
    "a byte behind the records": records(lambda data: data + b"\x00"),
    "a stranger's order": an_order_by(a_stranger_s),
    "the network operator's order": an_order_by(the_network_operator_s),
    "an order of another session": an_order_by(of_another_session),
    "a limit beyond the cap": an_order_by(beyond_the_cap),
    "a window beyond the session": an_order_by(beyond_the_session),
    "a quantity beyond the lanes": an_order_by(beyond_the_lanes),
    "a quality that the grid has not": an_order_by(of_no_quality),
    "another header": once((Clear, Close), another_header, lambda call: len(call.header.qualities) > 0),
    "another posting than the chunk before": once((Clear, Close), another_posting, has_carry),
    "a header too short": once(
        Post,
        lambda call: replace(call, header=Header(call.header.qualities[:-1])),
        lambda call: len(call.header.qualities) > 0,
    ),
    "energy too long": lengths("energy", lambda energy: (*energy, energy[0])),
    "marginals too short": lengths("marginals", lambda marginals: marginals[:-1]),
    "a bit above a quality's potential": once(
        Post, a_bit_above(header_word), lambda call: len(call.header.qualities) > 0
    ),
    "a bit above an energy potential": once(
        (Clear, Close), a_bit_above(energy_word), lambda call: call.carry is None
    ),
    "the header again": before(Clear, the_header),
    "the header before the books": before(Commit, the_header),
    "a chunk before the header": before(Post, a_chunk),
    "a close before the header": before(Post, a_close),
    "the books again": before(Post, the_books),
    "a book too many": before(Commit, too_many_books),
    "books too large": before(Commit, too_many_orders),
    "children swapped": once((Close, Join), children(lambda c: (c[1], c[0], *c[2:])), has_two),
    "a child left out": once((Close, Join), children(lambda c: c[1:]), has_two),
    "a child twice": once((Close, Join), children(lambda c: (c[0], c[0], *c[1:])), has_children),
    "a child too many": once((Close, Join), one_too_many, has_children),
    "a child's nets": first_child(nets=first_plus(1)),
    "a child's rent": first_child(rent_nano=plus(1)),
    "a child's support": first_child(energy_support=all_held),
    "a child's potentials": first_child(energy=lambda e: (replace(e[0], lo=e[0].lo - 1), *e[1:])),
    "a child's count of joined": first_child(joined=plus(1)),
    "a child's quality support": once(
        (Close, Join),
        lambda call: replace(
            call,
            children=(
                replace(call.children[0], quality_support=(*call.children[0].quality_support, 1)),
                *call.children[1:],
            ),
        ),
        has_children,
    ),
    "a child's word with more bits": once((Close, Join), a_child_s_word_with_more_bits, has_children),
    "the joining zone's rent": own_zone(rent_nano=plus(1)),
    "the joining zone's nets": own_zone(nets=first_plus(-1)),
    "the joining zone's count of joined": own_zone(joined=plus(-1)),
    "the joining zone's support": own_zone(energy_support=all_held),
    "a zone closed again": a_zone_again,
    "a closed zone cleared": a_closed_zone_cleared,
    "the root closed at once": the_root_at_once,
    "a zone joined before it is closed": a_zone_joined_before_it_is_closed,
    "a zone beyond the grid": a_zone_beyond_the_grid,
    "flows where nothing is proved": flows_at(lambda _: (1,), lambda call: call.zone != 0),
    "a flow less than there are": flows_at(lambda flows: flows[:-1], proves),
    "no flows where it is proved": flows_at(lambda _: (), proves),
}
