"""Refusals of what follows a delivery day, from its posting to challenges; and of keys and pauses."""

from settlement.reference.errors.base import Refused

# Settlement -------------------------------------------------------------------------------------------


class WindowNotOver(Refused):
    """A day is posted after its end: (day, end)."""


class BadPosting(Refused):
    """The named part of a posting does not fit its day: (part)."""


class StalePosting(Refused):
    """A posting of this or a later sequence is there already: (sequence)."""


class WrongPosting(Refused):
    """No posting of this zone and day, or not the zone whose turn it is: (zone, day)."""


class WrongRunStage(Refused):
    """The run is not as far, or farther: (zone, day, stage)."""


class WrongRunCarry(Refused):
    """The carried state is not what the part before left: (zone, day)."""


class WrongPart(Refused):
    """The entries are not the next part of the posting: (index)."""


class BadEntry(Refused):
    """An entry's account is no prosumer of the zone, or accounts do not ascend; the zero address: a part of a
    day by default is empty, cut, too large or too small: (account).
    """


class IncompleteRun(Refused):
    """Parts or accounts of the run are missing: (settled, expected)."""


class EnergyNotConserved(Refused):
    """Contracted energy does not sum to zero, so somebody's was not settled: (window, wh)."""


class PricesMissing(Refused):
    """Something sold as produced, or not delivered, is to be priced and no prices were brought: (round,
    window).
    """


class WrongPrices(Refused):
    """What is brought are not the prices that the zone's round posted: (zone, day, round)."""


class TooEarlyForDefault(Refused):
    """Oracles have time to post a day before it is settled without them: (zone, day, from)."""


# Delivery and corrections -----------------------------------------------------------------------------


class WrongStatement(Refused):
    """Accounts and leaves are not what the part left: (part)."""


class NotInStatement(Refused):
    """The account is not of the part: (account)."""


class WrongRows(Refused):
    """Rows are missing, too many, or not those of the accounts that change: ()."""


class ImbalanceOutOfRange(Refused):
    """A changed imbalance reaches 2^31 Wh: (account)."""


class AlreadyOpen(Refused):
    """Corrections of the zone and day are open already: (zone, day)."""


class CorrectionsNotOpen(Refused):
    """Open corrections of the zone and day first: (zone, day)."""


class CorrectionUnderWay(Refused):
    """A correction is posted and not all of its parts are applied: (zone, day)."""


class WrongRun(Refused):
    """Runs are numbered from 1 to 15 without a gap: (run, expected)."""


class WrongPrevious(Refused):
    """The correction does not follow what stands: (link)."""


class WrongCorrection(Refused):
    """Not the correction whose parts are awaited: (zone, day)."""


# Challenges -------------------------------------------------------------------------------------------


class ChallengeOpen(Refused):
    """A challenge of the zone and day is not settled: (zone, day)."""


class TooLateToChallenge(Refused):
    """The time to challenge the latest run is over: (zone, day, until)."""


class NotCommitted(Refused):
    """The reading is not among those that the oracles committed to, or no reading: ()."""


class NotTheSameReading(Refused):
    """No well formed message of the meter, register and window in question: ()."""


class BadMeterKey(Refused):
    """The key is not the meter's in that window, or the meter is revoked: (meter)."""


class BadReadSignature(Refused):
    """Not the key's signature of the message, or its s is high: (meter)."""


class NotTheAccount(Refused):
    """Neither the caller nor the signer is whom the meter belongs to: (account)."""


class StaleRead(Refused):
    """What stands was read later: (sequence, standing)."""


class NothingContradicted(Refused):
    """The read says what stands: (wh)."""


class AlreadyChallenged(Refused):
    """This read was brought before, or its reading is under challenge: (id)."""


class CannotBond(Refused):
    """The account has not the bond free: (account, free, bond)."""


class CreditHeld(Refused):
    """The account's withdrawals wait for its challenges: (account)."""


class NoChallenge(Refused):
    """No such challenge is open: (id)."""


class AnswerClosed(Refused):
    """The time to answer is over: (id, until)."""


class AnswerOpen(Refused):
    """The challenge can still be answered: (id, until)."""


class IrrelevantAnswer(Refused):
    """The message neither defeats nor explains what was challenged: (id)."""


class OraclesUnbonded(Refused):
    """The oracles set less aside than a challenge may cost: (pot, bond)."""


class PotLocked(Refused):
    """The oracles' bond answers for challenges, open or still possible: (open, until)."""


# Keys, meters and pauses ------------------------------------------------------------------------------


class InsufficientAllowance(Refused):
    """The owner has not approved as much: (spender, allowed, needed, id)."""


class BadMeter(Refused):
    """The key is no point of P-256 or another account's, the meter is registered, or a rotation does not
    begin after the key before: (meter).
    """


class UnknownMeter(Refused):
    """The meter was never registered, or is revoked: (meter)."""


class BadQuorum(Refused):
    """The quorum is zero or larger than the number of nodes: (quorum)."""


class ExchangePaused(Refused):
    """The Exchange is paused at most until then: (until)."""


class PauseTooSoon(Refused):
    """The last pause ended too recently: (not before)."""


class NotPaused(Refused):
    """There is no pause to end: ()."""
