"""Logins."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from api.auth.siwe import MOST_BYTES as MOST_MESSAGE
from api.roles import Role
from api.schemas.common import Account, Answer, Bytes, Integer, Time

STRICT = ConfigDict(extra="forbid")


class ChallengeRequest(BaseModel):
    """Asks for a message to sign."""

    model_config = STRICT

    account: Account = Field(description="Who will sign: a key's account or a contract wallet.")
    request_id: str | None = Field(
        None,
        pattern=r"^[A-Za-z0-9._~-]{1,64}$",
        description="Put into the message as its Request ID.",
        examples=["home-17"],
    )


class ChallengeAnswer(Answer):
    """A message to sign with `personal_sign`."""

    message: str = Field(
        description="EIP-4361; sign it as it is.", examples=["market.example wants you to sign in ..."]
    )
    nonce: str = Field(
        description="Of the message; used up by the first login.", examples=["q3hT0cVb2mX9Lr5sKd8wNz"]
    )
    expires_at: Time


class LoginRequest(BaseModel):
    """The signed message."""

    model_config = STRICT

    message: str = Field(
        min_length=1,
        max_length=MOST_MESSAGE,
        description="The text that was signed.",
        examples=["market.example ..."],
    )
    signature: Bytes = Field(
        description="65 bytes of a key, or what a contract wallet accepts (EIP-1271, EIP-6492)."
    )


class RefreshRequest(BaseModel):
    """Exchanges a refresh token."""

    model_config = STRICT

    refresh_token: str = Field(min_length=1, max_length=200, examples=["pZ0b3Jt..."])


class TokenAnswer(Answer):
    """What a logged-in wallet carries."""

    access_token: str = Field(description="Sent as `Authorization: Bearer ...`.", examples=["eyJhbGciOi..."])
    token_type: Literal["Bearer"] = "Bearer"
    expires_in: int = Field(description="Life of the access token, seconds.", examples=[600])
    refresh_token: str = Field(
        description="Exchanged once for the next pair; used twice, it ends the login.",
        examples=["pZ0b3Jt..."],
    )
    refresh_expires_at: Time
    account: Account


class Membership(Answer):
    """What the registry says of an account."""

    zone: Integer
    kind: Literal["prosumer", "balancing_party", "network_operator", "operator"]
    max_quality: int = Field(description="The best quality it may sell.", examples=[15])
    capacity_wh: Integer = Field(description="The most it may sell in a window, Wh.")
    wide: bool = Field(description="Whether its lanes are 32 bits wide.")
    suspended: bool


class StandingAnswer(Answer):
    """What an account is, as of a block."""

    account: Account
    roles: list[Role] = Field(examples=[["prosumer"]])
    member: Membership | None = Field(description="Null if the account was never registered.")
    block_number: Integer = Field(description="Block that this was read from.")
