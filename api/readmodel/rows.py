"""Rows of the read model by their keys: what a projection reads and writes, wherever it is kept.

`Rows` remembers every row that it was asked for or given, and for each block what was there before: from
that a store writes what changed, and what takes it back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import inspect

from api.db.models import Base

Model = type[Base]
Key = tuple[Any, ...]
Values = dict[str, Any]
Load = Callable[[Model, Sequence[Key]], dict[Key, Values]]
"""Reads rows from where they are kept; those that are not there are left out."""


def key_names(model: Model) -> tuple[str, ...]:
    """Attributes that make up a table's primary key."""
    found = _KEY_NAMES.get(model)
    if found is None:
        mapper = inspect(model)
        found = tuple(mapper.get_property_by_column(one).key for one in mapper.primary_key)
        _KEY_NAMES[model] = found
    return found


_KEY_NAMES: dict[Model, tuple[str, ...]] = {}


def nothing(_: Model, __: Sequence[Key]) -> dict[Key, Values]:
    """Of an empty store."""
    return {}


@dataclass
class Rows:
    """Rows as they are after what was projected so far."""

    load: Load = nothing
    now: dict[tuple[Model, Key], Values | None] = field(default_factory=dict)
    stored: dict[tuple[Model, Key], Values | None] = field(default_factory=dict)
    """What is kept outside, as far as it was asked for."""
    before: dict[tuple[Model, Key], Values | None] = field(default_factory=dict)
    """Since `begin`: what was there before the first change."""

    def begin(self) -> None:
        """A new block."""
        self.before = {}

    def find(self, model: Model, *key: Any) -> Mapping[str, Any] | None:
        """The row of a key."""
        self.want(model, [key])
        return self.now[(model, key)]

    def want(self, model: Model, keys: Iterable[Key]) -> None:
        """Rows that will be asked for: read together, they cost one question."""
        missing = [key for key in dict.fromkeys(keys) if (model, key) not in self.now]
        if not missing:
            return
        found = self.load(model, missing)
        for key in missing:
            self.now[(model, key)] = self.stored[(model, key)] = found.get(key)

    def add(self, model: Model, **values: Any) -> None:
        """Makes a row whose key names its event: there cannot be one."""
        key = tuple(values[name] for name in key_names(model))
        self.now.setdefault((model, key), None)
        self.stored.setdefault((model, key), None)
        self.put(model, **values)

    def get(self, model: Model, *key: Any) -> Mapping[str, Any]:
        """The row of a key, which the chain's rules say is there."""
        found = self.find(model, *key)
        if found is None:
            raise MissingRow(f"{model.__tablename__} has no {key}")
        return found

    def put(self, model: Model, **values: Any) -> None:
        """Makes a row, or changes it: fields that are not given stay."""
        key = tuple(values[name] for name in key_names(model))
        found = self.find(model, *key)
        self.before.setdefault((model, key), found if found is None else dict(found))
        self.now[(model, key)] = {**(found or {}), **values}

    def changed(self) -> Iterator[tuple[Model, Key, Values | None, Values | None]]:
        """Model, key, what is kept outside and what should be, of every row where they differ."""
        for (model, key), values in self.now.items():
            kept = self.stored[(model, key)]
            if kept != values:
                yield model, key, kept, values


class MissingRow(Exception):
    """An event is about something that no event before it told of: the history has a gap."""
