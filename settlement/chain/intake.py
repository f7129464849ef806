"""The operator's intake: which orders it takes until the gate, and what it signs for them. No chain in here.

    taken     in the book, with a receipt
    replaced  by a taken order that names it: out of the book
    cancelled by its trader or signer, with a receipt of the cancel: out of the book
    forced    submitted on chain: in the book whatever else was said of it

An order that is out stays out. A trader may have several orders at once (price steps); together they stay
within half a lane, because the other half belongs to what it may submit on chain.

An operator that clears what this says never owes anything for a session that it proves.

What an order is by itself (`inspect`) is judged apart from what it is beside the others (`admit`), so that
thousands can be judged anywhere and in any order; whoever keeps the book in a database writes what `admit`
and `withdraw` return before a receipt leaves, and goes on from there with `restore`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field, replace

from settlement.chain import packed
from settlement.chain.books import Named, Session, asked, check_order, name
from settlement.chain.errors import UnacceptableOrder
from settlement.chain.receipts import cancel_hash, sign_receipt
from settlement.chain.sign import Signer
from settlement.reference import eip712, session_key
from settlement.reference.accounts import Member
from settlement.reference.errors import Refused
from settlement.reference.orders import SignedOrder
from settlement.reference.receipts import Receipt, SignedReceipt
from settlement.reference.record import NO_HASH
from settlement.reference.session_key import NO_KEYS, NOT_USED, KeyRing

MOST_RECEIPTS = 64
"""Orders of one trader and session, so that nobody uses up the session's sequences; each may be cancelled
besides."""

Place = tuple[bytes, int, int]
"""Trader, side, quality: what shares lanes."""


@dataclass(frozen=True, slots=True)
class Inspected:
    """An order that is sound by itself."""

    named: Named
    widest_wh: int
    """What its trader's lanes hold."""


@dataclass(frozen=True, slots=True)
class Entry:
    """An order in the book."""

    trader: bytes
    signer: bytes
    """The trader, or a session key of it."""
    zone: int
    record: bytes

    def goes_by(self, one: Named) -> bool:
        """Whether another order of its trader takes it back by naming it."""
        trader = one.order.schedule.trader
        return trader == self.trader and session_key.may_take_back(one.signer, trader, self.signer)


@dataclass(frozen=True, slots=True)
class Booked:
    """What was written down, and is promised by the receipt of this sequence."""

    hash: bytes
    """Of the order, or of the cancel."""
    sequence: int
    trader: bytes
    entry: Entry | None
    """None of a cancel."""
    leaves: bytes
    """The order that goes out of the book by it; zero for none."""


def inspect(session: Session, one: Named, member: Member | None, ring: KeyRing = NO_KEYS) -> Inspected:
    """An order that may be admitted. UnacceptableOrder if nothing else could make it acceptable.

    `ring` has the session key that signed it, if its trader did not.
    """
    check_order(session, one, member, ring)
    assert member is not None
    if one.by_key:
        _check_key(session, one, ring)
    if one.order.schedule.zone != member.zone:
        raise UnacceptableOrder(one.hash, f"its trader is registered in zone {member.zone}")
    return Inspected(replace(one, order=replace(one.order, submitted=False)), member.widest_wh)


def _check_key(session: Session, one: Named, ring: KeyRing) -> None:
    """What would fill zero by itself, with nothing used of its key's scope, gets no receipt."""
    key, gate = ring.keys[one.place], session.params.gate
    reason, _ = session_key.apply(key, NOT_USED, one.order.schedule, session.epoch, gate)
    if reason == session_key.KEY_ENDED:
        raise UnacceptableOrder(one.hash, "its session key is revoked, or expires before the gate")
    if reason == session_key.BEYOND_SCOPE:
        raise UnacceptableOrder(one.hash, "it is beyond the scope of its session key")


@dataclass
class Intake:
    """One session's."""

    separator: bytes
    session: Session
    signer: Signer
    """Of the receipts."""
    entries: dict[bytes, Entry] = field(default_factory=dict)
    """By hash, those that are in."""
    forced: dict[bytes, SignedOrder] = field(default_factory=dict)
    out: dict[bytes, Entry] = field(default_factory=dict)
    """Orders that were replaced or cancelled, by hash."""
    receipts: dict[bytes, SignedReceipt] = field(default_factory=dict)
    """By what they are for: an order or a cancel."""
    given: Counter[bytes] = field(default_factory=Counter)
    """Receipts by trader."""
    next_sequence: int = 0
    _asked: dict[Place, Counter[int]] = field(default_factory=dict)
    """Wh by window that the orders that are in ask for together."""

    # What traders send --------------------------------------------------------------------------------------

    def take(
        self, now: int, order: SignedOrder, member: Member | None, ring: KeyRing = NO_KEYS
    ) -> SignedReceipt:
        """The receipt of an order; the same again for the same order. UnacceptableOrder if not.

        `ring` has the session key that signed it, if its trader did not. ValueOutOfRange if a field does not
        fit its type.
        """
        one = name(self.separator, order)
        if one.hash in self.entries:
            return self.receipts[one.hash]
        self.require_open(now, one.hash)
        return self.sign(self.admit(inspect(self.session, one, member, ring)))

    def cancel(self, now: int, order_hash: bytes, signature: bytes) -> SignedReceipt:
        """The receipt of an order's cancel. UnacceptableOrder if it is not in, or must stay."""
        digest = cancel_hash(self.separator, self.session.id, order_hash)
        if digest in self.receipts:
            self.require_word(order_hash, signature)
            return self.receipts[digest]
        self.require_open(now, order_hash)
        return self.sign(self.withdraw(order_hash, signature))

    # Judged beside the others -------------------------------------------------------------------------------

    def require_open(self, now: int, order_hash: bytes) -> None:
        """UnacceptableOrder once the gate has closed."""
        if now >= self.session.params.gate:
            raise UnacceptableOrder(order_hash, "the gate has closed")

    def admit(self, found: Inspected) -> Booked:
        """Puts a sound order in that is not in yet. UnacceptableOrder, and nothing changes, if it may not."""
        order, order_hash = found.named.order, found.named.hash
        one = order.schedule
        if order_hash in self.out:
            raise UnacceptableOrder(order_hash, "it was replaced or cancelled")
        replaced = None
        if one.replaces != NO_HASH:
            replaced = self._replaceable(order_hash, one.replaces)
            if replaced.trader != one.trader:
                raise UnacceptableOrder(order_hash, "it replaces another trader's order")
            if not replaced.goes_by(found.named):
                raise UnacceptableOrder(order_hash, "its session key did not sign the order it replaces")
        if self._most_with(order, replaced) > found.widest_wh >> 1:
            raise UnacceptableOrder(
                order_hash, f"with its trader's others it exceeds {found.widest_wh >> 1} Wh"
            )
        sequence = self._next(order_hash, one.trader)
        if replaced is not None:
            self._leave_out(one.replaces)
        entry = Entry(one.trader, found.named.signer, one.zone, packed.encode(order))
        self._put_in(order_hash, entry, order)
        return Booked(order_hash, sequence, one.trader, entry, one.replaces)

    def withdraw(self, order_hash: bytes, signature: bytes) -> Booked:
        """Takes an order out, for trader or signer. UnacceptableOrder if it must stay: nothing changes."""
        digest = cancel_hash(self.separator, self.session.id, order_hash)
        entry = self._replaceable(order_hash, order_hash)
        self.require_word(order_hash, signature)
        sequence = self._next(order_hash, entry.trader, 2 * MOST_RECEIPTS)
        self._leave_out(order_hash)
        return Booked(digest, sequence, entry.trader, None, order_hash)

    def require_word(self, order_hash: bytes, signature: bytes) -> None:
        """UnacceptableOrder unless somebody signed an order's cancel who may take it back; it may be out."""
        entry = self.entries.get(order_hash) or self.out[order_hash]
        digest = cancel_hash(self.separator, self.session.id, order_hash)
        require_canceller(order_hash, digest, signature, {entry.trader, entry.signer})

    def sign(self, booked: Booked) -> SignedReceipt:
        """The receipt of what was written down; kept for whoever asks again."""
        message = Receipt(self.session.id, booked.hash, booked.sequence)
        receipt = sign_receipt(self.signer, self.separator, message)
        self.receipts[booked.hash] = receipt
        return receipt

    # What was written down before ---------------------------------------------------------------------------

    def restore(self, booked: Booked, receipt: SignedReceipt, *, is_in: bool) -> None:
        """What an earlier process promised, in any order; `is_in`: an order that was not taken out since."""
        self.receipts[booked.hash] = receipt
        self.given[booked.trader] += 1
        self.next_sequence = max(self.next_sequence, booked.sequence + 1)
        if booked.entry is None:
            return
        if is_in:
            self._put_in(booked.hash, booked.entry, self._order(booked.entry))
        else:
            self.out[booked.hash] = booked.entry

    # What the chain says ------------------------------------------------------------------------------------

    def force(self, submitted: Iterable[SignedOrder]) -> list[bytes]:
        """The orders submitted on chain so far, without those that others there have replaced. Which taken
        orders go out of the book for them.
        """
        found = [name(self.separator, replace(one, submitted=True)) for one in submitted]
        self.forced = {one.hash: one.order for one in found}
        gone = [one.order.schedule.replaces for one in found if self._replaces_taken(one)]
        for order_hash in gone:
            self._leave_out(order_hash)
        return gone

    def _replaces_taken(self, one: Named) -> bool:
        entry = self.entries.get(one.order.schedule.replaces)
        return entry is not None and entry.goes_by(one)

    @property
    def taken(self) -> dict[bytes, SignedOrder]:
        """By hash, those that are in."""
        return {one: self._order(entry) for one, entry in self.entries.items()}

    def book(self) -> list[SignedOrder]:
        """What the session's books must have, once the gate has closed and all of the chain was read."""
        rest = [order for one, order in self.taken.items() if one not in self.forced]
        return [*rest, *self.forced.values()]

    # Rules --------------------------------------------------------------------------------------------------

    def _replaceable(self, order_hash: bytes, other: bytes) -> Entry:
        """The order `other`, if it may still leave the book."""
        if other in self.forced:
            raise UnacceptableOrder(order_hash, f"0x{other.hex()} was submitted on chain and stays")
        if other not in self.entries:
            raise UnacceptableOrder(order_hash, f"0x{other.hex()} is not in the book")
        return self.entries[other]

    def _most_with(self, order: SignedOrder, replaced: Entry | None) -> int:
        """The most that the trader's orders ask for in a window of the product, with this one."""
        others = self._asked.get(_place(order), Counter())
        if replaced is not None:
            before = self._order(replaced)
            if _place(before) == _place(order):
                others = others.copy()
                others.subtract(dict(asked(before.schedule)))
        return max(wh + others[window] for window, wh in asked(order.schedule))

    def _next(self, order_hash: bytes, trader: bytes, most: int = MOST_RECEIPTS) -> int:
        sequence = self.next_sequence
        if sequence >= self.session.params.max_orders or self.given[trader] >= most:
            raise UnacceptableOrder(order_hash, "there are no receipts left")
        self.next_sequence += 1
        self.given[trader] += 1
        return sequence

    def _put_in(self, order_hash: bytes, entry: Entry, order: SignedOrder) -> None:
        self.entries[order_hash] = entry
        totals = self._asked.setdefault(_place(order), Counter())
        for window, wh in asked(order.schedule):
            totals[window] += wh

    def _leave_out(self, order_hash: bytes) -> None:
        entry = self.entries.pop(order_hash, None)
        if entry is not None:
            self.out[order_hash] = entry
            order = self._order(entry)
            self._asked[_place(order)].subtract(dict(asked(order.schedule)))

    def _order(self, entry: Entry) -> SignedOrder:
        session = self.session
        return packed.decode(entry.record, 0, session.id, session.params.kind, entry.zone)[0]


def _place(order: SignedOrder) -> Place:
    one = order.schedule
    return one.trader, one.side, one.quality


def require_canceller(order_hash: bytes, digest: bytes, signature: bytes, allowed: Collection[bytes]) -> None:
    """UnacceptableOrder unless one of these signed the cancel of this digest."""
    try:
        signer = eip712.recover(digest, signature)
    except Refused as cause:
        raise UnacceptableOrder(order_hash, "its cancel is not signed") from cause
    if signer not in allowed:
        raise UnacceptableOrder(order_hash, "another account than its trader or its signer cancelled it")
