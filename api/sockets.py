"""The event stream over WebSocket (RFC 6455): the notices and the resume rule of the server-sent events.

Messages are JSON objects with a `type`. From the listener:

    subscribe   {"token"?, "topics"?, "after"?}     begins, or begins anew with other topics
    renew       {"token"}                           a fresh access token of the same wallet
    ping, pong

and to it:

    subscribed  {"account", "topics", "after", "expires_at"}
    event       {"id", ...}                         what `stream.told` says
    renewed     {"expires_at"}
    ping, pong

A token travels as subprotocol `bearer.TOKEN` beside `trellis.v1`, or in a message; it is in no URL and no
cookie, so no other site's page can open a socket for somebody. Its end, the end of its login or role ends the
socket. Whatever ends it has a code of `Close`.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Collection
from enum import IntEnum
from typing import Any, Literal, get_args
from urllib.parse import urlsplit

from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from api import logs, stream
from api.auth.tokens import Access
from api.db.chain_models import Notice
from api.deps import Caller, Services, take, with_role
from api.errors import ApiError, as_problem
from api.roles import MATRIX
from api.schemas.common import rfc3339, to_hex
from settlement.chain.errors import ChainError

Topic = Literal["gate", "clearing", "reading", "settlement", "account"]
TOPICS = frozenset(get_args(Topic))
PROTOCOL, BEARER = "trellis.v1", "bearer."
RULE = MATRIX["GET", "/v1/ws"]
MOST_MESSAGE = 4096
"""Letters of a message from a listener."""
LOGIN_S = 10.0
"""Within which a listener subscribes."""
PINGS = 3
"""To a listener that is silent, until it counts as gone."""
CLOSING_S = 1.0
"""For the words of farewell."""

_NUMBER = re.compile(r"(?:0|[1-9][0-9]{0,17})", re.ASCII)


class Close(IntEnum):
    """Why a socket was closed; from 4000 on they are the application's own (RFC 6455, section 7.4.2)."""

    OVER = 1001
    """Its time is over: come back from the last id on."""
    TOO_BIG = 1009
    MALFORMED = 4400
    UNAUTHENTICATED = 4401
    FORBIDDEN = 4403
    IDLE = 4408
    """Nothing came from the listener for too long."""
    TOO_SLOW = 4409
    """The listener does not read what is sent to it: come back from the last id on."""
    TOO_MANY = 4429
    UNAVAILABLE = 4503


_OF_STATUS = {401: Close.UNAUTHENTICATED, 403: Close.FORBIDDEN, 429: Close.TOO_MANY, 503: Close.UNAVAILABLE}


class _Closing(Exception):
    """Ends a socket with a code and a reason."""

    def __init__(self, code: Close, reason: str) -> None:
        super().__init__(reason)
        self.code, self.reason = code, reason


class Listener:
    """Whoever listens with a token, judged as often as asked."""

    def __init__(self, parts: Services, token: str) -> None:
        self.parts, self.token = parts, token

    def access(self) -> Access:
        """What the token says. Unauthenticated once it counts no more."""
        return self.parts.tokens.check(self.token)

    async def caller(self) -> Caller:
        """Unauthenticated, Forbidden or ChainError if it may not listen now."""
        return await with_role(self.parts, self.access(), RULE)

    def judge(self, topics: Collection[str]) -> stream.Judge:
        """What it hears of some topics, as of when it is asked."""

        async def wanted() -> stream.Wanted:
            try:
                caller = await self.caller()
            except ChainError as cause:
                raise as_problem(cause) from cause
            return stream.Wanted(to_hex(caller.account), caller.sees_all, topics)

        return wanted


# Before it is open --------------------------------------------------------------------------------------


async def connected(socket: WebSocket) -> None:
    """Serves one socket until it ends."""
    parts = socket.app.state.services
    assert isinstance(parts, Services)
    refused = _refused(socket, parts)
    if refused is not None:
        logs.event("websocket refused", reason=refused)
        await socket.close(Close.FORBIDDEN, refused)  # before it is accepted this is the answer 403
        return
    offered = socket.scope.get("subprotocols", [])
    await socket.accept(PROTOCOL if offered else None)
    await Socket(socket, parts, _offered_token(offered)).serve()


def _refused(socket: WebSocket, parts: Services) -> str | None:
    """Why it is not opened at all; None if it is. A page of another origin is told nothing: CORS does not
    hold for WebSockets, so the origin is judged here. Programs that are no browsers send none.
    """
    origins = socket.headers.getlist("Origin")
    if origins and (len(origins) > 1 or origins[0] not in _origins(parts)):
        return "pages of this origin may not open a socket"
    if PROTOCOL not in socket.scope.get("subprotocols", [PROTOCOL]) and socket.scope["subprotocols"]:
        return f"offer the subprotocol {PROTOCOL}"
    try:
        take(parts, "reads", f"address {socket.client.host if socket.client else 'unknown'}")
    except ApiError as error:
        return error.detail
    return None


def _origins(parts: Services) -> set[str]:
    own = urlsplit(parts.settings.siwe_uri)
    return {*parts.settings.cors_origins, f"{own.scheme}://{own.netloc}"}


def _offered_token(offered: list[str]) -> str | None:
    tokens = [each.removeprefix(BEARER) for each in offered if each.startswith(BEARER)]
    return tokens[0] if len(tokens) == 1 else None


# While it is open ---------------------------------------------------------------------------------------


class Socket:
    """One open socket: what it was sent, and the feed that sends to it."""

    def __init__(self, socket: WebSocket, parts: Services, token: str | None) -> None:
        self.socket, self.parts = socket, parts
        self.listener = None if token is None else Listener(parts, token)
        self.feed: asyncio.Task[None] | None = None
        self.account: bytes | None = None
        """Of whoever has subscribed."""

    async def serve(self) -> None:
        """Until either end has had enough."""
        self.parts.metrics.sockets.inc()
        code: int = Close.OVER
        try:
            await self._listen()
        except _Closing as why:
            code = why.code
            await self._say_why(why)
        except WebSocketDisconnect as gone:
            code = gone.code
        except Exception:
            logs.LOG.exception("a socket failed")
            code = 1011
            await self._say_why(_Closing(Close.UNAVAILABLE, "the service made a mistake"))
        finally:
            await self._end_feed()
            self._end(code)

    async def _end_feed(self) -> None:
        """It has given its database connection back afterwards."""
        if self.feed is not None:
            self.feed.cancel()
            await asyncio.wait({self.feed}, timeout=CLOSING_S)
            if self.feed.done() and not self.feed.cancelled():
                self.feed.exception()  # it ended on its own at the same moment

    def _end(self, code: int) -> None:
        if self.account is not None:
            self.parts.open_sockets[self.account] -= 1
            if not self.parts.open_sockets[self.account]:
                del self.parts.open_sockets[self.account]
        self.parts.metrics.sockets.dec()
        known = 1000 <= code <= 1015 or code in set(Close)  # a listener may close with any number
        self.parts.metrics.closed.labels(str(int(code)) if known else "other").inc()
        logs.event("websocket", code=int(code), account=to_hex(self.account) if self.account else None)

    async def _say_why(self, why: _Closing) -> None:
        if self.socket.application_state == WebSocketState.CONNECTED:
            try:
                await asyncio.wait_for(self.socket.close(why.code, why.reason), CLOSING_S)
            except (TimeoutError, RuntimeError, WebSocketDisconnect):
                return  # it does not read, or is gone

    async def _listen(self) -> None:
        """Takes messages one after the other, beside the feed; asks a silent listener whether it is there."""
        loop = asyncio.get_running_loop()
        receiving, heard = asyncio.create_task(self.socket.receive()), loop.time()
        try:
            while True:
                patience = self.parts.settings.ws_idle_s if self.feed else LOGIN_S
                left = heard + patience - loop.time()
                tasks = {receiving} if self.feed is None else {receiving, self.feed}
                pause = min(left, patience / PINGS) if self.feed else left
                await asyncio.wait(tasks, timeout=pause, return_when=asyncio.FIRST_COMPLETED)
                if self.feed is not None and self.feed.done():
                    self.feed.result()  # raises why it ended, if it did not end by its time
                    raise _Closing(Close.OVER, "the time is over: come back from the last id on")
                if receiving.done():
                    await self._take(receiving.result())
                    receiving, heard = asyncio.create_task(self.socket.receive()), loop.time()
                elif loop.time() >= heard + patience:
                    raise _Closing(Close.IDLE, "nothing was heard of you for too long")
                elif self.feed is not None:
                    await self._send({"type": "ping"})
        finally:
            receiving.cancel()

    # Messages -------------------------------------------------------------------------------------------

    async def _take(self, received: Any) -> None:
        if received["type"] == "websocket.disconnect":
            raise WebSocketDisconnect(received.get("code") or 1005)
        message = _read(received)
        try:
            if self.account is not None:
                take(self.parts, "reads", to_hex(self.account))
            await self._answer(message)
        except ApiError as error:
            raise _closing(error) from error
        except ChainError as cause:
            raise _closing(as_problem(cause)) from cause

    async def _answer(self, message: dict[str, Any]) -> None:
        match message:
            case {"type": "ping"}:
                await self._send({"type": "pong"})
            case {"type": "pong"}:
                pass
            case {"type": "renew", "token": str(token)} if self.account is not None:
                await self._renew(token)
            case {"type": "subscribe"}:
                await self._subscribe(message)
            case _:
                raise _Closing(Close.MALFORMED, "send subscribe, then renew, ping or pong")

    async def _renew(self, token: str) -> None:
        """Goes on with another token of the same wallet."""
        found = Listener(self.parts, token)
        caller = await found.caller()
        if self.listener is None or caller.account != self.account:
            raise _Closing(Close.FORBIDDEN, "the token is of another wallet: open a new socket")
        self.listener.token = token
        await self._send({"type": "renewed", "expires_at": rfc3339(found.access().expires_at)})

    async def _subscribe(self, message: dict[str, Any]) -> None:
        topics, after = _topics(message), _after(message)
        if isinstance(token := message.get("token"), str) and self.listener is None:
            self.listener = Listener(self.parts, token)
        if self.listener is None or ("token" in message and message["token"] != self.listener.token):
            raise _Closing(Close.UNAUTHENTICATED, "send an access token in the first message, and only there")
        caller = await self.listener.caller()
        self._count(caller.account)
        await self._end_feed()
        start = await stream.latest(self.parts.sessions) if after is None else after
        about = {"account": to_hex(caller.account), "topics": sorted(topics), "after": str(start)}
        ends = rfc3339(self.listener.access().expires_at)
        await self._send({"type": "subscribed", **about, "expires_at": ends})
        self.feed = asyncio.create_task(self._feed(topics, start))

    def _count(self, account: bytes) -> None:
        if self.account is not None:
            return
        if self.parts.open_sockets[account] >= self.parts.settings.ws_per_wallet:
            raise _Closing(Close.TOO_MANY, "this wallet has too many sockets open: close one")
        self.parts.open_sockets[account] += 1
        self.account = account

    # What is sent ---------------------------------------------------------------------------------------

    async def _feed(self, topics: Collection[str], after: int) -> None:
        assert self.listener is not None
        judge, seconds = self.listener.judge(topics), self.parts.settings.stream_s
        try:
            async for found in stream.batches(self.parts.sessions, judge, after, seconds):
                for notice in found:
                    await self._send(_event(notice))
        except ApiError as error:
            raise _closing(error) from error

    async def _send(self, message: dict[str, Any]) -> None:
        text = json.dumps(message, separators=(",", ":"))
        try:
            await asyncio.wait_for(self.socket.send_text(text), self.parts.settings.ws_slow_s)
        except TimeoutError as cause:
            raise _Closing(Close.TOO_SLOW, "you read too slowly: come back from the last id on") from cause


def _event(notice: Notice) -> dict[str, Any]:
    return {"type": "event", "id": str(notice.id), **stream.told(notice)}


def _closing(error: ApiError) -> _Closing:
    return _Closing(_OF_STATUS.get(error.status, Close.UNAVAILABLE), error.detail)


def _read(received: Any) -> dict[str, Any]:
    """The object of a text message."""
    text = received.get("text")
    if text is None:
        raise _Closing(Close.MALFORMED, "send text, not bytes")
    if len(text) > MOST_MESSAGE:
        raise _Closing(Close.TOO_BIG, f"a message has at most {MOST_MESSAGE} letters")
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as cause:
        raise _Closing(Close.MALFORMED, "the message is no JSON") from cause
    if not isinstance(found, dict):
        raise _Closing(Close.MALFORMED, "the message is no object")
    return found


def _topics(message: dict[str, Any]) -> list[str]:
    topics = message.get("topics", [])
    if not isinstance(topics, list) or not all(isinstance(each, str) and each in TOPICS for each in topics):
        raise _Closing(Close.MALFORMED, f"topics is a list of {', '.join(sorted(TOPICS))}")
    return sorted(set(topics))


def _after(message: dict[str, Any]) -> int | None:
    after = message.get("after")
    if after is None:
        return None
    if not isinstance(after, str) or not _NUMBER.fullmatch(after):
        raise _Closing(Close.MALFORMED, "after is the id of an event, as a decimal string")
    return int(after)
