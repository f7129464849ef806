"""What operation asks: is it alive, can it answer, how is it doing."""

from __future__ import annotations

import logging

from fastapi import APIRouter
from fastapi.responses import JSONResponse, Response
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from api import logs, metrics
from api.deps import Services, ServicesDep
from api.readmodel.query import Queries
from api.schemas.ops import Health, Readiness
from settlement.chain.errors import ChainError

router = APIRouter(tags=["operation"])


@router.get("/healthz", summary="The process runs")
async def healthz() -> Health:
    """Says nothing of what is behind it: a restart would not help that."""
    return Health()


@router.get(
    "/readyz",
    summary="Requests can be answered",
    response_model=Readiness,
    responses={503: {"model": Readiness, "description": "Something behind the API does not answer"}},
)
async def readyz(parts: ServicesDep) -> Response:
    """Asks the database and the chain."""
    database, block = await _database(parts), await _block(parts)
    ready = database and block is not None
    answer = Readiness(
        status="ready" if ready else "not ready",
        database=database,
        chain=block is not None,
        block_number=block,
        indexed_block=await _indexed(parts) if database else None,
    )
    return JSONResponse(answer.model_dump(mode="json"), 200 if ready else 503)


@router.get("/metrics", summary="Prometheus metrics", response_class=Response)
async def read_metrics(parts: ServicesDep) -> Response:
    """In Prometheus' text format."""
    return Response(parts.metrics.text(), media_type=metrics.MEDIA_TYPE)


async def _database(parts: Services) -> bool:
    try:
        async with parts.sessions() as session:
            await session.execute(text("SELECT 1"))
    except (SQLAlchemyError, OSError) as error:
        logs.event("database not ready", logging.WARNING, reason=type(error).__name__)
        return False
    return True


async def _block(parts: Services) -> int | None:
    """Number of the latest block; None if the node or the deployment does not answer."""
    try:
        await parts.chain.authority()
        block = await parts.chain.block_number()
    except ChainError as error:
        logs.event("chain not ready", logging.WARNING, reason=type(error).__name__)
        return None
    parts.metrics.block.set(block)
    return block


async def _indexed(parts: Services) -> int | None:
    """Where the read model stands; None before anything was read."""
    block = await Queries(parts.sessions).indexed_block()
    if block is not None:
        parts.metrics.indexed.set(block)
    return block
