"""The ledger for regulators and auditors: events searched, and exported whole as a stream."""

from __future__ import annotations

import io
import json
from collections.abc import AsyncIterator, Iterator
from typing import Annotated, Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq
from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import Response, StreamingResponse

from api import sheets
from api.db.chain_models import Event
from api.deps import CallerDep, CursorsDep, PageDep, QueriesDep
from api.etag import cacheable
from api.readmodel.query import Queries, ledger
from api.routes.sessions import HAS_IT
from api.schemas.common import Account, to_hex
from api.schemas.ledger import EventAnswer, EventPage

router = APIRouter(prefix="/v1/ledger", tags=["ledger"])

CHUNK = 1000
"""Rows that an export holds in memory at once."""
ORDER = (Event.block_number, Event.log_index)
COLUMNS = (
    "block_number",
    "block_hash",
    "log_index",
    "tx_hash",
    "contract",
    "name",
    "account",
    "args",
    "data",
)

Uint24 = Annotated[int | None, Query(ge=1, lt=1 << 24)]
Uint32 = Annotated[int | None, Query(ge=0, lt=1 << 32)]
BlockNumber = Annotated[int | None, Query(ge=0, lt=1 << 62)]


def _filters(
    name: Annotated[str | None, Query(pattern=r"^[A-Za-z]{1,64}$", description="Name of the event.")] = None,
    account: Annotated[Account | None, Query(description="Whom it is about.")] = None,
    epoch: Uint24 = None,
    zone: Uint32 = None,
    day: Uint32 = None,
    from_block: BlockNumber = None,
    to_block: BlockNumber = None,
) -> dict[str, Any]:
    about = None if account is None else to_hex(account)
    place = {"epoch": epoch, "zone": zone, "day": day, "from_block": from_block, "to_block": to_block}
    return {"name": name, "account": about, **place}


Filters = Annotated[dict[str, Any], Depends(_filters)]


@router.get("/events", summary="Events of the chain", response_model=EventPage, responses=HAS_IT)
async def events(
    request: Request,
    caller: CallerDep,
    queries: QueriesDep,
    cursors: CursorsDep,
    page: PageDep,
    filters: Filters,
) -> Response:
    """What the Exchange, its settlement token and its AccessManager told, in the chain's order."""
    scope = f"events {json.dumps(filters, sort_keys=True)}"
    rows = await queries.page(ledger(filters), ORDER, cursors.read(scope, page.cursor), page.limit)
    items, cursor = cursors.page(scope, rows, page.limit, lambda row: (row.block_number, row.log_index))
    answers = [EventAnswer.model_validate(row, from_attributes=True) for row in items]
    return cacheable(request, EventPage(items=answers, next_cursor=cursor))


@router.get(
    "/export",
    summary="All events that fit",
    response_class=StreamingResponse,
    responses={200: {"content": {"text/csv": {}, "application/vnd.apache.parquet": {}}}},
)
async def export(
    caller: CallerDep,
    queries: QueriesDep,
    filters: Filters,
    format: Annotated[Literal["csv", "parquet"], Query(description="How it is written.")] = "csv",
) -> StreamingResponse:
    """The same search without pages, written while it is read."""
    chunks = _chunks(queries, filters)
    if format == "csv":
        body, media_type = _csv(chunks), "text/csv; charset=utf-8"
    else:
        body, media_type = _parquet(chunks), "application/vnd.apache.parquet"
    headers = {"Content-Disposition": f'attachment; filename="ledger.{format}"'}
    return StreamingResponse(body, media_type=media_type, headers=headers)


async def _chunks(queries: Queries, filters: dict[str, Any]) -> AsyncIterator[list[list[Any]]]:
    """Rows of the columns, some at a time; each time from behind the last one."""
    after = None
    while True:
        found = await queries.page(ledger(filters), ORDER, after, CHUNK)
        rows = found[:CHUNK]
        yield [_row(one) for one in rows]
        if len(found) <= CHUNK:
            return
        after = (rows[-1].block_number, rows[-1].log_index)


def _row(event: Event) -> list[Any]:
    values = {name: getattr(event, name) for name in COLUMNS}
    values["args"] = None if event.args is None else json.dumps(event.args, separators=(",", ":"))
    values["data"] = to_hex(event.data)
    return list(values.values())


async def _csv(chunks: AsyncIterator[list[list[Any]]]) -> AsyncIterator[bytes]:
    yield sheets.lines([COLUMNS])
    async for rows in chunks:
        yield sheets.lines(rows)


SCHEMA = pa.schema(
    [(name, pa.int64() if name in ("block_number", "log_index") else pa.string()) for name in COLUMNS]
)


async def _parquet(chunks: AsyncIterator[list[list[Any]]]) -> AsyncIterator[bytes]:
    """A row group for each chunk; what is written is sent, and not kept."""
    sink = _Drain()
    with pq.ParquetWriter(sink, SCHEMA, compression="zstd") as writer:
        async for rows in chunks:
            columns = list(map(list, zip(*rows, strict=True))) or [[] for _ in COLUMNS]
            writer.write_table(pa.table(columns, schema=SCHEMA))
            for piece in sink.take():
                yield piece
    for piece in sink.take():
        yield piece


class _Drain(io.RawIOBase):
    """A file that is written from front to back and read while it is."""

    def __init__(self) -> None:
        super().__init__()
        self._pieces: list[bytes] = []
        self._at = 0

    def writable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def write(self, data: Any) -> int:
        piece = bytes(data)
        self._pieces.append(piece)
        self._at += len(piece)
        return len(piece)

    def take(self) -> Iterator[bytes]:
        pieces, self._pieces = self._pieces, []
        return iter(pieces)
