"""The event stream: server-sent events (HTML standard, section 9.2), resumed until somebody stops listening.

No event is missed and none comes twice: each has a number, and whoever comes back names the last one. The
service says which number a new listener starts from before anything happens.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from api.client.errors import BadAnswer, NoAnswer
from api.client.wire import Emit, More, Request, Sleep, Stream
from api.schemas.common import Account, Hash, Integer, Time

Topic = Literal["gate", "clearing", "reading", "settlement", "account"]
MOST_LINE_BYTES = 1 << 20
PAUSE_S = 1.0
"""Before coming back, unless the service names another one."""


class Event(BaseModel):
    """Something that happened, or, if `removed`, that a reorganisation took back."""

    model_config = ConfigDict(frozen=True)

    id: Integer
    topic: str
    name: str
    removed: bool
    account: Account | None
    """Whom it is about; None: everybody."""
    block_number: Integer
    block_hash: Hash
    log_index: Integer
    tx_hash: Hash
    time: Time
    args: dict[str, Any]


class Frames:
    """Lines of an event stream, put together: feed it bytes, it gives the id and data of what is complete."""

    def __init__(self, last_id: str | None = None) -> None:
        self.last_id = last_id
        self.retry_s: float | None = None
        self._rest = b""
        self._data: list[str] = []
        self._id: str | None = last_id

    def feed(self, piece: bytes) -> Iterator[tuple[str, str]]:
        """Id and data of each event that ends in the piece."""
        *lines, self._rest = (self._rest + piece).split(b"\n")
        if len(self._rest) > MOST_LINE_BYTES:
            raise BadAnswer("the event stream", "a line without end")
        for line in lines:
            done = self._line(line.removesuffix(b"\r").decode("utf-8", "replace"))
            if done is not None:
                yield self.last_id or "", done

    def _line(self, line: str) -> str | None:
        """The data of an event that the line ends."""
        if not line:
            self.last_id, data, self._data = self._id, self._data, []
            return "\n".join(data) if data else None
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "data":
            self._data.append(value)
        elif name == "id" and "\0" not in value:
            self._id = value
        elif name == "retry" and value.isascii() and value.isdecimal():
            self.retry_s = int(value) / 1000
        return None


def listen(core: Any, request: Request) -> Stream[Event]:
    """Events for as long as somebody listens. NoAnswer once the service does not come back."""
    last_id: str | None = None  # the first time the query says from where on
    pause_s = PAUSE_S
    while True:
        frames = Frames(last_id)
        yield from core.opened(request if last_id is None else request.with_header("Last-Event-ID", last_id))
        try:
            while (piece := (yield More())) is not None:
                for number, data in frames.feed(piece):
                    yield Emit(_event(number, data))
        except NoAnswer:
            pass  # broken off: whoever comes back misses nothing
        last_id, pause_s = frames.last_id, frames.retry_s or pause_s
        yield Sleep(pause_s)


def _event(number: str, data: str) -> Event:
    what = "the event stream"
    try:
        told = {**json.loads(data), "id": number}
    except (ValueError, TypeError) as cause:
        raise BadAnswer(what, "what is no event") from cause
    return event_of(told, what)


def event_of(told: dict[str, Any], what: str) -> Event:
    """An event as it was told. BadAnswer if it is none."""
    try:
        return Event.model_validate(told)
    except ValidationError as cause:
        raise BadAnswer(what, "what is no event") from cause
