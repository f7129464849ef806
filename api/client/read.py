"""Answers read into the types that the service wrote them from."""

from __future__ import annotations

from typing import TypeVar

from pydantic import BaseModel, ValidationError

from api.client.errors import BadAnswer
from api.client.wire import Reply

A = TypeVar("A", bound=BaseModel)


def read(kind: type[A], reply: Reply, what: str) -> A:
    """The answer. BadAnswer if it is of another kind."""
    try:
        return kind.model_validate_json(reply.content)
    except ValidationError as cause:
        first = cause.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"])) or "the body"
        raise BadAnswer(what, f"no {kind.__name__} ({place}: {first['msg']})") from cause
