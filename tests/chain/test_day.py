"""One small day on an embedded chain, with the reference model in lockstep."""

from __future__ import annotations

from chain_world import (
    DAY,
    PROSUMERS,
    SUPPLIER,
    World,
    make_schedule,
    remember,
    settle_entries,
)

from settlement.chain.books import Session
from settlement.reference.schedule import BUY, SELL, SignedSchedule


def small_book(world: World, session: Session) -> list[SignedSchedule]:
    """A morning: two homes with panels, two that buy, and the supplier on both sides."""
    a, b, c, d = (signer.address for signer in PROSUMERS)
    supplier = SUPPLIER.address
    told = [
        (a, SELL, 15, 0, (3000, 2500, 0, 700), (90_000, 90_000, 90_000, 110_000)),
        (b, SELL, 5, 0, (1200, 1200, 1300), (80_000, 80_000, 150_000)),
        (d, SELL, 8, 1, (9000, 9000), (120_000, 130_000)),
        (c, BUY, 0, 0, (2000, 2000, 2000, 2000), (250_000, 200_000, 150_000, 300_000)),
        (c, BUY, 5, 0, (500, 500), (260_000, 260_000)),
        (b, BUY, 15, 1, (400, 400, 400), (300_000, 300_000, 120_000)),
        (d, BUY, 8, 0, (800, 0, 0, 801), (200_000, 200_000, 200_000, 200_000)),
        (supplier, BUY, 0, 0, (50_000,) * 4, (60_000,) * 4),
        (supplier, SELL, 0, 0, (50_000,) * 4, (220_000,) * 4),
        (supplier, SELL, 15, 0, (500,) * 4, (280_000,) * 4),
        (c, SELL, 5, 0, (100,), (10_000,)),  # it may not sell this quality
        (b, SELL, 0, 2, (8_001,), (10_000,)),  # more than its capacity
    ]
    orders = [
        make_schedule(
            session,
            trader,
            side=side,
            quality=quality,
            first_window=DAY + first,
            nonce=nonce,
            quantity_wh=quantities,
            limit_micro_per_kwh=limits,
        )
        for nonce, (trader, side, quality, first, quantities, limits) in enumerate(told)
    ]
    signed = [world.sign(order) for order in orders]
    remember(world, signed)
    return signed


def test_a_day_runs_from_orders_to_certificates_and_equals_the_reference(world: World) -> None:
    session = world.open_session()
    prepared = world.clear(session, small_book(world, session), chunk=5)
    assert sum(map(sum, prepared.fills)) > 0
    assert sorted(set(prepared.reasons)) == [0, 3, 4]
    world.assert_same()

    a, b, c, d = (signer.address for signer in PROSUMERS)
    entries = settle_entries(
        {
            a: (2900, 2500, -10, 800),
            b: (500, 0, 900, -5),
            c: (-2600, -2400, -2000, -2100),
            d: (-700, 9000, 1, 0),
        }
    )
    world.settle(world.sign_posting(entries, per_part=3))
    world.assert_same()
    for name, steps in world.gas.items():
        print(f"{name:14} {steps}")
