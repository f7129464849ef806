"""Clearing on the Exchange: signatures, eligibility, tokens and cash around
`settlement.reference.clearing`.
"""

from dataclasses import dataclass, replace

from settlement.reference import accounts, clearing, orders, session_key
from settlement.reference.accounts import Cash
from settlement.reference.clearing import Carry, Fill, Header, Market, ZonePosting, check_length
from settlement.reference.errors import (
    BadSignature,
    NotSubmitted,
    OperatorMayNotTrade,
    QuantityOverflow,
    SplitOutOfRange,
    UnregisteredTrader,
    WrongCarry,
    WrongHeader,
    ZoneClosed,
)
from settlement.reference.exchange import events
from settlement.reference.exchange.auction import Auction
from settlement.reference.exchange.core import transaction
from settlement.reference.exchange.state import SessionRecord, Stage, ZoneRecord
from settlement.reference.flexible import SignedFlexible
from settlement.reference.gift import Gift, promise
from settlement.reference.orders import Order, SignedOrder
from settlement.reference.product_id import CLAIM, OBLIGATION, ProductId
from settlement.reference.record import BUY, NO_ADDRESS


@dataclass(frozen=True)
class Context:
    """What every order of a call shares."""

    now: int
    record: SessionRecord
    market: Market
    header: Header
    posting: ZonePosting


class Clearing(Auction):
    """From the header to the last chunk of a zone, all between the commitment and `proveBy`."""

    @transaction
    def post_header(self, now: int, session: bytes, header: Header) -> None:
        """The session's quality potentials, once."""
        self.require_running(now)
        self.require_stage(now, session, Stage.COMMITTED)
        clearing.check_header(self.market(session), header)
        header_hash = clearing.header_hash(header)
        self.update_session(session, header_hash=header_hash, stage=Stage.POSTED)
        self.emit(events.HeaderPosted(session, header_hash))

    def zone(self, session: bytes, zone: int) -> ZoneRecord:
        """How far a zone of a session is."""
        return self.state.zones.get((self.session(session).epoch, zone), ZoneRecord())

    def update_zone(self, session: bytes, zone: int, **changes: bytes) -> None:
        key = (self.session(session).epoch, zone)
        self.state.zones[key] = replace(self.zone(session, zone), **changes)

    def brought(
        self, now: int, session: bytes, zone: int, header: Header, posting: ZonePosting, carry: Carry | None
    ) -> Carry:
        """What a chunk, or the close, starts from: nothing is brought to a first chunk."""
        record = self.require_stage(now, session, Stage.POSTED)
        if clearing.header_hash(header) != record.header_hash:
            raise WrongHeader(session)
        market, found = self.market(session), self.zone(session, zone)
        if zone >= market.grid.zones:
            raise ZoneClosed(session, zone)
        clearing.check_lengths(market, posting)
        before = found.closed_hash or found.carry_hash
        if before is not None:
            check_length("cells", carry.cells if carry else (), market.cells)
        if (None if carry is None else clearing.carry_hash(posting, carry)) != before:
            raise WrongCarry(session, zone)
        clearing.check_marginals(posting)
        return clearing.initial_carry(market) if carry is None else carry

    @transaction
    def clear(
        self,
        now: int,
        session: bytes,
        zone: int,
        header: Header,
        posting: ZonePosting,
        carry: Carry | None,
        records: bytes,
    ) -> Carry:
        """Reads the orders of a zone's chunk: fills, tokens and cash of each, and what the next chunk must
        bring.
        """
        self.require_running(now)
        carry = self.brought(now, session, zone, header, posting, carry)
        record = self.session(session)
        context = Context(now, record, self.market(session), header, posting)
        for order in orders.decode_each(records, session, record.params.kind, zone):
            carry = self._clear_order(context, carry, order)
        self.update_zone(session, zone, carry_hash=clearing.carry_hash(posting, carry))
        return carry

    def _clear_order(self, under: Context, carry: Carry, signed: SignedOrder) -> Carry:
        order = signed.schedule
        order_hash, signer = orders.signed_hash(self.separator, signed)
        self._check_signer(under, order, signer)
        self._check_trader(order, order_hash)
        clearing.check_order(under.market, order_hash, order)
        carry = clearing.read_hash(carry, order_hash, signed.submitted)
        if signed.submitted and self.state.submitted.get(order_hash) != under.record.epoch:
            raise NotSubmitted(order_hash)
        reason = self._admit(under, order, signer)
        if reason:
            if isinstance(signed, SignedFlexible) and any(signed.shares_wh):
                raise SplitOutOfRange(order_hash)
            self.emit(events.ScheduleIneligible(order.session, order_hash, order.trader, reason))
            return carry
        args = (under.market, under.header, under.posting, carry, order_hash, signed)
        carry, fills = clearing.fill_order(*args)
        self._book(under, order, order_hash, fills)
        return carry

    def _check_signer(self, under: Context, order: Order, signer: bytes) -> None:
        """BadSignature unless the trader signed, or a key that it ever granted."""
        gate = under.record.params.gate
        if signer == NO_ADDRESS or not session_key.signs_for(self.state.keys, order.trader, signer, gate):
            raise BadSignature(signer, order.trader)

    def _check_trader(self, order: Order, order_hash: bytes) -> None:
        """What the operator may not let into a book."""
        if order.trader not in self.state.members:
            raise UnregisteredTrader(order.trader)
        member = self.state.members[order.trader]
        if not accounts.may_trade(member, order.kind, order.side):
            raise OperatorMayNotTrade(order.trader)
        if order.side == BUY and order.most_wh > member.widest_wh:
            raise QuantityOverflow(order_hash)

    def _in_session(self, now: int, account: bytes, epoch: int) -> Cash:
        """The account's cash with the results of earlier sessions folded in."""
        return replace(self.cash(now, account), epoch=epoch)

    def _admit(self, under: Context, order: Order, signer: bytes) -> int:
        """Sets the order's cover aside, and remembers whom it earns for, or what its key used; or the reason
        why it may not trade. A key's scope is the last to be looked at: what fills zero uses none of it.
        """
        params, epoch = under.record.params, under.record.epoch
        cash = self._in_session(under.now, order.trader, epoch)
        member = self.state.members[order.trader]
        cover = accounts.cover(member, order, params)
        request = self.state.requests.get(order.trader)
        promised = request.amount_nano if request and request.epoch < epoch else 0
        gift = self.state.gifts.get((epoch, order.trader))
        named = self.state.members.get(order.beneficiary)
        by_key = signer != order.trader
        wrong = not by_key and accounts.wrong_beneficiary(order, named, gift.beneficiary if gift else None)
        reason = accounts.refusal(member, order, cash, promised, cover, wrong)
        if by_key and not reason:
            reason = self._use_key(under, order, signer)
        if not reason:
            self.write_cash(order.trader, accounts.lock(cash, cover))
            if order.beneficiary != NO_ADDRESS:
                self.state.gifts[(epoch, order.trader)] = gift or Gift(order.beneficiary)
        return reason

    def _use_key(self, under: Context, order: Order, signer: bytes) -> int:
        """Counts the order against its key's scope, or says why it is not within."""
        epoch, gate = under.record.epoch, under.record.params.gate
        place = (order.trader, signer)
        use = self.key_use(under.now, *place)
        reason, after = session_key.apply(self.state.keys[place], use, order, epoch, gate)
        if not reason:
            self.state.key_uses[place] = after
        return reason

    def _book(self, under: Context, order: Order, order_hash: bytes, fills: list[Fill]) -> None:
        """Tokens and cash of an order that was read."""
        filled, value = 0, 0
        for fill in fills:
            if fill.quantity_wh:
                product = self._product(under.record, order, fill)
                self.mint(order.trader, product, fill.quantity_wh)
            filled += fill.quantity_wh
            value += fill.quantity_wh * fill.price_micro_per_kwh
        net = self._net(under, order, order_hash, filled, value)
        self._earn(under, order.trader, net)
        filled_wh = tuple(fill.quantity_wh for fill in fills)
        self.emit(events.ScheduleCleared(order.session, order_hash, order.trader, net, filled_wh))

    def _net(self, under: Context, order: Order, order_hash: bytes, filled: int, value: int) -> int:
        """What the order changes of its trader's cash now. What a sale paid on delivery is worth, and what a
        donated one earns, is none of it.
        """
        params, donated = under.record.params, order.beneficiary != NO_ADDRESS and value > 0
        if accounts.paid_on_delivery(self.member(order.trader), order):
            if donated:
                self._promise(under, order.trader, value)
            return -filled * params.delivery_reserve
        if donated:
            self._earn(under, order.beneficiary, value)
            self.emit(events.ProceedsDonated(order.beneficiary, order_hash, value))
            value = 0
        return accounts.net_of(order.side, filled, value, params.buy_reserve, params.sell_reserve)

    def _promise(self, under: Context, trader: bytes, worth: int) -> None:
        """Its beneficiary gets what it delivers of a sale, up to the sale's worth."""
        key = under.record.epoch, trader
        self.state.gifts[key] = promise(self.state.gifts[key], worth)
        self.state.donors |= {trader}

    def _earn(self, under: Context, account: bytes, nano: int) -> None:
        """Adds to the account's result of the session."""
        cash = self._in_session(under.now, account, under.record.epoch)
        self.write_cash(account, replace(cash, net=cash.net + nano))

    def _product(self, record: SessionRecord, order: Order, fill: Fill) -> ProductId:
        return ProductId(
            window_index=record.params.first_window + fill.window,
            window_length=self.window_length,
            zone=order.zone,
            quality=order.quality,
            kind=order.kind,
            round=record.params.round,
            side=CLAIM if order.side == BUY else OBLIGATION,
        )
