"""Everything the Exchange stores."""

import copy
from dataclasses import dataclass, field
from enum import Enum

from settlement.reference.accounts import Cash, Member
from settlement.reference.clearing import Commitment
from settlement.reference.exchange.events import Event
from settlement.reference.posting import Posting
from settlement.reference.session import Grid, SessionParams


class Status(Enum):
    """Where a session is."""

    OPEN = "open"
    CLEARING = "clearing"
    PROVED = "proved"
    VOID = "void"


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
    commitment: Commitment | None = None
    header_hash: bytes | None = None
    carry_hash: bytes | None = None
    """What its zone carries between chunks; None before the first."""
    proved: bool = False


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
    accounts: int = 0
    """Entries settled so far."""
    carry_hash: bytes | None = None
    """None before the first part is settled."""
    closed: bool = False
    certify_hash: bytes | None = None
    """None before the first part is certified."""


@dataclass
class State:
    """Values are immutable, so that a copy of the maps is a copy of the state."""

    members: dict[bytes, Member] = field(default_factory=dict)
    cash: dict[bytes, Cash] = field(default_factory=dict)
    requests: dict[bytes, Request] = field(default_factory=dict)
    nonces: frozenset[tuple[bytes, int]] = frozenset()
    lanes: dict[tuple[bytes, int], int] = field(default_factory=dict)
    """Claims and obligations: packed windows by account and group key."""
    certificates: dict[tuple[bytes, int], int] = field(default_factory=dict)
    """Packed windows by account and group key of the claim."""
    grids: tuple[Grid, ...] = ()
    days: dict[int, DayRecord] = field(default_factory=dict)
    sessions: dict[bytes, SessionRecord] = field(default_factory=dict)
    epochs: tuple[bytes, ...] = ()
    """Session ids in the order they were opened; the first has number 1."""
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
