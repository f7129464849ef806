"""Where flows become I/O: the same effects with threads and with asyncio, over httpx. No logic in here."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncGenerator, AsyncIterator, Generator, Iterator, Mapping
from contextlib import aclosing, closing
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import httpx

from api.client.core import Core
from api.client.errors import NoAnswer
from api.client.lines import AsyncLine, Line, address
from api.client.wire import (
    Alone,
    Dial,
    Emit,
    Flow,
    Hear,
    More,
    Open,
    Reply,
    Request,
    Say,
    Send,
    Sleep,
    Stream,
)

T = TypeVar("T")
TIMEOUT = httpx.Timeout(30, connect=5)
"""A quiet event stream says something every 15 s."""
NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.UnsupportedProtocol)


def _certificates(core: Core) -> bool:
    """Whether certificates are read, which takes longer than many requests: plain http never asks for one,
    and redirects are not followed.
    """
    return core.service.url.startswith("https:")


def head(answer: httpx.Response, content: bytes = b"") -> Reply:
    return Reply(answer.status_code, {k.lower(): v for k, v in answer.headers.items()}, content)


def silence(error: httpx.TransportError) -> NoAnswer:
    """What a flow is told of a request that failed."""
    return NoAnswer(str(error) or type(error).__name__, sent=not isinstance(error, NOT_SENT))


def arguments(request: Request) -> Mapping[str, Any]:
    """As httpx takes a request."""
    return {
        "method": request.method,
        "url": request.path,
        "params": request.query,
        "headers": request.headers,
        "content": request.body,
    }


@dataclass(frozen=True, slots=True)
class Returned:
    """The end of a flow."""

    value: Any


# Threads ------------------------------------------------------------------------------------------------


class Seam:
    """Runs flows in the thread that asks for them."""

    def __init__(self, core: Core, http: httpx.Client | None = None) -> None:
        """`http` brings a transport of its own; its address becomes the service's."""
        self.core, self._http = core, http or httpx.Client(timeout=TIMEOUT, verify=_certificates(core))
        self._http.base_url = httpx.URL(core.service.url)
        self._lock = threading.Lock()

    def run(self, flow: Flow[T]) -> T:
        """What the flow gives."""
        with closing(self._drive(flow)) as driven:
            last = next(driven)
        assert isinstance(last, Returned), "only streams emit"
        return last.value  # type: ignore[no-any-return]

    def iterate(self, stream: Stream[T]) -> Iterator[T]:
        """What the stream emits."""
        with closing(self._drive(stream)) as driven:
            for one in driven:
                if isinstance(one, Emit):
                    yield one.item

    def _drive(self, flow: Generator[Any, Any, Any]) -> Generator[Emit[Any] | Returned, None, None]:
        body, step = _Body(self._http), partial(next, flow)
        try:
            while True:
                try:
                    effect = step()
                except StopIteration as done:
                    yield Returned(done.value)
                    return
                if isinstance(effect, Emit):
                    yield effect
                    step = partial(flow.send, None)
                    continue
                try:
                    step = partial(flow.send, self._do(effect, body))
                except Exception as error:
                    step = partial(flow.throw, error)
        finally:
            flow.close()
            body.close()

    def _do(self, effect: Any, body: _Body) -> Any:
        match effect:
            case Send(request):
                return body.send(request)
            case Open(request):
                return body.open(request)
            case More():
                return body.more()
            case Dial(request):
                return body.line.dial(address(self.core.service.url, request.path))
            case Say(text):
                return body.line.say(text)
            case Hear():
                return body.line.hear()
            case Sleep(seconds):
                time.sleep(seconds)
            case Alone(flow):
                with self._lock:
                    return self.run(flow)
        return None


class _Body:
    """Requests of one flow, of which one may be open."""

    def __init__(self, http: httpx.Client) -> None:
        self._http, self.line = http, Line()
        self._answer: httpx.Response | None = None
        self._pieces: Iterator[bytes] = iter(())

    def send(self, request: Request) -> Reply:
        try:
            answer = self._http.request(**arguments(request))
        except httpx.TransportError as error:
            raise silence(error) from error
        return head(answer, answer.content)

    def open(self, request: Request) -> Reply:
        self.close()
        try:
            answer = self._http.send(self._http.build_request(**arguments(request)), stream=True)
            self._answer, self._pieces = answer, answer.iter_bytes()
            return head(answer, answer.read() if answer.is_error else b"")
        except httpx.TransportError as error:
            raise silence(error) from error

    def more(self) -> bytes | None:
        try:
            return next(self._pieces, None)
        except httpx.TransportError as error:
            raise silence(error) from error

    def close(self) -> None:
        self.line.close()
        if self._answer is not None:
            self._answer.close()
            self._answer = None


# asyncio ------------------------------------------------------------------------------------------------


class AsyncSeam:
    """Runs flows in the task that asks for them."""

    def __init__(self, core: Core, http: httpx.AsyncClient | None = None) -> None:
        """`http` brings a transport of its own; its address becomes the service's."""
        self.core, self._http = core, http or httpx.AsyncClient(timeout=TIMEOUT, verify=_certificates(core))
        self._http.base_url = httpx.URL(core.service.url)
        self._lock = asyncio.Lock()

    async def run(self, flow: Flow[T]) -> T:
        """What the flow gives."""
        async with aclosing(self._drive(flow)) as driven:
            last = await anext(driven)
        assert isinstance(last, Returned), "only streams emit"
        return last.value  # type: ignore[no-any-return]

    async def iterate(self, stream: Stream[T]) -> AsyncIterator[T]:
        """What the stream emits."""
        async with aclosing(self._drive(stream)) as driven:
            async for one in driven:
                if isinstance(one, Emit):
                    yield one.item

    async def _drive(self, flow: Generator[Any, Any, Any]) -> AsyncGenerator[Emit[Any] | Returned, None]:
        body, step = _AsyncBody(self._http), partial(next, flow)
        try:
            while True:
                try:
                    effect = step()
                except StopIteration as done:
                    yield Returned(done.value)
                    return
                if isinstance(effect, Emit):
                    yield effect
                    step = partial(flow.send, None)
                    continue
                try:
                    step = partial(flow.send, await self._do(effect, body))
                except Exception as error:
                    step = partial(flow.throw, error)
        finally:
            flow.close()
            await body.close()

    async def _do(self, effect: Any, body: _AsyncBody) -> Any:
        match effect:
            case Send(request):
                return await body.send(request)
            case Open(request):
                return await body.open(request)
            case More():
                return await body.more()
            case Dial(request):
                return await body.line.dial(address(self.core.service.url, request.path))
            case Say(text):
                return await body.line.say(text)
            case Hear():
                return await body.line.hear()
            case Sleep(seconds):
                await asyncio.sleep(seconds)
            case Alone(flow):
                async with self._lock:
                    return await self.run(flow)
        return None


class _AsyncBody:
    """Requests of one flow, of which one may be open."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self._http, self.line = http, AsyncLine()
        self._answer: httpx.Response | None = None
        self._pieces: AsyncIterator[bytes] | None = None

    async def send(self, request: Request) -> Reply:
        try:
            answer = await self._http.request(**arguments(request))
        except httpx.TransportError as error:
            raise silence(error) from error
        return head(answer, answer.content)

    async def open(self, request: Request) -> Reply:
        await self.close()
        try:
            answer = await self._http.send(self._http.build_request(**arguments(request)), stream=True)
            self._answer, self._pieces = answer, answer.aiter_bytes()
            return head(answer, await answer.aread() if answer.is_error else b"")
        except httpx.TransportError as error:
            raise silence(error) from error

    async def more(self) -> bytes | None:
        assert self._pieces is not None, "nothing is open"
        try:
            return await anext(self._pieces, None)
        except httpx.TransportError as error:
            raise silence(error) from error

    async def close(self) -> None:
        await self.line.close()
        if self._answer is not None:
            await self._answer.aclose()
            self._answer = None
