"""Gates, clearing, readings and settlement as they happen: server-sent events, and a WebSocket."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Header, Query, Request
from fastapi.responses import StreamingResponse

from api import stream
from api.deps import CallerDep, Db, ServicesDep, SettingsDep, bearer
from api.errors import UpgradeRequired, documented
from api.sockets import Listener, Topic, connected

router = APIRouter(prefix="/v1", tags=["stream"])
router.add_websocket_route("/v1/ws", connected)  # no prefix is put before it


@router.get(
    "/stream",
    summary="Events as they happen",
    response_class=StreamingResponse,
    responses={200: {"content": {"text/event-stream": {}}}},
)
async def read_stream(
    caller: CallerDep,
    request: Request,
    sessions: Db,
    parts: ServicesDep,
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
    judge = Listener(parts, bearer(request)).judge(topic or ())
    seconds = min(settings.stream_s, settings.access_ttl_s)
    body = stream.events(sessions, judge, start, seconds)
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(body, media_type="text/event-stream", headers=headers)


@router.get(
    "/ws",
    summary="Events over a WebSocket",
    status_code=101,
    responses=documented(UpgradeRequired) | {101: {"description": "WebSocket, as docs/api.md describes it"}},
)
async def read_without_upgrade(caller: CallerDep) -> None:
    """The events of `/v1/stream`, over a WebSocket (RFC 6455) with the subprotocol `trellis.v1`. The token
    travels as a second subprotocol, `bearer.` before it, or in the first message; never in the URL.
    """
    raise UpgradeRequired("open a WebSocket: Upgrade: websocket, Sec-WebSocket-Protocol: trellis.v1")
