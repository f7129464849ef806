"""Clearing a book: aggregate, solve, price, fill. All that the operator posts, from orders and market."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from settlement.matching.book import Book, aggregate, refuse_bad_rows
from settlement.matching.fills import charges_nano, fills_of, limits_nano, marginal_of
from settlement.matching.flexible import FlexibleOrders, no_flexible, refuse_bad_flexible, shares_of
from settlement.matching.market import Ints, Market
from settlement.matching.network import Network, Nodes, make_network
from settlement.matching.prices import Potentials, cell_prices, constraints_of, highest, lowest, midpoint
from settlement.matching.sift import solve


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
    flexible_wh     [F, W] what each flexible order trades in each window, in the order of its rows
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
    flexible_wh: Ints = field(default_factory=lambda: np.zeros((0, 0), np.int64))

    @property
    def premiums(self) -> Ints:
        """[Q, W] micro/kWh that a quality costs above quality 0."""
        return -self.quality.mid


def clear(book: Book, market: Market, flexible: FlexibleOrders | None = None) -> Clearing:
    """The clearing of a book and of flexible orders; `InputError` where one lies outside the market."""
    flexible = no_flexible() if flexible is None else flexible
    refuse_bad_rows(book, market)
    refuse_bad_flexible(flexible, market)
    by_order = np.argsort(flexible.order)
    flexible = flexible.rows(by_order)
    levels = aggregate(book, market)
    network = make_network(levels, market, flexible)
    flow = solve(network, levels, market, flexible)
    constraints = constraints_of(network, levels, flow, market)
    low, high = lowest(constraints, network.nodes), highest(constraints, network.nodes)
    energy, quality = _extremes(low, high, network.nodes)
    prices = cell_prices(energy.mid, quality.mid)
    marginal = marginal_of(levels, flow[network.levels], prices, market)
    fills = fills_of(book, market, prices, marginal)
    split = _split(network, flow, flexible, market)
    flows = _net_imports(network, flow, market)
    gained = limits_nano(book, fills) + limits_nano(flexible, split.sum(axis=1))
    return Clearing(
        energy=energy,
        quality=quality,
        prices=prices,
        marginal_wh=marginal.total_wh,
        filled_wh=marginal.filled_wh,
        flows_wh=flows,
        substituted_wh=flow[network.substitutions].reshape(-1, market.windows),
        fills_wh=fills,
        welfare_nano=gained - charges_nano(flows, market),
        flexible_wh=split[np.argsort(by_order)],
    )


def _split(network: Network, flow: Ints, flexible: FlexibleOrders, market: Market) -> Ints:
    """[F, W] what each flexible order trades in each window, Wh."""
    shares = shares_of(flexible)
    split = np.zeros((len(flexible), market.windows), np.int64)
    split[shares.owner, shares.window] = flow[network.shares]
    return split


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
