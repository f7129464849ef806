"""Members and their cash: registration, deposits, withdrawals, and what members owe together."""

from dataclasses import replace

from settlement.reference import accounts
from settlement.reference.accounts import BALANCING_PARTY, NETWORK_OPERATOR, UNIQUE, Cash, Member
from settlement.reference.errors import (
    AlreadyMember,
    BadTerms,
    CreditHeld,
    InsufficientCash,
    NotMember,
    WithdrawalNotReady,
)
from settlement.reference.exchange import events
from settlement.reference.exchange.core import ENDED, transaction
from settlement.reference.exchange.emergency import Emergency
from settlement.reference.exchange.state import Request, Stage
from settlement.reference.messages import Withdrawal
from settlement.reference.words import check_uint


class Accounts(Emergency):
    """Cash is nano throughout."""

    # Members ----------------------------------------------------------------------------------------------

    @transaction
    def register(self, now: int, account: bytes, member: Member) -> None:
        """Adds a member, once and for ever. There is one balancing party, and one network operator."""
        self.require_quiet(now)
        accounts.check_member(account, member)
        if account in self.state.members:
            raise AlreadyMember(account)
        if member.role in UNIQUE and self._only(member.role) is not None:
            raise BadTerms(account)
        self.state.members[account] = member
        self.emit(events.MemberRegistered(account, member))

    @transaction
    def change_member(
        self, now: int, account: bytes, max_quality: int, capacity_wh: int, suspended: bool
    ) -> None:
        """Changes what a member may sell, or stops it from trading."""
        self.require_quiet(now)
        old = self.member(account)
        member = replace(old, max_quality=max_quality, capacity_wh=capacity_wh, suspended=suspended)
        accounts.check_member(account, member)
        self.state.members[account] = member
        self.emit(events.MemberChanged(account, member))

    def member(self, account: bytes) -> Member:
        """NotMember unless it is one."""
        if account not in self.state.members:
            raise NotMember(account)
        return self.state.members[account]

    def balancing_party(self) -> bytes | None:
        """Who takes the other side of everyone's imbalance."""
        return self._only(BALANCING_PARTY)

    def network_operator(self) -> bytes | None:
        """Who receives charges and rent of lines."""
        return self._only(NETWORK_OPERATOR)

    def _only(self, role: int) -> bytes | None:
        return next((a for a, member in self.state.members.items() if member.role == role), None)

    # Cash -------------------------------------------------------------------------------------------------

    def cash(self, now: int, account: bytes) -> Cash:
        """The account's cash, folded if its session has ended."""
        cash = self.state.cash.get(account, Cash())
        if cash.epoch == 0:
            return cash
        stage = self.stage(now, self.state.epochs[cash.epoch - 1])
        return accounts.fold(cash, proved=stage is Stage.PROVED) if stage in ENDED else cash

    def write_cash(self, account: bytes, cash: Cash) -> None:
        """Stores the slot, and keeps the sum of what members owe. CashOutOfRange if it does not fit."""
        accounts.pack(cash)
        if account != self.balancing_party():
            before = self.state.cash.get(account, Cash())
            self.state.total_negative += max(0, -cash.free) - max(0, -before.free)
        self.state.cash[account] = cash

    def add_free(self, now: int, account: bytes, amount: int) -> None:
        """Folds the account and adds to its free cash, or takes from it."""
        cash = self.cash(now, account)
        self.write_cash(account, replace(cash, free=cash.free + amount))

    def available(self, now: int, account: bytes) -> int:
        """Free cash that no withdrawal has been promised."""
        request = self.state.requests.get(account)
        return self.cash(now, account).free - (request.amount_nano if request else 0)

    @transaction
    def deposit(self, now: int, account: bytes, amount: int) -> None:
        """Settlement tokens come in for a member."""
        self.require_running(now)
        self.require_quiet(now)
        self.member(account)
        check_uint("amount", amount, 256)
        self.state.vault += amount
        self.add_free(now, account, amount)
        self.emit(events.Deposited(account, amount))

    # Withdrawals ------------------------------------------------------------------------------------------

    @transaction
    def request_withdrawal(self, now: int, account: bytes, amount: int) -> None:
        """Announces a withdrawal, in place of any earlier one; zero takes it back.

        Cash stays cover for the sessions opened so far, whose orders counted on it, and for none after.
        What is promised already cannot become cover again while a session clears.
        """
        self.require_running(now)
        self.member(account)
        if account in self.state.requests:
            self.require_quiet(now)
        check_uint("amount", amount, 256)
        free = self.cash(now, account).free
        if amount and free < amount:
            raise InsufficientCash(account, free, amount)
        epoch = len(self.state.epochs)
        self.state.requests.pop(account, None)
        if amount:
            self.state.requests[account] = Request(amount, epoch)
        self.emit(events.WithdrawalRequested(account, amount, epoch))

    @transaction
    def request_withdrawal_signed(self, now: int, message: Withdrawal, signature: bytes) -> None:
        """The same, signed by the account and relayed by anyone."""
        self.use_message(
            now, message.account, message.nonce, message.deadline, message.struct_hash(), signature
        )
        self.request_withdrawal(now, message.account, message.amount_nano)

    @transaction
    def execute_withdrawal(self, now: int, account: bytes) -> None:
        """Pays what was requested, once every session opened before has ended; WithdrawalNotReady until then.

        It waits for no later session, for which the amount is no cover, paid out or not.
        InsufficientCash if less is free; the balancing party keeps what members owe. CreditHeld while a
        challenge of the account is open.
        """
        self.require_running(now)
        request = self.state.requests.pop(account, None)
        if request is None or request.epoch > self.ended_through(now):
            raise WithdrawalNotReady(account, request.epoch if request else 0)
        if self.state.holds.get(account):
            raise CreditHeld(account)
        free = self.cash(now, account).free
        kept = self.state.total_negative if account == self.balancing_party() else 0
        if free < request.amount_nano + kept:
            raise InsufficientCash(account, free, request.amount_nano + kept)
        self.add_free(now, account, -request.amount_nano)
        self.state.vault -= request.amount_nano
        self.emit(events.Withdrawn(account, request.amount_nano))
