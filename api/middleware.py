"""What happens to every request before and after its route; plain ASGI, so that streams stay streams."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from contextlib import suppress

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api import logs
from api.errors import BodyTooLarge, BodyTooSlow, InternalError, MalformedRequest, problem_response
from api.metrics import Metrics

ACCOUNT = "trellis.account"
"""Key of the scope: the account that was let in, `0x` hex."""
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

SECURITY_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Strict-Transport-Security": "max-age=63072000; includeSubDomains",
}


class RequestContext:
    """Names the request, measures and logs it, and tells of a bug as a problem without its insides."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self.app, self.metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        current = logs.accepted_id(Headers(scope=scope).get("X-Request-ID"))
        token, started, status = logs.request_id.set(current), time.perf_counter(), 0

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)["X-Request-ID"] = current
            await send(message)

        try:
            await self.app(scope, receive, sending)
        except Exception:
            logs.LOG.exception("a request failed")
            if status:
                raise
            error = InternalError("the operator finds the reason in the log under this request id")
            await problem_response(error)(scope, receive, sending)
        finally:
            self._note(scope, status, time.perf_counter() - started)
            logs.request_id.reset(token)

    def _note(self, scope: Scope, status: int, seconds: float) -> None:
        route = getattr(scope.get("route"), "path", "none")
        method = scope["method"] if scope["method"] in METHODS else "other"
        self.metrics.requests.labels(method, route, str(status)).inc()
        self.metrics.duration.labels(method, route).observe(seconds)
        account, took = scope.get(ACCOUNT), round(seconds * 1000, 2)
        logs.event("request", method=method, route=route, status=status, ms=took, account=account)


class ResponseHeaders:
    """Puts the headers of every answer that has not its own."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in SECURITY_HEADERS.items():
                    headers.setdefault(name, value)
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        await self.app(scope, receive, sending if scope["type"] == "http" else send)


class BodyLimit:
    """Reads no more of a body than is allowed, whatever its length claims to be, and for no longer."""

    def __init__(self, app: ASGIApp, most: int, seconds: float = 20.0) -> None:
        self.app, self.most, self.seconds = app, most, seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        claimed = Headers(scope=scope).get("Content-Length", "0")
        if not (claimed.isascii() and claimed.isdigit()):
            await problem_response(MalformedRequest("Content-Length is no number"))(scope, receive, send)
            return
        if int(claimed[:20]) > self.most:
            await self._refuse(scope, receive, send)
            return
        await _Counted(self, scope, receive, send).run()

    async def _give_up(self, scope: Scope, receive: Receive, send: Send) -> None:
        error = BodyTooSlow(f"a body arrives within {self.seconds:g} s: send it faster, or less at once")
        error.headers["Connection"] = "close"  # what is still to come is no request
        await problem_response(error)(scope, receive, send)

    async def _refuse(self, scope: Scope, receive: Receive, send: Send) -> None:
        error = BodyTooLarge(f"a body has at most {self.most} bytes: send less at once")
        await problem_response(error)(scope, receive, send)


class _TooMuch(Exception):
    """The body went over the limit while it was read."""


class _TooSlow(Exception):
    """The time for the body is over."""


class _Counted:
    """One request whose body is counted while it comes in."""

    def __init__(self, limit: BodyLimit, scope: Scope, receive: Receive, send: Send) -> None:
        self.limit, self.scope, self._receive, self._send = limit, scope, receive, send
        self.read, self.over, self.late, self.started, self.whole = 0, False, False, False, False
        self.ends = asyncio.get_running_loop().time() + limit.seconds

    async def run(self) -> None:
        with suppress(_TooMuch, _TooSlow):
            await self.limit.app(self.scope, self.receive, self.send)
        if self.late and not self.started:
            await self.limit._give_up(self.scope, self._receive, self._send)
        elif self.over and not self.started:
            await self.limit._refuse(self.scope, self._receive, self._send)

    async def receive(self) -> Message:
        """The next piece of the body; once it is whole, only the caller's leaving is to come, at any time."""
        if self.whole:
            return await self._receive()
        try:
            async with asyncio.timeout_at(self.ends):
                message = await self._receive()
        except TimeoutError:
            self.over = self.late = True
            raise _TooSlow from None
        if message["type"] == "http.request":
            self.whole = not message.get("more_body", False)
            self.read += len(message.get("body", b""))
            if self.read > self.limit.most:
                self.over = True
                raise _TooMuch
        return message

    async def send(self, message: Message) -> None:
        if self.over and not self.started:
            return  # the framework's own answer to a body it could not read
        self.started = True
        await self._send(message)


def allowed_headers() -> Iterable[str]:
    """What a page of another origin may send, where CORS is on."""
    return (
        "Authorization",
        "Content-Type",
        "Idempotency-Key",
        "If-None-Match",
        "Last-Event-ID",
        "X-Request-ID",
    )
