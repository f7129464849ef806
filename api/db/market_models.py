"""The read model: what follows from the chain's events and calldata, and from nothing else.

Every row can be dropped and made again. Accounts, hashes and packed words are `0x` hex in lower case, times
Unix seconds, windows indices of `unix_start // window_length`, a day is its first window. Lists go by window.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import JSON, BigInteger, Boolean, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from api.db.models import Base
from api.db.types import Wide


def _key(kind: Any = BigInteger) -> Any:
    return mapped_column(kind, primary_key=True, autoincrement=False)


class ChainMixin:
    """Where a row comes from: the transaction that last changed it."""

    block_number: Mapped[int] = mapped_column(BigInteger, index=True)
    tx_hash: Mapped[str] = mapped_column(String(66))


# Members ------------------------------------------------------------------------------------------------


class Member(ChainMixin, Base):
    """An account of the registry."""

    __tablename__ = "members"

    account: Mapped[str] = _key(String(42))
    zone: Mapped[int] = mapped_column(BigInteger, index=True)
    role: Mapped[int]
    """1 prosumer, 2 balancing party, 3 network operator, 4 operator."""
    max_quality: Mapped[int]
    capacity_wh: Mapped[int] = mapped_column(BigInteger)
    wide: Mapped[bool]
    suspended: Mapped[bool]
    withdrawing_nano: Mapped[int] = mapped_column(Wide)
    """Announced, and not yet paid out."""
    withdrawing_after: Mapped[int] = mapped_column(BigInteger)
    """The last session that must end first."""


class Meter(ChainMixin, Base):
    """A meter and the key that it signs with."""

    __tablename__ = "meters"

    meter: Mapped[str] = _key(String(66))
    account: Mapped[str] = mapped_column(String(42), index=True)
    x: Mapped[str] = mapped_column(String(66))
    y: Mapped[str] = mapped_column(String(66))
    from_window: Mapped[int] = mapped_column(BigInteger)
    revoked: Mapped[bool]


class SessionKey(ChainMixin, Base):
    """A key that an account lets sign orders, within a scope."""

    __tablename__ = "session_keys"

    account: Mapped[str] = _key(String(42))
    key: Mapped[str] = _key(String(42))
    zone: Mapped[int] = mapped_column(BigInteger)
    kinds: Mapped[int]
    """Bit k: sessions of kind k."""
    max_wh_per_window: Mapped[int] = mapped_column(BigInteger)
    max_spend_nano_per_day: Mapped[int] = mapped_column(Wide)
    expiry: Mapped[int] = mapped_column(BigInteger)
    """The last moment at which it counts."""
    granted_at: Mapped[int] = mapped_column(BigInteger)
    """When it was first granted."""
    revoked_at: Mapped[int | None] = mapped_column(BigInteger)


class Fact(ChainMixin, Base):
    """A single value of the deployment: quorum, bonds, who is the balancing party."""

    __tablename__ = "facts"

    name: Mapped[str] = _key(String(64))
    value: Mapped[str] = mapped_column(String(80))


# Sessions -----------------------------------------------------------------------------------------------


class GridVersion(ChainMixin, Base):
    """A grid of zones and qualities."""

    __tablename__ = "grids"

    version: Mapped[int] = _key()
    hash: Mapped[str] = mapped_column(String(66))
    terms: Mapped[dict[str, Any]] = mapped_column(JSON)


class Day(ChainMixin, Base):
    """A delivery day."""

    __tablename__ = "days"

    day: Mapped[int] = _key()
    windows: Mapped[int]
    grid_version: Mapped[int] = mapped_column(BigInteger)
    settled: Mapped[bool]
    """Whether the first run is complete over all zones."""
    certified: Mapped[bool]
    sessions: Mapped[list[int]] = mapped_column(JSON)
    """Epochs of its energy sessions, as they were opened."""


class Session(ChainMixin, Base):
    """An auction. Whether it is void depends on the time: `api/readmodel/stages.py`."""

    __tablename__ = "sessions"
    __table_args__ = (Index("ix_sessions_place", "day", "kind", "round"),)

    epoch: Mapped[int] = _key()
    id: Mapped[str] = mapped_column(String(66), index=True)
    kind: Mapped[int]
    round: Mapped[int]
    day: Mapped[int] = mapped_column(BigInteger)
    gate: Mapped[int] = mapped_column(BigInteger)
    commit_by: Mapped[int] = mapped_column(BigInteger)
    prove_by: Mapped[int] = mapped_column(BigInteger)
    params: Mapped[dict[str, Any]] = mapped_column(JSON)
    """Every field of the session's terms, hashes as hex."""
    zones: Mapped[int]
    """Of its grid."""
    committed_zones: Mapped[int]
    committed_orders: Mapped[int] = mapped_column(BigInteger)
    committed_at: Mapped[int | None] = mapped_column(BigInteger)
    proved_at: Mapped[int | None] = mapped_column(BigInteger)
    header_posted: Mapped[bool]
    qualities: Mapped[list[str] | None] = mapped_column(JSON(none_as_null=True))
    """Posted potentials of the qualities, packed words."""
    rent_nano: Mapped[int | None] = mapped_column(Wide)
    """What its lines earned."""
    bond_nano: Mapped[int] = mapped_column(Wide)
    """Set aside for claims, and not yet paid or returned."""


class Pause(ChainMixin, Base):
    """A time in which the Exchange stood still."""

    __tablename__ = "pauses"

    began: Mapped[int] = _key()
    ended: Mapped[int] = mapped_column(BigInteger)
    """By itself, or when someone ended it."""


class Book(ChainMixin, Base):
    """A zone of a session: its commitment, how far it is cleared, and the proof that was posted."""

    __tablename__ = "books"

    epoch: Mapped[int] = _key()
    zone: Mapped[int] = _key()
    count: Mapped[int] = mapped_column(BigInteger)
    root: Mapped[str] = mapped_column(String(66))
    cleared: Mapped[int] = mapped_column(BigInteger)
    """Orders read so far."""
    joined: Mapped[int | None] = mapped_column(BigInteger)
    """Children joined; None while the zone is not closed."""
    energy: Mapped[list[str] | None] = mapped_column(JSON(none_as_null=True))
    """Posted potentials of the zone's energy, packed words."""
    marginals: Mapped[list[str] | None] = mapped_column(JSON(none_as_null=True))
    """Posted marginal volumes, packed words: index `q * windows + w`."""


class Order(ChainMixin, Base):
    """An order that the chain has seen: submitted, or cleared."""

    __tablename__ = "orders"
    __table_args__ = (
        Index("ix_orders_trader", "trader", "epoch", "hash"),
        Index("ix_orders_book", "epoch", "zone", "hash"),
    )

    hash: Mapped[str] = _key(String(66))
    epoch: Mapped[int] = mapped_column(BigInteger)
    zone: Mapped[int] = mapped_column(BigInteger)
    trader: Mapped[str] = mapped_column(String(42))
    submitted: Mapped[bool]
    """On chain by anyone, while that counts."""
    record: Mapped[str | None] = mapped_column(Text)
    """As it was cleared or submitted; None if a contract sent the call and its calldata tells nothing."""
    terms: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    """What the record says, by field."""
    outcome: Mapped[str | None] = mapped_column(String(16))
    """cleared, ineligible; None before."""
    reason: Mapped[int | None]
    """Why it is not eligible."""
    filled_wh: Mapped[list[int] | None] = mapped_column(JSON(none_as_null=True))
    """From its first window on."""
    net_nano: Mapped[int | None] = mapped_column(Wide)
    """Earned less paid less kept reserved."""
    donated_nano: Mapped[int | None] = mapped_column(Wide)
    """What its beneficiary earned."""


class Position(ChainMixin, Base):
    """What an account was allotted of a product in the windows that share a slot. It counts if the session
    is proved, and is owed until its day is settled.
    """

    __tablename__ = "positions"
    __table_args__ = (Index("ix_positions_epoch", "epoch", "account"),)

    account: Mapped[str] = _key(String(42))
    slot: Mapped[str] = _key(String(30))
    """The product of the slot's windows, as `lanesOf` names it, hex."""
    epoch: Mapped[int] = mapped_column(BigInteger)
    zone: Mapped[int] = mapped_column(BigInteger)
    side: Mapped[int]
    """0 claims, 1 obligations."""
    quality: Mapped[int]
    first_window: Mapped[int] = mapped_column(BigInteger)
    wh: Mapped[list[int]] = mapped_column(JSON)


class Claim(ChainMixin, Base):
    """A claim for an order that was left out, or committed in vain."""

    __tablename__ = "claims"

    epoch: Mapped[int] = _key()
    order: Mapped[str] = _key(String(66))
    trader: Mapped[str] = mapped_column(String(42), index=True)
    kind: Mapped[int]
    state: Mapped[str] = mapped_column(String(16))
    """open, defeated, paid."""
    paid_nano: Mapped[int] = mapped_column(Wide)


# Settlement ---------------------------------------------------------------------------------------------


class Posting(ChainMixin, Base):
    """What oracles posted for a zone's day; of later runs a correction."""

    __tablename__ = "postings"

    zone: Mapped[int] = _key()
    day: Mapped[int] = _key()
    run: Mapped[int] = _key()
    sequence: Mapped[int] = _key()
    """Of the first run's postings; 0 of a correction."""
    hash: Mapped[str] = mapped_column(String(66))
    terms: Mapped[dict[str, Any]] = mapped_column(JSON)


class Run(ChainMixin, Base):
    """A settlement run of a zone's day."""

    __tablename__ = "runs"

    zone: Mapped[int] = _key()
    day: Mapped[int] = _key()
    run: Mapped[int] = _key()
    stage: Mapped[str] = mapped_column(String(16))
    """posted, settling, certified; of a later run posted, correcting, complete."""
    parts: Mapped[int] = mapped_column(BigInteger)
    """Behind it."""
    certified_parts: Mapped[int] = mapped_column(BigInteger)
    imbalance_wh: Mapped[int] = mapped_column(Wide)
    """Of all its accounts, as settled."""
    cash_nano: Mapped[int] = mapped_column(Wide)
    """Of all its accounts."""
    link: Mapped[str | None] = mapped_column(String(66))
    """What the next run must name."""


class Reading(ChainMixin, Base):
    """An account's metered day as a run had it; of a later run only what it changed."""

    __tablename__ = "readings"
    __table_args__ = (Index("ix_readings_account", "account", "day", "run"),)

    zone: Mapped[int] = _key()
    day: Mapped[int] = _key()
    account: Mapped[str] = _key(String(42))
    run: Mapped[int] = _key()
    flags: Mapped[list[int]] = mapped_column(JSON)
    """0 actual, 1 estimated, 2 default."""
    wh: Mapped[list[int]] = mapped_column(JSON)
    """Export less import; of a later run the change."""


class Settlement(ChainMixin, Base):
    """What a run made of an account's day."""

    __tablename__ = "settlements"
    __table_args__ = (Index("ix_settlements_account", "account", "day", "run"),)

    zone: Mapped[int] = _key()
    day: Mapped[int] = _key()
    account: Mapped[str] = _key(String(42))
    run: Mapped[int] = _key()
    imbalance_wh: Mapped[int] = mapped_column(Wide)
    """Metered less contracted, over all windows; of a later run the change."""
    cash_nano: Mapped[int] = mapped_column(Wide)
    released_nano: Mapped[int] = mapped_column(Wide)
    """Reserves returned."""
    delivered_wh: Mapped[int] = mapped_column(Wide)
    """Change of the imbalance by what was bought and not delivered."""
    delivered_nano: Mapped[int] = mapped_column(Wide)
    """What was paid back for it."""
    certified_wh: Mapped[int] = mapped_column(Wide)


class Certificate(ChainMixin, Base):
    """Certificates of one product that an account got, and has now. Missing where a contract sent the call
    that certified: then only the chain knows the product (`balanceOf`).
    """

    __tablename__ = "certificates"
    __table_args__ = (Index("ix_certificates_day", "day", "zone", "quality"),)

    account: Mapped[str] = _key(String(42))
    product: Mapped[str] = _key(String(30))
    """Its id, 14 bytes hex."""
    zone: Mapped[int] = mapped_column(BigInteger)
    day: Mapped[int] = mapped_column(BigInteger)
    window: Mapped[int] = mapped_column(BigInteger)
    quality: Mapped[int]
    round: Mapped[int]
    minted_wh: Mapped[int] = mapped_column(BigInteger)
    """Of its own claims."""
    wh: Mapped[int] = mapped_column(BigInteger)
    """With what was handed over since."""


class Challenge(ChainMixin, Base):
    """A reading that its participant contests."""

    __tablename__ = "challenges"

    id: Mapped[str] = _key(String(66))
    account: Mapped[str] = mapped_column(String(42), index=True)
    zone: Mapped[int] = mapped_column(BigInteger)
    day: Mapped[int] = mapped_column(BigInteger)
    terms: Mapped[dict[str, Any]] = mapped_column(JSON)
    """Meter, register, window, what stands, what is claimed, by when to answer."""
    bond_nano: Mapped[int] = mapped_column(Wide)
    state: Mapped[str] = mapped_column(String(16))
    """open, answered, defeated, upheld, dropped."""
    paid_nano: Mapped[int] = mapped_column(Wide)


# Cash ---------------------------------------------------------------------------------------------------


class CashMovement(ChainMixin, Base):
    """A change of an account's cash, told by one event."""

    __tablename__ = "cash_movements"
    __table_args__ = (Index("ix_cash_account", "account", "block_number", "log_index"),)

    block_number: Mapped[int] = _key()
    log_index: Mapped[int] = _key()
    account: Mapped[str] = _key(String(42))
    kind: Mapped[str] = _key(String(24))
    amount_nano: Mapped[int] = mapped_column(Wide)
    """Positive comes in."""
    pending: Mapped[bool] = mapped_column(Boolean)
    """Whether it counts only once session `epoch` is proved."""
    epoch: Mapped[int | None] = mapped_column(BigInteger, index=True)
    zone: Mapped[int | None] = mapped_column(BigInteger)
    day: Mapped[int | None] = mapped_column(BigInteger)
    run: Mapped[int | None]
    subject: Mapped[str | None] = mapped_column(String(66))
    """Hash of the order or challenge."""
    time: Mapped[int] = mapped_column(BigInteger)


PROJECTED: tuple[type[Base], ...] = (
    *(Member, Meter, Fact, GridVersion, Day, Session, Pause, Book, Order, Position, Claim),
    *(Posting, Run, Reading, Settlement, Certificate, Challenge, CashMovement, SessionKey),
)
"""All tables of the read model."""
