"""Clearing on the Exchange: signatures, eligibility, tokens and cash around
`settlement.reference.clearing`.
"""

from dataclasses import replace

from settlement.reference import accounts, clearing, eip712, schedule
from settlement.reference.accounts import Cash
from settlement.reference.clearing import Carry, Fill, Header, ZonePosting
from settlement.reference.errors import (
    CarryMismatch,
    ClearingInProgress,
    HeaderMismatch,
    InvalidSignature,
    NotCommitted,
    OperatorMayNotTrade,
    TooLate,
    UnregisteredTrader,
    ZoneClosed,
)
from settlement.reference.exchange import events
from settlement.reference.exchange.auction import Auction
from settlement.reference.exchange.core import transaction
from settlement.reference.exchange.state import SessionRecord, Status
from settlement.reference.product_id import CLAIM, OBLIGATION, ProductId
from settlement.reference.schedule import BUY, NO_ADDRESS, SELL, Schedule, SignedSchedule

ZONE = 0


class Clearing(Auction):
    """From the header to the proof, all between the commitment and `proveBy`."""

    @transaction
    def post_header(self, now: int, session: bytes, header: Header) -> None:
        """The session's quality potentials, once. HeaderMismatch if there are some already."""
        record = self._clearing(now, session)
        if record.header_hash is not None:
            raise HeaderMismatch(session)
        clearing.check_header(self.market(session), header)
        header_hash = clearing.header_hash(header)
        self.update_session(session, header_hash=header_hash)
        self.emit(events.HeaderPosted(session, header_hash))

    def _clearing(self, now: int, session: bytes) -> SessionRecord:
        """The session, if it can be cleared now."""
        record = self.session(session)
        if record.proved:
            raise ZoneClosed(ZONE)
        if record.commitment is None:
            raise NotCommitted(session)
        if now > record.params.prove_by:
            raise TooLate(record.params.prove_by)
        for before in self.state.epochs[: record.epoch - 1]:
            if self.status(now, before) is Status.CLEARING:
                raise ClearingInProgress(before)
        return record

    def _check_brought(
        self, record: SessionRecord, header: Header, posting: ZonePosting, carry: Carry | None
    ) -> Carry:
        """What the chunk starts from. A first chunk brings no carry."""
        session = self.state.epochs[record.epoch - 1]
        if record.header_hash is None or clearing.header_hash(header) != record.header_hash:
            raise HeaderMismatch(session)
        brought = None if carry is None else clearing.carry_hash(posting, carry)
        if brought != record.carry_hash:
            raise CarryMismatch(ZONE)
        return clearing.initial_carry(self.market(session)) if carry is None else carry

    @transaction
    def clear(
        self,
        now: int,
        session: bytes,
        header: Header,
        posting: ZonePosting,
        carry: Carry | None,
        records: bytes,
    ) -> Carry:
        """Reads the orders of a chunk: fills, tokens and cash of each, and what the next chunk must bring."""
        record = self._clearing(now, session)
        carry = self._check_brought(record, header, posting, carry)
        clearing.check_zone_posting(self.market(session), posting)
        for order in schedule.decode_all(records, session, record.params.kind, ZONE):
            carry = self._clear_order(now, record, header, posting, carry, order)
        self.update_session(session, carry_hash=clearing.carry_hash(posting, carry))
        return carry

    def _clear_order(
        self,
        now: int,
        record: SessionRecord,
        header: Header,
        posting: ZonePosting,
        carry: Carry,
        signed: SignedSchedule,
    ) -> Carry:
        order = signed.schedule
        market = self.market(order.session)
        order_hash = schedule.order_hash(self.separator, order)
        if eip712.recover(order_hash, signed.signature) != order.trader:
            raise InvalidSignature
        carry = clearing.read_hash(carry, order_hash)
        self._check_trader(order.trader)
        clearing.check_schedule(market, order_hash, order)
        reason = self._admit(now, record, order)
        if reason:
            self.emit(events.ScheduleRefused(order.session, order_hash, order.trader, reason))
            return carry
        carry, fills = clearing.fill_schedule(market, header, posting, carry, order_hash, order)
        self._book(now, record, order, order_hash, fills)
        return carry

    def _check_trader(self, trader: bytes) -> None:
        if trader not in self.state.members:
            raise UnregisteredTrader(trader)
        if self.state.members[trader].role not in accounts.TRADERS:
            raise OperatorMayNotTrade(trader)

    def _in_session(self, now: int, account: bytes, epoch: int) -> Cash:
        """The account's cash with the results of earlier sessions folded in."""
        return replace(self.cash(now, account), epoch=epoch)

    def _admit(self, now: int, record: SessionRecord, order: Schedule) -> int:
        """Sets the schedule's cover aside; or the reason why it may not trade."""
        params = record.params
        cash = self._in_session(now, order.trader, record.epoch)
        cover = schedule.cover(order, params.buy_reserve, params.sell_reserve)
        request = self.state.requests.get(order.trader)
        promised = request.amount_nano if request and request.epoch < record.epoch else 0
        member = self.state.members[order.trader]
        reason = accounts.refusal(member, order, cash.free, cash.free - promised, cover)
        if not reason:
            self.write_cash(order.trader, accounts.lock(cash, cover))
        return reason

    def _book(
        self, now: int, record: SessionRecord, order: Schedule, order_hash: bytes, fills: list[Fill]
    ) -> None:
        """Tokens and cash of a schedule that was read."""
        params, filled, value = record.params, 0, 0
        for fill in fills:
            if fill.quantity_wh:
                product = self._product(record, order, fill)
                self.mint(order.trader, product, fill.quantity_wh)
            filled += fill.quantity_wh
            value += fill.quantity_wh * fill.price_micro_per_kwh
        result = accounts.result(order.side, filled, value, params.buy_reserve, params.sell_reserve)
        self._add_net(now, order.trader, record.epoch, result.trader)
        self._add_net(now, self._beneficiary(order), record.epoch, result.beneficiary)
        self.emit(events.ScheduleFilled(order.session, order_hash, order.trader, filled, value))

    def _product(self, record: SessionRecord, order: Schedule, fill: Fill) -> ProductId:
        return ProductId(
            window_index=record.params.first_window + fill.window,
            window_length=self.window_length,
            zone=order.zone,
            quality=order.quality,
            kind=order.kind,
            round=record.params.round,
            side=CLAIM if order.side == BUY else OBLIGATION,
        )

    def _beneficiary(self, order: Schedule) -> bytes:
        """Who gets what the order earns: the trader, if none is named or the one named is no member."""
        named = order.side == SELL and order.beneficiary != NO_ADDRESS
        return order.beneficiary if named and order.beneficiary in self.state.members else order.trader

    def _add_net(self, now: int, account: bytes, epoch: int, amount: int) -> None:
        if amount:
            cash = self._in_session(now, account, epoch)
            self.write_cash(account, replace(cash, net=cash.net + amount))

    @transaction
    def close_zone(
        self,
        now: int,
        session: bytes,
        header: Header,
        posting: ZonePosting,
        carry: Carry | None,
        flows: tuple[int, ...],
    ) -> None:
        """Proves the session, its only zone being the root."""
        record = self._clearing(now, session)
        carry = self._check_brought(record, header, posting, carry)
        assert record.commitment is not None
        clearing.check_close(self.market(session), header, posting, carry, record.commitment, flows)
        self.update_session(session, proved=True)
        self.emit(events.ZoneClosed(session, ZONE))
        self.emit(events.SessionProved(session, record.epoch))
