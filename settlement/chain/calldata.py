"""What a call to the Exchange says, in the reference's types."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

from eth_abi.exceptions import DecodingError

from settlement.chain.abi import CODEC, Entry, exchange_interface
from settlement.reference import cell, marginal, merkle, potential
from settlement.reference.challenge import ReadingChallenge, SignedRead
from settlement.reference.clearing import Carry, Header, ZonePosting
from settlement.reference.closing import ClosedZone
from settlement.reference.correction import Correction
from settlement.reference.errors import WrongClosedZone
from settlement.reference.membership import Absence, Inclusion, Neighbour
from settlement.reference.merkle import Frontier
from settlement.reference.messages import Acceptance, KeyGrant, KeyRevocation, Transfer, Withdrawal
from settlement.reference.posting import Posting
from settlement.reference.prices import RoundPrices
from settlement.reference.receipts import SignedReceipt
from settlement.reference.session import Grid, SessionParams
from settlement.reference.settlement import RunCarry, Tally
from settlement.reference.statement import Statement
from settlement.reference.words import field, signed

Posted = tuple[Header, ZonePosting]


@cache
def _by_selector() -> dict[bytes, Entry]:
    return {entry.selector: entry for entry in exchange_interface().functions.values()}


def function_of(data: bytes) -> Entry | None:
    """Which function is called; None if the Exchange has no such function."""
    return _by_selector().get(data[:4])


def arguments(entry: Entry, data: bytes) -> tuple[Any, ...]:
    """The call's arguments. ValueError if it has none such.

    Padding of `bytes` is not looked at: the contract does not either.
    """
    try:
        values = CODEC.decode(entry.types, data[4:], strict=False)
        return tuple(
            _RICH.get(one.type, lambda value: value)(value)
            for one, value in zip(entry.inputs, values, strict=True)
        )
    except (DecodingError, OverflowError) as cause:
        raise ValueError(f"its arguments are not {entry.signature}'s") from cause


def header(words: tuple[int, ...]) -> Header:
    return Header(tuple(map(potential.unpack, words)))


def _posted(values: tuple[tuple[int, ...], ...]) -> Posted:
    qualities, energy, marginals = values
    zone = ZonePosting(tuple(map(potential.unpack, energy)), tuple(map(marginal.unpack, marginals)))
    return header(qualities), zone


def _carry(values: tuple[Any, ...]) -> Carry | None:
    """None where nothing is brought, as to a first chunk."""
    cells, last, count, frontier, support, submitted = values
    if not cells and not any(last) and not any((count, support, submitted)) and not any(map(any, frontier)):
        return None
    tree = Frontier(count, tuple(frontier))
    return Carry(tuple(map(cell.unpack, cells)), last, tree, support, submitted)


def _closed(values: tuple[Any, ...]) -> ClosedZone:
    """WrongClosedZone for words that no zone ever left."""
    energy, nets, energy_support, quality_support, rent, joined = values
    if any(word >> 64 for word in nets) or any(word >> 128 for word in energy):
        raise WrongClosedZone("not canonical", joined)
    return ClosedZone(
        tuple(map(potential.unpack, energy)),
        tuple(signed(word, 64) for word in nets),
        energy_support,
        tuple(quality_support),
        rent,
        joined,
    )


def _run_carry(values: tuple[Any, ...]) -> RunCarry | None:
    """None where nothing is brought, as to a first part, or to any of a day on which nothing was traded."""
    tallies, pots, imbalance, cash, last, parts = values
    if not any((tallies, pots, imbalance, cash, any(last), parts)):
        return None
    return RunCarry(tuple(map(_tally, tallies)), pots, imbalance, cash, last, parts)


def _tally(word: int) -> Tally:
    return Tally(*(field(word, at, 64) for at in (0, 64, 128, 192)))


def _prices(values: tuple[tuple[int, ...], ...]) -> RoundPrices:
    energy, qualities = (tuple(map(potential.unpack, words)) for words in values)
    return RoundPrices(energy, qualities)


def _challenge(values: tuple[Any, ...]) -> ReadingChallenge:
    zone, day, committed, flag, salt, index, proof, read, signature = values
    return ReadingChallenge(committed, flag, salt, index, proof, SignedRead(*read), zone, day, signature)


def _absence(values: tuple[Any, ...]) -> Absence:
    index, left, right = values
    return Absence(index, Neighbour(*left), Neighbour(*right))


def _type(name: str, parameter: str) -> str:
    inputs = exchange_interface().function(name).inputs
    return next(one.type for one in inputs if one.name == parameter)


_RICH: dict[str, Callable[[Any], Any]] = {
    _type("setGrid", "grid"): lambda values: Grid(*values),
    _type("openSession", "params"): lambda values: SessionParams(*values),
    _type("clear", "posted"): _posted,
    _type("clear", "carry"): _carry,
    _type("joinChildren", "self"): _closed,
    _type("joinChildren", "children"): lambda values: tuple(map(_closed, values)),
    _type("claimOmission", "receipt"): lambda values: SignedReceipt(*values),
    _type("claimOmission", "proof"): _absence,
    _type("claimCommitted", "proof"): lambda values: Inclusion(*values),
    _type("settle", "posting"): lambda values: Posting(*values),
    _type("settle", "carry"): _run_carry,
    _type("settle", "prices"): lambda values: tuple(map(_prices, values)),
    _type("certify", "statement"): lambda values: Statement(*values),
    _type("postCorrection", "correction"): lambda values: Correction(*values),
    _type("challengeReading", "challenge"): _challenge,
    _type("answerChallenge", "read"): lambda values: SignedRead(*values),
}
"""By type: structs that become values of the reference."""

MESSAGES: dict[str, Callable[..., Any]] = {
    "relayWithdrawal": Withdrawal,
    "relayTransfer": Transfer,
    "relayAcceptance": Acceptance,
    "relayKeyGrant": KeyGrant,
    "relayKeyRevocation": KeyRevocation,
}
"""What each relayed call carries; transfers and acceptances have the same types in another order."""

assert merkle.DEPTH == 20
