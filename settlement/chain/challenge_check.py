"""Whether the Exchange would take a challenge, asked before anything is sent.

Of a day that is open to challenges the chain says so itself. Any other day has to be opened first, which
costs gas and lasts; until then the chain looks no further than that it is not open. So what it would ask then
is asked here, of its own state and in its own order, by the reference's functions.
"""

from __future__ import annotations

from settlement.chain import abi, statements
from settlement.chain.challenger import challenge_call
from settlement.chain.corrector import posting_of, zone_day
from settlement.chain.errors import ContractRevert
from settlement.chain.events import MeterRegistered, MeterRotated, decode
from settlement.chain.exchange import Exchange
from settlement.reference import challenge as challenges
from settlement.reference import eip712, merkle, p256, reading
from settlement.reference.challenge import ReadingChallenge, SignedRead
from settlement.reference.errors import (
    BadMeterKey,
    BadReadSignature,
    CannotBond,
    InvalidProof,
    InvalidSignature,
    NotCommitted,
    NothingContradicted,
    NotTheAccount,
    NotTheSameReading,
    StaleRead,
    TooLateToChallenge,
)
from settlement.reference.exchange.metering import CHALLENGE_WINDOW_S
from settlement.reference.reading import Reading

Key = tuple[bytes, bytes]
"""A meter's public key on P-256."""
NOT_OPEN = "CorrectionsNotOpen"


def check(exchange: Exchange, brought: ReadingChallenge, sender: bytes | None) -> bool:
    """Whether the day is open to challenges already; `sender` None is anyone.

    ContractRevert, or the same refusal of the reference, if the challenge would not be taken, once the day is
    open if it is not. WrongProgress if the zone's day was never settled.
    """
    try:
        exchange.chain.call(exchange.address, challenge_call(exchange, brought), sender=sender)
        return True
    except ContractRevert as refusal:
        if refusal.name != NOT_OPEN or zone_day(exchange, brought.zone, brought.day).is_open:
            raise
    posting = posting_of(exchange, brought.zone, brought.day)
    exchange.chain.call(exchange.address, abi.open_corrections(posting))
    _check_time(exchange, brought.zone, brought.day)
    leaf, committed = _committed(brought, posting.commitments)
    read = _same_reading(exchange, brought, committed)
    account = _check_signed(exchange, brought.read, read)
    _check_account(exchange, account, sender, brought, leaf)
    if read.sequence < committed.sequence:
        raise StaleRead(read.sequence, committed.sequence)
    if read.wh == committed.wh:
        raise NothingContradicted(read.wh)
    _check_bond(exchange, account)
    return False


def _check_time(exchange: Exchange, zone: int, day: int) -> None:
    """From when the last zone's last part was certified."""
    certified = statements.logs_of_day(exchange, "RunCertified", day)[-1]
    until = exchange.chain.now(certified.block) + CHALLENGE_WINDOW_S
    if exchange.chain.now() > until:
        raise TooLateToChallenge(zone, day, until)


def _committed(brought: ReadingChallenge, root: bytes) -> tuple[bytes, Reading]:
    """The leaf and the reading of what the oracles committed to."""
    leaf = reading.commitment(brought.salt, brought.committed, brought.flag)
    try:
        committed = challenges.well_formed(brought.committed)
        if merkle.verify(root, leaf, brought.index, brought.proof):
            return leaf, committed
    except (NotTheSameReading, InvalidProof) as cause:
        raise NotCommitted from cause
    raise NotCommitted


def _same_reading(exchange: Exchange, brought: ReadingChallenge, committed: Reading) -> Reading:
    length = exchange.deployment.window_length
    found = challenges.same_reading(brought.read.message, committed, length)
    windows: int = exchange.view("dayOf", brought.day)[0]
    if not brought.day <= found.window_index < brought.day + windows:
        raise NotTheSameReading
    return found


def _check_signed(exchange: Exchange, brought: SignedRead, read: Reading) -> bytes:
    """The account of the meter that signed, with the key that it had in that window."""
    account, x, y = exchange.view("meterOf", read.meter)
    revoked = not (any(x) or any(y))
    if revoked or _key_in(exchange, read.meter, read.window_index) != (brought.x, brought.y):
        raise BadMeterKey(read.meter)
    if not p256.verify(brought.message, brought.r, brought.s, brought.x, brought.y):
        raise BadReadSignature(read.meter)
    return bytes(account)


def _key_in(exchange: Exchange, meter: bytes, window: int) -> Key | None:
    """The key of a meter that is not revoked: the last that began in that window or before."""
    found = None
    for name in ("MeterRegistered", "MeterRotated"):
        for log in statements.logs_with(exchange, name, meter):
            match decode(log):
                case MeterRegistered(x=x, y=y):
                    found = x, y
                case MeterRotated(x=x, y=y, from_window=first) if first <= window:
                    found = x, y
    return found


def _check_account(
    exchange: Exchange, account: bytes, sender: bytes | None, brought: ReadingChallenge, leaf: bytes
) -> None:
    """The account sends or signs it."""
    if sender == account:
        return
    message = challenges.struct_hash(brought.zone, brought.day, 0, leaf, brought.read.message)
    try:
        signer = eip712.recover(eip712.digest(exchange.separator, message), brought.signature)
    except InvalidSignature as cause:
        raise NotTheAccount(account) from cause
    if signer != account:
        raise NotTheAccount(account)


def _check_bond(exchange: Exchange, account: bytes) -> None:
    _, bond, _ = exchange.view("challengeTerms")
    free = exchange.cash(account).free
    if bond and free < bond:
        raise CannotBond(account, free, bond)
