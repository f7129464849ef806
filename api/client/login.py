"""A login as its wallet sees it: a challenge is checked before it is signed. No I/O in here.

Whoever holds a signed login message can log in with it. So the message must be for the service that the
client was told to use, by domain, URI and chain, for this wallet and this request; then a service that
passes on another's challenge gets no signature.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from api.auth import siwe
from api.auth.siwe import Expected, SiweError
from api.client.errors import BadChallenge
from api.client.service import Service
from api.schemas.auth import ChallengeAnswer, TokenAnswer

MOST_AGE = timedelta(minutes=5)
LONGEST = timedelta(hours=1)
"""How long a challenge may stay valid: a message that never expires could be used at any time."""
SKEW = timedelta(seconds=60)
MARGIN_S = 20.0
"""A token is exchanged that much before its end."""


def check_challenge(
    offered: ChallengeAnswer,
    service: Service,
    account: bytes,
    request_id: str,
    used: Collection[str],
    now: float,
) -> bytes:
    """The digest to sign of a challenge. BadChallenge unless it is for this service and login, and new.

    `used` has nonces that were signed before, `now` Unix seconds.
    """
    try:
        message = siwe.parse(offered.message)
        siwe.check(
            message,
            Expected(
                domain=service.domain,
                uri=service.uri,
                chain_id=service.chain_id,
                nonce=offered.nonce,
                account=account,
                statement=message.statement or "",
                request_id=request_id,
                resources=(),
                max_age=MOST_AGE,
                skew=SKEW,
            ),
            datetime.fromtimestamp(now, UTC),
        )
    except SiweError as cause:
        raise BadChallenge(str(cause)) from cause
    if message.expiration_time is None or _life(message) > LONGEST:
        raise BadChallenge("it would be valid for more than an hour")
    if message.nonce in used:
        raise BadChallenge("its nonce was signed before")
    return siwe.digest(offered.message)


def _life(message: siwe.Message) -> timedelta:
    assert message.expiration_time is not None
    return siwe.date_time(message.expiration_time) - siwe.date_time(message.issued_at)


@dataclass(frozen=True, slots=True)
class Tokens:
    """What a logged-in client carries."""

    access: str
    refresh: str
    until: float
    """When the access token is exchanged, by a clock that only goes forward."""

    @classmethod
    def of(cls, answer: TokenAnswer, now: float) -> Tokens:
        """`now` by that clock."""
        return cls(answer.access_token, answer.refresh_token, now + max(1.0, answer.expires_in - MARGIN_S))

    def __repr__(self) -> str:
        return "Tokens(...)"
