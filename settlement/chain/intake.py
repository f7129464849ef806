"""The operator's intake: which orders it takes until the gate, and what it signs for them. No chain in here.

    taken     in the book, with a receipt
    replaced  by a taken order that names it: out of the book
    cancelled by its trader, with a receipt of the cancel: out of the book
    forced    submitted on chain: in the book whatever else was said of it

An order that is out stays out. A trader may have several orders at once (price steps); together they stay
within half a lane, because the other half belongs to what it may submit on chain.

An operator that clears what this says never owes anything for a session that it proves.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from settlement.chain.books import Session, asked, check_order
from settlement.chain.errors import UnacceptableOrder
from settlement.chain.receipts import cancel_hash, sign_receipt
from settlement.chain.sign import Signer
from settlement.reference import eip712, orders
from settlement.reference.accounts import Member
from settlement.reference.errors import Refused
from settlement.reference.orders import Order, SignedOrder
from settlement.reference.receipts import Receipt, SignedReceipt
from settlement.reference.record import NO_HASH

MOST_RECEIPTS = 64
"""For one trader and session, so that nobody uses up the session's sequences."""


@dataclass
class Intake:
    """One session's."""

    separator: bytes
    session: Session
    signer: Signer
    """Of the receipts."""
    taken: dict[bytes, SignedOrder] = field(default_factory=dict)
    """By hash, those that are in."""
    forced: dict[bytes, SignedOrder] = field(default_factory=dict)
    out: set[bytes] = field(default_factory=set)
    """Hashes that were replaced or cancelled."""
    receipts: dict[bytes, SignedReceipt] = field(default_factory=dict)
    """By what they are for: an order or a cancel."""
    given: Counter[bytes] = field(default_factory=Counter)
    """Receipts by trader."""

    # What traders send --------------------------------------------------------------------------------------

    def take(self, now: int, order: SignedOrder, member: Member | None) -> SignedReceipt:
        """The receipt of an order; the same again for the same order. UnacceptableOrder if not."""
        order_hash = orders.order_hash(self.separator, order.schedule)
        if order_hash in self.taken:
            return self.receipts[order_hash]
        self._require_open(now, order_hash)
        self._check(order_hash, order, member)
        receipt = self._receipt(order_hash, order_hash, order.schedule.trader)
        if order.schedule.replaces != NO_HASH:
            self._leave_out(order.schedule.replaces)
        self.taken[order_hash] = replace(order, submitted=False)
        return receipt

    def cancel(self, now: int, order_hash: bytes, signature: bytes) -> SignedReceipt:
        """The receipt of an order's cancel. UnacceptableOrder if it is not in, or must stay."""
        digest = cancel_hash(self.separator, self.session.id, order_hash)
        if digest in self.receipts:
            return self.receipts[digest]
        self._require_open(now, order_hash)
        trader = self._replaceable(order_hash, order_hash).schedule.trader
        try:
            signer = eip712.recover(digest, signature)
        except Refused as cause:
            raise UnacceptableOrder(order_hash, "its cancel is not signed") from cause
        if signer != trader:
            raise UnacceptableOrder(order_hash, "another account than its trader cancelled it")
        receipt = self._receipt(order_hash, digest, trader)
        self._leave_out(order_hash)
        return receipt

    # What the chain says ------------------------------------------------------------------------------------

    def force(self, submitted: Iterable[SignedOrder]) -> None:
        """The orders submitted on chain so far, without those that others there have replaced."""
        found = {orders.order_hash(self.separator, one.schedule): one for one in submitted}
        self.forced = {one: replace(order, submitted=True) for one, order in found.items()}
        for order in found.values():
            if order.schedule.replaces in self.taken:
                self._leave_out(order.schedule.replaces)

    def book(self) -> list[SignedOrder]:
        """What the session's books must have, once the gate has closed and all of the chain was read."""
        rest = [order for one, order in self.taken.items() if one not in self.forced]
        return [*rest, *self.forced.values()]

    # Rules --------------------------------------------------------------------------------------------------

    def _require_open(self, now: int, order_hash: bytes) -> None:
        if now >= self.session.params.gate:
            raise UnacceptableOrder(order_hash, "the gate has closed")

    def _check(self, order_hash: bytes, order: SignedOrder, member: Member | None) -> None:
        check_order(self.session, order_hash, order, member)
        assert member is not None
        one = order.schedule
        if order_hash in self.out:
            raise UnacceptableOrder(order_hash, "it was replaced or cancelled")
        if one.zone != member.zone:
            raise UnacceptableOrder(order_hash, f"its trader is registered in zone {member.zone}")
        if one.replaces != NO_HASH:
            replaced = self._replaceable(order_hash, one.replaces)
            if replaced.schedule.trader != one.trader:
                raise UnacceptableOrder(order_hash, "it replaces another trader's order")
        if self._most_with(one) > member.widest_wh >> 1:
            raise UnacceptableOrder(
                order_hash, f"with its trader's others it exceeds {member.widest_wh >> 1} Wh"
            )

    def _replaceable(self, order_hash: bytes, other: bytes) -> SignedOrder:
        """The order `other`, if it may still leave the book."""
        if other in self.forced:
            raise UnacceptableOrder(order_hash, f"0x{other.hex()} was submitted on chain and stays")
        if other not in self.taken:
            raise UnacceptableOrder(order_hash, f"0x{other.hex()} is not in the book")
        return self.taken[other]

    def _most_with(self, order: Order) -> int:
        """The most that the trader's orders ask for in a window of the product, with this one."""
        totals = Counter(dict(asked(order)))
        for one, taken in self.taken.items():
            held = taken.schedule
            place = (held.trader, held.side, held.quality)
            if one != order.replaces and place == (order.trader, order.side, order.quality):
                totals.update(dict(asked(held)))
        return max(totals.values())

    def _receipt(self, order_hash: bytes, hash_: bytes, trader: bytes) -> SignedReceipt:
        sequence = len(self.receipts)
        if sequence >= self.session.params.max_orders or self.given[trader] >= MOST_RECEIPTS:
            raise UnacceptableOrder(order_hash, "there are no receipts left")
        receipt = sign_receipt(self.signer, self.separator, Receipt(self.session.id, hash_, sequence))
        self.receipts[hash_] = receipt
        self.given[trader] += 1
        return receipt

    def _leave_out(self, order_hash: bytes) -> None:
        self.out.add(order_hash)
        self.taken.pop(order_hash, None)
