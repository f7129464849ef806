"""Open challenges, answered from a node's store while there is time.

A node answers if it has a read that defeats the challenge, or, where the oracles called the reading actual
and would pay, the very read that they committed to. Nodes take turns as for postings.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from oracle.answering import Answer, answer_of
from oracle.contesting import signed_read
from oracle.day import Day
from oracle.live.store import Store
from oracle.messages import Reading
from oracle.registry import MeterRegistry
from settlement.chain import challenger, market_days
from settlement.chain.exchange import Exchange
from settlement.chain.sign import Signer
from settlement.chain.statements import ChallengeState
from settlement.chain.steps import Step


@dataclass(frozen=True)
class Open:
    """A challenge that this node can answer."""

    id: bytes
    found: ChallengeState
    answer: Answer


def answerable(exchange: Exchange, data: Path, days: dict[int, Day], now: int) -> list[Open]:
    """Challenges that may be answered still, to which the node has something to say; `days` by first
    window.
    """
    found = []
    with Store(data, read_only=True) as store:
        for id_, state in market_days.open_challenges(exchange):
            if now > state.answer_by or state.day not in days:
                continue
            answer = answer_of(state, store.day(days[state.day]).accepted)
            if answer is not None and (answer.defeats or (state.actual and not state.answered)):
                found.append(Open(id_, state, answer))
    return found


def send(exchange: Exchange, sender: Signer, one: Open, registry: MeterRegistry) -> Step:
    """Answers. ContractRevert if somebody else did before, or the meter is revoked by now."""
    read = signed_read(one.answer.signed, _key(registry, one.answer.reading))
    return challenger.answer(exchange, sender, one.id, read)


def _key(registry: MeterRegistry, reading: Reading) -> tuple[int, int]:
    """The key of the reading's window. UnknownMeter, BadMeterKey, RevokedKey."""
    numbers = registry.key_of(reading).public_numbers()
    return numbers.x, numbers.y
