"""A session's books before anything is sent: sealed and judged, zone by zone. No chain in here.

Sealing refuses what the contract would revert on, since one such order would make its whole session void.
Judging finds what the contract will tell ineligible: those orders stay in the committed and cleared book,
fill zero, and are kept from the matcher (`settlement/chain/prepared.py`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from settlement.chain.errors import UnacceptableOrder
from settlement.chain.exchange import Account
from settlement.reference import accounts as rules
from settlement.reference import clearing, eip712, merkle, orders
from settlement.reference.accounts import Member
from settlement.reference.clearing import Market
from settlement.reference.closing import Commitment
from settlement.reference.errors import Refused
from settlement.reference.flexible import FlexibleSchedule
from settlement.reference.orders import Order, SignedOrder
from settlement.reference.record import BUY, NO_ADDRESS
from settlement.reference.session import Grid, SessionParams, session_id


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
class ZoneBook:
    """A zone's orders in ascending order of hash."""

    orders: tuple[SignedOrder, ...] = ()
    hashes: tuple[bytes, ...] = ()

    @property
    def commitment(self) -> Commitment:
        leaves = [merkle.leaf_hash(one) for one in self.hashes]
        return Commitment(len(leaves), merkle.root(leaves))


@dataclass(frozen=True)
class SealedBook:
    """The books of a session, one a zone: what the operator commits to."""

    zones: tuple[ZoneBook, ...]

    @property
    def commitments(self) -> tuple[Commitment, ...]:
        return tuple(book.commitment for book in self.zones)

    @property
    def orders(self) -> tuple[SignedOrder, ...]:
        """Of all zones, one after another."""
        return tuple(order for book in self.zones for order in book.orders)

    @property
    def hashes(self) -> tuple[bytes, ...]:
        return tuple(one for book in self.zones for one in book.hashes)

    def accounts(self) -> list[bytes]:
        """Whose accounts have a say in what becomes of the orders."""
        found = {order.schedule.trader for order in self.orders}
        found |= {order.schedule.beneficiary for order in self.orders}
        return sorted(found - {NO_ADDRESS})


# Sealing ------------------------------------------------------------------------------------------------


def seal(
    separator: bytes,
    session: Session,
    given: Sequence[SignedOrder],
    members: Mapping[bytes, Member | None],
) -> SealedBook:
    """The books of these orders. UnacceptableOrder for the first that the contract would revert on."""
    hashed = {orders.order_hash(separator, order.schedule): order for order in given}
    if len(hashed) != len(given):
        twice = Counter(orders.order_hash(separator, order.schedule) for order in given)
        raise UnacceptableOrder(twice.most_common(1)[0][0], "it is there twice")
    by_zone: dict[int, list[bytes]] = {zone: [] for zone in range(session.grid.zones)}
    for order_hash in sorted(hashed):
        order = hashed[order_hash]
        check_order(session, order_hash, order, members.get(order.schedule.trader))
        by_zone[order.schedule.zone].append(order_hash)
    books = [ZoneBook(tuple(hashed[one] for one in hashes), tuple(hashes)) for hashes in by_zone.values()]
    for book in books:
        _check_lanes(book, members)
    return SealedBook(tuple(books))


def check_order(session: Session, order_hash: bytes, order: SignedOrder, member: Member | None) -> None:
    """UnacceptableOrder if the contract would revert on this order in this session."""
    one = order.schedule
    if (one.session, one.kind) != (session.id, session.params.kind) or one.zone >= session.grid.zones:
        raise UnacceptableOrder(order_hash, "it is of another session, kind or grid")
    if member is None or not rules.may_trade(member, one.kind, one.side):
        raise UnacceptableOrder(order_hash, f"0x{one.trader.hex()} is no member that may trade")
    if one.side == BUY and one.most_wh > member.widest_wh:
        raise UnacceptableOrder(order_hash, f"its account's lanes hold {member.widest_wh} Wh")
    try:
        clearing.check_order(session.market, order_hash, one)
        signer = eip712.recover(order_hash, order.signature)
    except Refused as cause:
        raise UnacceptableOrder(order_hash, type(cause).__name__) from cause
    if signer != one.trader:
        raise UnacceptableOrder(order_hash, "another account than its trader signed it")


def _check_lanes(book: ZoneBook, members: Mapping[bytes, Member | None]) -> None:
    """What one account may fill of one product must fit its lane, or minting would overflow."""
    totals: Counter[tuple[bytes, int, int, int]] = Counter()
    for order_hash, order in zip(book.hashes, book.orders, strict=True):
        one, member = order.schedule, members[order.schedule.trader]
        assert member is not None
        for window, wh in asked(one):
            key = (one.trader, one.side, one.quality, window)
            totals[key] += wh
            if one.side == BUY or wh <= member.capacity_wh:
                _check_lane(order_hash, totals[key], member)


def asked(order: Order) -> Iterator[tuple[int, int]]:
    """The most that may fill, by window."""
    windows = range(order.first_window, order.first_window + order.windows)
    if isinstance(order, FlexibleSchedule):
        most = min(order.max_wh_per_window, order.energy_wh)
        return zip(windows, [most] * order.windows, strict=True)
    return zip(windows, order.quantity_wh, strict=True)


def _check_lane(order_hash: bytes, total_wh: int, member: Member) -> None:
    if total_wh > member.widest_wh:
        raise UnacceptableOrder(order_hash, f"with its trader's others it exceeds {member.widest_wh} Wh")


# Judging ------------------------------------------------------------------------------------------------

Reasons = tuple[tuple[int, ...], ...]
"""Why each order of each zone fills zero; 0 where it counts."""


def judge(session: Session, sealed: SealedBook, accounts: Mapping[bytes, Account]) -> Reasons:
    """Why orders fill zero, from the accounts as of the gate.

    Zones do not depend on each other: away from its own zone nobody's order counts.
    """
    return tuple(_judge_zone(session, book, accounts) for book in sealed.zones)


def _judge_zone(session: Session, book: ZoneBook, accounts: Mapping[bytes, Account]) -> tuple[int, ...]:
    params = session.params
    cash = {address: replace(account.cash, epoch=session.epoch) for address, account in accounts.items()}
    beneficiaries: dict[bytes, bytes] = {}
    reasons = []
    for order in (signed.schedule for signed in book.orders):
        account = accounts[order.trader]
        assert account.member is not None
        amount, after_epoch = account.withdrawing
        promised = amount if after_epoch < session.epoch else 0
        cover = rules.cover(account.member, order, params)
        beneficiary = accounts[order.beneficiary].member if order.beneficiary != NO_ADDRESS else None
        wrong = rules.wrong_beneficiary(order, beneficiary, beneficiaries.get(order.trader))
        reason = rules.refusal(account.member, order, cash[order.trader], promised, cover, wrong)
        if not reason:
            cash[order.trader] = rules.lock(cash[order.trader], cover)
            if order.beneficiary != NO_ADDRESS:
                beneficiaries[order.trader] = order.beneficiary
        reasons.append(reason)
    return tuple(reasons)
