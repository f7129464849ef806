"""Transactions, events, and where each session is at a time."""

from collections.abc import Callable
from dataclasses import replace
from functools import wraps
from typing import Concatenate, ParamSpec, TypeVar

from settlement.reference import eip712
from settlement.reference.errors import (
    ClearingInProgress,
    ExchangePaused,
    Expired,
    InvalidAccountNonce,
    WrongSigner,
    WrongStage,
)
from settlement.reference.exchange.events import Event
from settlement.reference.exchange.state import SessionRecord, Stage, State
from settlement.reference.product_id import WINDOW_LENGTHS
from settlement.reference.words import check_address

P = ParamSpec("P")
R = TypeVar("R")
C = TypeVar("C", bound="Core")

ENDED = (Stage.PROVED, Stage.VOID)


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
        quorum: int = 1,
        max_pause: int = 0,
    ) -> None:
        """`window_length` and `max_pause`, in seconds, are fixed for ever; `quorum` of `oracles` sign a
        posting until that is changed.
        """
        assert window_length in WINDOW_LENGTHS
        self.separator = eip712.domain_separator(chain_id, check_address("contract", contract))
        self.window_length = window_length
        self.max_pause = max_pause
        self.state = State(oracles=oracles, quorum=quorum)

    @property
    def events(self) -> list[Event]:
        return self.state.events

    def emit(self, event: Event) -> None:
        self.state.events.append(event)

    # Sessions over time -----------------------------------------------------------------------------------

    def session(self, session: bytes) -> SessionRecord:
        """WrongStage unless it was opened."""
        if session not in self.state.sessions:
            raise WrongStage(session, None)
        return self.state.sessions[session]

    def stage(self, now: int, session: bytes) -> Stage:
        """How far the session is at `now`; void if its commitment or its proof is late."""
        record = self.session(session)
        late = record.stage is not Stage.PROVED and now > self.deadline(now, record)
        return Stage.VOID if late else record.stage

    def deadline(self, now: int, record: SessionRecord) -> int:
        """Of the commitment, then of the proof, with what pauses add: `max_pause` at most, all together."""
        plain = record.params.commit_by if record.stage is Stage.OPEN else record.params.prove_by
        elapsed = self.pause_elapsed(now)
        extension = record.extension
        if self.held_up(record, plain + extension, elapsed):
            extension = min(extension + elapsed, self.max_pause)
        return plain + extension

    def held_up(self, record: SessionRecord, deadline: int, elapsed: int) -> bool:
        """Whether the pause found the deadline ahead, and the gate came before the pause's end."""
        began = self.state.paused_at
        return began is not None and deadline >= began and record.params.gate <= began + elapsed

    def pause_elapsed(self, now: int) -> int:
        """Seconds that the pause whose end is not written down has lasted."""
        began = self.state.paused_at
        return 0 if began is None else min(now - began, self.max_pause)

    def is_paused(self, now: int) -> bool:
        began = self.state.paused_at
        return began is not None and now < began + self.max_pause

    def require_running(self, now: int) -> None:
        """ExchangePaused during a pause."""
        if self.is_paused(now):
            raise ExchangePaused((self.state.paused_at or 0) + self.max_pause)

    def require_stage(self, now: int, session: bytes, stage: Stage) -> SessionRecord:
        """The session, if it is at this stage; else WrongStage."""
        found = self.stage(now, session)
        if found is not stage:
            raise WrongStage(session, found)
        return self.session(session)

    def ended_through(self, now: int) -> int:
        """The last epoch such that its session and all before are proved or void."""
        for epoch, session in enumerate(self.state.epochs):
            if self.stage(now, session) not in ENDED:
                return epoch
        return len(self.state.epochs)

    def require_quiet(self, now: int) -> None:
        """ClearingInProgress while a session is between its gate and its end."""
        ended = self.ended_through(now)
        if ended < len(self.state.epochs) and now >= self.session(self.state.epochs[ended]).params.gate:
            raise ClearingInProgress(ended + 1)

    def update_session(self, session: bytes, **changes: object) -> None:
        record = self.state.sessions[session]
        self.state.sessions[session] = replace(record, **changes)  # type: ignore[arg-type]

    # Messages ---------------------------------------------------------------------------------------------

    def use_message(
        self, now: int, signer: bytes, nonce: int, deadline: int, struct_hash: bytes, signature: bytes
    ) -> None:
        """Expired, WrongSigner or InvalidAccountNonce unless `signer` signed it, and it is its next
        message.
        """
        if now > deadline:
            raise Expired(deadline)
        found = eip712.recover(eip712.digest(self.separator, struct_hash), signature)
        if found != signer:
            raise WrongSigner(found, signer)
        expected = self.state.nonces.get(signer, 0)
        if nonce != expected:
            raise InvalidAccountNonce(signer, expected)
        self.state.nonces[signer] = nonce + 1
