"""Everything the Exchange stores."""

import copy
from dataclasses import dataclass, field
from enum import Enum

from settlement.reference.accounts import Cash, Member
from settlement.reference.closing import Commitment
from settlement.reference.exchange.events import Event
from settlement.reference.posting import Posting
from settlement.reference.session import Grid, SessionParams


class Stage(Enum):
    """How far a session is; past the deadline of a stage it is void."""

    OPEN = "open"
    COMMITTED = "committed"
    POSTED = "posted"
    PROVED = "proved"
    VOID = "void"


class RunStage(Enum):
    """How far the run of a day is."""

    POSTED = "posted"
    SETTLING = "settling"
    SETTLED = "settled"
    CERTIFIED = "certified"


@dataclass(frozen=True)
class DayRecord:
    """A delivery day."""

    windows: int
    grid_version: int


@dataclass(frozen=True)
class SessionRecord:
    """A session and how far it is."""

    params: SessionParams
    epoch: int
    stage: Stage = Stage.OPEN
    commitments: tuple[Commitment, ...] = ()
    """Of the zones committed so far, from zone 0 on."""
    header_hash: bytes | None = None
    extension: int = 0
    """Seconds that finished pauses added to its deadlines."""


@dataclass(frozen=True)
class Request:
    """Cash that a member wants back."""

    amount_nano: int
    epoch: int
    """Number of the latest session opened when it was requested."""


class ClaimKind(Enum):
    """What the operator did wrong, as the contract numbers it."""

    OMITTED = 1
    """It gave a receipt for the order and left it out."""
    WRONGLY_INCLUDED = 2
    """It gave a receipt for the order's cancel or replacement and cleared it all the same."""
    VOID = 3
    """It did not prove the session."""


class ClaimStage(Enum):
    """How far a claim is, as the contract numbers it."""

    OPEN = 1
    DEFEATED = 2
    PAID = 3


@dataclass(frozen=True)
class Claim:
    """A claim for one order."""

    trader: bytes
    epoch: int
    kind: ClaimKind
    by_receipt: bool
    """Whether it rests on the order's receipt, so that the trader's own word may defeat it."""
    stage: ClaimStage = ClaimStage.OPEN


@dataclass(frozen=True)
class Bond:
    """What an operator set aside for a session's claims."""

    operator: bytes
    locked_nano: int
    """What is set aside still."""


@dataclass(frozen=True)
class ZoneRecord:
    """How far a zone of a session is."""

    carry_hash: bytes | None = None
    """What it carries between chunks; None before the first."""
    closed_hash: bytes | None = None
    """What it left when it closed or was last joined to; None before."""


@dataclass(frozen=True)
class RunRecord:
    """How far a day's run over its zones is."""

    stage: RunStage = RunStage.POSTED
    zone: int = 0
    """The zone under way, once the first part is settled."""
    parts: int = 0
    """Of that zone's posting, settled or, once the run is settled, certified so far."""
    accounts: int = 0
    """Entries of that zone settled so far."""
    carry_hash: bytes | None = None
    """None before the first part is settled."""
    consumed: bytes | None = None
    """What a later posting of the zone may not change, since the last part that did not end one."""


@dataclass(frozen=True)
class Meter:
    """Whose meter it is, and its key; a revoked meter has none."""

    account: bytes
    key: tuple[bytes, bytes] | None


@dataclass
class State:
    """Values are immutable, so that a copy of the maps is a copy of the state."""

    members: dict[bytes, Member] = field(default_factory=dict)
    cash: dict[bytes, Cash] = field(default_factory=dict)
    requests: dict[bytes, Request] = field(default_factory=dict)
    nonces: dict[bytes, int] = field(default_factory=dict)
    """Messages each account has had relayed."""
    accepted: dict[tuple[bytes, bytes, int], int] = field(default_factory=dict)
    """Wh that a recipient agreed to take, by recipient, sender and product."""
    allowances: dict[tuple[bytes, bytes, int], int] = field(default_factory=dict)
    """Wh that a spender may transfer, by owner, spender and product."""
    operators: frozenset[tuple[bytes, bytes]] = frozenset()
    """Owner and spender, where the spender may transfer everything."""
    lanes: dict[tuple[bytes, int], int] = field(default_factory=dict)
    """Packed windows by account and group key. Certification leaves in a claim's lane its certificate."""
    grids: tuple[Grid, ...] = ()
    days: dict[int, DayRecord] = field(default_factory=dict)
    sessions: dict[bytes, SessionRecord] = field(default_factory=dict)
    epochs: tuple[bytes, ...] = ()
    """Session ids in the order they were opened; the first has number 1."""
    ended: int = 0
    """The last session of those that had ended, all of them, when the newest was opened."""
    oracles: frozenset[bytes] = frozenset()
    quorum: int = 0
    """How many oracles sign a posting; while it is zero nothing can be posted."""
    meters: dict[bytes, Meter] = field(default_factory=dict)
    paused_at: int | None = None
    """When the current pause, or the last whose end is not written down, began."""
    last_pause_end: int | None = None
    zones: dict[tuple[int, int], ZoneRecord] = field(default_factory=dict)
    """By epoch and zone."""
    beneficiaries: dict[tuple[int, bytes], bytes] = field(default_factory=dict)
    """Whom a trader's sales of a session earn for, by epoch and trader."""
    submitted: dict[bytes, int] = field(default_factory=dict)
    """Orders submitted on chain: the epoch of each hash."""
    submissions: dict[tuple[int, int], int] = field(default_factory=dict)
    """How many were submitted, by epoch and zone."""
    postings: dict[tuple[int, int], Posting] = field(default_factory=dict)
    """By zone and day."""
    places: dict[tuple[int, bytes, int], bytes] = field(default_factory=dict)
    """The order that a trader submitted, by epoch, trader and side."""
    bonds: dict[int, Bond] = field(default_factory=dict)
    """By epoch."""
    claims: dict[bytes, Claim] = field(default_factory=dict)
    """By order."""
    runs: dict[int, RunRecord] = field(default_factory=dict)
    """By day."""
    total_negative: int = 0
    """What members other than the balancing party owe, nano."""
    vault: int = 0
    """Settlement tokens held, nano."""
    events: list[Event] = field(default_factory=list)

    def copy(self) -> "State":
        fresh = copy.copy(self)
        for name, value in vars(self).items():
            if isinstance(value, dict | list):
                setattr(fresh, name, value.copy())
        return fresh
