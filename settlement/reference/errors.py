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


class MalformedWord(Refused):
    """A posted word has bits where its layout has none: (word)."""


class UnknownQuality(Refused):
    """A quality code that does not exist, or is not of the grid: (code)."""


class LaneOverflow(Refused):
    """A lane of packed windows cannot hold the sum: (word, lane, added)."""


class LaneUnderflow(Refused):
    """A lane of packed windows holds less than is taken: (word, lane, taken)."""


# Signed messages --------------------------------------------------------------------------------------


class InvalidSignature(Refused):
    """Not 65 bytes `r ‖ s ‖ v` with low s, v 27 or 28, that recover to the signer named in the message."""


class MessageExpired(Refused):
    """The message's deadline has passed: (deadline)."""


class NonceUsed(Refused):
    """The account has used this nonce: (account, nonce)."""


class NotEnoughSigners(Refused):
    """Fewer oracles signed than must: (signed, needed)."""


class SignersNotAscending(Refused):
    """The recovered signers' addresses do not ascend strictly: (signer)."""


class NotAnOracle(Refused):
    """A posting's signer is no oracle: (signer)."""


# Members ----------------------------------------------------------------------------------------------


class AlreadyRegistered(Refused):
    """An account is registered once: (account)."""


class InvalidMember(Refused):
    """A member's role, zone, quality or capacity is none: (account)."""


class NotRegistered(Refused):
    """Only members hold cash and products: (account)."""


class UnregisteredTrader(Refused):
    """A schedule of an account never registered: (trader)."""


class OperatorMayNotTrade(Refused):
    """A schedule of a member that is neither prosumer nor balancing party: (trader)."""


class CashOutOfRange(Refused):
    """An account's cash does not fit its slot: (free, reserved, net)."""


class InsufficientCash(Refused):
    """The account's available cash does not cover it: (account, available, needed)."""


# Days and sessions ------------------------------------------------------------------------------------


class InvalidGrid(Refused):
    """A grid breaks a rule of docs/formats.md, Grid: (reason)."""


class UnknownGrid(Refused):
    """No grid has this version, or not this hash: (version)."""


class InvalidDay(Refused):
    """A day overlaps the one before or has no windows: (day, windows)."""


class UnknownDay(Refused):
    """The day was never opened: (day)."""


class InvalidSession(Refused):
    """A session's parameters break a rule: (field)."""


class UnknownSession(Refused):
    """The session was never opened: (session)."""


class NegativeNotCovered(Refused):
    """The balancing party's free cash is below what members owe: (free, total_negative)."""


class ClearingInProgress(Refused):
    """From a session's gate until it is proved or void only clearing changes accounts: (session)."""


class TooEarly(Refused):
    """The time has not come: (when)."""


class TooLate(Refused):
    """The time has passed: (deadline)."""


class AlreadyCommitted(Refused):
    """The session's book is committed once: (session)."""


class NotCommitted(Refused):
    """The session's book is not committed: (session)."""


class TooManyOrders(Refused):
    """A book holds at most the session's `maxOrders`: (count, most)."""


# Clearing ---------------------------------------------------------------------------------------------


class HeaderMismatch(Refused):
    """The header is not the session's, or is posted already: (session)."""


class WrongLength(Refused):
    """A posted array has not one word an entry: (array, length, expected)."""


class CarryMismatch(Refused):
    """The carried state is not what the transaction before left: (zone)."""


class ZoneClosed(Refused):
    """The zone is closed already: (zone)."""


class HashesNotAscending(Refused):
    """Order hashes ascend strictly through a zone: (order, previous)."""


class WindowOutOfSession(Refused):
    """A schedule reaches beyond its session's windows: (order)."""


class LimitOutOfRange(Refused):
    """A limit is below the session's floor or above its cap: (order)."""


class MarginalExceeded(Refused):
    """More quantity is at the price than the posting says: (order)."""


class MarginalOutOfRange(Refused):
    """A cell's `R` is above its `M`: (cell)."""


class MarginalMismatch(Refused):
    """A cell's at-price quantity is not what was posted: (cell)."""


class PotentialOutOfRange(Refused):
    """A potential is beyond its outer bound: (entry)."""


class CommitmentMismatch(Refused):
    """Count or root of the orders read are not those committed: (count, root)."""


class NotOptimal(Refused):
    """A potential breaks a bound of its cell: (cell)."""


class SubstitutionNotSlack(Refused):
    """A substitution's potentials do not allow its flow: (index)."""


class EnergyNotBalanced(Refused):
    """What is bought in a window is not what is sold: (window, net)."""


class QualityNotBalanced(Refused):
    """What is bought of a quality is not what is sold and substituted: (cell, net)."""


class Unsupported(Refused):
    """Nothing holds a potential at its value: the price is not the rule's: (entry)."""


# Products and withdrawals -----------------------------------------------------------------------------


class NotTransferable(Refused):
    """Only claims of proved sessions transfer: (id)."""


class NothingRequested(Refused):
    """The account has no withdrawal to execute: (account)."""


# Settlement -------------------------------------------------------------------------------------------


class SessionsPending(Refused):
    """A session of the day is not yet proved or void: (day)."""


class UnknownPosting(Refused):
    """No posting of this zone and day: (zone, day)."""


class RunStarted(Refused):
    """The run has begun: its posting stays: (zone, day)."""


class WrongPart(Refused):
    """The entries are not the next part of the posting: (index)."""


class AccountsNotAscending(Refused):
    """Accounts ascend strictly over all parts: (account, previous)."""


class NotMetered(Refused):
    """Only prosumers of the posting's zone are metered: (account)."""


class RunIncomplete(Refused):
    """Parts or accounts of the run are missing: (settled, expected)."""


class RunClosed(Refused):
    """The run, or its certification, is closed already: (zone, day)."""


class RunOpen(Refused):
    """The run is not closed yet: (zone, day)."""
