"""Sessions, their clearing, products, and a day's runs."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from api.pages import Page
from api.readmodel.stages import Stage
from api.schemas.common import Account, Answer, Hash, Integer, Time

Kind = Literal["energy", "flexibility_up", "flexibility_down", "certificate"]
KINDS: tuple[Kind, ...] = ("energy", "flexibility_up", "flexibility_down", "certificate")


class FromChain(Answer):
    """Where it can be checked."""

    block_number: Integer = Field(description="Block of the transaction.")
    tx_hash: Hash = Field(description="The transaction that last changed it.")


class SessionAnswer(FromChain):
    """An auction: what is traded, until when, at which terms."""

    epoch: Integer = Field(description="The session's number, from 1.")
    id: Hash = Field(description="Hash of its terms; orders name it.")
    kind: Kind
    round: int
    stage: Stage = Field(description="As of now: a session past its deadline is void.")
    day: Integer = Field(description="First window of the delivery day.")
    first_window: Integer
    windows: int
    window_length_s: int
    starts_at: Time = Field(description="When its first window begins.")
    gate: Time = Field(description="From then on no order is accepted.")
    commit_by: Time
    prove_by: Time
    deadline: Time = Field(description="The one that counts now, with what pauses added.")
    claim_by: Time
    grid_version: Integer
    floor: Integer = Field(description="Lowest limit, micro/kWh.")
    cap: Integer = Field(description="Highest limit, micro/kWh.")
    buy_reserve: Integer = Field(description="Kept for each kWh bought until the first run, micro/kWh.")
    sell_reserve: Integer
    imbalance_min: Integer
    imbalance_max: Integer
    max_orders: Integer
    max_submitted: Integer = Field(description="How many orders may be submitted on chain besides.")
    order_bond_nano: Integer = Field(description="Paid for each order omitted, or committed in vain.")
    receipt_signer: Account
    certificate_run: int
    zones: int
    committed_zones: int
    committed_orders: Integer
    proved_at: Time | None
    rent_nano: Integer | None = Field(description="What its lines earned.")
    bond_nano: Integer = Field(description="Still set aside for claims.")


class SessionPage(Page[SessionAnswer]):
    """Sessions by their number."""


class Potential(Answer):
    """A posted entry of the proof: its price is the floor of the mean of both bounds."""

    window: Integer
    price_micro_per_kwh: Integer
    lowest: Integer
    highest: Integer
    rank_lowest: Integer
    rank_highest: Integer


class Premium(Potential):
    """What a quality costs above quality 0 in a window; `lowest` and `highest` are of its negative."""

    quality: int


class AtPrice(Answer):
    """What was bid and offered exactly at a cell's price, Wh, and how much of it fills."""

    quality: int
    window: Integer
    bid_wh: Integer
    bid_filled_wh: Integer
    offered_wh: Integer
    offered_filled_wh: Integer


class ZoneClearing(FromChain):
    """A zone of a session: the commitment to its book, and what was posted and proved."""

    zone: Integer
    orders: Integer
    root: Hash = Field(description="Merkle root of the order hashes in ascending order.")
    cleared_orders: Integer
    closed: bool
    energy: list[Potential]
    at_price: list[AtPrice]


class ClearingAnswer(Page[ZoneClearing]):
    """The clearing of a session, zone by zone. It counts once the session is proved."""

    epoch: Integer
    stage: Stage
    premiums: list[Premium]


class ProductAnswer(Answer):
    """What a token's id says."""

    id: Integer
    kind: Kind
    side: Literal["claim", "obligation"]
    quality: int
    firm: bool
    most_g_per_kwh: int | None = Field(description="Carbon cap of its band; null if it has none.")
    zone: Integer
    round: int
    window: Integer
    starts_at: Time
    ends_at: Time
    epoch: Integer | None = Field(description="The session that trades it; null if none was opened.")


class RunAnswer(FromChain):
    """A settlement run of a zone's day, over all its accounts."""

    zone: Integer
    day: Integer
    run: int
    stage: str = Field(examples=["settling"])
    parts: Integer
    certified_parts: Integer
    imbalance_wh: Integer
    cash_nano: Integer
    link: Hash | None = Field(description="What the next run must name.")


class RunPage(Page[RunAnswer]):
    """Runs by zone and number."""
