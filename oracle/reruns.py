"""A zone's day once more: with what has come in since, what challenges upheld, and the next correction.

    as the last run left it ┐
    readings since          ├─ every node computes and signs ─ quorum ─ correction ─ as this run leaves it
    upheld on chain         ┘

Which challenges held is read from the chain, so that all nodes go on from the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from oracle.aggregate import AccountDay
from oracle.contesting import upheld_readings
from oracle.correcting import Correcting, with_challenges
from oracle.intake import Verifier, verify_all
from oracle.messages import SignedReading
from oracle.node import Computed, DayInputs, OracleNode, agree
from settlement.chain import challenger, corrector, statements
from settlement.chain.corrector import SignedCorrection
from settlement.chain.exchange import Exchange
from settlement.chain.settler import SignedPosting
from settlement.chain.statements import ChallengeState
from settlement.reference.posting import DEFAULT, struct_hash


@dataclass(frozen=True)
class RunState:
    """A zone's day as its last run left it."""

    signed: SignedPosting
    """Of the first run: its statements hold for all."""
    inputs: DayInputs
    """What the last run was computed from."""
    computed: Computed
    """A node's working of it: it opens the readings that the run committed to."""

    @property
    def day(self) -> int:
        """Index of the day's first window."""
        return self.inputs.day.first_window


@dataclass(frozen=True)
class Presumed:
    """A zone's day that was settled by default: everyone metered what it had contracted."""

    signed: SignedPosting
    """Unsigned: the default posting (`settlement.chain.settler.by_default`)."""
    inputs: DayInputs
    """What the nodes know: its prices are those that the first correction brings."""

    @property
    def day(self) -> int:
        """Index of the day's first window."""
        return self.inputs.day.first_window


def rerun(
    exchange: Exchange,
    last: RunState | Presumed,
    late: Iterable[SignedReading],
    nodes: Sequence[OracleNode],
    quorum: int,
    day_key: bytes,
    verifier: Verifier = verify_all,
) -> tuple[SignedCorrection, RunState]:
    """What a quorum of nodes signs for the next run, and what that leaves; `day_key` (32 random bytes) is
    this run's own. Nothing is sent: `settlement.chain.corrector.run` does that.

    TooFewSigners, SplitQuorum; and what `oracle.correcting.correct` refuses.
    """
    zone, day = last.inputs.zone, last.day
    held = challenger.upheld(exchange, zone, day)
    inputs = replace(
        last.inputs,
        batch=(*last.inputs.batch, *late),
        upheld=upheld_readings(held, last.inputs.day.window_length_s),
        sequence=last.inputs.sequence + 1,
        day_key=day_key,
    )
    standing, given = stands(exchange, last, held), _correcting(exchange, last)
    voted = [node.vote_again(inputs, standing, given, exchange.separator, verifier) for node in nodes]
    votes = [vote for vote, _ in voted]
    agreed = agree(votes, [node.address for node in nodes], quorum, exchange.separator)
    signed = SignedCorrection(agreed.posted.correction, agreed.posted.differences, agreed.signatures)
    computed = next(made for vote, made in voted if vote.node in agreed.signers)
    return signed, RunState(last.signed, inputs, computed)


def stands(exchange: Exchange, last: RunState | Presumed, held: Sequence[ChallengeState]) -> AccountDay:
    """What accounts are settled by: the last run, and what challenges changed since. `held` are all that
    held of the day, in the order of the chain.
    """
    if isinstance(last, Presumed):
        return _presumed(exchange, last)
    since = held[len(last.inputs.upheld) :]
    changes = ((one.account, one.window, one.difference) for one in since)
    return with_challenges(last.computed.accounts, changes)


def _presumed(exchange: Exchange, last: Presumed) -> AccountDay:
    certified = statements.first_run(exchange, last.day)[1][last.inputs.zone]
    rows = statements.contracted(exchange, certified)
    accounts = tuple(sorted(rows))
    metered = np.array([rows[account] for account in accounts], np.int64)
    return AccountDay(last.inputs.day, accounts, metered, np.full(metered.shape, DEFAULT, np.uint8))


def _correcting(exchange: Exchange, last: RunState | Presumed) -> Correcting:
    posting = last.signed.posting
    at = corrector.zone_day(exchange, posting.zone, posting.first_window)
    return Correcting(
        zone=posting.zone,
        run=at.run + 1,
        previous=at.link if at.is_open else struct_hash(posting),
        surplus=last.inputs.surplus,
        deficit=last.inputs.deficit,
        statements=tuple(tuple(last.signed.accounts(part)) for part in range(len(last.signed.parts))),
    )
