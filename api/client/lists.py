"""Lists as methods: to be iterated over item by item, or page by page."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from typing import Any, Generic, ParamSpec, Self, TypeVar, overload

from api.client.read import read as read_as
from api.client.route import Described, Function, Shape, named
from api.client.seams import AsyncSeam, Seam
from api.client.wire import Emit, Flow, Request, Stream
from api.pages import MOST, Page

P = ParamSpec("P")
T = TypeVar("T")
PageT = TypeVar("PageT", bound=Page[Any])


class Lister(Generic[PageT, T]):
    """A list that comes in pages, from a request for the first one."""

    def __init__(self, request: Request, kind: type[PageT]) -> None:
        self._request, self._kind = request, kind

    def pages(self, core: Any, cursor: str | None) -> Stream[PageT]:
        while True:
            page = yield from self._page(core, cursor)
            yield Emit(page)
            cursor = page.next_cursor
            if cursor is None:
                return

    def items(self, core: Any) -> Stream[T]:
        cursor = None
        while True:
            page = yield from self._page(core, cursor)
            for item in page.items:
                yield Emit(item)
            cursor = page.next_cursor
            if cursor is None:
                return

    def _page(self, core: Any, cursor: str | None) -> Flow[PageT]:
        query = dict(self._request.query)
        query.setdefault("limit", str(MOST))
        if cursor is not None:
            query["cursor"] = cursor
        request = replace(self._request, query=tuple(query.items()))
        return read_as(self._kind, (yield from core.fetch(request)), request.what)


class Listing(Generic[PageT, T]):
    """A list: iterate over its items, or over its pages."""

    def __init__(self, seam: Seam, lister: Lister[PageT, T]) -> None:
        self._seam, self._lister = seam, lister

    def __iter__(self) -> Iterator[T]:
        return self._seam.iterate(self._lister.items(self._seam.core))

    def pages(self, cursor: str | None = None) -> Iterator[PageT]:
        """From the one that `next_cursor` of an earlier page names; from the first without."""
        return self._seam.iterate(self._lister.pages(self._seam.core, cursor))


class AsyncListing(Generic[PageT, T]):
    """The same, to be iterated over with `async for`."""

    def __init__(self, seam: AsyncSeam, lister: Lister[PageT, T]) -> None:
        self._seam, self._lister = seam, lister

    def __aiter__(self) -> AsyncIterator[T]:
        return self._seam.iterate(self._lister.items(self._seam.core))

    def pages(self, cursor: str | None = None) -> AsyncIterator[PageT]:
        """From the one that `next_cursor` of an earlier page names; from the first without."""
        return self._seam.iterate(self._lister.pages(self._seam.core, cursor))


class ListRoute(Generic[P, PageT, T]):
    """A list as a method."""

    def __init__(self, described: Described[P], kind: type[PageT]) -> None:
        self.described, self._kind = described, kind
        named(self, described)

    @overload
    def __get__(self, client: None, owner: type) -> Self: ...
    @overload
    def __get__(self, client: Seam, owner: type | None = None) -> Callable[P, Listing[PageT, T]]: ...
    @overload
    def __get__(
        self, client: AsyncSeam, owner: type | None = None
    ) -> Callable[P, AsyncListing[PageT, T]]: ...
    def __get__(self, client: Seam | AsyncSeam | None, owner: type | None = None) -> Any:
        if client is None:
            return self

        def call(*args: P.args, **kwargs: P.kwargs) -> Any:
            lister: Lister[PageT, T] = Lister(self.described.request(*args, **kwargs), self._kind)
            return Listing(client, lister) if isinstance(client, Seam) else AsyncListing(client, lister)

        return named(call, self)


def listed(path: str, page: type[PageT], item: type[T]) -> Callable[[Function[P]], ListRoute[P, PageT, T]]:
    """A route that gives a list. `limit` and `cursor` are added to its parameters."""

    def described(function: Function[P]) -> ListRoute[P, PageT, T]:
        return ListRoute(Described(Shape("GET", path), function), page)

    return described
