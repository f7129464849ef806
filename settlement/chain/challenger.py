"""Challenges: a participant shows what its meter signed against what was posted (docs/formats.md).

Anyone may send one that the meter's account signed, anyone may answer, anyone may settle. What settling
brings, the account's statement and the day's prices, is read from the chain.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from settlement.chain import statements
from settlement.chain.corrector import zone_day
from settlement.chain.errors import WrongProgress
from settlement.chain.exchange import Exchange
from settlement.chain.sign import Signer
from settlement.chain.statements import ChallengeState, challenge_of
from settlement.chain.steps import Step, step
from settlement.reference import challenge as challenges
from settlement.reference import eip712, reading
from settlement.reference.challenge import ReadingChallenge, SignedRead
from settlement.reference.reading import Reading
from settlement.reference.settlement import imbalance_cash

NONE, OPEN, DEFEATED, UPHELD, DROPPED = range(5)
"""Stages of a challenge, as the contract numbers them."""


@dataclass(frozen=True)
class Challenged:
    """A challenge that the chain took."""

    id: bytes
    answer_by: int
    """Unix seconds, inclusive; afterwards it is settled."""
    step: Step


def signed_by(account: Signer, exchange: Exchange, challenge: ReadingChallenge) -> ReadingChallenge:
    """With the signature of the meter's account, for anyone to send against the day's last run."""
    run, *_ = exchange.view("zoneDayOf", challenge.zone, challenge.day)
    leaf = reading.commitment(challenge.salt, challenge.committed, challenge.flag)
    message = challenges.struct_hash(challenge.zone, challenge.day, run, leaf, challenge.read.message)
    return replace(challenge, signature=account.sign_digest(eip712.digest(exchange.separator, message)))


def challenge(exchange: Exchange, sender: Signer, brought: ReadingChallenge) -> Challenged:
    """Opens it. ContractRevert with the contract's reason if it is refused."""
    id_ = id_of(exchange, brought)
    receipt = exchange.send_data(sender, challenge_call(exchange, brought))
    return Challenged(id_, challenge_of(exchange, id_).answer_by, step("challengeReading", receipt))


def challenge_call(exchange: Exchange, brought: ReadingChallenge) -> bytes:
    """What `challenge` sends."""
    return exchange.abi.encode("challengeReading", _challenge_tuple(brought))


def id_of(exchange: Exchange, brought: ReadingChallenge) -> bytes:
    """Under which the chain would keep it now."""
    run = zone_day(exchange, brought.zone, brought.day).run
    return challenges.challenge_id(brought.read.message, run)


def answer(exchange: Exchange, sender: Signer, id_: bytes, read: SignedRead) -> Step:
    """Answers with another signed read of the same reading."""
    return step("answerChallenge", exchange.send_data(sender, answer_call(exchange, id_, read)))


def answer_call(exchange: Exchange, id_: bytes, read: SignedRead) -> bytes:
    """What `answer` sends."""
    return exchange.abi.encode("answerChallenge", id_, _read_tuple(read))


def settle(exchange: Exchange, sender: Signer, id_: bytes) -> Step:
    """Ends a challenge that was not defeated, once nobody may answer any more. WrongProgress if there is no
    such challenge open.
    """
    return step("settleChallenge", exchange.send_data(sender, settle_call(exchange, id_)))


def settle_call(exchange: Exchange, id_: bytes) -> bytes:
    """What `settle` sends; it refuses as that does."""
    found = challenge_of(exchange, id_)
    if found.stage != OPEN:
        raise WrongProgress(f"challenge 0x{id_.hex()} is not open: nothing is left to settle")
    standing = statements.current(exchange, found.zone, found.day)
    part = standing.part_of(found.account)
    brought = standing.statement(part, found.account)
    given = (brought.accounts, brought.leaves, brought.rows)
    prices = statements.prices_of(exchange, standing)
    return exchange.abi.encode("settleChallenge", id_, given, part, *prices)


def drop(exchange: Exchange, sender: Signer, id_: bytes) -> Step:
    """Ends a challenge that nobody could settle, long after its answers."""
    return step("dropChallenge", exchange.send_data(sender, drop_call(exchange, id_)))


def drop_call(exchange: Exchange, id_: bytes) -> bytes:
    """What `drop` sends."""
    return exchange.abi.encode("dropChallenge", id_)


def worth(exchange: Exchange, zone: int, day: int, account: bytes, window: int, difference: int) -> int:
    """What `difference` Wh more in a window of the day (its index) would earn an account, nano.
    WrongProgress, NotInStatement.
    """
    found = statements.current(exchange, zone, day)
    surplus, deficit = statements.prices_of(exchange, found)
    found.part_of(account)
    at = window - day
    before, prices = found.rows[account][at], (surplus[at], deficit[at])
    return imbalance_cash(before + difference, *prices) - imbalance_cash(before, *prices)


def standing(exchange: Exchange, zone: int, day: int, read: Reading) -> ChallengeState | None:
    """The challenge that the latest run's reading of `read`'s meter, register and window was corrected by
    since; None if it stands as committed.
    """
    run = zone_day(exchange, zone, day).run
    changes = statements.changes_of(exchange, zone, day)
    held = [challenge_of(exchange, one.challenge) for one in changes if one.challenge and one.run == run]
    same = (one for one in held if (one.meter, one.register, one.window) == _place(read))
    return next(reversed(list(same)), None)


def _place(read: Reading) -> tuple[bytes, int, int]:
    return read.meter, read.register, read.window_index


def upheld(exchange: Exchange, zone: int, day: int) -> list[ChallengeState]:
    """The challenges of a zone's day that held, in the order of the chain: what oracles go on from."""
    logs = statements.logs_of_settled_challenges(exchange, zone, day)
    return [challenge_of(exchange, log.topics[1]) for log in logs]


def _read_tuple(read: SignedRead) -> tuple[Any, ...]:
    return (read.message, read.r, read.s, read.x, read.y)


def _challenge_tuple(brought: ReadingChallenge) -> tuple[Any, ...]:
    opened = (brought.committed, brought.flag, brought.salt, brought.index, brought.proof)
    return (brought.zone, brought.day, *opened, _read_tuple(brought.read), brought.signature)
