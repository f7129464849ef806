"""The market operator at work: opens what the plan says is due, and takes each session from its gate to its
proof.

Nothing is remembered between two looks but what spares a question. What there is to do follows from three
places, each durable by itself, so that a process that was killed goes on wherever it was:

    the chain      which days and sessions are open, how far each is
    the intake     which orders have a receipt; sealed once, the same list ever after
    the outbox     what was signed and may have been sent: sent again, never signed anew

    open     openDay, openSession      when the plan says so
    gate     a block at or after it    then nothing more can be submitted on chain for the session
    seal     in the database           then nothing more is accepted
    clear    commitBooks, postHeader, clear, closeZone, joinChildren   (settlement/chain/operator.py)
    release  releaseBond               when nobody can claim any more
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Protocol

from api.logs import event
from api.services.operator_plan import BETWEEN_S, Due, Plan, due_sessions, params_of
from settlement.chain import books, claims, operator
from settlement.chain.books import Named, SealedBook, Session
from settlement.chain.errors import ContractRevert, UnacceptableOrder
from settlement.chain.events import BondLocked, decode
from settlement.chain.exchange import Exchange, Stage
from settlement.chain.outbox import Outbox
from settlement.chain.resume import finish
from settlement.chain.rpc import Receipt, to_hex
from settlement.chain.sign import Signer
from settlement.chain.steps import logs_of
from settlement.errors import CheckFailed
from settlement.reference.orders import SignedOrder
from settlement.reference.session import SessionParams

DEFENCE_S = 86_400
"""Behind the last claim: contracts/Omission.sol."""
RECENT = 200
"""Sessions that are looked at: at most 64 are open, and a day has few."""
RELEASE_EVERY_S = 3_600


class Intake(Protocol):
    """Who took the orders."""

    def seal(self, session: Session, at: int, submitted: Iterable[Named]) -> list[SignedOrder]:
        """Takes no more, for ever; the orders that have a receipt and are in, the same every time."""


@dataclass
class Operator:
    """One operator of one deployment."""

    exchange: Exchange
    signer: Signer
    outbox: Outbox
    plan: Plan
    intake: Intake
    receipt_signer: bytes
    now: Callable[[], float]
    """Unix seconds: what gates are judged by."""
    params: dict[int, SessionParams] = field(default_factory=dict)
    """Of the recent sessions, by number."""
    ended: set[int] = field(default_factory=set)
    """Proved or void."""
    refused: dict[str, str] = field(default_factory=dict)
    """Why what is due is not opened: told once."""
    released_at: float = 0.0

    def look(self) -> None:
        """Does whatever there is to do now. Any ChainError may be raised; the next look goes on."""
        for one in finish(self.exchange.chain, self.outbox, self.signer):
            event("transaction_sent_again", transaction=to_hex(one.tx_hash), nonce=one.nonce)
        self._read_sessions()
        for epoch in sorted(set(self.params) - self.ended):
            self._advance(epoch)
        for due in due_sessions(self.plan, int(self.now()), self.exchange.deployment.window_length):
            self._open(due)
        self._release()

    @property
    def latest(self) -> int:
        """Number of the latest session; 0 before the first."""
        return max(self.params, default=0)

    def _read_sessions(self) -> None:
        (latest,) = self.exchange.view("latestEpoch")
        wanted = [one for one in range(max(1, latest - RECENT), latest + 1) if one not in self.params]
        for epoch, (fields,) in zip(
            wanted, self.exchange.views("sessionParams", [(one,) for one in wanted]), strict=True
        ):
            self.params[epoch] = SessionParams(*fields)

    # Opening --------------------------------------------------------------------------------------------

    def _open(self, due: Due) -> None:
        own = [one for one in self.params.values() if (one.day, one.kind) == (due.day.first_window, due.kind)]
        if any(one.gate == due.gate for one in own) or not self._may_follow(due):
            return
        try:
            version = self._open_day(due)
            params = params_of(
                due,
                round_=len(own),
                grid_version=version,
                max_pause_s=int(self.exchange.view("maxPause")[0]),
                receipt_signer=self.receipt_signer,
            )
            session = operator.open_session(self.exchange, self.signer, params)
        except ContractRevert as refusal:
            self._tell_refused(due, refusal.message)
        else:
            self.params[session.epoch] = params
            event(
                "session_opened", session=session.epoch, id=to_hex(session.id), what=due.name, gate=due.gate
            )

    def _may_follow(self, due: Due) -> bool:
        last = max((one.prove_by for one in self.params.values()), default=-BETWEEN_S)
        if due.gate >= last + BETWEEN_S:
            return True
        self._tell_refused(due, f"its gate is not {BETWEEN_S} s after the deadline of every session before")
        return False

    def _open_day(self, due: Due) -> int:
        """The version of the day's grid, which is opened if it is not."""
        day = due.day
        windows, version, *_ = self.exchange.view("dayOf", day.first_window)
        if windows:
            return int(version)
        chosen = self.plan.grid_version or latest_grid(self.exchange)
        self.exchange.open_day(self.signer, day.first_window, day.windows, chosen)
        event("day_opened", day=day.first_window, windows=day.windows, grid_version=chosen)
        return chosen

    def _tell_refused(self, due: Due, why: str) -> None:
        if self.refused.get(due.name) != why:
            self.refused[due.name] = why
            event("session_not_opened", logging.WARNING, what=due.name, gate=due.gate, why=why)

    # From the gate to the proof -------------------------------------------------------------------------

    def _advance(self, epoch: int) -> None:
        if self.now() < self.params[epoch].gate:
            return
        self._pass_gate(self.params[epoch].gate)
        stage = self.exchange.session(epoch)[1]
        if stage in (Stage.PROVED, Stage.VOID):
            self.ended.add(epoch)
            if stage is Stage.VOID:
                event("session_void", logging.ERROR, session=epoch)
            return
        session = operator.find_session(self.exchange, epoch)
        sealed = self.sealed(session)
        event("session_sealed", session=epoch, orders=len(sealed.orders), stage=stage.name)
        cleared = operator.run(self.exchange, self.signer, session, sealed)
        self.ended.add(epoch)
        event(
            "session_proved",
            session=epoch,
            orders=len(cleared.fills),
            ineligible=len(cleared.ineligible),
            filled_wh=sum(map(sum, cleared.fills.values())),
            transactions=len(cleared.steps),
            gas=cleared.gas_used,
        )

    def _pass_gate(self, gate: int) -> None:
        """Sees to it that the chain has a block at or after the gate, by a transaction that does nothing:
        some chains make blocks for transactions only. CheckFailed if the chain's clock is behind.
        """
        chain = self.exchange.chain
        if chain.now() < gate:
            receipt: Receipt = chain.send(self.signer, self.signer.address, b"", gas=21_000)
            event("gate_passed", gate=gate, block=receipt.block)
        if chain.now() < gate:
            raise CheckFailed(f"the chain is behind the gate at {gate}: see its validators' clocks")

    def sealed(self, session: Session) -> SealedBook:
        """The session's books. An order that would make the session unprovable is left out, and told: its
        trader may claim.
        """
        separator = self.exchange.separator
        submitted = [books.name(separator, one) for one in claims.submitted(self.exchange, session)]
        taken = self.intake.seal(session, int(self.now()), submitted)
        by_hash = {books.name(separator, one).hash: one for one in taken}
        while True:
            try:
                return operator.seal(self.exchange, session, list(by_hash.values()))
            except UnacceptableOrder as refusal:
                if by_hash.pop(refusal.order_hash, None) is None:
                    raise
                event(
                    "order_left_out",
                    logging.ERROR,
                    session=session.epoch,
                    order=to_hex(refusal.order_hash),
                    why=refusal.reason,
                )

    # Afterwards -----------------------------------------------------------------------------------------

    def _release(self) -> None:
        """Takes back the bonds that nobody can claim from any more, unless cash stands still."""
        now = self.now()
        clearing = any(self.params[one].gate <= now for one in set(self.params) - self.ended)
        if clearing or now < self.released_at + RELEASE_EVERY_S:
            return
        self.released_at = now
        (pause,) = self.exchange.view("maxPause")
        gone = {int.from_bytes(log.topics[1], "big") for log in logs_of(self.exchange, "BondReleased")}
        for log in logs_of(self.exchange, "BondLocked"):
            locked = decode(log)
            assert isinstance(locked, BondLocked)
            until = self.exchange.params(locked.epoch).claim_by + DEFENCE_S + pause
            if locked.epoch in gone or locked.operator != self.signer.address or now <= until:
                continue
            self.exchange.send(self.signer, "releaseBond", locked.epoch)
            event("bond_released", session=locked.epoch)


def latest_grid(exchange: Exchange) -> int:
    """Version of the grid that the registrar set last. CheckFailed if there is none."""
    found = [int.from_bytes(log.topics[1], "big") for log in logs_of(exchange, "GridSet")]
    if not found:
        raise CheckFailed("the Exchange has no grid: let the registrar set one (setGrid)")
    return max(found)
