"""What comes piece by piece as methods: files and events."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, Concatenate, Generic, ParamSpec, Self, TypeVar, overload

from api.client.events import Event, listen
from api.client.route import Described, Function, Shape, named
from api.client.seams import AsyncSeam, Seam
from api.client.sockets import listen_socket
from api.client.wire import Request, Stream
from api.pages import Page

P = ParamSpec("P")
T = TypeVar("T")
PageT = TypeVar("PageT", bound=Page[Any])


class Streaming(Generic[P, T]):
    """A stream as a method."""

    def __init__(self, make: Callable[Concatenate[Any, P], Stream[T]]) -> None:
        self._make = make
        named(self, make)

    @overload
    def __get__(self, client: None, owner: type) -> Self: ...
    @overload
    def __get__(self, client: Seam, owner: type | None = None) -> Callable[P, Iterator[T]]: ...
    @overload
    def __get__(self, client: AsyncSeam, owner: type | None = None) -> Callable[P, AsyncIterator[T]]: ...
    def __get__(self, client: Seam | AsyncSeam | None, owner: type | None = None) -> Any:
        if client is None:
            return self

        def call(*args: P.args, **kwargs: P.kwargs) -> Any:
            return client.iterate(self._make(client, *args, **kwargs))

        return named(call, self)


class Download(Streaming[P, bytes]):
    """A route whose answer is read piece by piece."""

    def __init__(self, described: Described[P]) -> None:
        def make(client: Any, /, *args: P.args, **kwargs: P.kwargs) -> Stream[bytes]:
            yield from client.core.download(described.request(*args, **kwargs))

        super().__init__(make)
        self.described = described
        named(self, described)


def download(path: str) -> Callable[[Function[P]], Download[P]]:
    """A route whose answer may be long."""

    def described(function: Function[P]) -> Download[P]:
        return Download(Described(Shape("GET", path, accept="*/*"), function))

    return described


class EventRoute(Streaming[P, Event]):
    """A stream of events that is resumed for as long as somebody listens."""

    def __init__(self, described: Described[P], hear: Callable[[Any, Request], Stream[Event]]) -> None:
        def make(client: Any, /, *args: P.args, **kwargs: P.kwargs) -> Stream[Event]:
            yield from hear(client.core, described.request(*args, **kwargs))

        super().__init__(make)
        self.described = described
        named(self, described)


def event_stream(path: str) -> Callable[[Function[P]], EventRoute[P]]:
    """A route that tells events."""

    def described(function: Function[P]) -> EventRoute[P]:
        return EventRoute(Described(Shape("GET", path, accept="text/event-stream"), function), listen)

    return described


def event_socket(path: str) -> Callable[[Function[P]], EventRoute[P]]:
    """A route that tells them over a WebSocket."""

    def described(function: Function[P]) -> EventRoute[P]:
        return EventRoute(Described(Shape("GET", path), function), listen_socket)

    return described
