"""What the Exchange reports. Auditors replay everything from these and the calldata."""

from dataclasses import dataclass

from settlement.reference.accounts import Member
from settlement.reference.reading import Reading
from settlement.reference.session import Grid, SessionParams
from settlement.reference.session_key import Scope


@dataclass(frozen=True)
class Event:
    """Any of the events below."""


@dataclass(frozen=True)
class MemberRegistered(Event):
    account: bytes
    member: Member


@dataclass(frozen=True)
class MemberChanged(Event):
    account: bytes
    member: Member


@dataclass(frozen=True)
class Deposited(Event):
    account: bytes
    amount_nano: int


@dataclass(frozen=True)
class WithdrawalRequested(Event):
    account: bytes
    amount_nano: int
    epoch: int


@dataclass(frozen=True)
class Withdrawn(Event):
    account: bytes
    amount_nano: int


@dataclass(frozen=True)
class KeyGranted(Event):
    account: bytes
    key: bytes
    zone: int
    scope: Scope


@dataclass(frozen=True)
class KeyRevoked(Event):
    account: bytes
    key: bytes


@dataclass(frozen=True)
class GridAdded(Event):
    version: int
    grid: Grid
    grid_hash: bytes


@dataclass(frozen=True)
class DayOpened(Event):
    day: int
    windows: int
    grid_version: int


@dataclass(frozen=True)
class SessionOpened(Event):
    session: bytes
    epoch: int
    params: SessionParams


@dataclass(frozen=True)
class BookCommitted(Event):
    session: bytes
    zone: int
    count: int
    root: bytes


@dataclass(frozen=True)
class HeaderPosted(Event):
    session: bytes
    header_hash: bytes


@dataclass(frozen=True)
class ProceedsDonated(Event):
    beneficiary: bytes
    order: bytes
    worth_nano: int
    """What the order's fills earn at once, above zero."""


@dataclass(frozen=True)
class ScheduleCleared(Event):
    session: bytes
    order: bytes
    trader: bytes
    net_nano: int
    """Earned, if not for another, less paid, less what filled energy keeps reserved."""
    filled_wh: tuple[int, ...]
    """By entry or window."""


@dataclass(frozen=True)
class ScheduleIneligible(Event):
    session: bytes
    order: bytes
    trader: bytes
    reason: int


@dataclass(frozen=True)
class ZoneJoined(Event):
    session: bytes
    zone: int
    closed_hash: bytes
    joined: int
    """Zones right below that are joined to it."""


@dataclass(frozen=True)
class SessionProved(Event):
    session: bytes
    epoch: int


@dataclass(frozen=True)
class NetworkPaid(Event):
    epoch: int
    rent_nano: int
    """Charges and congestion rent of the session's lines."""


@dataclass(frozen=True)
class Accepted(Event):
    to: bytes
    sender: bytes
    id: int
    amount_wh: int


@dataclass(frozen=True)
class Transferred(Event):
    sender: bytes
    to: bytes
    id: int
    amount_wh: int


@dataclass(frozen=True)
class MeteringPosted(Event):
    zone: int
    day: int
    sequence: int
    digest: bytes


@dataclass(frozen=True)
class AccountSettled(Event):
    zone: int
    day: int
    account: bytes
    imbalance_wh: tuple[int, ...]
    cash_nano: int
    """For the imbalances and for what it delivered as produced, less what it gives back or away."""
    returned_nano: int
    """Reserve of filled energy; claims as produced keep theirs until they are certified."""


@dataclass(frozen=True)
class DeliveryDonated(Event):
    beneficiary: bytes
    account: bytes
    epoch: int
    nano: int
    """Of what the account delivered as produced, above zero."""


@dataclass(frozen=True)
class RunSettled(Event):
    zone: int
    day: int
    imbalance_wh: int
    """The balancing party's over all windows."""
    cash_nano: int
    returned_nano: int


@dataclass(frozen=True)
class AccountCertified(Event):
    zone: int
    day: int
    account: bytes
    certified_wh: int
    """Over all rounds, qualities and windows."""


@dataclass(frozen=True)
class AccountDelivered(Event):
    account: bytes
    imbalance_wh: int
    """The change, over all windows: minus what it bought and was not produced."""
    cash_nano: int
    """Refunds, and what the change of its imbalances is worth."""
    released_nano: int
    """Reserve of its claims as produced."""


@dataclass(frozen=True)
class PartCertified(Event):
    zone: int
    day: int
    imbalance_wh: int
    """The balancing party's change, over all accounts and windows."""
    cash_nano: int
    """The balancing party's; refunds of prices are none of it."""
    statement: bytes
    """What the part leaves now."""


@dataclass(frozen=True)
class RunCertified(Event):
    zone: int
    day: int
    rest_nano: int
    """What buyers paid for energy that was not delivered and were not refunded: the balancing party's."""


@dataclass(frozen=True)
class CorrectionsOpened(Event):
    zone: int
    day: int
    link: bytes


@dataclass(frozen=True)
class CorrectionPosted(Event):
    zone: int
    day: int
    run: int
    hash: bytes


@dataclass(frozen=True)
class AccountCorrected(Event):
    account: bytes
    imbalance_wh: int
    """The change, over all windows."""
    cash_nano: int
    """What the change is worth; bonds apart."""


@dataclass(frozen=True)
class PartCorrected(Event):
    zone: int
    day: int
    run: int
    imbalance_wh: int
    """The balancing party's change, over all accounts and windows."""
    cash_nano: int
    """The balancing party's."""
    statement: bytes
    """What the part leaves now."""


@dataclass(frozen=True)
class RunCorrected(Event):
    zone: int
    day: int
    run: int
    link: bytes
    """What follows must name."""


@dataclass(frozen=True)
class ReadingChallenged(Event):
    id: bytes
    account: bytes
    zone: int
    day: int
    read: Reading
    answer_by: int


@dataclass(frozen=True)
class ChallengeAnswered(Event):
    id: bytes
    defeated: bool
    """Else it is upheld without cost to the oracles."""


@dataclass(frozen=True)
class ChallengeSettled(Event):
    id: bytes
    zone: int
    day: int
    imbalance_wh: int
    """The balancing party's change."""
    cash_nano: int
    """The balancing party's."""
    paid_nano: int
    """From the oracles' bond to the account."""


@dataclass(frozen=True)
class ChallengeDropped(Event):
    id: bytes


@dataclass(frozen=True)
class OracleBondChanged(Event):
    account: bytes
    amount_nano: int
    """Set aside; negative if given back."""


@dataclass(frozen=True)
class ChallengeBondChanged(Event):
    amount_nano: int


@dataclass(frozen=True)
class Approved(Event):
    owner: bytes
    spender: bytes
    id: int
    amount_wh: int


@dataclass(frozen=True)
class OperatorSet(Event):
    owner: bytes
    spender: bytes
    approved: bool


@dataclass(frozen=True)
class MeterRegistered(Event):
    meter: bytes
    account: bytes
    x: bytes
    y: bytes


@dataclass(frozen=True)
class MeterRevoked(Event):
    meter: bytes


@dataclass(frozen=True)
class MeterRotated(Event):
    meter: bytes
    x: bytes
    y: bytes
    from_window: int


@dataclass(frozen=True)
class OracleChanged(Event):
    node: bytes
    active: bool


@dataclass(frozen=True)
class QuorumChanged(Event):
    quorum: int


@dataclass(frozen=True)
class Paused(Event):
    until: int


@dataclass(frozen=True)
class Unpaused(Event):
    at: int


@dataclass(frozen=True)
class BondLocked(Event):
    session: bytes
    operator: bytes
    amount_nano: int


@dataclass(frozen=True)
class OrderSubmitted(Event):
    session: bytes
    zone: int
    order: bytes
    record: bytes


@dataclass(frozen=True)
class SubmissionReplaced(Event):
    session: bytes
    order: bytes


@dataclass(frozen=True)
class ClaimOpened(Event):
    session: bytes
    order: bytes
    trader: bytes
    kind: int


@dataclass(frozen=True)
class ClaimDefeated(Event):
    session: bytes
    order: bytes


@dataclass(frozen=True)
class ClaimPaid(Event):
    session: bytes
    order: bytes
    trader: bytes
    amount_nano: int


@dataclass(frozen=True)
class BondReleased(Event):
    session: bytes
    operator: bytes
    amount_nano: int
