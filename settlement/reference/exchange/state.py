"""Everything the Exchange stores."""

import copy
from dataclasses import dataclass, field
from enum import Enum

from settlement.reference.accounts import Cash, Member
from settlement.reference.closing import Commitment
from settlement.reference.exchange.events import Event
from settlement.reference.gift import Gift
from settlement.reference.posting import Posting
from settlement.reference.reading import Reading
from settlement.reference.session import Grid, SessionParams
from settlement.reference.session_key import KeyUse, SessionKey


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
    energy_hash: bytes | None = None
    """Of its energy potentials, which settlement may bring again; None before it closed."""


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
    settled_at: int = 0
    """When its last zone was settled, then when all were certified; 0 before."""


@dataclass(frozen=True)
class Meter:
    """Whose meter it is, and its key; a revoked meter has none."""

    account: bytes
    key: tuple[bytes, bytes] | None
    since: int = 0
    """The first window that the key is for."""


@dataclass(frozen=True)
class FormerKey:
    """A key that a rotation replaced: what it signed of windows from `since` and below `until` counts."""

    since: int
    until: int


@dataclass(frozen=True)
class ZoneDay:
    """A zone's day once its first run is over: what later runs and challenges refer to."""

    commitments: bytes
    """Merkle root over the salted readings of the latest run."""
    prices: bytes
    """Hash of the day's imbalance prices; zero while there are none (a day that nobody posted)."""
    link: bytes
    """Hash over the posting and everything that changed it since."""
    since: int
    """When the latest run was complete, Unix seconds."""
    run: int = 0
    parts: int = 0
    """Of the pending correction, applied so far."""
    open: int = 0
    """Challenges that are not settled."""
    pending: bytes = bytes(32)
    """Struct hash of the correction under way; zero if there is none."""


class ChallengeStage(Enum):
    """How far a challenge is, as the contract numbers it."""

    OPEN = 1
    DEFEATED = 2
    UPHELD = 3
    DROPPED = 4


@dataclass(frozen=True)
class Challenge:
    """A challenge to one reading."""

    account: bytes
    zone: int
    day: int
    standing: Reading
    """What counted when it was opened: what was committed to, or an earlier upheld challenge's read."""
    read: Reading
    """What the account brought against it."""
    actual: bool
    """Whether what stood was posted and flagged actual, so that being wrong costs the oracles."""
    bond_nano: int
    answer_by: int
    """Unix seconds, inclusive."""
    answered: bool = False
    """Whether it was shown that the committed reading was right when it was made."""
    stage: ChallengeStage = ChallengeStage.OPEN


@dataclass(frozen=True)
class Upheld:
    """What a challenge made of a reading, until the next run."""

    wh: int
    sequence: int
    run: int
    """The latest run when it was settled; another run makes it void."""


@dataclass
class State:
    """Values are immutable, so that a copy of the maps is a copy of the state."""

    members: dict[bytes, Member] = field(default_factory=dict)
    cash: dict[bytes, Cash] = field(default_factory=dict)
    requests: dict[bytes, Request] = field(default_factory=dict)
    nonces: dict[bytes, int] = field(default_factory=dict)
    """Messages each account has had relayed."""
    keys: dict[tuple[bytes, bytes], SessionKey] = field(default_factory=dict)
    """Session keys ever granted, by account and key."""
    key_uses: dict[tuple[bytes, bytes], KeyUse] = field(default_factory=dict)
    """By account and key."""
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
    gifts: dict[tuple[int, bytes], Gift] = field(default_factory=dict)
    """Whom a trader's sales of a session earn for, and what is still to be given, by epoch and trader."""
    donors: frozenset[bytes] = frozenset()
    """Who ever donated a sale that is paid on delivery."""
    submitted: dict[bytes, int] = field(default_factory=dict)
    """Orders submitted on chain: the epoch of each hash."""
    keyed: frozenset[bytes] = frozenset()
    """Those of them that a session key signed."""
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
    default_parts: dict[tuple[int, int], int] = field(default_factory=dict)
    """Calls that settled a zone nobody posted, by zone and day."""
    statements: dict[tuple[int, int, int], bytes] = field(default_factory=dict)
    """By zone, day and part."""
    zone_days: dict[tuple[int, int], ZoneDay] = field(default_factory=dict)
    """By zone and day, once corrections are open."""
    challengeable_until: int = 0
    """No run can be challenged after this, Unix seconds."""
    key_owners: dict[bytes, bytes] = field(default_factory=dict)
    """The account that a meter key belongs to, by the key's hash."""
    former_keys: dict[tuple[bytes, bytes], FormerKey] = field(default_factory=dict)
    """By meter and the key's hash."""
    challenge_bond: int = 0
    """What a challenge costs who loses it, nano."""
    pot: int = 0
    """What the oracles set aside for challenges they lose, nano."""
    holds: dict[bytes, int] = field(default_factory=dict)
    """Open challenges by account: while there are any it withdraws nothing."""
    challenges: dict[bytes, Challenge] = field(default_factory=dict)
    """By id."""
    under_challenge: frozenset[bytes] = frozenset()
    """Keys of the readings whose challenge is open."""
    upheld: dict[bytes, Upheld] = field(default_factory=dict)
    """By key of the reading."""
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
