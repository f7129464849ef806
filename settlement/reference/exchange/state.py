"""Everything the Exchange stores."""

import copy
from dataclasses import dataclass, field
from enum import Enum

from settlement.reference.accounts import Cash, Member
from settlement.reference.clearing import Commitment
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
    """How far the run of a zone and day is."""

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
    commitment: Commitment | None = None
    header_hash: bytes | None = None
    carry_hash: bytes | None = None
    """What its zone carries between chunks; None before the first."""
    extension: int = 0
    """Seconds that finished pauses added to its deadlines."""


@dataclass(frozen=True)
class Request:
    """Cash that a member wants back."""

    amount_nano: int
    epoch: int
    """Number of the latest session opened when it was requested."""


@dataclass(frozen=True)
class RunRecord:
    """A posting and how far its run is."""

    posting: Posting
    stage: RunStage = RunStage.POSTED
    parts: int = 0
    """Of the posting, settled or, once closed, certified so far."""
    accounts: int = 0
    """Entries settled so far."""
    carry_hash: bytes | None = None
    """None before the first part is settled."""


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
    oracles: frozenset[bytes] = frozenset()
    quorum: int = 0
    """How many oracles sign a posting; while it is zero nothing can be posted."""
    meters: dict[bytes, Meter] = field(default_factory=dict)
    paused_at: int | None = None
    """When the current pause, or the last whose end is not written down, began."""
    last_pause_end: int | None = None
    runs: dict[tuple[int, int], RunRecord] = field(default_factory=dict)
    """By zone and day."""
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
