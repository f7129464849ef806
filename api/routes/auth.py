"""Logging in and out."""

from __future__ import annotations

from fastapi import APIRouter
from fastapi.responses import Response

from api import deps
from api.auth.tokens import Pair
from api.deps import CallerDep, ServicesDep
from api.errors import LoginRefused, Unavailable, documented
from api.routes.accounts import standing_answer
from api.schemas.auth import (
    ChallengeAnswer,
    ChallengeRequest,
    LoginRequest,
    RefreshRequest,
    StandingAnswer,
    TokenAnswer,
)

router = APIRouter(prefix="/v1/auth", tags=["login"])


def _answer(pair: Pair) -> TokenAnswer:
    return TokenAnswer(
        access_token=pair.access,
        expires_in=pair.access_ttl_s,
        refresh_token=pair.refresh,
        refresh_expires_at=pair.refresh_expires_at,
        account=pair.account,
    )


@router.post("/challenge", summary="A message to sign", responses=documented(Unavailable))
async def challenge(body: ChallengeRequest, parts: ServicesDep) -> ChallengeAnswer:
    """Gives out an EIP-4361 message with a nonce of single use for the account."""
    offer = await parts.gate.challenge(body.account, body.request_id)
    return ChallengeAnswer(message=offer.text, nonce=offer.nonce, expires_at=offer.expires_at)


@router.post("/login", summary="Tokens for a signed message", responses=documented(LoginRefused, Unavailable))
async def login(body: LoginRequest, parts: ServicesDep) -> TokenAnswer:
    """Takes a challenge that its account signed, with a key or as a contract wallet."""
    return _answer(await parts.gate.login(body.message, body.signature))


@router.post("/refresh", summary="The next tokens", responses=documented(LoginRefused))
async def refresh(body: RefreshRequest, parts: ServicesDep) -> TokenAnswer:
    """Exchanges a refresh token. One that comes twice ends the login."""
    return _answer(await parts.tokens.refresh(body.refresh_token))


@router.post("/logout", status_code=204, summary="End this login")
async def logout(caller: CallerDep, parts: ServicesDep) -> Response:
    """No token of the login is accepted any more."""
    await parts.tokens.end(caller.login_id)
    return Response(status_code=204)


@router.get("/me", summary="Who I am")
async def me(caller: deps.CallerDep) -> StandingAnswer:
    """The caller's roles and membership, as the chain has them."""
    return standing_answer(caller.standing)
