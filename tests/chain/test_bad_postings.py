"""Metering and settlement that must be refused: each by name, and the storage as it was."""

from __future__ import annotations

from dataclasses import replace

import pytest
from chain_world import (
    DAY,
    DAY_END,
    PROSUMERS,
    STRANGER,
    SUPPLIER,
    World,
    remember,
    settle_entries,
)
from refusals import (
    buy,
    refused,
    sell,
)

from settlement.chain import abi, settler
from settlement.reference import eip712
from settlement.reference.posting import Entry, struct_hash

# Metering and settlement --------------------------------------------------------------------------------


def everyones_entries() -> list[Entry]:
    return settle_entries({signer.address: (10, -20, 0, 5) for signer in PROSUMERS})


def proved_day(world: World) -> None:
    session = world.open_session()
    orders = [world.sign(buy(session)), world.sign(sell(session))]
    remember(world, orders)
    world.clear(session, orders)


def test_a_posting_before_its_windows_end_is_refused(turned_back: World) -> None:
    world = turned_back
    proved_day(world)
    signed = world.sign_posting(everyones_entries())
    world.clock.advance_to(DAY_END - 60)
    data = abi.post_metering(signed.posting, signed.signatures)
    error = refused(world, world.node, data)
    assert (error.name, error.arguments) == ("WindowNotOver", (DAY, DAY_END))


def test_a_posting_without_quorum_is_refused(turned_back: World) -> None:
    world = turned_back
    proved_day(world)
    world.clock.advance_to(DAY_END)
    signed = world.sign_posting(everyones_entries())
    one, two = signed.signatures
    error = refused(world, world.node, abi.post_metering(signed.posting, [one]))
    assert (error.name, error.arguments) == ("QuorumNotReached", (1, 2))
    for signatures in ([one, one], [two, one]):
        error = refused(world, world.node, abi.post_metering(signed.posting, signatures))
        assert error.name == "BadOracleSignature"
    digest = eip712.digest(world.exchange.separator, struct_hash(signed.posting))
    forged = sorted([STRANGER.sign_digest(digest), one], key=lambda s: eip712.recover(digest, s))
    error = refused(world, world.node, abi.post_metering(signed.posting, forged))
    assert (error.name, error.arguments) == ("BadOracleSignature", (STRANGER.address,))


@pytest.mark.parametrize(
    ("changes", "part"),
    [
        ({"windows": 3}, "windows"),
        ({"zone": 1}, "zone"),
        ({"accounts": 5}, "accounts"),
        ({"surplus": (0,) * 3}, "surplusMicroPerKWh"),
        ({"surplus": (-500_001, 0, 0, 0)}, "prices"),
        ({"deficit": (900_001,) * 4}, "prices"),
        ({"surplus": (1, 0, 0, 0), "deficit": (0, 0, 0, 0)}, "prices"),
    ],
)
def test_a_posting_that_does_not_fit_its_day_is_refused(
    turned_back: World, changes: dict[str, object], part: str
) -> None:
    world = turned_back
    proved_day(world)
    world.clock.advance_to(DAY_END)
    signed = world.sign_posting(everyones_entries(), **changes)
    error = refused(world, world.node, abi.post_metering(signed.posting, signed.signatures))
    assert (error.name, error.arguments) == ("BadPosting", (part,))


def test_a_part_is_settled_once(turned_back: World) -> None:
    world = turned_back
    proved_day(world)
    world.clock.advance_to(DAY_END)
    signed = world.sign_posting(everyones_entries())
    settler.post(world.exchange, world.node, signed)
    stale = refused(world, world.node, abi.post_metering(signed.posting, signed.signatures))
    assert (stale.name, stale.arguments) == ("StalePosting", (1,))
    day = settler.DayRun(world.exchange, world.node, [signed])
    settled = world.settle_data(signed, 0, None)
    day.send_next()
    assert refused(world, world.node, settled).name == "WrongRunCarry"
    again = world.settle_data(signed, 0, day.carry)
    assert refused(world, world.node, again).name == "WrongPart"
    day.settle()
    closed = world.settle_data(signed, 1, day.carry)
    assert refused(world, world.node, closed).name == "WrongRunStage"


def test_a_tampered_entry_is_refused(turned_back: World) -> None:
    world = turned_back
    proved_day(world)
    world.clock.advance_to(DAY_END)
    signed = world.sign_posting(everyones_entries())
    settler.post(world.exchange, world.node, signed)
    part = bytearray(signed.parts[0])
    part[-1] ^= 1
    data = world.settle_data(replace(signed, parts=(bytes(part),)), 0, None)
    error = refused(world, world.node, data)
    assert (error.name, error.arguments) == ("WrongPart", (0,))
    changed = replace(signed.posting, commitments=b"\x01" * 32)
    data = world.settle_data(replace(signed, posting=changed), 0, None)
    assert refused(world, world.node, data).name == "WrongPosting"


def test_a_stranger_and_the_supplier_cannot_be_metered(turned_back: World) -> None:
    world = turned_back
    proved_day(world)
    world.clock.advance_to(DAY_END)
    for signer in (STRANGER, SUPPLIER):
        metered = {one.address: (1, 1, 1, 1) for one in (*PROSUMERS[:3], signer)}
        signed = world.sign_posting(settle_entries(metered), sequence=1, per_part=4)
        snapshot = world.clock.snapshot()
        settler.post(world.exchange, world.node, signed)
        data = world.settle_data(signed, 0, None)
        error = refused(world, world.node, data)
        assert (error.name, error.arguments) == ("BadEntry", (signer.address,))
        world.clock.revert(snapshot)
