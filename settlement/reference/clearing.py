"""Clearing: a zone's orders read in chunks against the posted prices.

docs/formats.md gives the words. What the operator posts (`Header`, `ZonePosting`, splits of flexible orders)
is never trusted: fills follow from it, and `closing` accepts it only if it is optimal and the rule's.

Arrays are indexed `q * W + w`, q the dense quality index and w counted from the session's first window.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from settlement.reference import cell as cells_
from settlement.reference import marginal as marginals_
from settlement.reference import merkle, slackness, split
from settlement.reference import potential as potentials_
from settlement.reference.cell import Cell
from settlement.reference.eip712 import keccak
from settlement.reference.errors import (
    LimitOutOfRange,
    MarginalExceeded,
    MarginalOutOfRange,
    NotAscending,
    QuantityOverflow,
    WindowOutOfSession,
    WrongLength,
)
from settlement.reference.fill import Quote, fill_entry
from settlement.reference.flexible import FlexibleSchedule, SignedFlexible
from settlement.reference.marginal import Marginal
from settlement.reference.merkle import Frontier
from settlement.reference.orders import Order, SignedOrder
from settlement.reference.potential import GROUND, Potential
from settlement.reference.record import BUY, NO_HASH
from settlement.reference.schedule import SignedSchedule
from settlement.reference.session import Grid, SessionParams, quality_index
from settlement.reference.words import word, words
from settlement.units import WH_LIMIT


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
    support: int = 0
    """Energy potentials that flexible orders hold, 2 bits a window (`support`)."""
    submitted: int = 0
    """Orders read that were submitted on chain."""


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
        + word(carry.support)
        + word(carry.submitted)
    )


# The header ---------------------------------------------------------------------------------------------


def check_header(market: Market, header: Header) -> None:
    """WrongLength, PotentialOutOfRange or SubstitutionViolated unless the premiums may stand."""
    check_length("header", header.qualities, market.cells - market.windows)
    for index, entry in enumerate(header.qualities):
        slackness.check_quality_range(index, entry)
    for flow, (giver, taker) in enumerate(market.grid.pairs()):
        for window in range(market.windows):
            slackness.check_substitution(
                market.index(flow, window),
                header.quality(market, giver, window),
                header.quality(market, taker, window),
            )


def check_length(name: str, array: Sequence[object], expected: int) -> None:
    if len(array) != expected:
        raise WrongLength(name, len(array), expected)


def check_lengths(market: Market, posting: ZonePosting) -> None:
    """WrongLength unless there is one potential a window and one marginal a cell."""
    check_length("energyPotentials", posting.energy, market.windows)
    check_length("marginals", posting.marginals, market.cells)


def check_marginals(posting: ZonePosting) -> None:
    """MarginalOutOfRange if more of a cell's at-price quantity fills than there is."""
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


def read_hash(carry: Carry, order_hash: bytes, submitted: bool = False) -> Carry:
    """The carry with one more order counted; NotAscending unless its hash is above the last."""
    if order_hash <= carry.last_hash:
        raise NotAscending(carry.last_hash, order_hash)
    frontier = carry.frontier.append(merkle.leaf_hash(order_hash))
    count = carry.submitted + int(submitted)
    return replace(carry, last_hash=order_hash, frontier=frontier, submitted=count)


def check_order(market: Market, order_hash: bytes, order: Order) -> None:
    """LimitOutOfRange, QuantityOverflow, WindowOutOfSession or UnknownQuality unless the order fits its
    session: a book with such an order cannot be cleared, so the operator accepts none.
    """
    params = market.params
    limits = _limits(order)
    if any(not params.floor <= limit <= params.cap for limit in limits):
        raise LimitOutOfRange(order_hash)
    if isinstance(order, FlexibleSchedule) and max(order.energy_wh, order.max_wh_per_window) >= WH_LIMIT:
        raise QuantityOverflow(order_hash)
    first = order.first_window - params.first_window
    if first < 0 or first + order.windows > params.windows:
        raise WindowOutOfSession(order_hash)
    quality_index(market.grid, order.quality)


def _limits(order: Order) -> tuple[int, ...]:
    if isinstance(order, FlexibleSchedule):
        return (order.limit_micro_per_kwh,)
    return order.limit_micro_per_kwh


def fill_order(
    market: Market, header: Header, posting: ZonePosting, carry: Carry, order_hash: bytes, signed: SignedOrder
) -> tuple[Carry, list[Fill]]:
    """The carry after an eligible order is read, and what it gets, one fill for each window."""
    if isinstance(signed, SignedFlexible):
        return _fill_flexible(market, header, posting, carry, order_hash, signed)
    return _fill_schedule(market, header, posting, carry, order_hash, signed)


def _fill_schedule(
    market: Market,
    header: Header,
    posting: ZonePosting,
    carry: Carry,
    order_hash: bytes,
    signed: SignedSchedule,
) -> tuple[Carry, list[Fill]]:
    order = signed.schedule
    quality = quality_index(market.grid, order.quality)
    cells, fills = list(carry.cells), []
    entries = zip(order.quantity_wh, order.limit_micro_per_kwh, strict=True)
    for window, (quantity, limit) in enumerate(entries, start=_first(market, order)):
        at = market.index(quality, window)
        cell_quote = quote(market, header, posting, quality, window)
        try:
            cells[at], filled = fill_entry(
                cells[at], posting.marginals[at], cell_quote, order.side, quantity, limit
            )
        except MarginalExceeded as cause:
            raise MarginalExceeded(order_hash) from cause
        fills.append(Fill(window, filled, cell_quote.price))
    return replace(carry, cells=tuple(cells)), fills


def _fill_flexible(
    market: Market,
    header: Header,
    posting: ZonePosting,
    carry: Carry,
    order_hash: bytes,
    signed: SignedFlexible,
) -> tuple[Carry, list[Fill]]:
    """SplitOutOfRange or SplitNotOptimal unless the shares are what the order wants at these prices."""
    order, first = signed.schedule, _first(market, signed.schedule)
    split.check_range(order_hash, order, signed.shares_wh)
    found = split.split_of(order, signed.shares_wh, first)
    split.check_optimal(order_hash, found, posting.energy)
    cells, fills = list(carry.cells), []
    for window, share in enumerate(signed.shares_wh, start=first):
        at = market.index(0, window)
        net = share if order.side == BUY else -share
        cells[at] = replace(cells[at], net=cells[at].net + net)
        fills.append(Fill(window, share, price(market, header, posting, 0, window)))
    held = carry.support | split.supported(found, posting.energy)
    return replace(carry, cells=tuple(cells), support=held), fills


def _first(market: Market, order: Order) -> int:
    return order.first_window - market.params.first_window
