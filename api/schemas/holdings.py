"""What is one account's: orders, positions, readings, results, cash."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from api.pages import Page
from api.schemas.common import Account, Answer, Bytes, Hash, Integer, Time
from api.schemas.sessions import FromChain, Kind

Side = Literal["buy", "sell"]
Flag = Literal["actual", "estimated", "default"]
FLAGS: tuple[Flag, ...] = ("actual", "estimated", "default")
REASONS = (
    *("negative account", "no cover", "quality", "quantity", "another zone", "suspended", "beneficiary"),
    *("session key ended", "beyond the scope of its session key"),
)


class OrderAnswer(FromChain):
    """An order that the chain has seen, and what became of it."""

    hash: Hash
    epoch: Integer
    zone: Integer
    trader: Account
    side: Side | None
    kind: Kind | None
    quality: int | None = Field(description="Null of a flexible order, which takes any.")
    first_window: Integer | None
    windows: int | None
    quantity_wh: list[Integer] | None = Field(description="By window.")
    limit_micro_per_kwh: list[Integer] | None = Field(description="By window; of a flexible order its one.")
    energy_wh: Integer | None = Field(description="Of a flexible order, over all windows.")
    max_wh_per_window: Integer | None = Field(description="Of a flexible order.")
    nonce: Integer | None
    replaces: Hash | None
    beneficiary: Account | None
    submitted: bool = Field(description="Whether it was submitted on chain.")
    outcome: Literal["cleared", "ineligible"] | None
    reason: str | None = Field(description="Why it is not eligible.", examples=["no cover"])
    filled_wh: list[Integer] | None = Field(description="By window.")
    net_nano: Integer | None = Field(description="Earned, less paid, less what filled energy keeps reserved.")
    record: Bytes | None = Field(description="As the chain read it, with its signature.")


class OrderPage(Page[OrderAnswer]):
    """Orders by session and hash."""


class WindowHolding(Answer):
    """Of one window."""

    product: Integer = Field(description="The token's id.")
    window: Integer
    starts_at: Time
    wh: Integer


class PositionAnswer(FromChain):
    """What an account was allotted of a product, in windows that share a slot."""

    epoch: Integer
    zone: Integer
    side: Literal["claim", "obligation"]
    quality: int
    state: Literal["pending", "held", "settled", "void"]
    windows: list[WindowHolding]


class PositionPage(Page[PositionAnswer]):
    """Positions by slot."""


class ReadingAnswer(FromChain):
    """A metered day as a run had it; of a later run what it changed."""

    zone: Integer
    day: Integer
    run: int
    flags: list[Flag]
    wh: list[Integer] = Field(description="Export less import by window.")


class ReadingPage(Page[ReadingAnswer]):
    """Readings by day, run and zone."""


class ResultAnswer(FromChain):
    """What a run made of an account's day."""

    zone: Integer
    day: Integer
    run: int
    imbalance_wh: Integer = Field(description="Metered less contracted; of a later run the change.")
    cash_nano: Integer
    released_nano: Integer = Field(description="Reserves returned.")
    delivered_wh: Integer = Field(description="Change of the imbalance by what was not delivered.")
    delivered_nano: Integer = Field(description="Paid back for it.")
    certified_wh: Integer


class ResultPage(Page[ResultAnswer]):
    """Results by day, run and zone."""


class CertificateAnswer(FromChain):
    """Certificates of one product that an account got of its own claims, and has now."""

    product: Integer = Field(description="The token's id, of kind certificate.")
    zone: Integer
    day: Integer
    window: Integer
    starts_at: Time
    quality: int
    round: int
    minted_wh: Integer = Field(description="Of its own claims.")
    wh: Integer = Field(description="With what was handed over since, as `balanceOf` has it.")


class CertificatePage(Page[CertificateAnswer]):
    """Certificates by product."""


class CashAnswer(FromChain):
    """A change of an account's cash."""

    kind: str = Field(examples=["imbalance"])
    amount_nano: Integer = Field(description="Positive comes in.")
    pending: bool = Field(description="Whether it counts only once its session is proved.")
    epoch: Integer | None
    zone: Integer | None
    day: Integer | None
    run: int | None
    subject: Hash | None = Field(description="The order or challenge.")
    time: Time
    log_index: Integer


class CashPage(Page[CashAnswer]):
    """Movements in the chain's order."""


class BillAnswer(Answer):
    """A delivery day of an account: what was traded, settled and corrected, and returned of reserves."""

    account: Account
    day: Integer
    starts_at: Time
    total_nano: Integer = Field(description="Of all lines; once the day is settled no reserve is in it.")
    settled: bool
    certified: bool
    lines: list[CashAnswer]
