"""Routes as methods: the signature of one function is the description of a route, for both clients.

    class Market(Routes):
        @read("/v1/sessions/{epoch}", SessionAnswer)
        def session(self, epoch: int) -> None:
            "Its terms, and how far it is."

makes `Client.session(3)` give a SessionAnswer and `AsyncClient.session(3)` something to await. Parameters go
where the path names them, the others into the query, or into the body where a route has one.
"""

from __future__ import annotations

import inspect
import secrets
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass, replace
from typing import Any, Concatenate, Generic, ParamSpec, Self, TypeVar, overload
from urllib.parse import quote

from pydantic import BaseModel, TypeAdapter

from api.client.read import read as read_as
from api.client.seams import AsyncSeam, Seam
from api.client.wire import Flow, Reply, Request
from api.pages import Page

P = ParamSpec("P")
T = TypeVar("T")
A = TypeVar("A", bound=BaseModel)
PageT = TypeVar("PageT", bound=Page[Any])
JSON, KEY = "application/json", "Idempotency-Key"


@dataclass(frozen=True)
class Shape:
    """What a route is, but for its parameters."""

    method: str
    path: str
    body: Any = None
    """Type of the body: a model, or a union of models; None where there is none."""
    public: bool = False
    accept: str = JSON
    keyed: bool = False
    """Whether it takes an Idempotency-Key, so that it may be sent again."""
    repeatable: bool = True
    expected: tuple[int, ...] = ()


Function = Callable[Concatenate[Any, P], None]


class Described(Generic[P]):
    """A function whose signature describes a route's parameters."""

    def __init__(self, shape: Shape, function: Function[P]) -> None:
        self.shape, self.name = shape, getattr(function, "__name__", "")
        self._function, self._signature = function, inspect.signature(function)
        named(self, function)

    @property
    def parameters(self) -> dict[str, bool]:
        """Names, and whether they may be left out."""
        _, *rest = self._signature.parameters.values()
        return {one.name: one.default is not one.empty for one in rest}

    def request(self, *args: P.args, **kwargs: P.kwargs) -> Request:
        """The request of these arguments."""
        bound = self._signature.bind(None, *args, **kwargs)
        bound.apply_defaults()
        _, *names = bound.arguments
        values = {name: bound.arguments[name] for name in names if bound.arguments[name] is not None}
        shape = self.shape
        inside = {name: values.pop(name) for name in list(values) if f"{{{name}}}" in shape.path}
        path = shape.path.format(**{name: quote(written(value), safe="") for name, value in inside.items()})
        found = Request(
            shape.method,
            path,
            headers={"Accept": shape.accept},
            public=shape.public,
            repeatable=shape.repeatable,
            expected=shape.expected,
        )
        return self._with_rest(found, values)

    def _with_rest(self, found: Request, values: dict[str, Any]) -> Request:
        if self.shape.keyed:
            found = found.with_header(KEY, secrets.token_hex(16))
        if self.shape.body is None:
            return replace(found, query=tuple(_pairs(values)))
        adapter: TypeAdapter[Any] = TypeAdapter(self.shape.body)
        body = adapter.dump_json(adapter.validate_python(values), exclude_none=True)
        return replace(found.with_header("Content-Type", JSON), body=body)


def named(shell: Any, model: Any) -> Any:
    """The shell, with the name and documentation of what it stands for."""
    for each in ("__name__", "__doc__", "__module__", "__qualname__"):
        setattr(shell, each, getattr(model, each, None))
    return shell


def written(value: Any) -> str:
    """A value in a path or query."""
    if isinstance(value, bytes):
        return "0x" + value.hex()
    return str(value)


def _pairs(values: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for name, value in values.items():
        for one in value if isinstance(value, list | tuple | set | frozenset) else [value]:
            yield name, written(one)


# One answer ---------------------------------------------------------------------------------------------


class Operation(Generic[P, T]):
    """A flow as a method of both clients."""

    def __init__(self, make: Callable[Concatenate[Any, P], Flow[T]]) -> None:
        self._make = make
        named(self, make)

    @overload
    def __get__(self, client: None, owner: type) -> Self: ...
    @overload
    def __get__(self, client: Seam, owner: type | None = None) -> Callable[P, T]: ...
    @overload
    def __get__(
        self, client: AsyncSeam, owner: type | None = None
    ) -> Callable[P, Coroutine[Any, Any, T]]: ...
    def __get__(self, client: Seam | AsyncSeam | None, owner: type | None = None) -> Any:
        if client is None:
            return self

        def call(*args: P.args, **kwargs: P.kwargs) -> Any:
            return client.run(self.flow(client, *args, **kwargs))

        return named(call, self)

    def flow(self, client: Any, /, *args: P.args, **kwargs: P.kwargs) -> Flow[T]:
        """What the method runs, for other flows to go through."""
        return self._make(client, *args, **kwargs)


class Route(Operation[P, T]):
    """One request as a method."""

    def __init__(self, described: Described[P], answer: Callable[[Reply, str], T]) -> None:
        def make(client: Any, /, *args: P.args, **kwargs: P.kwargs) -> Flow[T]:
            request = described.request(*args, **kwargs)
            return answer((yield from client.core.fetch(request)), request.what)

        super().__init__(make)
        self.described = described
        named(self, described)


def read(
    path: str, kind: type[A], *, public: bool = False, expected: tuple[int, ...] = ()
) -> Callable[[Function[P]], Route[P, A]]:
    """A route that gives one answer."""
    return _json(Shape("GET", path, public=public, expected=expected), kind)


def write(
    path: str, body: Any, kind: type[A], *, public: bool = False, keyed: bool = True
) -> Callable[[Function[P]], Route[P, A]]:
    """A route that changes something, and says what. Without a key it is sent once."""
    return _json(Shape("POST", path, body, public, keyed=keyed, repeatable=keyed), kind)


def ask(path: str, body: Any, kind: type[A], *, public: bool = False) -> Callable[[Function[P]], Route[P, A]]:
    """A route that is asked with a body and changes nothing that matters."""
    return _json(Shape("POST", path, body, public), kind)


def _json(shape: Shape, kind: type[A]) -> Callable[[Function[P]], Route[P, A]]:
    def described(function: Function[P]) -> Route[P, A]:
        return Route(Described(shape, function), lambda reply, what: read_as(kind, reply, what))

    return described


def text(path: str, *, public: bool = False, accept: str = "*/*") -> Callable[[Function[P]], Route[P, str]]:
    """A route that gives text."""

    def described(function: Function[P]) -> Route[P, str]:
        shape = Shape("GET", path, public=public, accept=accept)
        return Route(Described(shape, function), lambda reply, _: reply.content.decode())

    return described


def nothing(path: str, method: str = "POST", body: Any = None) -> Callable[[Function[P]], Route[P, None]]:
    """A route that answers nothing. A POST of that kind ends something, and is sent once."""

    def described(function: Function[P]) -> Route[P, None]:
        shape = Shape(method, path, body, repeatable=method != "POST")
        return Route(Described(shape, function), lambda reply, what: None)

    return described
