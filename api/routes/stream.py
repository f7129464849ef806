"""Server-sent events of gates, clearing, readings and settlement."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Header, Query
from fastapi.responses import StreamingResponse

from api import stream
from api.deps import CallerDep, Db, SettingsDep
from api.schemas.common import to_hex

router = APIRouter(prefix="/v1", tags=["stream"])

Topic = Literal["gate", "clearing", "reading", "settlement", "account"]


@router.get(
    "/stream",
    summary="Events as they happen",
    response_class=StreamingResponse,
    responses={200: {"content": {"text/event-stream": {}}}},
)
async def read_stream(
    caller: CallerDep,
    sessions: Db,
    settings: SettingsDep,
    topic: Annotated[list[Topic] | None, Query(description="Only these; none is all.")] = None,
    after: Annotated[
        int | None, Query(ge=0, lt=1 << 62, description="From behind this event on; none: from now on.")
    ] = None,
    last_event_id: Annotated[str | None, Header(pattern=r"^[0-9]{1,18}$")] = None,
) -> StreamingResponse:
    """What is everybody's, and what is the caller's own. `Last-Event-ID` goes before `after`. A connection
    ends after some minutes: ask again from the last event on.
    """
    start = after if last_event_id is None else int(last_event_id)
    if start is None:
        start = await stream.latest(sessions)
    wanted = stream.Wanted(to_hex(caller.account), caller.sees_all, topic or ())
    seconds = min(settings.stream_s, settings.access_ttl_s)
    body = stream.events(sessions, wanted, start, seconds)
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(body, media_type="text/event-stream", headers=headers)
