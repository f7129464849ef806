"""The depth of a book."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from api.schemas.common import Answer, Integer, Time


class DepthLevel(Answer):
    """What several traders together bid or offer."""

    limit_micro_per_kwh: Integer = Field(description="All of it trades at this price.")
    quantity_wh: Integer


class DepthCell(Answer):
    """One side of a product, best price first; without levels where too few trade."""

    quality: int
    window: Integer
    side: Literal["buy", "sell"]
    levels: list[DepthLevel]


class DepthAnswer(Answer):
    """The depth of a zone's book."""

    epoch: Integer
    zone: Integer
    source: Literal["accepted", "chain"] = Field(
        description="Orders that were accepted so far, or the book as it was cleared on chain."
    )
    as_of: Time
    least_traders: int = Field(description="So many stand behind each level at least.")
    tick_micro_per_kwh: Integer = Field(description="Bids are rounded down to it, offers up.")
    cells: list[DepthCell]
