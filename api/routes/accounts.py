"""Accounts as the registry knows them."""

from __future__ import annotations

from typing import Literal

from fastapi import APIRouter, Request
from fastapi.responses import Response

from api.deps import CallerDep, ServicesDep
from api.etag import cacheable
from api.roles import Standing
from api.schemas.auth import Membership, StandingAnswer
from api.schemas.common import Account
from settlement.reference.accounts import BALANCING_PARTY, NETWORK_OPERATOR, OPERATOR, PROSUMER, Member

router = APIRouter(prefix="/v1/accounts", tags=["accounts"])

Kind = Literal["prosumer", "balancing_party", "network_operator", "operator"]
KINDS: dict[int, Kind] = {
    PROSUMER: "prosumer",
    BALANCING_PARTY: "balancing_party",
    NETWORK_OPERATOR: "network_operator",
    OPERATOR: "operator",
}


@router.get(
    "/{account}",
    summary="An account's roles and membership",
    response_model=StandingAnswer,
    responses={304: {"description": "The caller has it"}},
)
async def account(account: Account, request: Request, caller: CallerDep, parts: ServicesDep) -> Response:
    """As the chain has them. Another's account is seen by operator, oracle and auditor only."""
    return cacheable(request, standing_answer(await parts.roles.of(account)))


def standing_answer(standing: Standing) -> StandingAnswer:
    """What is told of a standing."""
    return StandingAnswer(
        account=standing.account,
        roles=sorted(standing.roles),
        member=None if standing.member is None else _membership(standing.member),
        block_number=standing.block,
    )


def _membership(member: Member) -> Membership:
    return Membership(
        zone=member.zone,
        kind=KINDS[member.role],
        max_quality=member.max_quality,
        capacity_wh=member.capacity_wh,
        wide=member.wide,
        suspended=member.suspended,
    )
