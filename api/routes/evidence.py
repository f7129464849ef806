"""Evidence of one order, for whoever does not believe this service."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Request
from fastapi.responses import Response

from api.deps import CallerDep, ServicesDep
from api.errors import NotFound, documented
from api.etag import cacheable
from api.routes.sessions import HAS_IT
from api.schemas.common import Account, Hash
from settlement.evidence.bundle import Bundle

router = APIRouter(prefix="/v1/accounts/{account}", tags=["evidence"])


@router.get(
    "/orders/{order}/evidence",
    summary="Evidence of an order",
    response_model=Bundle,
    responses=HAS_IT | documented(NotFound),
)
async def evidence(
    account: Account,
    order: Annotated[Hash, Path(description="Hash of the order.")],
    request: Request,
    caller: CallerDep,
    parts: ServicesDep,
) -> Response:
    """Order, receipt, clearing, fills, readings, settlement, and the transactions that prove them, for
    `trellis evidence verify`. An auditor's has all of them; a member's names those that hold other
    accounts' orders or readings.
    """
    whole = caller.sees_all or parts.settings.evidence_whole
    found = await parts.bundles.make(account, order, whole)
    if found is None:
        raise NotFound("the account has no such order")
    return cacheable(request, found)
