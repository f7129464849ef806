"""Every way to change one thing of a JSON document: each value, each name, each place of a list."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

Mutation = tuple[str, Any]
"""JSON pointer of what was changed, and the changed document."""


def mutations(document: Any) -> Iterator[Mutation]:
    """One change each."""
    for path in list(_paths(document)):
        for name, change in _changes(_at(document, path)):
            changed = copy.deepcopy(document)
            if not path:
                yield name, change
                continue
            _at(changed, path[:-1])[path[-1]] = change
            yield "/" + "/".join(map(str, path)) + name, changed


def _paths(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield at
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, one in items:
        yield from _paths(one, (*at, name))


def _at(document: Any, path: tuple[Any, ...]) -> Any:
    for name in path:
        document = document[name]
    return document


def _changes(value: Any) -> Iterator[tuple[str, Any]]:
    """What a value could be instead; the suffix says which part of it."""
    if isinstance(value, bool):
        yield "", not value
    elif isinstance(value, int):
        yield "", value + 1
    elif isinstance(value, str):
        yield from (("", one) for one in _texts(value))
    elif isinstance(value, dict):
        for name in value:
            yield "", {key: one for key, one in value.items() if key != name}
        yield "", {**value, "unknown": "0"}
        yield "", None
    elif isinstance(value, list) and value:
        yield "", value[:-1]
        yield "", value[1:]
        yield "", [*value, value[-1]]
        if value[0] != value[-1]:
            yield "", value[::-1]


def _texts(value: str) -> Iterator[str]:
    if value.startswith("0x"):
        yield from _hexes(value)
    elif value.lstrip("-").isdecimal():
        yield str(int(value) + 1)
        yield str(int(value) - 1)
    else:
        yield value + "x"


def _hexes(value: str) -> Iterator[str]:
    """A digit changed at the start and at the end; a byte more, a byte less."""
    if len(value) > 2:
        for at in sorted({2, len(value) - 1}):
            yield value[:at] + ("0" if value[at] != "0" else "1") + value[at + 1 :]
        yield value[:-2]
    yield value + "00"
