"""Products: who holds which claims, obligations and certificates, and how claims change hands."""

from settlement.reference import accounts, packed_windows, product_id
from settlement.reference.errors import (
    InsufficientCash,
    InvalidSignature,
    MessageExpired,
    NotTransferable,
    TooLate,
)
from settlement.reference.exchange import events
from settlement.reference.exchange.accounts import Accounts
from settlement.reference.exchange.core import transaction
from settlement.reference.exchange.state import SessionRecord
from settlement.reference.messages import Acceptance, Transfer
from settlement.reference.product_id import CERTIFICATE, CLAIM, ProductId
from settlement.reference.words import check_uint

Slots = dict[tuple[bytes, int], int]
"""Packed windows by account and group key."""


class Tokens(Accounts):
    """Wh throughout."""

    # Lanes ------------------------------------------------------------------------------------------------

    def _slot(self, account: bytes, product: ProductId) -> tuple[Slots, tuple[bytes, int]]:
        lanes = self.member(account).lanes
        store = self.state.certificates if product.kind == CERTIFICATE else self.state.lanes
        return store, (account, product_id.group_key(product, lanes.count))

    def held(self, account: bytes, product: ProductId) -> int:
        """What the lane says, whether or not the session was proved."""
        lanes = self.member(account).lanes
        store, key = self._slot(account, product)
        return packed_windows.get(store.get(key, 0), lanes.of(product.window_index), lanes)

    def mint(self, account: bytes, product: ProductId, wh: int) -> None:
        """Adds to a lane; LaneOverflow if it cannot hold the sum."""
        lanes = self.member(account).lanes
        store, key = self._slot(account, product)
        store[key] = packed_windows.add(store.get(key, 0), lanes.of(product.window_index), lanes, wh)

    def burn(self, account: bytes, product: ProductId, wh: int) -> None:
        """Takes from a lane; LaneUnderflow if it holds less."""
        lanes = self.member(account).lanes
        store, key = self._slot(account, product)
        store[key] = packed_windows.sub(store.get(key, 0), lanes.of(product.window_index), lanes, wh)

    def session_of(self, product: ProductId) -> SessionRecord | None:
        """The session whose trade this product is: one for each kind, window and round."""
        for record in self.state.sessions.values():
            params = record.params
            inside = params.first_window <= product.window_index < params.first_window + params.windows
            if inside and (params.kind, params.round) == (product.kind, product.round):
                return record
        return None

    def balance(self, now: int, account: bytes, id: int) -> int:
        """What the account owns: nothing of a session that is not proved."""
        product = product_id.decode(id)
        if account not in self.state.members or product.window_length != self.window_length:
            return 0
        if product.kind != CERTIFICATE:
            record = self.session_of(product)
            if record is None or not record.proved:
                return 0
        return self.held(account, product)

    # Transfers --------------------------------------------------------------------------------------------

    @transaction
    def transfer(self, now: int, message: Transfer, acceptance: Acceptance, accepted: bytes) -> None:
        """The sender itself hands a claim over; `accepted` is the recipient's signature.

        The claim's reserve moves with it: the sender's returns, the recipient keeps as much.
        """
        self.require_quiet(now)
        self._check_acceptance(now, message, acceptance, accepted)
        product = product_id.decode(message.id)
        reserve = self._check_transferable(now, product, message) * message.amount_wh
        available = self.available(now, message.to)
        if available < reserve:
            raise InsufficientCash(message.to, available, reserve)
        self.burn(message.sender, product, message.amount_wh)
        self.mint(message.to, product, message.amount_wh)
        self.add_free(now, message.to, -reserve)
        self.add_free(now, message.sender, reserve)
        self.emit(events.Transferred(message.sender, message.to, message.id, message.amount_wh))

    @transaction
    def transfer_signed(
        self, now: int, message: Transfer, signature: bytes, acceptance: Acceptance, accepted: bytes
    ) -> None:
        """The same, signed by the sender and relayed by anyone."""
        self.use_message(
            now, message.sender, message.nonce, message.deadline, message.struct_hash(), signature
        )
        self.transfer(now, message, acceptance, accepted)

    def _check_acceptance(
        self, now: int, message: Transfer, acceptance: Acceptance, signature: bytes
    ) -> None:
        """The recipient must have accepted exactly this. MessageExpired if either is too old."""
        if now > message.deadline:
            raise MessageExpired(message.deadline)
        told = (acceptance.sender, acceptance.to, acceptance.id, acceptance.amount_wh)
        if told != (message.sender, message.to, message.id, message.amount_wh):
            raise InvalidSignature
        self.use_message(
            now, acceptance.to, acceptance.nonce, acceptance.deadline, acceptance.struct_hash(), signature
        )

    def _check_transferable(self, now: int, product: ProductId, message: Transfer) -> int:
        """The claim's reserve, micro/kWh. NotTransferable, or TooLate once its window has begun."""
        check_uint("amountWh", message.amount_wh, 32)
        ends = (self.member(message.sender), self.member(message.to))
        record = self.session_of(product)
        ok = (
            record is not None
            and record.proved
            and product.side == CLAIM
            and product.kind != CERTIFICATE
            and product.window_length == self.window_length
            and ends[1].role in accounts.TRADERS
            and all(member.zone == product.zone and not member.suspended for member in ends)
        )
        if record is None or not ok:
            raise NotTransferable(message.id)
        starts = product.window_index * self.window_length
        if now >= starts:
            raise TooLate(starts)
        return record.params.buy_reserve
