"""The circulation whose optimum is the clearing (DESIGN.md, Clearing: the model).

Energy circulates: a sell carries it from its quality's node to its zone's node, lines carry it between zones,
a buy carries it from its zone's node to its quality's node, and a substitution leads from the quality in
demand back to the quality that serves it. Quality 0 of every window is one common ground node.

Nodes are numbered zones first (z * W + w), then qualities above 0 ((Z + q - 1) * W + w), then the ground, so
that a vector over nodes reshapes into [Z, W] and [Q - 1, W]. So node // W numbers a window's nodes
and node % W is the window. A node for each flexible order comes after the ground.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from settlement.matching.book import BUY, Levels
from settlement.matching.flexible import FlexibleOrders, Shares, shares_of
from settlement.matching.market import ROOT, Bools, Ints, Market


@dataclass(frozen=True, eq=False)
class Nodes:
    """Node numbers: `zone` [Z, W], `quality` [Q, W] (row 0 is the ground throughout), `flexible` [F]."""

    zone: Ints
    quality: Ints
    flexible: Ints
    ground: int

    @property
    def count(self) -> int:
        return self.ground + 1 + len(self.flexible)


@dataclass(frozen=True, eq=False)
class Arcs:
    """Arcs of the network, all columns [A]: int64, except the two flags that break ties.

    cost         micro/kWh that a Wh pays on its way: minus a buyer's limit, a seller's limit, a line's charge
    bought       a Wh here is energy traded: most of it wins among equal welfare
    substituted  a Wh here is a substitution: least of it wins after that
    """

    tail: Ints
    head: Ints
    capacity_wh: Ints
    cost: Ints
    bought: Bools
    substituted: Bools

    def __len__(self) -> int:
        return len(self.tail)

    def rows(self, index: Ints) -> Arcs:
        """The arcs at these places."""
        return Arcs(*(getattr(self, column.name)[index] for column in fields(self)))


@dataclass(frozen=True, eq=False)
class Network:
    """The arcs of a book: its levels in their order, each line upwards, each downwards, substitutions,
    then flexible orders' shares (as `Shares` lists them) and totals."""

    nodes: Nodes
    arcs: Arcs
    levels: slice
    lines_up: slice
    lines_down: slice
    substitutions: slice
    shares: slice
    totals: slice
    lines: Ints
    """[Z - 1] the zones that have a line to a parent; a line's arcs are [Z - 1, W], flattened."""

    @property
    def fixed(self) -> slice:
        """Every arc that is not an order's."""
        return slice(self.levels.stop, len(self.arcs))


def make_nodes(market: Market, flexible: int = 0) -> Nodes:
    ground = (market.zones + market.qualities - 1) * market.windows
    grid = np.arange(ground).reshape(-1, market.windows)
    common = np.full((1, market.windows), ground)
    return Nodes(
        zone=grid[: market.zones],
        quality=np.vstack([common, grid[market.zones :]]),
        flexible=np.arange(flexible) + ground + 1,
        ground=ground,
    )


def make_network(levels: Levels, market: Market, flexible: FlexibleOrders) -> Network:
    """The network of a book's levels, and of flexible orders, in a market."""
    shares = shares_of(flexible)
    nodes = make_nodes(market, len(flexible))
    lines = np.flatnonzero(market.parent != ROOT)
    enough = _more_than_traded(levels, shares, market)
    up = _line_arcs(nodes, market, lines, enough)
    down = Arcs(up.head, up.tail, up.capacity_wh, up.cost, up.bought, up.substituted)
    parts = [
        _order_arcs(levels, nodes, market),
        up,
        down,
        _substitution_arcs(nodes, market, enough),
        _share_arcs(flexible, shares, nodes),
        _total_arcs(flexible, nodes),
    ]
    ends = np.cumsum([len(part) for part in parts]).tolist()
    return Network(
        nodes=nodes,
        arcs=join(parts),
        levels=slice(0, ends[0]),
        lines_up=slice(ends[0], ends[1]),
        lines_down=slice(ends[1], ends[2]),
        substitutions=slice(ends[2], ends[3]),
        shares=slice(ends[3], ends[4]),
        totals=slice(ends[4], ends[5]),
        lines=lines,
    )


def join(parts: list[Arcs]) -> Arcs:
    """All the parts' arcs, in order."""
    return Arcs(*(np.concatenate([getattr(part, f.name) for part in parts]) for f in fields(Arcs)))


def _more_than_traded(levels: Levels, shares: Shares, market: Market) -> Ints:
    """[W] one Wh more than all of a window's orders: as a capacity, it is never used up."""
    total = np.ones(market.windows, np.int64)
    np.add.at(total, levels.cell % market.windows, levels.quantity_wh)
    np.add.at(total, shares.window, shares.most_wh)
    return total


def _order_arcs(levels: Levels, nodes: Nodes, market: Market) -> Arcs:
    zone, quality, window = np.unravel_index(levels.cell, market.cell_shape)
    buy = levels.side == BUY
    at_zone, at_quality = nodes.zone[zone, window], nodes.quality[quality, window]
    return Arcs(
        tail=np.where(buy, at_zone, at_quality),
        head=np.where(buy, at_quality, at_zone),
        capacity_wh=levels.quantity_wh,
        cost=np.where(buy, -levels.limit, levels.limit),
        bought=buy,
        substituted=np.zeros(len(buy), bool),
    )


def _line_arcs(nodes: Nodes, market: Market, lines: Ints, enough: Ints) -> Arcs:
    """From each child to its parent."""
    child, parent = nodes.zone[lines], nodes.zone[market.parent[lines]]
    return Arcs(
        tail=child.ravel(),
        head=parent.ravel(),
        capacity_wh=np.minimum(market.capacity_wh[lines, None], enough).ravel(),
        cost=np.repeat(market.charge[lines], market.windows),
        bought=np.zeros(child.size, bool),
        substituted=np.zeros(child.size, bool),
    )


def _substitution_arcs(nodes: Nodes, market: Market, enough: Ints) -> Arcs:
    """From the quality in demand to the quality that serves it: [S, W], flattened."""
    giver, taker = nodes.quality[market.substitutions[:, 0]], nodes.quality[market.substitutions[:, 1]]
    return Arcs(
        tail=taker.ravel(),
        head=giver.ravel(),
        capacity_wh=np.broadcast_to(enough, giver.shape).ravel(),
        cost=np.zeros(giver.size, np.int64),
        bought=np.zeros(giver.size, bool),
        substituted=np.ones(giver.size, bool),
    )


def _share_arcs(flexible: FlexibleOrders, shares: Shares, nodes: Nodes) -> Arcs:
    """Between an order's node and its zone, in each of its windows."""
    own, zone = nodes.flexible[shares.owner], nodes.zone[flexible.zone[shares.owner], shares.window]
    buy = flexible.buys[shares.owner]
    return Arcs(
        tail=np.where(buy, zone, own),
        head=np.where(buy, own, zone),
        capacity_wh=shares.most_wh,
        cost=np.zeros(len(own), np.int64),
        bought=np.zeros(len(own), bool),
        substituted=np.zeros(len(own), bool),
    )


def _total_arcs(flexible: FlexibleOrders, nodes: Nodes) -> Arcs:
    """Between an order's node and the ground: its energy, at its limit."""
    buy, ground = flexible.buys, np.full(len(flexible), nodes.ground)
    return Arcs(
        tail=np.where(buy, nodes.flexible, ground),
        head=np.where(buy, ground, nodes.flexible),
        capacity_wh=flexible.energy_wh,
        cost=np.where(buy, -flexible.limit, flexible.limit),
        bought=buy,
        substituted=np.zeros(len(buy), bool),
    )
