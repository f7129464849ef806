"""The OpenAPI document: what the routes say, and what the matrix says of each of them."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from api import errors
from api.errors import Problem, documented
from api.roles import MATRIX, Rule
from api.schemas.orders import BatchBody

VERSION = "1"
TITLE = "Trellis"
DESCRIPTION = """Settlement layer for peer-to-peer energy trading: orders, clearings, positions, bills, and
the proofs of all of them. Ids are `0x` hex, amounts decimal strings, times RFC 3339 in UTC. Errors are
problem details (RFC 9457)."""

ALWAYS = (errors.MalformedRequest, errors.InvalidRequest, errors.RateLimited, errors.InternalError)
WITH_BODY = (errors.BodyTooLarge, errors.UnsupportedMedia)
LOGGED_IN = (errors.Unauthenticated, errors.Forbidden, errors.Unavailable)
OF_ACCOUNT = (errors.NotFound,)


def document(app: FastAPI) -> dict[str, Any]:
    """Of all routes; made once."""
    if app.openapi_schema is None:
        app.openapi_schema = _complete(
            get_openapi(title=TITLE, version=VERSION, description=DESCRIPTION, routes=app.routes)
        )
    return app.openapi_schema


def _complete(found: dict[str, Any]) -> dict[str, Any]:
    parts = found.setdefault("components", {})
    schemas = parts.setdefault("schemas", {})
    for name in ("HTTPValidationError", "ValidationError"):  # the framework's own shape, never answered here
        schemas.pop(name, None)
    for model in (Problem, BatchBody):  # routes name them without the framework's knowing
        schema = model.model_json_schema(ref_template="#/components/schemas/{model}")
        schemas |= schema.pop("$defs") | {model.__name__: schema}
    parts["schemas"] = dict(sorted(schemas.items()))
    parts["securitySchemes"] = {
        "wallet": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT", "description": _HOW_TO_LOG_IN}
    }
    for path, methods in found["paths"].items():
        for method, operation in methods.items():
            _complete_operation(operation, MATRIX[(method.upper(), path)], path)
    return found


_HOW_TO_LOG_IN = (
    "Ask `/v1/auth/challenge` for a message, sign it with the wallet, send it to `/v1/auth/login`."
)


def _complete_operation(operation: dict[str, Any], rule: Rule, path: str) -> None:
    kinds = list(ALWAYS)
    kinds += WITH_BODY if "requestBody" in operation else ()
    if not rule.public:
        kinds += LOGGED_IN + (OF_ACCOUNT if "{account}" in path else ())
        operation["security"] = [{"wallet": []}]
        operation["x-roles"] = {"own": _names(rule.own), "foreign": _names(rule.foreign)}
    answers = operation["responses"]
    for status, answer in documented(*kinds).items():
        if status == 422 or str(status) not in answers:
            answers[str(status)] = answer


def _names(roles: frozenset[Any]) -> list[str]:
    """`anyone` stands for whoever has logged in."""
    return ["anyone"] if None in roles else sorted(roles)
