"""Clearing a book: aggregate, solve, price, fill. All that the operator posts, from orders and market."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from settlement.matching.book import Book, aggregate, refuse_bad_rows
from settlement.matching.fills import fills_of, marginal_of, welfare_nano
from settlement.matching.flow import solve
from settlement.matching.market import Ints, Market
from settlement.matching.network import Network, Nodes, make_network
from settlement.matching.prices import Potentials, cell_prices, constraints_of, highest, lowest, midpoint


@dataclass(frozen=True, eq=False)
class Extremes:
    """The lowest and highest potentials of zones [Z, W] or qualities [Q, W], micro/kWh, and their ranks."""

    low: Ints
    high: Ints
    rank_low: Ints
    rank_high: Ints

    @property
    def mid(self) -> Ints:
        return midpoint(self.low, self.high)


@dataclass(frozen=True, eq=False)
class Clearing:
    """A session's outcome; all arrays int64.

    energy          e of the zones, [Z, W]
    quality         y = -premium of the qualities, [Q, W]; row 0 is the ground: zeros, rank -1
    prices          [Z, Q, W] micro/kWh
    marginal_wh     [Z, Q, W, 2] M: at-price quantity of buys and of sells
    filled_wh       [Z, Q, W, 2] R: how much of it fills
    flows_wh        [Z, W] net import over the line from the parent (the root's row is zero)
    substituted_wh  [S, W] how much each substitution carries
    fills_wh        [N] per row of the book, in its row order
    welfare_nano    buyers' limits less sellers' limits less charges, over what traded
    """

    energy: Extremes
    quality: Extremes
    prices: Ints
    marginal_wh: Ints
    filled_wh: Ints
    flows_wh: Ints
    substituted_wh: Ints
    fills_wh: Ints
    welfare_nano: int

    @property
    def premiums(self) -> Ints:
        """[Q, W] micro/kWh that a quality costs above quality 0."""
        return -self.quality.mid


def clear(book: Book, market: Market) -> Clearing:
    """The clearing of a book; `InputError` where a row lies outside the market."""
    refuse_bad_rows(book, market)
    levels = aggregate(book, market)
    network = make_network(levels, market)
    flow = solve(network, market)
    constraints = constraints_of(network, levels, flow, market)
    low, high = lowest(constraints, network.nodes), highest(constraints, network.nodes)
    energy, quality = _extremes(low, high, network.nodes)
    prices = cell_prices(energy.mid, quality.mid)
    marginal = marginal_of(levels, flow[network.levels], prices, market)
    fills = fills_of(book, market, prices, marginal)
    flows = _net_imports(network, flow, market)
    return Clearing(
        energy=energy,
        quality=quality,
        prices=prices,
        marginal_wh=marginal.total_wh,
        filled_wh=marginal.filled_wh,
        flows_wh=flows,
        substituted_wh=flow[network.substitutions].reshape(-1, market.windows),
        fills_wh=fills,
        welfare_nano=welfare_nano(book, fills, flows, market),
    )


def _extremes(low: Potentials, high: Potentials, nodes: Nodes) -> tuple[Extremes, Extremes]:
    """Zones' and qualities' parts of the two vectors."""
    vectors = (low.value, high.value, low.rank, high.rank)
    return Extremes(*(v[nodes.zone] for v in vectors)), Extremes(*(v[nodes.quality] for v in vectors))


def _net_imports(network: Network, flow: Ints, market: Market) -> Ints:
    """[Z, W] what each zone and those below it import over its line, Wh."""
    imports = np.zeros((market.zones, market.windows), np.int64)
    net = flow[network.lines_down] - flow[network.lines_up]
    imports[network.lines] = net.reshape(-1, market.windows)
    return imports
