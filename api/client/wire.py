"""The seam: what a client's logic asks for, and what it gets. No I/O in here.

All logic is written once, as generators. A *flow* yields effects and is sent their results; what carries the
effects out is `api/client/seams.py`, once with threads and once with asyncio.

    Send(request)     Reply                 one request; NoAnswer is thrown in if nothing came back
    Sleep(seconds)    None
    Alone(flow)       what the flow gives   while no other flow of the client is alone
    Open(request)     Reply                 the same as Send, but the body is still to come
    More()            bytes, or None        the body's next bytes, None at its end
    Dial(request)     Reply                 opens a WebSocket instead: 101, or why not
    Say(text)         None                  a message over it
    Hear()            str, or Closed        the next message, or how it ended
    Emit(item)        None                  to whoever iterates; only streams do
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Generic, TypeVar

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


@dataclass(frozen=True, slots=True)
class Request:
    """One request, without its login."""

    method: str
    path: str
    query: tuple[tuple[str, str], ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None
    public: bool = False
    """Needs no login."""
    repeatable: bool = True
    """Whether sending it twice does no more than sending it once."""
    expected: tuple[int, ...] = ()
    """Statuses from 400 on that are an answer, not a problem."""

    @property
    def what(self) -> str:
        """For people."""
        return f"{self.method} {self.path}"

    def with_header(self, name: str, value: str) -> Request:
        return replace(self, headers={**self.headers, name: value})


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    """Names in lower case."""
    content: bytes = b""


@dataclass(frozen=True, slots=True)
class Send:
    """One request."""

    request: Request


@dataclass(frozen=True, slots=True)
class Sleep:
    """A pause."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Alone:
    """A flow that no other may run beside."""

    flow: Generator[Any, Any, Any]


@dataclass(frozen=True, slots=True)
class Open:
    """One request whose body is read piece by piece. What was open before is closed."""

    request: Request


@dataclass(frozen=True, slots=True)
class More:
    """The next bytes of what is open."""


@dataclass(frozen=True, slots=True)
class Dial:
    """A WebSocket. What was open before is closed."""

    request: Request


@dataclass(frozen=True, slots=True)
class Say:
    """A message over the socket that is open."""

    text: str


@dataclass(frozen=True, slots=True)
class Hear:
    """The next message of the socket that is open."""


@dataclass(frozen=True, slots=True)
class Closed:
    """The end of a socket, as its other end told it."""

    code: int
    reason: str


@dataclass(frozen=True, slots=True)
class Emit(Generic[T_co]):
    """An item of a stream."""

    item: T_co


Effect = Send | Sleep | Alone | Open | More | Dial | Say | Hear
Flow = Generator[Effect, Any, T]
Stream = Generator[Effect | Emit[T], Any, None]
