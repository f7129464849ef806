"""Aggregates of the ledger."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from api.pages import Page
from api.schemas.common import Answer, Integer


class AggregateCell(Answer):
    """Sums over all accounts of the zone; null where nobody did anything."""

    window: Integer | None = Field(description="Null over all windows.")
    quality: int | None = Field(description="Null over all qualities.")
    bought_wh: Integer | None
    sold_wh: Integer | None
    welfare_nano: Integer | None = Field(
        description="Buyers' limits less sellers' limits over what traded, before line charges."
    )
    certificates_wh: Integer | None = Field(description="Claims that became certificates.")


class PriceRange(Answer):
    """Clearing prices over the day's rounds: they are everybody's."""

    window: Integer
    quality: int
    lowest_micro_per_kwh: Integer
    highest_micro_per_kwh: Integer


class RunAggregate(Answer):
    """What a run made of all accounts that it is of."""

    run: Integer
    imbalance_wh: Integer
    cash_nano: Integer


class ZoneAggregate(Answer):
    """A zone's day."""

    zone: Integer
    day: Integer
    level: Literal["window", "quality", "day"] | None = Field(
        description="The finest at which every sum may be told; null if there is none."
    )
    group: int = Field(description="How many accounts a sum is of, at least.")
    cells: list[AggregateCell]
    runs: list[RunAggregate] = Field(description="Those of which the sums may be told.")
    prices: list[PriceRange]


class AggregatePage(Page[ZoneAggregate]):
    """Zones of a day by their number."""
