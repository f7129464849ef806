"""A session's books cleared off chain: everything that the operator posts, zone by zone. No chain in here.

What each transaction leaves to the next is computed by the reference: carries from chunk to chunk, and what
a closed zone leaves to the one above it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from settlement import matching
from settlement.chain.books import Reasons, SealedBook, Session, ZoneBook
from settlement.reference import clearing, closing
from settlement.reference.clearing import Carry, Header, ZonePosting
from settlement.reference.closing import ClosedZone
from settlement.reference.flexible import SignedFlexible
from settlement.reference.marginal import Marginal
from settlement.reference.orders import SignedOrder
from settlement.reference.potential import Potential
from settlement.reference.session import NO_PARENT, UNLIMITED_WH


@dataclass(frozen=True)
class PreparedZone:
    """What the operator posts for a zone, and what comes of it."""

    zone: int
    orders: tuple[SignedOrder, ...]
    """In ascending order of hash; flexible ones with their split."""
    hashes: tuple[bytes, ...]
    reasons: tuple[int, ...]
    """Why each order fills zero; 0 where it counts."""
    posting: ZonePosting
    fills: tuple[tuple[int, ...], ...]
    """Wh of each order's entries or windows."""
    keys: Mapping[bytes, bytes] = field(default_factory=dict, compare=False)
    """The session key that signed an order, by its hash, where its trader did not."""

    @property
    def book(self) -> ZoneBook:
        return ZoneBook(self.orders, self.hashes, self.keys)


@dataclass(frozen=True)
class Prepared:
    """All that the operator posts for a session, and what comes of it."""

    session: Session
    header: Header
    zones: tuple[PreparedZone, ...]
    flows: tuple[int, ...]
    """Substitutions, Wh, index `s * W + w`."""
    welfare_nano: int

    @property
    def root(self) -> PreparedZone:
        return self.zones[0]

    @property
    def sealed(self) -> SealedBook:
        return SealedBook(tuple(zone.book for zone in self.zones))

    @property
    def reasons(self) -> tuple[int, ...]:
        """Of all zones' orders, one zone after another."""
        return tuple(reason for zone in self.zones for reason in zone.reasons)

    @property
    def fills(self) -> tuple[tuple[int, ...], ...]:
        """Of all zones' orders, one zone after another."""
        return tuple(wh for zone in self.zones for wh in zone.fills)

    def prices(self, zone: int = 0) -> list[list[int]]:
        """By dense quality and window, micro/kWh."""
        market, posting = self.session.market, self.zones[zone].posting
        return [
            [clearing.price(market, self.header, posting, q, w) for w in range(market.windows)]
            for q in range(market.qualities)
        ]


# Matching -----------------------------------------------------------------------------------------------


def prepare(session: Session, sealed: SealedBook, reasons: Reasons) -> Prepared:
    """Clears the eligible orders of all zones: potentials, marginal volumes, splits, substitutions and
    everyone's fills.
    """
    market = session.market
    counted = Counted(session, sealed, reasons)
    outcome = matching.clear(counted.book(), matching_market(session), counted.flexible())
    windows, qualities = range(market.windows), range(market.qualities)
    fills = counted.fills(outcome)
    return Prepared(
        session,
        Header(tuple(_potential(outcome.quality, q, w) for q in qualities if q for w in windows)),
        tuple(
            PreparedZone(
                zone,
                tuple(map(_with_split, book.orders, fills[zone])),
                book.hashes,
                reasons[zone],
                _posting(session, outcome, zone),
                fills[zone],
                book.keys,
            )
            for zone, book in enumerate(sealed.zones)
        ),
        flows=tuple(outcome.substituted_wh.ravel().tolist()),
        welfare_nano=outcome.welfare_nano,
    )


def _posting(session: Session, outcome: matching.Clearing, zone: int) -> ZonePosting:
    market = session.market
    windows, qualities = range(market.windows), range(market.qualities)
    total, filled = outcome.marginal_wh[zone].tolist(), outcome.filled_wh[zone].tolist()
    return ZonePosting(
        tuple(_potential(outcome.energy, zone, w) for w in windows),
        tuple(Marginal(tuple(total[q][w]), tuple(filled[q][w])) for q in qualities for w in windows),
    )


def _potential(extremes: matching.Extremes, row: int, window: int) -> Potential:
    vectors = (extremes.low, extremes.high, extremes.rank_low, extremes.rank_high)
    return Potential(*(int(vector[row, window]) for vector in vectors))


def _with_split(order: SignedOrder, fills: tuple[int, ...]) -> SignedOrder:
    return replace(order, shares_wh=fills) if isinstance(order, SignedFlexible) else order


def matching_market(session: Session) -> matching.Market:
    """The session as the matcher takes it."""
    grid = session.grid
    return matching.make_market(
        session.params.windows,
        parent=[matching.ROOT if above == NO_PARENT else above for above in grid.parents],
        charge=grid.charges,
        capacity_wh=[matching.UNLIMITED_WH if most == UNLIMITED_WH else most for most in grid.capacities],
        qualities=len(grid.qualities),
        substitutions=grid.pairs(),
        floor=session.params.floor,
        cap=session.params.cap,
    )


class Counted:
    """The orders that count, as the matcher takes them: an order's rank is its place in all books."""

    def __init__(self, session: Session, sealed: SealedBook, reasons: Reasons) -> None:
        self.session, self.sealed, self.reasons = session, sealed, reasons

    def _each(self, flexible: bool) -> Iterator[tuple[int, int, SignedOrder]]:
        """Rank, zone and order of each one of a kind that counts."""
        rank = -1
        for zone, (book, why) in enumerate(zip(self.sealed.zones, self.reasons, strict=True)):
            for order, reason in zip(book.orders, why, strict=True):
                rank += 1
                if not reason and isinstance(order, SignedFlexible) == flexible:
                    yield rank, zone, order

    def book(self) -> matching.Book:
        names = ("order", "side", "zone", "quality", "window", "quantity_wh", "limit")
        columns: dict[str, list[int]] = {name: [] for name in names}
        dense = {code: index for index, code in enumerate(self.session.grid.qualities)}
        for rank, zone, order in self._each(flexible=False):
            assert not isinstance(order, SignedFlexible)
            one, count = order.schedule, order.schedule.windows
            first = one.first_window - self.session.params.first_window
            columns["order"] += [rank] * count
            columns["side"] += [one.side] * count
            columns["zone"] += [zone] * count
            columns["quality"] += [dense[one.quality]] * count
            columns["window"] += range(first, first + count)
            columns["quantity_wh"] += one.quantity_wh
            columns["limit"] += one.limit_micro_per_kwh
        return matching.make_book(**columns)

    def flexible(self) -> matching.FlexibleOrders:
        rows = []
        for rank, zone, order in self._each(flexible=True):
            assert isinstance(order, SignedFlexible)
            one = order.schedule
            first = one.first_window - self.session.params.first_window
            span = (first, first + one.windows - 1)
            terms = (one.energy_wh, one.max_wh_per_window, one.limit_micro_per_kwh)
            rows.append((rank, one.side, zone, *span, *terms))
        span_names, term_names = ("first_window", "last_window"), ("energy_wh", "max_wh_per_window", "limit")
        names = ("order", "side", "zone", *span_names, *term_names)
        columns = zip(*rows, strict=True) if rows else ([] for _ in names)
        return matching.make_flexible(**dict(zip(names, columns, strict=True)))

    def fills(self, outcome: matching.Clearing) -> list[tuple[tuple[int, ...], ...]]:
        """Wh of each order of each zone, nothing where it does not count."""
        rows, splits = outcome.fills_wh.tolist(), iter(outcome.flexible_wh.tolist())
        found, at = [], 0
        for book, why in zip(self.sealed.zones, self.reasons, strict=True):
            fills = []
            for order, reason in zip(book.orders, why, strict=True):
                count = order.schedule.windows
                if reason:
                    fills.append((0,) * count)
                elif isinstance(order, SignedFlexible):
                    first = order.schedule.first_window - self.session.params.first_window
                    fills.append(tuple(next(splits)[first : first + count]))
                else:
                    fills.append(tuple(rows[at : at + count]))
                    at += count
            found.append(tuple(fills))
        return found


# What one transaction leaves to the next ----------------------------------------------------------------


def advance(prepared: Prepared, zone: int, carry: Carry | None, chunk: range) -> Carry:
    """What a chunk of a zone leaves to the next, by the reference."""
    market, own = prepared.session.market, prepared.zones[zone]
    now = clearing.initial_carry(market) if carry is None else carry
    for at in chunk:
        order_hash, order = own.hashes[at], own.orders[at]
        now = clearing.read_hash(now, order_hash, order.submitted)
        if own.reasons[at]:
            continue
        now, fills = clearing.fill_order(market, prepared.header, own.posting, now, order_hash, order)
        assert tuple(fill.quantity_wh for fill in fills) == own.fills[at], order_hash.hex()
    return now


def close(prepared: Prepared, zone: int, carry: Carry | None) -> ClosedZone:
    """What a zone leaves when it closes, before any below is joined to it."""
    market, own = prepared.session.market, prepared.zones[zone]
    now = clearing.initial_carry(market) if carry is None else carry
    commitment = own.book.commitment
    return closing.close(market, zone, prepared.header, own.posting, now, commitment, now.submitted)


def join(prepared: Prepared, zone: int, own: ClosedZone, children: Sequence[ClosedZone]) -> ClosedZone:
    """What a closed zone leaves after the next of its children are joined to it."""
    market = prepared.session.market
    below = market.grid.children(zone)
    for child in children:
        own = closing.join(market, own, below[own.joined], child)
    return own
