"""Session keys of an account."""

from __future__ import annotations

from pydantic import Field

from api.pages import Page
from api.schemas.common import Account, Integer, Time
from api.schemas.sessions import FromChain, Kind


class SessionKeyAnswer(FromChain):
    """A key that may sign orders of the account, within a scope, or once might."""

    key: Account
    zone: Integer
    kinds: list[Kind] = Field(description="Sessions that it may trade in.")
    max_wh_per_window: Integer
    max_spend_nano_per_day: Integer
    expires_at: Time | None = Field(
        description="The last moment at which it counts; null if not before the year 10000."
    )
    granted_at: Time
    revoked_at: Time | None


class SessionKeyPage(Page[SessionKeyAnswer]):
    """Session keys by their addresses."""
