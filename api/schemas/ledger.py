"""Events as the chain has them."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from api.pages import Page
from api.schemas.common import Account, Bytes, Hash, Integer
from api.schemas.sessions import FromChain


class EventAnswer(FromChain):
    """One log, decoded where this version knows it."""

    block_hash: Hash
    log_index: Integer
    contract: Account
    name: str | None = Field(description="Null if this version does not know the event.")
    account: Account | None = Field(description="Whom it is about.")
    args: dict[str, Any] | None = Field(description="By name; integers are decimal strings, bytes hex.")
    topics: list[Hash]
    data: Bytes


class EventPage(Page[EventAnswer]):
    """Events in the chain's order."""
