"""A session's book before anything is sent: sealed, judged, matched. No chain in here.

Sealing refuses what the contract would revert on, since one such order would make its whole session void.
Judging finds what the contract will tell ineligible: those orders stay in the committed and cleared book,
fill zero, and are kept from the matcher.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from settlement import matching
from settlement.chain.errors import UnacceptableOrder
from settlement.chain.exchange import Account
from settlement.reference import accounts as rules
from settlement.reference import clearing, eip712, merkle, schedule
from settlement.reference.accounts import TRADERS, Member
from settlement.reference.clearing import Carry, Commitment, Header, Market, ZonePosting
from settlement.reference.errors import Refused
from settlement.reference.marginal import Marginal
from settlement.reference.potential import Potential
from settlement.reference.schedule import BUY, NO_ADDRESS, SignedSchedule
from settlement.reference.session import Grid, SessionParams, session_id

ZONE = 0


@dataclass(frozen=True)
class Session:
    """A session as the chain opened it."""

    epoch: int
    params: SessionParams
    grid: Grid

    @property
    def id(self) -> bytes:
        return session_id(self.params)

    @property
    def market(self) -> Market:
        return Market(self.params, self.grid)


@dataclass(frozen=True)
class SealedBook:
    """A zone's orders in ascending order of hash: what the operator commits to."""

    orders: tuple[SignedSchedule, ...]
    hashes: tuple[bytes, ...]

    @property
    def commitment(self) -> Commitment:
        leaves = [merkle.leaf_hash(one) for one in self.hashes]
        return Commitment(len(leaves), merkle.root(leaves))


@dataclass(frozen=True)
class Prepared:
    """All that the operator posts for a session, and what comes of it."""

    session: Session
    sealed: SealedBook
    reasons: tuple[int, ...]
    """Why each order fills zero; 0 where it counts."""
    header: Header
    posting: ZonePosting
    flows: tuple[int, ...]
    """Substitutions, Wh, index `s * W + w`."""
    fills: tuple[tuple[int, ...], ...]
    """Wh of each order's entries."""
    welfare_nano: int

    def prices(self) -> list[list[int]]:
        """By dense quality and window, micro/kWh."""
        market = self.session.market
        return [
            [clearing.price(market, self.header, self.posting, q, w) for w in range(market.windows)]
            for q in range(market.qualities)
        ]


# Sealing ------------------------------------------------------------------------------------------------


def seal(
    separator: bytes,
    session: Session,
    orders: Sequence[SignedSchedule],
    members: Mapping[bytes, Member | None],
) -> SealedBook:
    """The book of these orders. UnacceptableOrder for the first that the contract would revert on."""
    hashed = {schedule.order_hash(separator, order.schedule): order for order in orders}
    if len(hashed) != len(orders):
        twice = Counter(schedule.order_hash(separator, order.schedule) for order in orders)
        raise UnacceptableOrder(twice.most_common(1)[0][0], "it is there twice")
    sealed = SealedBook(tuple(hashed[one] for one in sorted(hashed)), tuple(sorted(hashed)))
    for order_hash, order in zip(sealed.hashes, sealed.orders, strict=True):
        check_order(session, order_hash, order, members.get(order.schedule.trader))
    _check_lanes(sealed, members)
    return sealed


def check_order(session: Session, order_hash: bytes, order: SignedSchedule, member: Member | None) -> None:
    """UnacceptableOrder if the contract would revert on this order in this session."""
    one = order.schedule
    if (one.session, one.kind, one.zone) != (session.id, session.params.kind, ZONE):
        raise UnacceptableOrder(order_hash, "it is of another session, kind or zone")
    if member is None or member.role not in TRADERS:
        raise UnacceptableOrder(order_hash, f"0x{one.trader.hex()} is no member that may trade")
    if one.beneficiary != NO_ADDRESS:
        raise UnacceptableOrder(order_hash, "orders that earn for another are not yet taken")
    if one.side == BUY and max(one.quantity_wh) > member.widest_wh:
        raise UnacceptableOrder(order_hash, f"its account's lanes hold {member.widest_wh} Wh")
    try:
        clearing.check_schedule(session.market, order_hash, one)
        signer = eip712.recover(order_hash, order.signature)
    except Refused as cause:
        raise UnacceptableOrder(order_hash, type(cause).__name__) from cause
    if signer != one.trader:
        raise UnacceptableOrder(order_hash, "another account than its trader signed it")


def _check_lanes(sealed: SealedBook, members: Mapping[bytes, Member | None]) -> None:
    """What one account may fill of one product must fit its lane, or minting would overflow."""
    totals: Counter[tuple[bytes, int, int, int]] = Counter()
    for order_hash, order in zip(sealed.hashes, sealed.orders, strict=True):
        one, member = order.schedule, members[order.schedule.trader]
        assert member is not None
        for window, wh in enumerate(one.quantity_wh, start=one.first_window):
            key = (one.trader, one.side, one.quality, window)
            totals[key] += wh
            if one.side == BUY or wh <= member.capacity_wh:
                _check_lane(order_hash, totals[key], member)


def _check_lane(order_hash: bytes, total_wh: int, member: Member) -> None:
    if total_wh > member.widest_wh:
        raise UnacceptableOrder(order_hash, f"with its trader's others it exceeds {member.widest_wh} Wh")


# Judging ------------------------------------------------------------------------------------------------


def judge(session: Session, sealed: SealedBook, accounts: Mapping[bytes, Account]) -> tuple[int, ...]:
    """Why each order fills zero, 0 where it counts, from the accounts as of the gate."""
    params = session.params
    cash = {address: replace(account.cash, epoch=session.epoch) for address, account in accounts.items()}
    reasons = []
    for order in (signed.schedule for signed in sealed.orders):
        account = accounts[order.trader]
        assert account.member is not None
        amount, after_epoch = account.withdrawing
        promised = amount if after_epoch < session.epoch else 0
        cover = schedule.cover(order, params.buy_reserve, params.sell_reserve)
        reason = rules.refusal(account.member, order, cash[order.trader], promised, cover)
        if not reason:
            cash[order.trader] = rules.lock(cash[order.trader], cover)
        reasons.append(reason)
    return tuple(reasons)


# Matching -----------------------------------------------------------------------------------------------


def prepare(session: Session, sealed: SealedBook, reasons: Sequence[int]) -> Prepared:
    """Clears the eligible orders: potentials, marginal volumes, substitutions and everyone's fills."""
    market = session.market
    outcome = matching.clear(_rows(session, sealed, reasons), _matching_market(session))
    windows, qualities = range(market.windows), range(market.qualities)
    header = Header(tuple(_potential(outcome.quality, q, w) for q in qualities if q for w in windows))
    total, filled = outcome.marginal_wh[ZONE].tolist(), outcome.filled_wh[ZONE].tolist()
    posting = ZonePosting(
        tuple(_potential(outcome.energy, ZONE, w) for w in windows),
        tuple(Marginal(tuple(total[q][w]), tuple(filled[q][w])) for q in qualities for w in windows),
    )
    return Prepared(
        session,
        sealed,
        tuple(reasons),
        header,
        posting,
        flows=tuple(outcome.substituted_wh.ravel().tolist()),
        fills=_fills(sealed, reasons, outcome.fills_wh.tolist()),
        welfare_nano=outcome.welfare_nano,
    )


def _matching_market(session: Session) -> matching.Market:
    return matching.make_market(
        session.params.windows,
        qualities=len(session.grid.qualities),
        substitutions=session.grid.pairs(),
        floor=session.params.floor,
        cap=session.params.cap,
    )


def _rows(session: Session, sealed: SealedBook, reasons: Sequence[int]) -> matching.Book:
    """The matcher's rows: the order's rank is its place in the book."""
    dense = {code: index for index, code in enumerate(session.grid.qualities)}
    first = session.params.first_window
    columns: dict[str, list[int]] = {
        name: [] for name in ("order", "side", "quality", "window", "quantity_wh", "limit")
    }
    for rank, (order, reason) in enumerate(zip(sealed.orders, reasons, strict=True)):
        if reason:
            continue
        one, count = order.schedule, len(order.schedule.quantity_wh)
        columns["order"] += [rank] * count
        columns["side"] += [one.side] * count
        columns["quality"] += [dense[one.quality]] * count
        columns["window"] += range(one.first_window - first, one.first_window - first + count)
        columns["quantity_wh"] += one.quantity_wh
        columns["limit"] += one.limit_micro_per_kwh
    return matching.make_book(**columns, zone=[ZONE] * len(columns["order"]))


def _fills(sealed: SealedBook, reasons: Sequence[int], rows: list[int]) -> tuple[tuple[int, ...], ...]:
    found, at = [], 0
    for order, reason in zip(sealed.orders, reasons, strict=True):
        count = len(order.schedule.quantity_wh)
        found.append((0,) * count if reason else tuple(rows[at : at + count]))
        at += 0 if reason else count
    return tuple(found)


def _potential(extremes: matching.Extremes, row: int, window: int) -> Potential:
    vectors = (extremes.low, extremes.high, extremes.rank_low, extremes.rank_high)
    return Potential(*(int(vector[row, window]) for vector in vectors))


# Carries ------------------------------------------------------------------------------------------------


def advance(prepared: Prepared, carry: Carry | None, chunk: range) -> Carry:
    """What a chunk leaves to the next, by the reference."""
    market = prepared.session.market
    now = clearing.initial_carry(market) if carry is None else carry
    for at in chunk:
        order_hash, order = prepared.sealed.hashes[at], prepared.sealed.orders[at].schedule
        now = clearing.read_hash(now, order_hash)
        if prepared.reasons[at]:
            continue
        args = (market, prepared.header, prepared.posting, now, order_hash, order)
        now, fills = clearing.fill_schedule(*args)
        assert tuple(fill.quantity_wh for fill in fills) == prepared.fills[at], order_hash.hex()
    return now
