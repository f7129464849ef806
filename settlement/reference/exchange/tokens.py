"""Products: who holds which claims, obligations and certificates, and how they change hands."""

from settlement.reference import packed_windows, product_id, quality
from settlement.reference.accounts import PROSUMER
from settlement.reference.errors import (
    InsufficientAllowance,
    InsufficientBalance,
    InsufficientCash,
    NotAccepted,
    NotTransferable,
    WrongRecipient,
)
from settlement.reference.exchange import events
from settlement.reference.exchange.core import transaction
from settlement.reference.exchange.keys import Keys
from settlement.reference.exchange.state import RunStage, SessionRecord, Stage
from settlement.reference.messages import Acceptance, Transfer
from settlement.reference.product_id import CERTIFICATE, CLAIM, ENERGY, ProductId
from settlement.reference.words import check_uint

UNLIMITED = (1 << 256) - 1
"""An allowance that is not used up."""


class Tokens(Keys):
    """Wh throughout."""

    # Lanes ------------------------------------------------------------------------------------------------

    def _slot(self, account: bytes, product: ProductId) -> tuple[bytes, int]:
        return account, product_id.group_key(product, self.member(account).lanes.count)

    def held(self, account: bytes, product: ProductId) -> int:
        """What the lane says, whether or not it counts."""
        lanes = self.member(account).lanes
        word = self.state.lanes.get(self._slot(account, product), 0)
        return packed_windows.get(word, lanes.of(product.window_index), lanes)

    def mint(self, account: bytes, product: ProductId, wh: int) -> None:
        """Adds to a lane; LaneOverflow if it cannot hold the sum."""
        lanes, slot = self.member(account).lanes, self._slot(account, product)
        word = self.state.lanes.get(slot, 0)
        self.state.lanes[slot] = packed_windows.add(word, lanes.of(product.window_index), lanes, wh)

    def burn(self, account: bytes, product: ProductId, wh: int) -> None:
        """Takes from a lane; LaneUnderflow if it holds less."""
        lanes, slot = self.member(account).lanes, self._slot(account, product)
        word = self.state.lanes.get(slot, 0)
        self.state.lanes[slot] = packed_windows.sub(word, lanes.of(product.window_index), lanes, wh)

    def session_of(self, product: ProductId) -> SessionRecord | None:
        """The session whose trade this product is: one for each kind, day and round."""
        kind = ENERGY if product.kind == CERTIFICATE else product.kind
        for record in self.state.sessions.values():
            params = record.params
            end = params.day + self.state.days[params.day].windows
            inside = params.day <= product.window_index < end
            if inside and (params.kind, params.round) == (kind, product.round):
                return record
        return None

    def balance(self, now: int, account: bytes, id: int) -> int:
        """What the account owns.

        Claims and obligations count from the proof of their session until their day is settled,
        certificates (of a band above 0) from certification on.
        """
        product = product_id.decode(id)
        if account not in self.state.members or not self._counts(now, product):
            return 0
        return self.held(account, product)

    def _counts(self, now: int, product: ProductId) -> bool:
        record = self.session_of(product)
        if product.window_length != self.window_length or record is None or record.stage is not Stage.PROVED:
            return False
        run = self.state.runs.get(record.params.day)
        if product.kind != CERTIFICATE:
            return run is None or run.stage in (RunStage.POSTED, RunStage.SETTLING)
        certified = run is not None and run.stage is RunStage.CERTIFIED
        return certified and quality.band(product.quality) > 0

    # Transfers --------------------------------------------------------------------------------------------

    @transaction
    def accept(self, to: bytes, sender: bytes, id: int, amount: int) -> None:
        """Agrees to take up to `amount` of a claim, with its reserve, in place of any earlier agreement."""
        self.state.accepted[(to, sender, id)] = check_uint("amountWh", amount, 256)
        self.emit(events.Accepted(to, sender, id, amount))

    @transaction
    def accept_signed(self, now: int, message: Acceptance, signature: bytes) -> None:
        """The same, signed by the recipient and relayed by anyone."""
        self.use_message(now, message.to, message.nonce, message.deadline, message.struct_hash(), signature)
        self.accept(message.to, message.sender, message.id, message.amount_wh)

    @transaction
    def transfer(self, now: int, sender: bytes, to: bytes, id: int, amount: int) -> None:
        """Hands a claim or a certificate to a prosumer. A claim's reserve goes with it, if the recipient
        agreed.
        """
        self.require_running(now)
        self.require_quiet(now)
        product = product_id.decode(id)
        balance = self.balance(now, sender, id)
        if balance < amount:
            raise InsufficientBalance(sender, balance, amount, id)
        member = self.state.members.get(to)
        if member is None or member.role != PROSUMER or member.suspended:
            raise WrongRecipient(to, id)
        if product.kind != CERTIFICATE:
            self._hand_over(now, sender, to, product, amount)
        if amount:  # moving nothing leaves no trace
            self.burn(sender, product, amount)
            self.mint(to, product, amount)
        self.emit(events.Transferred(sender, to, id, amount))

    @transaction
    def transfer_from(self, now: int, spender: bytes, sender: bytes, to: bytes, id: int, amount: int) -> None:
        """The same by the sender itself, its operator, or whom it approved; InsufficientAllowance else."""
        if spender != sender and (sender, spender) not in self.state.operators:
            allowed = self.state.allowances.get((sender, spender, id), 0)
            if allowed < amount:
                raise InsufficientAllowance(spender, allowed, amount, id)
            if allowed != UNLIMITED:
                self.state.allowances[(sender, spender, id)] = allowed - amount
        self.transfer(now, sender, to, id, amount)

    @transaction
    def approve(self, owner: bytes, spender: bytes, id: int, amount: int) -> None:
        """Lets a spender transfer up to `amount` of a product, in place of any earlier approval."""
        self.state.allowances[(owner, spender, id)] = check_uint("amount", amount, 256)
        self.emit(events.Approved(owner, spender, id, amount))

    @transaction
    def set_operator(self, owner: bytes, spender: bytes, approved: bool) -> None:
        """Lets a spender transfer everything, or no longer."""
        pair = {(owner, spender)}
        self.state.operators = self.state.operators | pair if approved else self.state.operators - pair
        self.emit(events.OperatorSet(owner, spender, approved))

    @transaction
    def transfer_signed(self, now: int, message: Transfer, signature: bytes) -> None:
        """The same, signed by the sender and relayed by anyone."""
        self.use_message(
            now, message.sender, message.nonce, message.deadline, message.struct_hash(), signature
        )
        self.transfer(now, message.sender, message.to, message.id, message.amount_wh)

    def _hand_over(self, now: int, sender: bytes, to: bytes, product: ProductId, amount: int) -> None:
        """Moves a claim's reserve: the recipient keeps from now on what the sender kept."""
        id = product_id.encode(product)
        if product.side != CLAIM or now >= product.window_index * self.window_length:
            raise NotTransferable(id)
        if self.member(to).zone != product.zone:
            raise WrongRecipient(to, id)
        agreed = self.state.accepted.get((to, sender, id), 0)
        if agreed < amount:
            raise NotAccepted(to, sender, id, amount)
        self.state.accepted[(to, sender, id)] = agreed - amount
        record = self.session_of(product)
        if record is None:
            raise NotTransferable(id)
        reserve, available = amount * record.params.buy_reserve, self.available(now, to)
        if available < reserve:
            raise InsufficientCash(to, available, reserve)
        self.add_free(now, to, -reserve)
        self.add_free(now, sender, reserve)
