"""Postings that are not the rule's: each is refused by name, and leaves the storage as it was."""

from __future__ import annotations

from dataclasses import replace

import pytest
from chain_world import (
    PROSUMERS,
    World,
    make_schedule,
)
from refusals import (
    buy,
    clear_data,
    honest,
    of_zone,
    refused,
    sell,
    with_posting,
)

from settlement.chain import abi, closer, operator
from settlement.chain.client import MOST_GAS
from settlement.chain.errors import ContractRevert
from settlement.chain.prepared import Prepared, prepare
from settlement.reference import clearing
from settlement.reference.clearing import Carry
from settlement.reference.orders import encode_all

# Prices -------------------------------------------------------------------------------------------------


def try_to_prove(world: World, prepared: Prepared) -> ContractRevert:
    """Where a dishonest posting ends: at its header, its orders or its close."""
    data = abi.post_header(prepared.session.epoch, prepared.header)
    records = encode_all(prepared.sealed.orders)
    if (error := fails(world, data)) or (error := fails(world, clear_data(prepared, records))):
        return error
    carry = carry_of(prepared)
    return refused(world, world.operator, closer.close_data(prepared, carry))


def fails(world: World, data: bytes) -> ContractRevert | None:
    try:
        world.exchange.send_data(world.operator, data, gas=MOST_GAS)
    except ContractRevert:
        return refused(world, world.operator, data)
    return None


def carry_of(prepared: Prepared) -> Carry:
    """The carry under a dishonest posting, whose fills are not the matcher's."""
    carry = clearing.initial_carry(prepared.session.market)
    for hash_, order in zip(prepared.sealed.hashes, prepared.sealed.orders, strict=True):
        args = (prepared.session.market, prepared.header, prepared.root.posting)
        carry = clearing.read_hash(carry, hash_)
        carry, _ = clearing.fill_order(*args, carry, hash_, order)
    return carry


def with_energy(prepared: Prepared, **changes: int) -> Prepared:
    first, *rest = prepared.root.posting.energy
    energy = (replace(first, **changes), *rest)
    return with_posting(prepared, replace(prepared.root.posting, energy=energy))


def with_marginal(prepared: Prepared, name: str, by: int) -> Prepared:
    """The buys' M or R of the first cell changed."""
    first, *rest = prepared.root.posting.marginals
    buys, sells = getattr(first, name)
    marginals = (replace(first, **{name: (buys + by, sells)}), *rest)
    return with_posting(prepared, replace(prepared.root.posting, marginals=marginals))


def at_the_price(world: World) -> Prepared:
    """Two buyers at one limit share what a seller offers at the same limit."""
    session = world.open_session()
    limit = {"limit_micro_per_kwh": (150_000,) * 4}
    orders = [
        world.sign(buy(session, **limit)),
        world.sign(make_schedule(session, PROSUMERS[1].address, quantity_wh=(500,) * 4, **limit)),
        world.sign(sell(session, **limit)),
    ]
    return world.commit(session, orders)[1]


def test_the_honest_posting_of_these_books_is_proved(turned_back: World) -> None:
    world = turned_back
    prepared = honest(world)
    first = prepared.root.posting.energy[0]
    assert (first.lo, first.hi, prepared.prices()[0][0]) == (100_000, 200_000, 150_000)
    operator.run(world.exchange, world.operator, prepared.session, prepared.sealed)
    assert world.exchange.session(prepared.session.epoch)[1].name == "PROVED"


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"lo": 200_001, "hi": 200_001}, "EnergyUnsupported"),  # not optimal by one unit: buyers leave
        ({"lo": 99_999, "hi": 99_999}, "EnergyUnsupported"),  # sellers leave
        ({"hi": 200_001}, "CellViolated"),  # one bound beyond what is optimal
        ({"lo": 99_999}, "CellViolated"),
        ({"lo": 100_002}, "EnergyUnsupported"),  # the price optimal, but the rule's plus one
        ({"hi": 199_998}, "EnergyUnsupported"),  # the rule's less one
        ({"lo": 100_001}, "EnergyUnsupported"),  # the price the rule's, a bound unsupported
        ({"lo": -(2**29) - 1}, "PotentialOutOfRange"),
        ({"hi": 2**29 + 1}, "PotentialOutOfRange"),
    ],
)
def test_a_price_that_is_not_the_rules_is_refused(
    turned_back: World, changes: dict[str, int], name: str
) -> None:
    error = try_to_prove(turned_back, with_energy(honest(turned_back), **changes))
    assert error.name == name


def test_premiums_that_are_not_the_rules_are_refused(turned_back: World) -> None:
    world = turned_back
    prepared = honest(world)
    first, *rest = prepared.header.qualities
    moved = replace(first, lo=first.lo + 1)
    error = try_to_prove(world, replace(prepared, header=replace(prepared.header, qualities=(moved, *rest))))
    assert error.name == "QualityUnsupported"


def test_premiums_that_break_a_substitution_are_refused_with_the_header(turned_back: World) -> None:
    world = turned_back
    prepared = honest(world)
    entries = list(prepared.header.qualities)
    entries[0] = replace(entries[0], lo=1)  # quality 5 may serve 0: its premium is not negative
    data = abi.post_header(
        prepared.session.epoch,
        replace(prepared.header, qualities=tuple(entries)),
    )
    assert refused(world, world.operator, data).name == "PotentialOutOfRange"


@pytest.mark.parametrize(
    ("field", "by", "names"),
    [
        ("at_price", 1, {"MarginalMismatch"}),
        ("at_price", -1, {"MarginalExceeded"}),
        ("filled", 1, {"EnergyUnbalanced"}),
        ("filled", -1, {"EnergyUnbalanced"}),
        ("filled", 501, {"MarginalOutOfRange"}),
    ],
)
def test_a_marginal_volume_off_by_one_is_refused(
    turned_back: World, field: str, by: int, names: set[str]
) -> None:
    assert try_to_prove(turned_back, with_marginal(at_the_price(turned_back), field, by)).name in names


def test_an_unbalanced_quality_is_refused(turned_back: World) -> None:
    prepared = honest(turned_back)
    flows = (prepared.flows[0] + 1, *prepared.flows[1:])
    assert try_to_prove(turned_back, replace(prepared, flows=flows)).name == "QualityUnbalanced"


def test_a_book_other_than_the_committed_one_is_refused(turned_back: World) -> None:
    world = turned_back
    prepared = honest(world)
    kept = of_zone(prepared.sealed.orders[:1], prepared.sealed.hashes[:1])
    partial = prepare(prepared.session, kept, ((0,),))
    assert try_to_prove(world, partial).name == "BookMismatch"


def test_only_the_operator_clears(turned_back: World) -> None:
    world = turned_back
    prepared = honest(world)
    data = abi.post_header(prepared.session.epoch, prepared.header)
    assert refused(world, world.node, data).name == "AccessManagedUnauthorized"
