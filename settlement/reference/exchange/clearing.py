"""Clearing on the Exchange: signatures, eligibility, tokens and cash around
`settlement.reference.clearing`.
"""

from dataclasses import replace

from settlement.reference import accounts, clearing, eip712, schedule
from settlement.reference.accounts import Cash
from settlement.reference.clearing import Carry, Fill, Header, ZonePosting
from settlement.reference.errors import (
    BadSignature,
    BeneficiaryUnavailable,
    OperatorMayNotTrade,
    QuantityOverflow,
    UnregisteredTrader,
    WrongCarry,
    WrongHeader,
)
from settlement.reference.exchange import events
from settlement.reference.exchange.auction import Auction
from settlement.reference.exchange.core import transaction
from settlement.reference.exchange.state import SessionRecord, Stage
from settlement.reference.product_id import CLAIM, OBLIGATION, ProductId
from settlement.reference.schedule import BUY, NO_ADDRESS, Schedule, SignedSchedule

ZONE = 0


class Clearing(Auction):
    """From the header to the proof, all between the commitment and `proveBy`."""

    @transaction
    def post_header(self, now: int, session: bytes, header: Header) -> None:
        """The session's quality potentials, once."""
        self.require_running(now)
        self.require_stage(now, session, Stage.COMMITTED)
        clearing.check_header(self.market(session), header)
        header_hash = clearing.header_hash(header)
        self.update_session(session, header_hash=header_hash, stage=Stage.POSTED)
        self.emit(events.HeaderPosted(session, header_hash))

    def _brought(
        self, now: int, session: bytes, header: Header, posting: ZonePosting, carry: Carry | None
    ) -> Carry:
        """What a chunk, or the close, starts from: nothing is brought to a first chunk."""
        record = self.require_stage(now, session, Stage.POSTED)
        if clearing.header_hash(header) != record.header_hash:
            raise WrongHeader(session)
        market = self.market(session)
        clearing.check_zone_posting(market, posting)
        brought = None if carry is None else clearing.carry_hash(posting, carry)
        if brought != record.carry_hash:
            raise WrongCarry(session, ZONE)
        return clearing.initial_carry(market) if carry is None else carry

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
        self.require_running(now)
        carry = self._brought(now, session, header, posting, carry)
        record = self.session(session)
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
        signer = eip712.recover(order_hash, signed.signature)
        if signer != order.trader:
            raise BadSignature(signer, order.trader)
        self._check_trader(order, order_hash)
        clearing.check_schedule(market, order_hash, order)
        carry = clearing.read_hash(carry, order_hash)
        reason = self._admit(now, record, order)
        if reason:
            self.emit(events.ScheduleIneligible(order.session, order_hash, order.trader, reason))
            return carry
        carry, fills = clearing.fill_schedule(market, header, posting, carry, order_hash, order)
        self._book(now, record, order, order_hash, fills)
        return carry

    def _check_trader(self, order: Schedule, order_hash: bytes) -> None:
        """What the operator may not let into a book."""
        if order.trader not in self.state.members:
            raise UnregisteredTrader(order.trader)
        member = self.state.members[order.trader]
        if member.role not in accounts.TRADERS:
            raise OperatorMayNotTrade(order.trader)
        if order.beneficiary != NO_ADDRESS:
            raise BeneficiaryUnavailable(order_hash)
        if order.side == BUY and max(order.quantity_wh) > member.widest_wh:
            raise QuantityOverflow(order_hash)

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
        reason = accounts.refusal(member, order, cash, promised, cover)
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
        net = accounts.net_of(order.side, filled, value, params.buy_reserve, params.sell_reserve)
        cash = self._in_session(now, order.trader, record.epoch)
        self.write_cash(order.trader, replace(cash, net=cash.net + net))
        filled_wh = tuple(fill.quantity_wh for fill in fills)
        self.emit(events.ScheduleCleared(order.session, order_hash, order.trader, net, filled_wh))

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
        self.require_running(now)
        carry = self._brought(now, session, header, posting, carry)
        record = self.session(session)
        assert record.commitment is not None
        clearing.check_close(self.market(session), header, posting, carry, record.commitment, flows)
        self.update_session(session, stage=Stage.PROVED)
        self.emit(events.SessionProved(session, record.epoch))
