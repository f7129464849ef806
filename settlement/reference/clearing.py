"""Clearing: a zone's orders read in chunks against the posted prices, and the proof when it closes.

docs/formats.md gives the words, proof/README.md what is checked. What the operator posts (`Header`,
`ZonePosting`, substitution flows) is never trusted: fills follow from it, and `close` accepts it only if it
is optimal and the rule's. Of a grid of one zone, which is what closes here, the zone is also the root.

Arrays are indexed `q * W + w`, q the dense quality index and w counted from the session's first window.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from settlement.reference import cell as cells_
from settlement.reference import marginal as marginals_
from settlement.reference import merkle, slackness
from settlement.reference import potential as potentials_
from settlement.reference.cell import Cell
from settlement.reference.eip712 import keccak
from settlement.reference.errors import (
    BookMismatch,
    EnergyUnbalanced,
    EnergyUnsupported,
    LimitOutOfRange,
    MarginalExceeded,
    MarginalMismatch,
    MarginalOutOfRange,
    NotAscending,
    QualityUnbalanced,
    QualityUnsupported,
    WindowOutOfSession,
    WrongLength,
)
from settlement.reference.fill import Quote, fill_entry
from settlement.reference.marginal import Marginal
from settlement.reference.merkle import Frontier
from settlement.reference.potential import GROUND, Potential
from settlement.reference.schedule import NO_HASH, Schedule
from settlement.reference.session import Grid, SessionParams, quality_index
from settlement.reference.words import check_uint, word, words


@dataclass(frozen=True)
class Market:
    """What a zone clears under."""

    params: SessionParams
    grid: Grid

    @property
    def windows(self) -> int:
        return self.params.windows

    @property
    def qualities(self) -> int:
        return len(self.grid.qualities)

    @property
    def cells(self) -> int:
        return self.qualities * self.windows

    def index(self, quality: int, window: int) -> int:
        """Of the cell of a dense quality and a window, both from 0."""
        return quality * self.windows + window


@dataclass(frozen=True)
class Header:
    """The session's qualities: potentials of index `(q - 1) * W + w`, q from 1."""

    qualities: tuple[Potential, ...]

    def quality(self, market: Market, quality: int, window: int) -> Potential:
        """The potential of a dense quality; 0 is the ground."""
        return GROUND if quality == 0 else self.qualities[market.index(quality - 1, window)]


@dataclass(frozen=True)
class ZonePosting:
    """A zone's energy potentials, one a window, and marginal volumes, one a cell."""

    energy: tuple[Potential, ...]
    marginals: tuple[Marginal, ...]


@dataclass(frozen=True)
class Carry:
    """What one chunk leaves to the next."""

    cells: tuple[Cell, ...]
    last_hash: bytes = NO_HASH
    frontier: Frontier = field(default_factory=Frontier)


@dataclass(frozen=True)
class Fill:
    """What one entry got, and at which price."""

    window: int
    """Counted from the session's first."""
    quantity_wh: int
    price_micro_per_kwh: int


def initial_carry(market: Market) -> Carry:
    """What a zone's first chunk starts from."""
    return Carry(cells=(Cell(),) * market.cells)


# Words and hashes ---------------------------------------------------------------------------------------


def header_words(header: Header) -> list[int]:
    """The header as it is posted."""
    return [potentials_.pack(entry) for entry in header.qualities]


def header_hash(header: Header) -> bytes:
    """What the session keeps of its header."""
    return keccak(words(header_words(header)))


def zone_words(posting: ZonePosting) -> tuple[list[int], list[int]]:
    """Energy potentials and marginals as they are posted."""
    energy = [potentials_.pack(entry) for entry in posting.energy]
    return energy, [marginals_.pack(entry) for entry in posting.marginals]


def zone_hash(posting: ZonePosting) -> bytes:
    """What binds every chunk of a zone to one posting."""
    energy, marginals = zone_words(posting)
    return keccak(words(energy) + words(marginals))


def cell_words(carry: Carry) -> list[int]:
    """The carried cells as they are brought again."""
    return [cells_.pack(entry) for entry in carry.cells]


def carry_hash(posting: ZonePosting, carry: Carry) -> bytes:
    """What the chain keeps between two chunks of a zone."""
    frontier = carry.frontier
    return keccak(
        zone_hash(posting)
        + words(cell_words(carry))
        + carry.last_hash
        + word(frontier.count)
        + b"".join(frontier.words)
    )


# The header ---------------------------------------------------------------------------------------------


def check_header(market: Market, header: Header) -> None:
    """WrongLength, PotentialOutOfRange or SubstitutionViolated unless the premiums may stand."""
    _check_length("header", header.qualities, market.cells - market.windows)
    for index, entry in enumerate(header.qualities):
        slackness.check_quality_range(index, entry)
    for flow, (giver, taker) in enumerate(market.grid.pairs()):
        for window in range(market.windows):
            slackness.check_substitution(
                market.index(flow, window),
                header.quality(market, giver, window),
                header.quality(market, taker, window),
            )


def _check_length(name: str, array: Sequence[object], expected: int) -> None:
    if len(array) != expected:
        raise WrongLength(name, len(array), expected)


def check_zone_posting(market: Market, posting: ZonePosting) -> None:
    """WrongLength unless there is one potential a window and one marginal a cell; MarginalOutOfRange if R >
    M.
    """
    _check_length("energy", posting.energy, market.windows)
    _check_length("marginals", posting.marginals, market.cells)
    for index, marginal in enumerate(posting.marginals):
        if any(filled > total for total, filled in zip(marginal.at_price, marginal.filled, strict=True)):
            raise MarginalOutOfRange(index)


def price(market: Market, header: Header, posting: ZonePosting, quality: int, window: int) -> int:
    """Clearing price of a cell, micro/kWh: floor-averaged energy less floor-averaged quality potential."""
    return posting.energy[window].mid - header.quality(market, quality, window).mid


def quote(market: Market, header: Header, posting: ZonePosting, quality: int, window: int) -> Quote:
    """Clearing price of a cell and the two differences of its potentials, micro/kWh."""
    e, y = posting.energy[window], header.quality(market, quality, window)
    differences = (e.lo - y.lo, e.hi - y.hi)
    return Quote(e.mid - y.mid, min(differences), max(differences))


# A chunk ------------------------------------------------------------------------------------------------


def read_hash(carry: Carry, order_hash: bytes) -> Carry:
    """The carry with one more order counted; NotAscending unless its hash is above the last."""
    if order_hash <= carry.last_hash:
        raise NotAscending(carry.last_hash, order_hash)
    frontier = carry.frontier.append(merkle.leaf_hash(order_hash))
    return replace(carry, last_hash=order_hash, frontier=frontier)


def check_schedule(market: Market, order_hash: bytes, schedule: Schedule) -> int:
    """Dense quality of a schedule that fits its session.

    WindowOutOfSession, LimitOutOfRange or UnknownQuality otherwise: a book with such an order cannot be
    cleared, so the operator accepts none.
    """
    params = market.params
    first = schedule.first_window - params.first_window
    if first < 0 or first + len(schedule.quantity_wh) > params.windows:
        raise WindowOutOfSession(order_hash)
    if any(not params.floor <= limit <= params.cap for limit in schedule.limit_micro_per_kwh):
        raise LimitOutOfRange(order_hash)
    return quality_index(market.grid, schedule.quality)


def fill_schedule(
    market: Market, header: Header, posting: ZonePosting, carry: Carry, order_hash: bytes, schedule: Schedule
) -> tuple[Carry, list[Fill]]:
    """The carry after an eligible schedule is read, and what it gets, one fill for each entry."""
    quality = check_schedule(market, order_hash, schedule)
    first = schedule.first_window - market.params.first_window
    cells, fills = list(carry.cells), []
    entries = zip(schedule.quantity_wh, schedule.limit_micro_per_kwh, strict=True)
    for window, (quantity, limit) in enumerate(entries, start=first):
        at = market.index(quality, window)
        cell_quote = quote(market, header, posting, quality, window)
        try:
            cells[at], filled = fill_entry(
                cells[at], posting.marginals[at], cell_quote, schedule.side, quantity, limit
            )
        except MarginalExceeded as cause:
            raise MarginalExceeded(order_hash) from cause
        fills.append(Fill(window, filled, cell_quote.price))
    return replace(carry, cells=tuple(cells)), fills


# A zone closes ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Commitment:
    """The book of a zone, fixed after the gate."""

    count: int
    root: bytes


def check_close(
    market: Market,
    header: Header,
    posting: ZonePosting,
    carry: Carry,
    commitment: Commitment,
    flows: Sequence[int],
) -> None:
    """Proves a session of one zone: raises what does not hold.

    `flows` are the substitutions, Wh, index `s * W + w`. Checked: the book read is the one committed;
    marginal volumes are the orders'; the potentials are in range and satisfy every constraint; each
    window's energy and each quality balance; every entry is supported.
    """
    check_zone_posting(market, posting)
    _check_length("substitutions", flows, len(market.grid.pairs()) * market.windows)
    if (carry.frontier.count, carry.frontier.root()) != (commitment.count, commitment.root):
        raise BookMismatch(carry.frontier.count, carry.frontier.root())
    _check_marginals(posting, carry)
    for window in range(market.windows):
        slackness.check_energy_range(window, posting.energy[window])
        _check_cells(market, header, posting, carry, window)
        _check_energy_balance(market, carry, window)
        _check_quality_balance(market, carry, flows, window)
        _check_flows(market, header, flows, window)
        _check_energy_support(market, header, posting, carry, window)
        _check_quality_support(market, header, posting, carry, flows, window)


def _check_marginals(posting: ZonePosting, carry: Carry) -> None:
    for index, (marginal, cell) in enumerate(zip(posting.marginals, carry.cells, strict=True)):
        if cell.at_price != marginal.at_price:
            raise MarginalMismatch(index)


def _check_cells(market: Market, header: Header, posting: ZonePosting, carry: Carry, window: int) -> None:
    for quality in range(market.qualities):
        at = market.index(quality, window)
        potential = header.quality(market, quality, window)
        slackness.check_cell(at, posting.energy[window], potential, carry.cells[at])


def _check_energy_balance(market: Market, carry: Carry, window: int) -> None:
    net = sum(carry.cells[market.index(quality, window)].net for quality in range(market.qualities))
    if net != 0:
        raise EnergyUnbalanced(window, net)


def _check_quality_balance(market: Market, carry: Carry, flows: Sequence[int], window: int) -> None:
    """What is bought of a quality, and given to others, is what is sold of it, and taken from others."""
    net = [carry.cells[market.index(quality, window)].net for quality in range(market.qualities)]
    for pair, (giver, taker) in enumerate(market.grid.pairs()):
        flow = check_uint("flow", flows[market.index(pair, window)], 256)
        net[giver] += flow
        net[taker] -= flow
    for quality, left in enumerate(net):
        if left != 0:
            raise QualityUnbalanced(market.index(quality, window), left)


def _check_flows(market: Market, header: Header, flows: Sequence[int], window: int) -> None:
    for pair, (giver, taker) in enumerate(market.grid.pairs()):
        at = market.index(pair, window)
        ends = (header.quality(market, giver, window), header.quality(market, taker, window))
        slackness.check_substitution(at, *ends)
        slackness.check_flow(at, *ends, flows[at])


def _check_energy_support(
    market: Market, header: Header, posting: ZonePosting, carry: Carry, window: int
) -> None:
    energy = posting.energy[window]
    held = slackness.energy_by_bound(energy)
    for quality in range(market.qualities):
        potential = header.quality(market, quality, window)
        cell = carry.cells[market.index(quality, window)]
        held = slackness.either(held, slackness.energy_by_cell(energy, potential, cell))
    if not all(held):
        raise EnergyUnsupported(window)


def _check_quality_support(
    market: Market,
    header: Header,
    posting: ZonePosting,
    carry: Carry,
    flows: Sequence[int],
    window: int,
) -> None:
    potentials = [header.quality(market, quality, window) for quality in range(market.qualities)]
    held = [slackness.quality_by_bound(potential) for potential in potentials]
    for quality, potential in enumerate(potentials):
        cell = carry.cells[market.index(quality, window)]
        by_cell = slackness.quality_by_cell(posting.energy[window], potential, cell)
        held[quality] = slackness.either(held[quality], by_cell)
    for pair, (giver, taker) in enumerate(market.grid.pairs()):
        ends, flow = (potentials[giver], potentials[taker]), flows[market.index(pair, window)]
        held[giver] = slackness.either(held[giver], slackness.giver_by_taker(*ends, flow))
        held[taker] = slackness.either(held[taker], slackness.taker_by_giver(*ends, flow))
    for quality in range(1, market.qualities):
        if not all(held[quality]):
            raise QualityUnsupported(market.index(quality, window))
