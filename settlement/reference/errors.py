"""Every way the reference refuses something, named as the contract's custom error.

All are direct children of `Refused`, in three groups: of encodings, of signed messages, of the state machine.
"""


class Refused(Exception):
    """What the contract would revert with; `args` are the error's arguments."""


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
    """A schedule's signature is not its trader's: (signer, trader)."""


class Expired(Refused):
    """The message's deadline has passed: (deadline)."""


class InvalidAccountNonce(Refused):
    """An account's messages are used in the order of their nonces, from 0: (account, expected)."""


class QuorumNotReached(Refused):
    """Fewer oracles signed than must: (signatures, quorum)."""


class BadOracleSignature(Refused):
    """A signer is no oracle, or the signers do not ascend: (signer)."""


# Members ----------------------------------------------------------------------------------------------


class AlreadyMember(Refused):
    """An account is registered once: (account)."""


class BadTerms(Refused):
    """A role, quality or capacity that cannot be, or a second balancing party: (account)."""


class NotMember(Refused):
    """Only members hold cash and products: (account)."""


class UnregisteredTrader(Refused):
    """A schedule of an account never registered: (trader)."""


class OperatorMayNotTrade(Refused):
    """A schedule of a member that is neither prosumer nor balancing party: (trader)."""


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


class NotCarried(Refused):
    """The balancing party's free cash is below what members owe: (free, total_negative)."""


class ClearingInProgress(Refused):
    """From a session's gate until it is proved or void only clearing changes accounts: (epoch)."""


class WrongStage(Refused):
    """The session is at another stage, or was never opened: (session, stage)."""


class GateStillOpen(Refused):
    """The session still takes orders: (session, gate)."""


class BadCommitment(Refused):
    """A book of more orders than the session's `maxOrders`: (session, count)."""


# Clearing ---------------------------------------------------------------------------------------------


class WrongHeader(Refused):
    """The header is not the session's: (session)."""


class WrongLength(Refused):
    """A posted array has not one word an entry: (array, length, expected)."""


class WrongCarry(Refused):
    """The carried state is not what the chunk before left: (session, zone)."""


class NotAscending(Refused):
    """Order hashes ascend strictly through a zone: (previous, order)."""


class WindowOutOfSession(Refused):
    """A schedule reaches beyond its session's windows: (order)."""


class LimitOutOfRange(Refused):
    """A limit is below the session's floor or above its cap: (order)."""


class QuantityOverflow(Refused):
    """A buyer's lane could not hold the quantity: (order)."""


class BeneficiaryUnavailable(Refused):
    """Orders that earn for another are not yet taken: (order)."""


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


class EnergyUnbalanced(Refused):
    """What is bought in a window is not what is sold: (window, net)."""


class QualityUnbalanced(Refused):
    """What is bought of a quality is not what is sold and substituted: (cell, net)."""


class EnergyUnsupported(Refused):
    """Nothing holds an energy potential at its value: the price is not the rule's: (window)."""


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


# Settlement -------------------------------------------------------------------------------------------


class WindowNotOver(Refused):
    """A day is posted after its end: (day, end)."""


class BadPosting(Refused):
    """The named part of a posting does not fit its day: (part)."""


class StalePosting(Refused):
    """A posting of this or a later sequence is there already: (sequence)."""


class WrongPosting(Refused):
    """No posting of this zone and day: (zone, day)."""


class WrongRunStage(Refused):
    """The run is not as far, or farther: (zone, day, stage)."""


class WrongRunCarry(Refused):
    """The carried state is not what the part before left: (zone, day)."""


class WrongPart(Refused):
    """The entries are not the next part of the posting: (index)."""


class BadEntry(Refused):
    """An entry's account is no prosumer of the zone, or accounts do not ascend: (account)."""


class IncompleteRun(Refused):
    """Parts or accounts of the run are missing: (settled, expected)."""


class EnergyNotConserved(Refused):
    """Contracted energy does not sum to zero, so somebody's was not settled: (window, wh)."""


# Keys, meters and pauses ------------------------------------------------------------------------------


class InsufficientAllowance(Refused):
    """The owner has not approved as much: (spender, allowed, needed, id)."""


class BadMeter(Refused):
    """The key is not a point of P-256, or the meter is registered: (meter)."""


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
