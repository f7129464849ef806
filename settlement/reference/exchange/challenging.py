"""Challenges on the Exchange: a meter's word against what the oracles posted, and the bonds behind both."""

from collections.abc import Sequence
from dataclasses import replace

from settlement.reference import challenge as challenges
from settlement.reference import correction, eip712, merkle, p256, posting, reading
from settlement.reference.challenge import ReadingChallenge, SignedRead
from settlement.reference.eip712 import keccak
from settlement.reference.errors import (
    AlreadyChallenged,
    AnswerClosed,
    AnswerOpen,
    BadMeterKey,
    BadPosting,
    BadReadSignature,
    CannotBond,
    CorrectionUnderWay,
    InsufficientCash,
    InvalidProof,
    InvalidSignature,
    IrrelevantAnswer,
    NoChallenge,
    NotCommitted,
    NothingContradicted,
    NotTheAccount,
    NotTheSameReading,
    PotLocked,
    StaleRead,
    TooLateToChallenge,
)
from settlement.reference.exchange import events
from settlement.reference.exchange.core import transaction
from settlement.reference.exchange.correcting import NOTHING, Correcting
from settlement.reference.exchange.metering import CHALLENGE_WINDOW_S
from settlement.reference.exchange.state import Challenge, ChallengeStage, Upheld
from settlement.reference.reading import Reading
from settlement.reference.statement import Statement
from settlement.reference.words import check_uint

ANSWER_WINDOW_S = 2 * 86_400
"""How long anyone may answer a challenge."""


class Challenging(Correcting):
    """A challenge is open until it is defeated by an answer, or settled in favour of the participant."""

    # Bonds ------------------------------------------------------------------------------------------------

    @transaction
    def set_challenge_bond(self, amount: int) -> None:
        """What challenges cost from now on, nano; at zero they are free."""
        self.state.challenge_bond = check_uint("challenge bond", amount, 88)
        self.emit(events.ChallengeBondChanged(amount))

    @transaction
    def bond_oracles(self, now: int, account: bytes, amount: int) -> None:
        """Sets an account's free cash aside for challenges that the oracles lose."""
        self.require_running(now)
        self.require_quiet(now)
        self.member(account)
        free = self.cash(now, account).free
        if free < check_uint("amount", amount, 88):
            raise InsufficientCash(account, free, amount)
        self.add_free(now, account, -amount)
        self.state.pot += amount
        self.emit(events.OracleBondChanged(account, amount))

    @transaction
    def unbond_oracles(self, now: int, account: bytes, amount: int) -> None:
        """Gives some of it back, while no challenge is open and none possible."""
        self.require_running(now)
        self.require_quiet(now)
        self.member(account)
        open_, until = len(self.state.under_challenge), self.state.challengeable_until
        if open_ or now <= until:
            raise PotLocked(open_, until)
        if self.state.pot < check_uint("amount", amount, 88):
            raise InsufficientCash(account, self.state.pot, amount)
        self.state.pot -= amount
        self.add_free(now, account, amount)
        self.emit(events.OracleBondChanged(account, -amount))

    # Challenging ------------------------------------------------------------------------------------------

    @transaction
    def challenge_reading(self, now: int, caller: bytes, brought: ReadingChallenge) -> bytes:
        """Opens a challenge of the meter's account and takes its bond. The challenge's id."""
        self.require_running(now)
        self.require_quiet(now)
        zone, day = brought.zone, brought.day
        self._check_challengeable(now, zone, day)
        leaf, committed = self._committed(brought)
        read = self._same_reading(brought.read.message, committed, day)
        account = self._check_signed(brought.read, read)
        if self.state.meters[read.meter].key is None:
            raise BadMeterKey(read.meter)
        self._check_account(account, caller, brought, leaf)
        upheld = self.upheld(committed, zone, day)
        standing = replace(committed, wh=upheld.wh, sequence=upheld.sequence) if upheld else committed
        if read.sequence < standing.sequence:
            raise StaleRead(read.sequence, standing.sequence)
        if read.wh == standing.wh:
            raise NothingContradicted(read.wh)
        id_ = challenges.challenge_id(brought.read.message, self.zone_day(zone, day).run)
        if id_ in self.state.challenges or read.key in self.state.under_challenge:
            raise AlreadyChallenged(id_)
        bond = self._take_bond(now, account)
        self.state.challenges[id_] = Challenge(
            account=account,
            zone=zone,
            day=day,
            standing=standing,
            read=read,
            actual=brought.flag == posting.ACTUAL and upheld is None,
            bond_nano=bond,
            answer_by=now + ANSWER_WINDOW_S,
        )
        self._count_open(zone, day, account, read.key, 1)
        # A correction that was posted and not begun is signed anew, on what the challenge leaves.
        self.update_zone_day(zone, day, pending=NOTHING)
        self.emit(events.ReadingChallenged(id_, account, zone, day, read, now + ANSWER_WINDOW_S))
        return id_

    def _check_challengeable(self, now: int, zone: int, day: int) -> None:
        """Of the latest run, once it is complete, for `CHALLENGE_WINDOW_S`."""
        found = self.zone_day(zone, day)
        if found.parts:
            raise CorrectionUnderWay(zone, day)
        until = found.since + CHALLENGE_WINDOW_S
        if now > until:
            raise TooLateToChallenge(zone, day, until)

    def _committed(self, brought: ReadingChallenge) -> tuple[bytes, Reading]:
        """The leaf and the reading of what the oracles committed to; NotCommitted if they did not."""
        try:
            committed = challenges.well_formed(brought.committed)
        except NotTheSameReading as cause:
            raise NotCommitted from cause
        leaf = reading.commitment(brought.salt, brought.committed, brought.flag)
        root = self.zone_day(brought.zone, brought.day).commitments
        try:
            found = merkle.verify(root, leaf, brought.index, brought.proof)
        except InvalidProof as cause:
            raise NotCommitted from cause
        if not found:
            raise NotCommitted
        return leaf, committed

    def _same_reading(self, message: bytes, other: Reading, day: int) -> Reading:
        """NotTheSameReading unless it is one of a window of the day."""
        found = challenges.same_reading(message, other, self.window_length)
        if not day <= found.window_index < day + self.day(day).windows:
            raise NotTheSameReading
        return found

    def _check_signed(self, brought: SignedRead, read: Reading) -> bytes:
        """The account of the meter that signed. BadMeterKey unless the key was the meter's in that window,
        revoked since or not.
        """
        record = self.state.meters.get(read.meter)
        if record is None or not self._key_counts(brought, read):
            raise BadMeterKey(read.meter)
        if not p256.verify(brought.message, brought.r, brought.s, brought.x, brought.y):
            raise BadReadSignature(read.meter)
        return record.account

    def _key_counts(self, brought: SignedRead, read: Reading) -> bool:
        record = self.state.meters[read.meter]
        if record.key == (brought.x, brought.y) and read.window_index >= record.since:
            return True
        former = self.state.former_keys.get((read.meter, keccak(brought.x + brought.y)))
        return former is not None and former.since <= read.window_index < former.until

    def _check_account(self, account: bytes, caller: bytes, brought: ReadingChallenge, leaf: bytes) -> None:
        """NotTheAccount unless the account sends or signs it."""
        if caller == account:
            return
        run = self.zone_day(brought.zone, brought.day).run
        message = challenges.struct_hash(brought.zone, brought.day, run, leaf, brought.read.message)
        try:
            signer = eip712.recover(eip712.digest(self.separator, message), brought.signature)
        except InvalidSignature as cause:
            raise NotTheAccount(account) from cause
        if signer != account:
            raise NotTheAccount(account)

    def upheld(self, committed: Reading, zone: int, day: int) -> Upheld | None:
        """What an earlier challenge of the same run made of a reading, if any did: it counts instead of the
        commitment.
        """
        found = self.state.upheld.get(committed.key)
        return found if found and found.run == self.zone_day(zone, day).run else None

    def _take_bond(self, now: int, account: bytes) -> int:
        bond, free = self.state.challenge_bond, self.cash(now, account).free
        if bond and free < bond:
            raise CannotBond(account, free, bond)
        self.add_free(now, account, -bond)
        return bond

    def _count_open(self, zone: int, day: int, account: bytes, key: bytes, change: int) -> None:
        """One challenge more or less is open, of the zone's day, of the account, and of the reading."""
        self.update_zone_day(zone, day, open=self.zone_day(zone, day).open + change)
        self.state.holds[account] = self.state.holds.get(account, 0) + change
        one = frozenset([key])
        under = self.state.under_challenge
        self.state.under_challenge = under | one if change > 0 else under - one

    # Answering --------------------------------------------------------------------------------------------

    def challenge(self, id_: bytes) -> Challenge:
        """NoChallenge unless it is open."""
        found = self.state.challenges.get(id_)
        if found is None or found.stage is not ChallengeStage.OPEN:
            raise NoChallenge(id_)
        return found

    @transaction
    def answer_challenge(self, now: int, id_: bytes, brought: SignedRead) -> None:
        """Answers with another message of the same reading. One that says something else defeats the
        challenge if it is later, or of the same sequence, which also revokes the meter. The message that
        stands shows that the oracles posted what the meter had said until then, and costs them nothing.
        """
        self.require_running(now)
        self.require_quiet(now)
        found = self.challenge(id_)
        if now > found.answer_by:
            raise AnswerClosed(id_, found.answer_by)
        read = self._same_reading(brought.message, found.read, found.day)
        self._check_signed(brought, read)
        if read.wh != found.read.wh and read.sequence >= found.read.sequence:
            if read.sequence == found.read.sequence:
                self._end_keys_of(read.meter)
            self._defeat_challenge(id_, found)
        elif found.actual and _stands(read, found):
            self.state.challenges[id_] = replace(found, answered=True)
            self.emit(events.ChallengeAnswered(id_, False))
        else:
            raise IrrelevantAnswer(id_)

    def _end_keys_of(self, meter: bytes) -> None:
        """If it was not revoked before: several reads may contradict a meter's own word."""
        if self.state.meters[meter].key is not None:
            self.end_keys(meter)

    def _defeat_challenge(self, id_: bytes, found: Challenge) -> None:
        self.state.challenges[id_] = replace(found, stage=ChallengeStage.DEFEATED)
        self.state.pot += found.bond_nano
        self._count_open(found.zone, found.day, found.account, found.read.key, -1)
        self.emit(events.ChallengeAnswered(id_, True))

    # Settling ---------------------------------------------------------------------------------------------

    @transaction
    def settle_challenge(
        self,
        now: int,
        id_: bytes,
        brought: Statement,
        part: int,
        surplus: Sequence[int],
        deficit: Sequence[int],
    ) -> None:
        """Upholds a challenge that nobody defeated: corrects the account's imbalance, gives its bond back,
        and pays it from the oracles' where an actual reading was wrong. `brought` has the account's row.
        """
        self.require_running(now)
        self.require_quiet(now)
        found = self.challenge(id_)
        if now <= found.answer_by:
            raise AnswerOpen(id_, found.answer_by)
        zone, day = found.zone, found.day
        if posting.price_hash(surplus, deficit) != self.zone_day(zone, day).prices:
            raise BadPosting("prices")
        paid = self._pay(found)
        ledger = self.brought_statement(zone, day, part, brought)
        difference = [0] * self.day(day).windows
        difference[found.read.window_index - day] = (found.read.wh - found.standing.wh) * found.read.sign
        extra = found.bond_nano + paid
        imbalance, cash = self.change_account(now, ledger, found.account, difference, surplus, deficit, extra)
        self.store_statement(zone, day, part, ledger)
        self.credit_balancing_party(now, -cash)
        self._uphold(id_, found)
        self.emit(events.ChallengeSettled(id_, zone, day, -imbalance, -cash, paid))

    @transaction
    def drop_challenge(self, now: int, id_: bytes) -> None:
        """Ends a challenge that nobody could settle in all the time there is to challenge: its account is in
        no statement, or its imbalance would leave its bounds. Its bond returns.
        """
        self.require_running(now)
        self.require_quiet(now)
        found = self.challenge(id_)
        until = found.answer_by + CHALLENGE_WINDOW_S
        if now <= until:
            raise AnswerOpen(id_, until)
        self.state.challenges[id_] = replace(found, stage=ChallengeStage.DROPPED)
        self._count_open(found.zone, found.day, found.account, found.read.key, -1)
        self.add_free(now, found.account, found.bond_nano)
        self.emit(events.ChallengeDropped(id_))

    def _pay(self, found: Challenge) -> int:
        """What the oracles owe, at most what they set aside: their reading was called actual, and nobody
        showed that the meter had said so. Nothing where the meter is no longer believed.
        """
        revoked = self.state.meters[found.read.meter].key is None
        if not found.actual or found.answered or revoked:
            return 0
        paid = min(self.state.pot, found.bond_nano)
        self.state.pot -= paid
        return paid

    def _uphold(self, id_: bytes, found: Challenge) -> None:
        zone, day, before = found.zone, found.day, self.zone_day(found.zone, found.day)
        self.state.challenges[id_] = replace(found, stage=ChallengeStage.UPHELD)
        self.state.upheld[found.read.key] = Upheld(found.read.wh, found.read.sequence, before.run)
        self.update_zone_day(zone, day, link=correction.follow(before.link, id_))
        self._count_open(zone, day, found.account, found.read.key, -1)


def _stands(read: Reading, found: Challenge) -> bool:
    """Whether it is what stood when the challenge was opened, and older than what was brought against it."""
    same = (read.sequence, read.wh) == (found.standing.sequence, found.standing.wh)
    return same and read.sequence < found.read.sequence
