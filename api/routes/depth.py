"""Book depth: aggregates of what is bid and offered, never an order."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from api.deps import CallerDep, ServicesDep
from api.errors import NotFound, documented
from api.etag import cacheable
from api.intake.depth import LEAST_TRADERS, TICK, CellDepth
from api.routes.sessions import HAS_IT, Epoch
from api.schemas.depth import DepthAnswer, DepthCell, DepthLevel

router = APIRouter(prefix="/v1", tags=["market"])


@router.get(
    "/sessions/{epoch}/depth",
    summary="The depth of a zone's book",
    response_model=DepthAnswer,
    responses=HAS_IT | documented(NotFound),
)
async def book_depth(
    epoch: Epoch,
    request: Request,
    caller: CallerDep,
    parts: ServicesDep,
    zone: Annotated[int, Query(ge=0, lt=1 << 32, description="Of the session's grid.")],
    quality: Annotated[int | None, Query(ge=0, lt=16, description="Only of a quality.")] = None,
    window: Annotated[int | None, Query(ge=0, lt=1 << 32, description="Only of a window.")] = None,
) -> Response:
    """What is bid and offered by price: accepted orders until the book is cleared, then the cleared ones."""
    session = await parts.markets.by_epoch(epoch)
    if session is None or zone >= session.grid.zones:
        raise NotFound(f"session {epoch} was not opened yet, or has no such zone")
    found = await parts.depths.of(session, zone, parts.now())
    cells = [
        _cell(one)
        for one in found.cells
        if (quality is None or one.quality == quality) and (window is None or one.window == window)
    ]
    answer = DepthAnswer(
        epoch=epoch,
        zone=zone,
        source="chain" if found.whole else "accepted",
        as_of=int(found.taken_at),
        least_traders=LEAST_TRADERS,
        tick_micro_per_kwh=TICK,
        cells=cells,
    )
    return cacheable(request, answer)


def _cell(one: CellDepth) -> DepthCell:
    levels = [
        DepthLevel(limit_micro_per_kwh=level.limit_micro_per_kwh, quantity_wh=level.quantity_wh)
        for level in one.levels
    ]
    return DepthCell(
        quality=one.quality, window=one.window, side="sell" if one.side else "buy", levels=levels
    )
