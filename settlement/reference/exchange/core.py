"""Transactions, events, and where each session is at a time."""

from collections.abc import Callable
from dataclasses import replace
from functools import wraps
from typing import Concatenate, ParamSpec, TypeVar

from settlement.reference import eip712
from settlement.reference.errors import (
    ClearingInProgress,
    InvalidSignature,
    MessageExpired,
    NonceUsed,
    UnknownSession,
)
from settlement.reference.exchange.events import Event
from settlement.reference.exchange.state import SessionRecord, State, Status
from settlement.reference.product_id import WINDOW_LENGTHS
from settlement.reference.words import check_address

P = ParamSpec("P")
R = TypeVar("R")
C = TypeVar("C", bound="Core")


def transaction(method: Callable[Concatenate[C, P], R]) -> Callable[Concatenate[C, P], R]:
    """A method that changes everything it should, or raises and changes nothing."""

    @wraps(method)
    def run(self: C, /, *args: P.args, **kwargs: P.kwargs) -> R:
        before = self.state.copy()
        try:
            return method(self, *args, **kwargs)
        except BaseException:
            self.state = before
            raise

    return run


class Core:
    """One deployment."""

    def __init__(
        self,
        chain_id: int,
        contract: bytes,
        window_length: int,
        oracles: frozenset[bytes] = frozenset(),
        oracles_needed: int = 1,
    ) -> None:
        """`window_length` in seconds is the energy market's for ever; `oracles_needed` of `oracles` sign a
        posting.
        """
        assert window_length in WINDOW_LENGTHS
        assert oracles_needed >= 1
        self.separator = eip712.domain_separator(chain_id, check_address("contract", contract))
        self.window_length = window_length
        self.oracles = oracles
        self.oracles_needed = oracles_needed
        self.state = State()

    @property
    def events(self) -> list[Event]:
        return self.state.events

    def emit(self, event: Event) -> None:
        self.state.events.append(event)

    # Sessions over time -----------------------------------------------------------------------------------

    def session(self, session: bytes) -> SessionRecord:
        """UnknownSession unless it was opened."""
        if session not in self.state.sessions:
            raise UnknownSession(session)
        return self.state.sessions[session]

    def status(self, now: int, session: bytes) -> Status:
        """Where the session is at `now`."""
        record = self.session(session)
        if record.proved:
            return Status.PROVED
        uncommitted = record.commitment is None and now > record.params.commit_by
        if uncommitted or now > record.params.prove_by:
            return Status.VOID
        return Status.CLEARING if now >= record.params.gate else Status.OPEN

    def outcome(self, now: int, epoch: int) -> Status:
        """Status of the session with this number."""
        return self.status(now, self.state.epochs[epoch - 1])

    def require_quiet(self, now: int) -> None:
        """ClearingInProgress while any session is between its gate and its end."""
        for session in self.state.epochs:
            if self.status(now, session) is Status.CLEARING:
                raise ClearingInProgress(session)

    def update_session(self, session: bytes, **changes: object) -> None:
        record = self.state.sessions[session]
        self.state.sessions[session] = replace(record, **changes)  # type: ignore[arg-type]

    # Messages ---------------------------------------------------------------------------------------------

    def use_message(
        self, now: int, signer: bytes, nonce: int, deadline: int, struct_hash: bytes, signature: bytes
    ) -> None:
        """MessageExpired, InvalidSignature or NonceUsed unless `signer` signed it and it was not used before.

        Nonces of an account need no order; each is used once, whatever the kind of message.
        """
        if now > deadline:
            raise MessageExpired(deadline)
        if eip712.recover(eip712.digest(self.separator, struct_hash), signature) != signer:
            raise InvalidSignature
        if (signer, nonce) in self.state.nonces:
            raise NonceUsed(signer, nonce)
        self.state.nonces |= {(signer, nonce)}
