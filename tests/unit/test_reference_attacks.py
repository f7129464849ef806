"""Who sells as produced to an account of its own and delivers nothing gains nothing, and costs the balancing
party nothing: not by leaving early, nor by prices that differ between rounds, zones or qualities.
"""

from __future__ import annotations

import random

import pytest
import tree_world
from reference_world import DAY, DAY_END, GATE
from small_trees import LINE, Ordered, plain
from trading_day import BUY, SELL, TradingDay
from tree_world import BALANCING_ADDRESS, NETWORK_ADDRESS, RICH, home

from settlement.reference.exchange.events import NetworkPaid
from settlement.reference.session import Grid

SELLER, BUYER, HONEST, OTHER = (home(0, number) for number in range(4))
FAR = home(1, 0)


def test_proceeds_cannot_be_run_away_with() -> None:
    """They are not there before they are delivered for: both accounts together can leave with no more than
    they brought, and their buyer is paid back in full.
    """
    day = TradingDay(LINE)
    day.trade(plain(SELLER, 0, SELL, 1000, 500_000), plain(BUYER, 0, BUY, 1000, 500_000))
    assert day.free(SELLER, now=GATE) < 0
    assert day.free(SELLER, BUYER, now=GATE) < -1000 * 500_000
    day.settle({}).certify_all()
    assert (day.free(SELLER), day.free(BUYER), day.free(BALANCING_ADDRESS), day.rest) == (0, 0, 0, 0)
    day.check()


def test_who_leaves_between_the_passes_leaves_behind_what_it_may_owe() -> None:
    """A buyer whose claim turns out short pays for what it consumed out of its refund and the reserve that
    waits for it.
    """
    day = TradingDay(LINE)
    day.trade(plain(SELLER, 0, SELL, 1000, 200_000), plain(BUYER, 0, BUY, 1000, 200_000))
    settler = day.settle({BUYER: (-1000, 0, 0, 0)})
    exchange = day.exchange
    left = exchange.cash(DAY_END, BUYER).free
    assert left == RICH - 1000 * (200_000 + 100_000)
    exchange.request_withdrawal(DAY_END, BUYER, left)
    exchange.execute_withdrawal(DAY_END, BUYER)
    settler.certify_all()
    assert exchange.cash(DAY_END, BUYER).free == 1000 * (200_000 + 100_000 - 240_000)
    assert exchange.state.total_negative == 0
    assert day.free(BALANCING_ADDRESS) == 1000 * 240_000
    day.check()


def test_a_shortfall_at_one_rounds_price_is_not_shared_at_anothers() -> None:
    """Dear in a round of its own, cheap in the other: each buyer gets its own round's price back."""
    day = TradingDay(LINE)
    day.trade(plain(SELLER, 0, SELL, 1000, 900_000), plain(BUYER, 0, BUY, 1000, 900_000))
    day.trade(plain(HONEST, 0, SELL, 1000, 100_000), plain(OTHER, 0, BUY, 1000, 100_000))
    day.settle({HONEST: (1000, 0, 0, 0), OTHER: (-1000, 0, 0, 0)}).certify_all()
    assert (day.free(SELLER, BUYER), day.free(BALANCING_ADDRESS)) == (0, 0)
    assert (day.free(HONEST), day.free(OTHER)) == (1000 * 100_000, -1000 * 100_000)
    day.check()


def test_what_lines_earned_is_not_paid_back() -> None:
    """Bought in the dear zone and never delivered from the cheap one: the buyer has back what its seller was
    not paid; charge and rent of the line were the network operator's, and the balancing party gives nothing.
    """
    day = TradingDay(LINE)
    day.trade(plain(FAR, 1, SELL, 1000, 100_000), plain(BUYER, 0, BUY, 1000, 200_000))
    (paid,) = (e.rent_nano for e in day.exchange.events if isinstance(e, NetworkPaid))
    assert paid == 600 * 100_000
    day.settle({}).certify_all()
    assert (day.free(FAR, BUYER), day.free(NETWORK_ADDRESS)) == (-paid, paid)
    assert (day.free(BALANCING_ADDRESS), day.rest) == (0, 0)
    day.check()


def test_a_dearer_quality_sold_to_oneself_takes_nothing_from_a_cheaper_one() -> None:
    """Green serves a claim on any, at one price: neither deliveries nor refunds of others change."""
    day = TradingDay(LINE)
    day.trade(
        plain(SELLER, 0, SELL, 1000, 150_000, quality=3),
        plain(BUYER, 0, BUY, 1000, 250_000, quality=0),
        plain(HONEST, 0, SELL, 1000, 150_000, quality=0),
        plain(OTHER, 0, BUY, 1000, 250_000, quality=0),
    )
    day.settle({HONEST: (1000, 0, 0, 0)}, surplus=0, deficit=0).certify_all()
    worth = day.free(HONEST)
    assert worth > 0
    assert day.free(SELLER, BUYER, OTHER) == -worth
    assert day.free(SELLER, BUYER) <= 0
    assert day.free(BALANCING_ADDRESS) == 0
    day.check()


# Any market ---------------------------------------------------------------------------------------------

ATTACKERS = (0, 1)
"""Homes of each zone that are one person: they trade as produced, and neither inject nor consume."""


def any_order(dice: random.Random, grid: Grid, nonce: int) -> Ordered:
    """As produced, of an attacker or of somebody honest; above zero, so that nobody is paid to take it."""
    zone, number = dice.randrange(grid.zones), dice.randrange(tree_world.HOMES)
    limits = (50_000, 100_000, 150_000, 200_000, 400_000)
    return plain(
        home(zone, number),
        zone,
        dice.randrange(2),
        dice.choice((1, 300, 700, 1500)),
        dice.choice(limits),
        quality=dice.choice((0, 3)),
        first_window=DAY + dice.randrange(2),
        nonce=nonce,
    )


@pytest.mark.parametrize("seed", range(30))
def test_in_any_market_undelivered_sales_gain_nothing_and_cost_the_balancing_party_nothing(seed: int) -> None:
    """Imbalances are worth nothing here, so that what is gained can only come of sales and refunds."""
    dice = random.Random(seed)
    grid = tree_world.draw_grid(dice, zones=dice.randint(1, 3))
    codes, pairs = tree_world.QUALITY_SETS[3]
    grid = Grid(codes, pairs, grid.parents, grid.charges, grid.capacities)
    day = TradingDay(grid)
    for _ in range(dice.randint(1, 2)):
        day.trade(*(any_order(dice, grid, nonce) for nonce in range(30)))
    metered = {
        home(zone, number): (dice.choice((0, 400, 3000)), dice.choice((0, 200, 3000)), 0, 0)
        for zone in range(grid.zones)
        for number in range(tree_world.HOMES)
        if number not in ATTACKERS
    }
    day.settle(metered, surplus=0, deficit=0).certify_all()
    attackers = [home(zone, number) for zone in range(grid.zones) for number in ATTACKERS]
    assert day.free(*attackers) <= 0
    assert day.free(BALANCING_ADDRESS) == day.rest >= 0
    day.check()
