"""Identities and their disclosures."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from api.pages import Page
from api.schemas.common import Account, Answer, Integer, Time

Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]
Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=500)]
MeteringPoint = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._:-]{1,64}$")]


class IdentityBody(BaseModel):
    """Who stands behind an account."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "example": {
                "legal_name": "Registered name of the member",
                "contact": "Postal or electronic address",
                "metering_points": ["MP-0001"],
            }
        },
    )

    legal_name: Name
    contact: Text
    metering_points: list[MeteringPoint] = Field(max_length=20)


class DisclosureRequest(BaseModel):
    """Whose identity is asked for, and by what right."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "example": {
                "account": "0xc02aaa39b223fe8d0a0e5c4f27ead9083c756cc2",
                "legal_basis": "Article of the law that allows it",
                "reason": "Number of the case. No personal data: the log is never erased.",
            }
        },
    )

    account: Account
    legal_basis: Name
    reason: Text


class DisclosureAnswer(Answer):
    """An entry of the log. What was told is not in it."""

    number: Integer
    account: Account
    regulator: Account
    legal_basis: str
    reason: str
    identity_version: Integer
    commitment: str = Field(description="HMAC-SHA-256 of what was told, by a key that is erased with it.")
    at: Time
    previous: str = Field(description="Hash of the entry before.")
    hash: str


class DisclosedAnswer(DisclosureAnswer):
    """An entry with what it released."""

    identity: IdentityBody | None = Field(description="Null if it was changed or erased since.")


class DisclosurePage(Page[DisclosureAnswer]):
    """Disclosures by number."""
