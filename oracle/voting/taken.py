"""A run as the chain took it, for nodes to compare theirs with."""

from __future__ import annotations

from dataclasses import dataclass

from oracle.voting.ballots import Slot
from oracle.voting.duties import Duty
from oracle.voting.work import sequence_of_run
from settlement.chain import market_days
from settlement.chain.exchange import Exchange


@dataclass(frozen=True)
class OnChain:
    """A zone's run that the chain took."""

    slot: Slot
    struct: bytes
    """Struct hash."""
    commitments: bytes
    """Zero of a day by default."""
    sequence: int
    """Of its salts."""
    accounts: tuple[bytes, ...]


def on_chain(exchange: Exchange, duty: Duty, zone: int) -> OnChain | None:
    """A zone's run, once the chain has it; None before."""
    day = duty.day.first_window
    posted = market_days.posted(exchange, day, zone)
    if posted is None:
        return None
    members = market_days.prosumers(exchange)[zone][: posted.posting.accounts]
    if duty.number == 0:
        slot = Slot(zone, day, 0, str(posted.sequence))
        return OnChain(slot, posted.posting_hash, posted.posting.commitments, posted.sequence, members)
    made = market_days.completed(exchange, day, zone, duty.number)
    if made is None:
        return None
    slot = Slot(zone, day, duty.number, "0x" + made.correction.previous.hex())
    sequence = sequence_of_run(posted.sequence, duty.number)
    return OnChain(slot, made.hash, made.correction.commitments, sequence, members)
