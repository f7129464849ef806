"""WebSockets for the seams: one for threads, one for asyncio. No logic in here."""

from __future__ import annotations

from websockets.asyncio import client as awaited
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus
from websockets.sync import client as waiting
from websockets.typing import Subprotocol

from api.client.errors import NoAnswer
from api.client.wire import Closed, Reply

PROTOCOL = "trellis.v1"
OPEN_S = 10.0
CLOSE_S = 1.0
MOST_BYTES = 1 << 20
"""Of a message."""
PROTOCOLS = [Subprotocol(PROTOCOL)]
OPENED = Reply(101, {})


def address(url: str, path: str) -> str:
    """Of a WebSocket beside the API's address: wss for https."""
    return "ws" + url.removeprefix("http").rstrip("/") + path


def refused(error: InvalidStatus) -> Reply:
    """The answer of a service that opens no socket."""
    answer = error.response
    return Reply(
        answer.status_code, {k.lower(): v for k, v in answer.headers.raw_items()}, answer.body or b""
    )


def closed(error: ConnectionClosed) -> Closed:
    """How the other end ended it; 1006 if it broke off."""
    return Closed(1006, "it broke off") if error.rcvd is None else Closed(error.rcvd.code, error.rcvd.reason)


def _silence(error: Exception) -> NoAnswer:
    return NoAnswer(str(error) or type(error).__name__, sent=False)


class Line:
    """A socket of one flow, in its thread."""

    def __init__(self) -> None:
        self._open: waiting.ClientConnection | None = None

    def dial(self, url: str) -> Reply:
        self.close()
        limits = {"max_size": MOST_BYTES, "open_timeout": OPEN_S, "close_timeout": CLOSE_S}
        try:
            self._open = waiting.connect(url, subprotocols=PROTOCOLS, proxy=None, **limits)  # type: ignore[arg-type]
        except InvalidStatus as error:
            return refused(error)
        except (OSError, InvalidHandshake, ConnectionClosed) as error:
            raise _silence(error) from error
        return OPENED

    def say(self, text: str) -> None:
        assert self._open is not None, "nothing is open"
        try:
            self._open.send(text)
        except ConnectionClosed:
            return  # what comes next says how it ended

    def hear(self) -> str | Closed:
        assert self._open is not None, "nothing is open"
        try:
            return self._open.recv(decode=True)
        except ConnectionClosed as error:
            return closed(error)

    def close(self) -> None:
        if self._open is not None:
            self._open.close()
            self._open = None


class AsyncLine:
    """The same to be awaited."""

    def __init__(self) -> None:
        self._open: awaited.ClientConnection | None = None

    async def dial(self, url: str) -> Reply:
        await self.close()
        limits = {"max_size": MOST_BYTES, "open_timeout": OPEN_S, "close_timeout": CLOSE_S}
        try:
            self._open = await awaited.connect(url, subprotocols=PROTOCOLS, proxy=None, **limits)  # type: ignore[arg-type]
        except InvalidStatus as error:
            return refused(error)
        except (OSError, InvalidHandshake, ConnectionClosed) as error:
            raise _silence(error) from error
        return OPENED

    async def say(self, text: str) -> None:
        assert self._open is not None, "nothing is open"
        try:
            await self._open.send(text)
        except ConnectionClosed:
            return  # what comes next says how it ended

    async def hear(self) -> str | Closed:
        assert self._open is not None, "nothing is open"
        try:
            return await self._open.recv(decode=True)
        except ConnectionClosed as error:
            return closed(error)

    async def close(self) -> None:
        if self._open is not None:
            await self._open.close()
            self._open = None
