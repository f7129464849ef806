"""Closing: a zone's own checks, the zones below joined to it line by line, and the proof at the root.

docs/clearing.md has the argument, docs/formats.md the words. A closed zone leaves one hash of everything
that its parent needs to know; the root, when all below it are joined, proves the session.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from settlement.reference import line, slackness, support
from settlement.reference import potential as potentials_
from settlement.reference.clearing import (
    Carry,
    Header,
    Market,
    ZonePosting,
    check_length,
)
from settlement.reference.eip712 import keccak
from settlement.reference.errors import (
    BookMismatch,
    EnergyUnbalanced,
    EnergyUnsupported,
    LineOverCapacity,
    LineViolated,
    MarginalMismatch,
    QualityUnbalanced,
    QualityUnsupported,
    SubmissionOmitted,
)
from settlement.reference.potential import Potential
from settlement.reference.slackness import Flags
from settlement.reference.words import field, twos, word, words

ROOT = 0


@dataclass(frozen=True)
class Commitment:
    """The book of a zone, fixed after the gate."""

    count: int
    root: bytes


@dataclass(frozen=True)
class ClosedZone:
    """What a zone leaves to its parent, with what it has taken over from the zones joined to it."""

    energy: tuple[Potential, ...]
    """As posted, one a window."""
    nets: tuple[int, ...]
    """Bought less sold of each cell, here and below, Wh: index `q * W + w`."""
    energy_support: int
    """Which energy potentials are held, 2 bits a window (`support`)."""
    quality_support: tuple[int, ...]
    """Likewise of each quality from 1 on: what the cells here and below hold."""
    rent_nano: int = 0
    """Charges and congestion rent of the lines below."""
    joined: int = 0
    """Zones right below that are joined."""

    def net(self, market: Market, window: int) -> int:
        """What the zone imports in a window, over all qualities, Wh."""
        return sum(self.nets[market.index(quality, window)] for quality in range(market.qualities))


def energy_words(zone: ClosedZone) -> list[int]:
    """The energy potentials as they are brought."""
    return [potentials_.pack(one) for one in zone.energy]


def net_words(zone: ClosedZone) -> list[int]:
    """The nets as they are brought: int64 in the low bits."""
    return [twos("net", net, 64) for net in zone.nets]


def closed_hash(zone: ClosedZone) -> bytes:
    """`keccak(abi.encode(ClosedZone))`: a dynamic struct, so an offset to it, then its words and arrays."""
    energy, nets = energy_words(zone), net_words(zone)
    head, tail = [], b""
    for part in (energy, nets, zone.energy_support, list(zone.quality_support), zone.rent_nano, zone.joined):
        if isinstance(part, int):
            head.append(part)
        else:
            head.append(32 * 6 + len(tail))
            tail += word(len(part)) + words(part)
    return keccak(word(32) + words(head) + tail)


# A zone by itself ---------------------------------------------------------------------------------------


def close(
    market: Market,
    zone: int,
    header: Header,
    posting: ZonePosting,
    carry: Carry,
    commitment: Commitment,
    submissions: int,
) -> ClosedZone:
    """What the zone leaves, once its orders are those committed and its potentials keep their cells' bounds.

    `submissions` is how many orders of the zone were submitted on chain.
    """
    if (carry.frontier.count, carry.frontier.root()) != (commitment.count, commitment.root):
        raise BookMismatch(carry.frontier.count, carry.frontier.root())
    if carry.submitted != submissions:
        raise SubmissionOmitted(zone, carry.submitted, submissions)
    for window, energy in enumerate(posting.energy):
        slackness.check_energy_range(window, energy)
        for quality in range(market.qualities):
            at = market.index(quality, window)
            if carry.cells[at].at_price != posting.marginals[at].at_price:
                raise MarginalMismatch(at)
            slackness.check_cell(at, energy, header.quality(market, quality, window), carry.cells[at])
    return _closed(market, header, posting, carry)


def _closed(market: Market, header: Header, posting: ZonePosting, carry: Carry) -> ClosedZone:
    energy_support, quality_support = carry.support, [0] * (market.qualities - 1)
    for window, energy in enumerate(posting.energy):
        energy_support |= support.of(window, slackness.energy_by_bound(energy))
        for quality in range(market.qualities):
            potential = header.quality(market, quality, window)
            cell = carry.cells[market.index(quality, window)]
            by_cell = slackness.energy_by_cell(energy, potential, cell)
            energy_support |= support.of(window, by_cell)
            if quality:
                held = slackness.quality_by_cell(energy, potential, cell)
                quality_support[quality - 1] |= support.of(window, held)
    nets = tuple(cell.net for cell in carry.cells)
    return ClosedZone(posting.energy, nets, energy_support, tuple(quality_support))


# A line -------------------------------------------------------------------------------------------------


def join(market: Market, parent: ClosedZone, zone: int, child: ClosedZone) -> ClosedZone:
    """The parent after a complete zone below is joined to it: LineOverCapacity, LineViolated or
    EnergyUnsupported, naming the zone below, unless flows and potentials suit its line.
    """
    held, rent = child.energy_support, child.rent_nano
    parent_held = parent.energy_support
    for window in range(market.windows):
        below, above = child.energy[window], parent.energy[window]
        imported = child.net(market, window)
        for_child, for_parent = _over_line(market, zone, window, below, above, imported)
        held |= support.of(window, for_child)
        parent_held |= support.of(window, for_parent)
        rent += line.rent(below, above, imported)
    for window in range(market.windows):
        if not support.holds(held, window):
            raise EnergyUnsupported(zone, window)
    return replace(
        parent,
        nets=tuple(a + b for a, b in zip(parent.nets, child.nets, strict=True)),
        energy_support=parent_held,
        quality_support=tuple(
            a | b for a, b in zip(parent.quality_support, child.quality_support, strict=True)
        ),
        rent_nano=parent.rent_nano + rent,
        joined=parent.joined + 1,
    )


def _over_line(
    market: Market, zone: int, window: int, below: Potential, above: Potential, imported: int
) -> tuple[Flags, Flags]:
    """What the line holds of the zone's entry and of its parent's."""
    charge, capacity = market.grid.charges[zone], market.grid.capacities[zone]
    if not line.within(capacity, imported):
        raise LineOverCapacity(zone, window)
    of_child, of_parent = (False, False), (False, False)
    for arc in line.arcs(charge, capacity, imported):
        if not arc.holds(below, above):
            raise LineViolated(zone, window)
        for_child, for_parent = arc.supports(below, above)
        of_child = slackness.either(of_child, for_child)
        of_parent = slackness.either(of_parent, for_parent)
    return of_child, of_parent


# The root -----------------------------------------------------------------------------------------------


def prove(market: Market, header: Header, root: ClosedZone, flows: Sequence[int]) -> None:
    """Proves a session whose zones are all joined: raises what does not hold.

    `flows` are the substitutions, Wh, index `s * W + w`. Checked: each window's energy and each quality
    balance; every entry is supported.
    """
    check_length("substitutions", flows, len(market.grid.pairs()) * market.windows)
    for window in range(market.windows):
        if not support.holds(root.energy_support, window):
            raise EnergyUnsupported(ROOT, window)
    for window in range(market.windows):
        net = root.net(market, window)
        if net != 0:
            raise EnergyUnbalanced(window, net)
    _check_flows(market, header, flows)
    for quality in range(market.qualities):
        for window in range(market.windows):
            _check_quality_balance(market, root, flows, quality, window)
            if quality and not all(_quality_support(market, header, root, flows, quality, window)):
                raise QualityUnsupported(market.index(quality, window))


def _check_flows(market: Market, header: Header, flows: Sequence[int]) -> None:
    for pair, (giver, taker) in enumerate(market.grid.pairs()):
        for window in range(market.windows):
            at = market.index(pair, window)
            ends = (header.quality(market, giver, window), header.quality(market, taker, window))
            slackness.check_substitution(at, *ends)
            slackness.check_flow(at, *ends, flows[at])


def _check_quality_balance(
    market: Market, root: ClosedZone, flows: Sequence[int], quality: int, window: int
) -> None:
    """What is bought of a quality, and given to others, is what is sold of it, and taken from others."""
    net = root.nets[market.index(quality, window)]
    for pair, (giver, taker) in enumerate(market.grid.pairs()):
        flow = flows[market.index(pair, window)]
        net += flow * ((quality == giver) - (quality == taker))
    if net != 0:
        raise QualityUnbalanced(market.index(quality, window), net)


def _quality_support(
    market: Market, header: Header, root: ClosedZone, flows: Sequence[int], quality: int, window: int
) -> Flags:
    """What holds a quality's entry: its outer bounds, cells of any zone, substitutions."""
    bits = field(root.quality_support[quality - 1], 2 * window, 2)
    held = slackness.quality_by_bound(header.quality(market, quality, window))
    held = slackness.either(held, (bool(bits & 1), bool(bits & 2)))
    for pair, (giver, taker) in enumerate(market.grid.pairs()):
        ends = (header.quality(market, giver, window), header.quality(market, taker, window))
        flow = flows[market.index(pair, window)]
        if quality == giver:
            held = slackness.either(held, slackness.giver_by_taker(*ends, flow))
        if quality == taker:
            held = slackness.either(held, slackness.taker_by_giver(*ends, flow))
    return held
