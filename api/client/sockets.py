"""The event stream over WebSocket (RFC 6455), resumed as the server-sent events are.

The token travels in the first message. A socket that the service ends because its time, the token's or the
login's is over is made again from the last event on; so is one that breaks.
"""

from __future__ import annotations

import json
from typing import Any

from api.client.errors import BadAnswer, SocketClosed
from api.client.events import PAUSE_S, Event, event_of
from api.client.wire import Closed, Emit, Flow, Hear, Request, Say, Sleep, Stream

WHAT = "the WebSocket"
UNAUTHENTICATED = 4401
FINAL = frozenset({1009, 4400, 4403})
"""Too big, malformed, forbidden: coming back would change nothing."""


class _Ended(Exception):
    """A socket that came to its end."""

    def __init__(self, closed: Closed) -> None:
        super().__init__(closed.reason)
        self.closed = closed


def listen_socket(core: Any, request: Request) -> Stream[Event]:
    """Events for as long as somebody listens. NoAnswer once the service does not come back, SocketClosed if
    it ended the socket for good.
    """
    asked = dict(request.query)
    topics = [value for name, value in request.query if name == "topic"]
    after, plain = asked.get("after"), Request("GET", request.path, public=True)
    refused: str | None = None
    futile = 0
    while True:
        token = yield from core.token(refused)
        yield from core.dialled(plain)
        try:
            after = yield from _subscribed(token, topics, after)
            futile, refused = 0, None
            while True:
                event = yield from _next_event()
                after = str(event.id)
                yield Emit(event)
        except _Ended as ended:
            code, futile = ended.closed.code, futile + 1
            if code in FINAL or futile > core.retries.most + 1:
                raise SocketClosed(code, ended.closed.reason) from ended
        refused = token if code == UNAUTHENTICATED else None
        if refused is None or futile > 1:
            yield Sleep(max(PAUSE_S, core.retries.pause(futile)))


def _subscribed(token: str, topics: list[str], after: str | None) -> Flow[str]:
    """The number that the events come from behind of."""
    wanted = {"type": "subscribe", "token": token, "topics": topics}
    if after is not None:
        wanted["after"] = after
    yield Say(json.dumps(wanted))
    told = yield from _message("subscribed")
    if not isinstance(told.get("after"), str):
        raise BadAnswer(WHAT, "no number to start from")
    return str(told["after"])


def _next_event() -> Flow[Event]:
    return event_of((yield from _message("event")), WHAT)


def _message(kind: str) -> Flow[dict[str, Any]]:
    """The next one of a kind; pings are answered meanwhile."""
    while True:
        heard: str | Closed = yield Hear()
        if isinstance(heard, Closed):
            raise _Ended(heard)
        try:
            message = json.loads(heard)
            found = message["type"]
        except (ValueError, TypeError, KeyError) as cause:
            raise BadAnswer(WHAT, "what is no message of it") from cause
        if found == kind:
            return message  # type: ignore[no-any-return]
        if found == "ping":
            yield Say('{"type": "pong"}')
