"""What the Exchange reports. Auditors replay everything from these and the calldata."""

from dataclasses import dataclass

from settlement.reference.accounts import Member
from settlement.reference.session import Grid, SessionParams


@dataclass(frozen=True)
class Event:
    """Any of the events below."""


@dataclass(frozen=True)
class MemberRegistered(Event):
    account: bytes
    member: Member


@dataclass(frozen=True)
class MemberSuspended(Event):
    account: bytes
    suspended: bool


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
class ScheduleFilled(Event):
    session: bytes
    order: bytes
    trader: bytes
    filled_wh: int
    """Over all entries."""
    value_nano: int
    """At the price: what a buy pays and a sell earns."""


@dataclass(frozen=True)
class ScheduleRefused(Event):
    session: bytes
    order: bytes
    trader: bytes
    reason: int


@dataclass(frozen=True)
class ZoneClosed(Event):
    session: bytes
    zone: int


@dataclass(frozen=True)
class SessionProved(Event):
    session: bytes
    epoch: int


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
    """For the imbalances."""
    returned_nano: int
    """Reserve of filled energy."""


@dataclass(frozen=True)
class RunClosed(Event):
    zone: int
    day: int
    balancing_party: bytes
    imbalance_wh: tuple[int, ...]
    cash_nano: int


@dataclass(frozen=True)
class CertificateMinted(Event):
    account: bytes
    id: int
    amount_wh: int
