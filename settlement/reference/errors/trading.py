"""Refusals of encodings and signed messages, and from a member's registration to its products."""

from settlement.reference.errors.base import Refused

# Encodings ------------------------------------------------------------------------------------------


class ValueOutOfRange(Refused):
    """A value does not fit its field: (field, value)."""


class TooManyLeaves(Refused):
    """A Merkle tree holds at most 2^20 - 1 leaves: (count)."""


class InvalidProof(Refused):
    """A Merkle proof has not exactly 20 siblings, or its index is beyond the tree: (index)."""


class MalformedPosting(Refused):
    """A posting or its entries do not have the form of docs/formats.md: (reason)."""


class MalformedRecord(Refused):
    """A schedule record is truncated, not canonical or out of range: (offset of the record)."""


class MalformedProduct(Refused):
    """No product has this id: (id)."""


class NotCanonical(Refused):
    """A posted word has bits where its layout has none: (word)."""


class UnknownQuality(Refused):
    """A quality code that does not exist, or is not of the grid: (code)."""


class LaneOverflow(Refused):
    """A lane of packed windows cannot hold the sum: (word, lane, added)."""


class LaneUnderflow(Refused):
    """A lane of packed windows holds less than is taken: (word, lane, taken)."""


# Signed messages --------------------------------------------------------------------------------------


class InvalidSignature(Refused):
    """Not 65 bytes `r ‖ s ‖ v` with low s, v 27 or 28, that recover to an address."""


class WrongSigner(Refused):
    """Another account signed than the message names: (signer, account)."""


class BadSignature(Refused):
    """An order's signature is neither its trader's nor that of a session key of it: (signer, trader)."""


class Expired(Refused):
    """The message's deadline has passed: (deadline)."""


class InvalidAccountNonce(Refused):
    """An account's messages are used in the order of their nonces, from 0: (account, expected)."""


class BadKey(Refused):
    """No session key can be the zero address or a member: (key)."""


class BadScope(Refused):
    """A field of a session key's scope makes no sense: (field)."""


class KeyEnded(Refused):
    """A session key that was revoked or has expired cannot be granted again: (account, key)."""


class KeyNotGranted(Refused):
    """The account never granted the session key, or revoked it already: (account, key)."""


class QuorumNotReached(Refused):
    """Fewer oracles signed than must: (signatures, quorum)."""


class BadOracleSignature(Refused):
    """A signer is no oracle, or the signers do not ascend: (signer)."""


# Members ----------------------------------------------------------------------------------------------


class AlreadyMember(Refused):
    """An account is registered once: (account)."""


class BadTerms(Refused):
    """A role, quality or capacity that cannot be, or a second balancing party or network operator:
    (account).
    """


class NotMember(Refused):
    """Only members hold cash and products: (account)."""


class UnregisteredTrader(Refused):
    """A schedule of an account never registered: (trader)."""


class OperatorMayNotTrade(Refused):
    """A schedule of a member whose role does not trade, or not that side: (trader)."""


class CashOutOfRange(Refused):
    """An account's cash does not fit its slot: (free, reserved, net)."""


class InsufficientCash(Refused):
    """The account's available cash does not cover it: (account, available, needed)."""


class WithdrawalNotReady(Refused):
    """Nothing was requested, or a session opened before the request has not ended: (account, epoch)."""


# Days and sessions ------------------------------------------------------------------------------------


class BadGrid(Refused):
    """A grid breaks a rule of docs/formats.md, Grid: (reason)."""


class UnknownGrid(Refused):
    """No grid has this version: (version)."""


class BadDay(Refused):
    """A day overlaps the one before, or has no windows or too many: (day)."""


class UnknownDay(Refused):
    """The day was never opened: (day)."""


class BadSession(Refused):
    """A session's parameters break a rule: (field)."""


class SessionTooLarge(Refused):
    """A call that clears the session, or settles its day, would be longer than networks carry: take fewer
    windows, qualities, substitutions or rounds: (call, length, most).
    """


class NotCarried(Refused):
    """The balancing party's free cash is below what members owe: (free, total_negative)."""


class ClearingInProgress(Refused):
    """From a session's gate until it is proved or void only clearing changes accounts: (epoch)."""


class WrongStage(Refused):
    """The session is at another stage, or was never opened: (session, stage)."""


class GateStillOpen(Refused):
    """The session still takes orders: (session, gate)."""


class BadCommitment(Refused):
    """Books of more orders than the session takes, or of no zone: (session, zone)."""


class GateClosed(Refused):
    """Orders are submitted on chain before the session's gate: (session, gate)."""


class NotFlagged(Refused):
    """The record does not say that its order is submitted on chain: (order)."""


class ForeignZone(Refused):
    """The trader is registered in another zone: (trader, zone)."""


class AlreadySubmitted(Refused):
    """The order is submitted already: (order)."""


class SubmissionTaken(Refused):
    """The trader submitted another order of this side, which this one does not replace: (trader, order)."""


class TooManySubmissions(Refused):
    """The session takes no more orders on chain: (session)."""


# Claims -----------------------------------------------------------------------------------------------


class NoBond(Refused):
    """Nothing was set aside for the session: (session)."""


class SessionNotEnded(Refused):
    """The session is neither proved nor void: (session)."""


class ClaimsClosed(Refused):
    """The time to claim is over: (session, claim_by)."""


class AlreadyClaimed(Refused):
    """There was a claim for this order: (order)."""


class ForeignReceipt(Refused):
    """Not the session's receipt signer signed it, or it is for something else: (signer, receipt signer)."""


class SequenceOutOfRange(Refused):
    """The session has no receipts of this sequence: (sequence, max_orders)."""


class NotIncluded(Refused):
    """The order is not where the proof says: (order)."""


class NotAbsent(Refused):
    """The proof does not show that the order is missing: (order)."""


class Forced(Refused):
    """The order was submitted on chain, so the operator had to clear it: (order)."""


class NotForced(Refused):
    """The order was not submitted on chain in this session: (order)."""


class NotReplacing(Refused):
    """The order does not replace the other, or is another trader's: (order, replaced)."""


class NoClaim(Refused):
    """There is no open claim for the order: (order)."""


class NotDefensible(Refused):
    """The claim rests on more than a receipt: (order)."""


class NoReplacement(Refused):
    """No order replaces the claimed one: (order)."""


class DefenceClosed(Refused):
    """The time to defend is over: (session, until)."""


class DefenceOpen(Refused):
    """Claims can still be defended: (session, until)."""


class NothingToRelease(Refused):
    """All that is left of the bond is owed to claims: (session)."""


# Clearing ---------------------------------------------------------------------------------------------


class WrongHeader(Refused):
    """The header is not the session's: (session)."""


class WrongLength(Refused):
    """A posted array has not one word an entry: (array, length, expected)."""


class WrongCarry(Refused):
    """The carried state is not what the chunk before left, or the zone is closed: (session, zone)."""


class NotAscending(Refused):
    """Order hashes ascend strictly through a zone: (previous, order)."""


class WindowOutOfSession(Refused):
    """A schedule reaches beyond its session's windows: (order)."""


class LimitOutOfRange(Refused):
    """A limit is below the session's floor or above its cap: (order)."""


class QuantityOverflow(Refused):
    """A buyer's lane could not hold the quantity: (order)."""


class NotSubmitted(Refused):
    """A record says that its order was submitted on chain, and it was not: (order)."""


class SplitOutOfRange(Refused):
    """A flexible order's split is beyond what it allows, or it may not trade at all: (order)."""


class SplitNotOptimal(Refused):
    """A flexible order would rather trade in other windows, more or less: (order)."""


class MarginalExceeded(Refused):
    """More quantity is at the price than the posting says: (order)."""


class MarginalOutOfRange(Refused):
    """A cell's `R` is above its `M`: (cell)."""


class MarginalMismatch(Refused):
    """A cell's at-price quantity is not what was posted: (cell)."""


class PotentialOutOfRange(Refused):
    """A potential is beyond its outer bound: (entry)."""


class BookMismatch(Refused):
    """Count or root of the orders read are not those committed: (count, root)."""


class CellViolated(Refused):
    """A potential breaks a bound of its cell: (cell)."""


class SubstitutionViolated(Refused):
    """A substitution's potentials do not allow it or its flow: (index)."""


class ZoneClosed(Refused):
    """The grid has no such zone: (session, zone)."""


class SubmissionOmitted(Refused):
    """Orders of the zone that were submitted on chain were not read: (session, zone, read, submitted)."""


class WrongClosedZone(Refused):
    """What is brought of a closed zone is not what it left, or zones below it are missing:
    (session, zone).
    """


class TooManyChildren(Refused):
    """More zones are brought than the grid has below this one: (session, zone)."""


class LineOverCapacity(Refused):
    """More flows over a zone's line than it carries: (zone, window)."""


class LineViolated(Refused):
    """Potentials at the ends of a zone's line contradict what flows over it: (zone, window)."""


class EnergyUnbalanced(Refused):
    """What is bought in a window is not what is sold: (window, net)."""


class QualityUnbalanced(Refused):
    """What is bought of a quality is not what is sold and substituted: (cell, net)."""


class EnergyUnsupported(Refused):
    """Nothing holds an energy potential at its value: the price is not the rule's: (zone, window)."""


class QualityUnsupported(Refused):
    """Nothing holds a quality's potential at its value: the premium is not the rule's: (cell)."""


# Products ---------------------------------------------------------------------------------------------


class NotTransferable(Refused):
    """Only claims before their window, and certificates, change hands: (id)."""


class InsufficientBalance(Refused):
    """The sender owns less: (account, balance, needed, id)."""


class WrongRecipient(Refused):
    """The recipient is no prosumer of the claim's zone that may trade: (to, id)."""


class NotAccepted(Refused):
    """The recipient, who takes the reserve over, has not agreed to as much: (to, sender, id, amount)."""
