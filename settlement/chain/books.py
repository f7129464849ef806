"""A session's books before anything is sent: sealed and judged, zone by zone. No chain in here.

Sealing refuses what the contract would revert on, since one such order would make its whole session void.
Judging finds what the contract will tell ineligible: those orders stay in the committed and cleared book,
fill zero, and are kept from the matcher (`settlement/chain/prepared.py`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

from settlement.chain import packed
from settlement.chain.errors import UnacceptableOrder
from settlement.chain.exchange import Account
from settlement.reference import accounts as rules
from settlement.reference import clearing, merkle, session_key
from settlement.reference.accounts import Member
from settlement.reference.clearing import Market
from settlement.reference.closing import Commitment
from settlement.reference.errors import Refused
from settlement.reference.flexible import FlexibleSchedule
from settlement.reference.orders import Order, SignedOrder
from settlement.reference.record import BUY, NO_ADDRESS
from settlement.reference.session import Grid, SessionParams, session_id
from settlement.reference.session_key import NO_KEYS, NOT_USED, KeyRing, Place


@dataclass(frozen=True)
class Session:
    """A session as the chain opened it."""

    epoch: int
    params: SessionParams
    grid: Grid

    @cached_property
    def id(self) -> bytes:
        return session_id(self.params)

    @cached_property
    def market(self) -> Market:
        return Market(self.params, self.grid)


@dataclass(frozen=True)
class ZoneBook:
    """A zone's orders in ascending order of hash."""

    orders: tuple[SignedOrder, ...] = ()
    hashes: tuple[bytes, ...] = ()
    keys: Mapping[bytes, bytes] = field(default_factory=dict, compare=False)
    """The session key that signed an order, by its hash, where its trader did not."""

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

    def session_keys(self) -> list[Place]:
        """Whose keys signed some of the orders."""
        each = (
            zip(book.orders, book.hashes, [book.keys] * len(book.orders), strict=True) for book in self.zones
        )
        return sorted({(o.schedule.trader, keys[h]) for zone in each for o, h, keys in zone if h in keys})


# Sealing ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Named:
    """An order with the hash it goes by and who signed it."""

    order: SignedOrder
    hash: bytes
    signer: bytes

    @property
    def by_key(self) -> bool:
        return self.signer != self.order.schedule.trader

    @property
    def place(self) -> Place:
        return self.order.schedule.trader, self.signer


def name(separator: bytes, order: SignedOrder) -> Named:
    """The order by its hash."""
    return Named(order, *packed.signed_hash(separator, order))


def seal(
    separator: bytes,
    session: Session,
    given: Sequence[SignedOrder],
    members: Mapping[bytes, Member | None],
    ring: KeyRing = NO_KEYS,
) -> SealedBook:
    """The books of these orders. UnacceptableOrder for the first that the contract would revert on."""
    return seal_named(session, [name(separator, order) for order in given], members, ring)


def seal_named(
    session: Session, given: Sequence[Named], members: Mapping[bytes, Member | None], ring: KeyRing = NO_KEYS
) -> SealedBook:
    """As `seal`, of orders whose hashes are known."""
    hashed = {one.hash: one for one in given}
    if len(hashed) != len(given):
        twice = Counter(one.hash for one in given)
        raise UnacceptableOrder(twice.most_common(1)[0][0], "it is there twice")
    by_zone: dict[int, list[Named]] = {zone: [] for zone in range(session.grid.zones)}
    for order_hash in sorted(hashed):
        one = hashed[order_hash]
        schedule = one.order.schedule
        check_order(session, one, members.get(schedule.trader), ring)
        by_zone[schedule.zone].append(one)
    books = [_book(each) for each in by_zone.values()]
    for book in books:
        _check_lanes(book, members)
    return SealedBook(tuple(books))


def _book(each: Sequence[Named]) -> ZoneBook:
    keys = {one.hash: one.signer for one in each if one.by_key}
    return ZoneBook(tuple(one.order for one in each), tuple(one.hash for one in each), keys)


def check_order(session: Session, one: Named, member: Member | None, ring: KeyRing = NO_KEYS) -> None:
    """UnacceptableOrder if the contract would revert on this order in this session."""
    if not any(one.signer):  # before anything is said of its trader: that is for who may sign for it
        raise UnacceptableOrder(one.hash, "InvalidSignature")
    if not session_key.signs_for(ring.keys, *one.place, session.params.gate):
        raise UnacceptableOrder(one.hash, "neither its trader nor a session key of it signed it")
    check_terms(session, one.hash, one.order.schedule, member)


def check_terms(session: Session, order_hash: bytes, one: Order, member: Member | None) -> None:
    """UnacceptableOrder if the contract would revert on it whoever signed it."""
    if (one.session, one.kind) != (session.id, session.params.kind) or one.zone >= session.grid.zones:
        raise UnacceptableOrder(order_hash, "it is of another session, kind or grid")
    if member is None or not rules.may_trade(member, one.kind, one.side):
        raise UnacceptableOrder(order_hash, f"0x{one.trader.hex()} is no member that may trade")
    if one.side == BUY and one.most_wh > member.widest_wh:
        raise UnacceptableOrder(order_hash, f"its account's lanes hold {member.widest_wh} Wh")
    try:
        clearing.check_order(session.market, order_hash, one)
    except Refused as cause:
        raise UnacceptableOrder(order_hash, type(cause).__name__) from cause


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


def judge(
    session: Session, sealed: SealedBook, accounts: Mapping[bytes, Account], ring: KeyRing = NO_KEYS
) -> Reasons:
    """Why orders fill zero, from the accounts and session keys as of the gate.

    Zones do not depend on each other: away from its own zone nobody's order counts.
    """
    return tuple(_judge_zone(session, book, accounts, ring) for book in sealed.zones)


def _judge_zone(
    session: Session, book: ZoneBook, accounts: Mapping[bytes, Account], ring: KeyRing
) -> tuple[int, ...]:
    params = session.params
    cash = {address: replace(account.cash, epoch=session.epoch) for address, account in accounts.items()}
    beneficiaries: dict[bytes, bytes] = {}
    uses, reasons = dict(ring.uses), []
    for order, order_hash in zip((signed.schedule for signed in book.orders), book.hashes, strict=True):
        account = accounts[order.trader]
        assert account.member is not None
        amount, after_epoch = account.withdrawing
        promised = amount if after_epoch < session.epoch else 0
        cover = rules.cover(account.member, order, params)
        beneficiary = accounts[order.beneficiary].member if order.beneficiary != NO_ADDRESS else None
        signer = book.keys.get(order_hash)
        wrong = not signer and rules.wrong_beneficiary(order, beneficiary, beneficiaries.get(order.trader))
        reason = rules.refusal(account.member, order, cash[order.trader], promised, cover, wrong)
        if signer and not reason:
            place = (order.trader, signer)
            given = (ring.keys[place], uses.get(place, NOT_USED), order, session.epoch, params.gate)
            reason, uses[place] = session_key.apply(*given)
        if not reason:
            cash[order.trader] = rules.lock(cash[order.trader], cover)
            if order.beneficiary != NO_ADDRESS:
                beneficiaries[order.trader] = order.beneficiary
        reasons.append(reason)
    return tuple(reasons)
