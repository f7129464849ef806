"""What the Exchange tells, typed. Everything auditors and the read model know comes from here and calldata.

A class has the name of its Solidity event and one field for each of its parameters, in their order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any

from settlement.chain.abi import CODEC, Entry, exchange_interface
from settlement.chain.exchange import Exchange, member_of
from settlement.chain.key_events import KeyGranted, KeyRevoked
from settlement.chain.rpc import Log
from settlement.reference.accounts import Member
from settlement.reference.correction import Correction
from settlement.reference.posting import Posting
from settlement.reference.session import Grid, SessionParams


@dataclass(frozen=True, slots=True)
class MemberRegistered:
    account: bytes
    zone: int
    role: int
    member: Member


@dataclass(frozen=True, slots=True)
class MemberChanged:
    account: bytes
    member: Member


@dataclass(frozen=True, slots=True)
class Deposited:
    account: bytes
    amount_nano: int


@dataclass(frozen=True, slots=True)
class WithdrawalRequested:
    account: bytes
    amount_nano: int
    after_epoch: int


@dataclass(frozen=True, slots=True)
class Withdrawn:
    account: bytes
    amount_nano: int


@dataclass(frozen=True, slots=True)
class GridSet:
    version: int
    hash: bytes
    grid: Grid


@dataclass(frozen=True, slots=True)
class DayOpened:
    day: int
    windows: int
    grid_version: int


@dataclass(frozen=True, slots=True)
class SessionOpened:
    epoch: int
    id: bytes
    params: SessionParams


@dataclass(frozen=True, slots=True)
class BookCommitted:
    epoch: int
    zone: int
    count: int
    root: bytes


@dataclass(frozen=True, slots=True)
class ProceedsDonated:
    beneficiary: bytes
    order: bytes
    worth_nano: int


@dataclass(frozen=True, slots=True)
class ScheduleCleared:
    trader: bytes
    order: bytes
    net_nano: int
    lanes: tuple[int, ...]
    """Fills in the account's lanes, from the group of the schedule's first window on."""


@dataclass(frozen=True, slots=True)
class ScheduleIneligible:
    epoch: int
    trader: bytes
    order: bytes
    reason: int


@dataclass(frozen=True, slots=True)
class HeaderPosted:
    epoch: int
    hash: bytes


@dataclass(frozen=True, slots=True)
class ZoneAdvanced:
    epoch: int
    zone: int
    carry_hash: bytes
    count: int


@dataclass(frozen=True, slots=True)
class ZoneJoined:
    epoch: int
    zone: int
    hash: bytes
    joined: int


@dataclass(frozen=True, slots=True)
class SessionProved:
    epoch: int


@dataclass(frozen=True, slots=True)
class NetworkPaid:
    epoch: int
    rent_nano: int


@dataclass(frozen=True, slots=True)
class Paused:
    until: int


@dataclass(frozen=True, slots=True)
class Unpaused:
    at: int


@dataclass(frozen=True, slots=True)
class Accepted:
    to: bytes
    sender: bytes
    id: int
    amount_wh: int


@dataclass(frozen=True, slots=True)
class Transfer:
    caller: bytes
    sender: bytes
    receiver: bytes
    id: int
    amount_wh: int


@dataclass(frozen=True, slots=True)
class MeterRegistered:
    meter: bytes
    account: bytes
    x: bytes
    y: bytes


@dataclass(frozen=True, slots=True)
class MeterRotated:
    meter: bytes
    x: bytes
    y: bytes
    from_window: int


@dataclass(frozen=True, slots=True)
class MeterRevoked:
    meter: bytes


@dataclass(frozen=True, slots=True)
class OracleChanged:
    node: bytes
    active: bool


@dataclass(frozen=True, slots=True)
class QuorumChanged:
    quorum: int


@dataclass(frozen=True, slots=True)
class MeteringPosted:
    zone: int
    day: int
    sequence: int
    posting_hash: bytes
    posting: Posting


@dataclass(frozen=True, slots=True)
class AccountSettled:
    account: bytes
    imbalance_wh: int
    cash_nano: int
    released_nano: int


@dataclass(frozen=True, slots=True)
class DeliveryDonated:
    beneficiary: bytes
    account: bytes
    epoch: int
    nano: int


@dataclass(frozen=True, slots=True)
class PartSettled:
    zone: int
    day: int
    carry_hash: bytes


@dataclass(frozen=True, slots=True)
class RunSettled:
    zone: int
    day: int
    run: int
    imbalance_wh: int
    cash_nano: int
    released_nano: int


@dataclass(frozen=True, slots=True)
class AccountCertified:
    zone: int
    day: int
    account: bytes
    certified_wh: int


@dataclass(frozen=True, slots=True)
class AccountDelivered:
    account: bytes
    imbalance_wh: int
    """The change, over all windows."""
    cash_nano: int
    """Refunds, and what the change of its imbalance earned."""
    released_nano: int


@dataclass(frozen=True, slots=True)
class PartCertified:
    zone: int
    day: int
    imbalance_wh: int
    """The balancing party's change."""
    cash_nano: int
    """The balancing party's."""
    statement: bytes


@dataclass(frozen=True, slots=True)
class RunCertified:
    zone: int
    day: int
    rest_nano: int
    """What neither sellers nor buyers received of sales as produced: the balancing party's."""


@dataclass(frozen=True, slots=True)
class CorrectionsOpened:
    zone: int
    day: int
    link: bytes


@dataclass(frozen=True, slots=True)
class CorrectionPosted:
    zone: int
    day: int
    run: int
    hash: bytes
    correction: Correction


@dataclass(frozen=True, slots=True)
class AccountCorrected:
    account: bytes
    imbalance_wh: int
    """The change, over all windows."""
    cash_nano: int


@dataclass(frozen=True, slots=True)
class PartCorrected:
    zone: int
    day: int
    run: int
    imbalance_wh: int
    """The balancing party's change."""
    cash_nano: int
    """The balancing party's."""
    statement: bytes


@dataclass(frozen=True, slots=True)
class RunCorrected:
    zone: int
    day: int
    run: int
    link: bytes


@dataclass(frozen=True, slots=True)
class ReadingChallenged:
    id: bytes
    account: bytes
    zone: int
    day: int
    meter: bytes
    register: int
    window: int
    committed_wh: int
    """What stands."""
    wh: int
    """What the meter signed instead."""
    sequence: int
    answer_by: int


@dataclass(frozen=True, slots=True)
class ChallengeAnswered:
    id: bytes
    defeated: bool


@dataclass(frozen=True, slots=True)
class ChallengeSettled:
    id: bytes
    zone: int
    day: int
    imbalance_wh: int
    """The balancing party's change."""
    cash_nano: int
    """The balancing party's."""
    paid_nano: int
    """What the account got from the oracles."""


@dataclass(frozen=True, slots=True)
class ChallengeDropped:
    id: bytes


@dataclass(frozen=True, slots=True)
class OracleBondChanged:
    account: bytes
    amount_nano: int
    """Set aside; negative is what was taken back."""


@dataclass(frozen=True, slots=True)
class ChallengeBondChanged:
    amount_nano: int


@dataclass(frozen=True, slots=True)
class BondLocked:
    epoch: int
    operator: bytes
    amount_nano: int


@dataclass(frozen=True, slots=True)
class OrderSubmitted:
    epoch: int
    zone: int
    order: bytes
    record: bytes


@dataclass(frozen=True, slots=True)
class SubmissionReplaced:
    epoch: int
    order: bytes


@dataclass(frozen=True, slots=True)
class ClaimOpened:
    epoch: int
    order: bytes
    trader: bytes
    kind: int


@dataclass(frozen=True, slots=True)
class ClaimDefeated:
    epoch: int
    order: bytes


@dataclass(frozen=True, slots=True)
class ClaimPaid:
    epoch: int
    order: bytes
    trader: bytes
    amount_nano: int


@dataclass(frozen=True, slots=True)
class BondReleased:
    epoch: int
    operator: bytes
    amount_nano: int


KINDS: tuple[type, ...] = (
    *(MemberRegistered, MemberChanged, Deposited, WithdrawalRequested, Withdrawn),
    *(KeyGranted, KeyRevoked),
    *(GridSet, DayOpened, SessionOpened, BookCommitted),
    *(ProceedsDonated, ScheduleCleared, ScheduleIneligible, HeaderPosted),
    *(ZoneAdvanced, ZoneJoined, SessionProved, NetworkPaid),
    *(Paused, Unpaused, Accepted, Transfer),
    *(MeterRegistered, MeterRotated, MeterRevoked, OracleChanged, QuorumChanged, MeteringPosted),
    *(DeliveryDonated, AccountSettled, PartSettled, RunSettled),
    *(AccountDelivered, AccountCertified, PartCertified, RunCertified),
    *(CorrectionsOpened, CorrectionPosted, AccountCorrected, PartCorrected, RunCorrected),
    *(ReadingChallenged, ChallengeAnswered, ChallengeSettled, ChallengeDropped),
    *(OracleBondChanged, ChallengeBondChanged),
    *(BondLocked, OrderSubmitted, SubmissionReplaced),
    *(ClaimOpened, ClaimDefeated, ClaimPaid, BondReleased),
)

Event = Any
"""An instance of one of `KINDS`."""

_KIND_OF: Mapping[tuple[str, int], type] = {(kind.__name__, len(fields(kind))): kind for kind in KINDS}
"""By name and number of parameters: an ERC-20 tells of transfers too."""

_RICH: Mapping[tuple[str, str], Callable[[Any], Any]] = {
    ("MemberRegistered", "member"): member_of,
    ("MemberChanged", "member"): member_of,
    ("GridSet", "grid"): lambda values: Grid(*values),
    ("SessionOpened", "params"): lambda values: SessionParams(*values),
    ("MeteringPosted", "posting"): lambda values: Posting(*values),
    ("CorrectionPosted", "correction"): lambda values: Correction(*values),
}
"""Parameters that become values of the reference."""


def decode(log: Log) -> Event | None:
    """The event of a log; None for what is not the Exchange's own (approvals, administration)."""
    entry = exchange_interface().events.get(log.topics[0]) if log.topics else None
    kind = _KIND_OF.get((entry.name, len(entry.inputs))) if entry else None
    if entry is None or kind is None:
        return None
    return kind(*_values(entry, log))


def _values(entry: Entry, log: Log) -> Iterator[Any]:
    topics = iter(log.topics[1:])
    told = iter(CODEC.decode([one.type for one in entry.inputs if not one.indexed], log.data))
    for one in entry.inputs:
        value = CODEC.decode([one.type], next(topics))[0] if one.indexed else next(told)
        rich = _RICH.get((entry.name, one.name))
        yield rich(value) if rich else value


def decode_all(logs: Iterable[Log]) -> list[Event]:
    """The events of logs, in their order, without what is not the Exchange's own."""
    found = (decode(log) for log in logs)
    return [event for event in found if event is not None]


def events_of(exchange: Exchange, first: int | None = None, last: int | None = None) -> list[Event]:
    """What the Exchange told in blocks `first` (its own if None) to `last` (the latest if None)."""
    start = exchange.deployment.block if first is None else first
    return decode_all(exchange.chain.logs(exchange.address, start, last))
