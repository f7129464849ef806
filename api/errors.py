"""Problem details (RFC 9457): every error that the API answers with is one of this tree.

    ApiError                    status  type
    ├── MalformedRequest        400     malformed-request
    ├── Unauthenticated         401     unauthenticated
    ├── LoginRefused            401     login-refused
    ├── Forbidden               403     forbidden
    ├── NotFound                404     not-found
    ├── MethodNotAllowed        405     method-not-allowed
    ├── BodyTooSlow             408     body-too-slow
    ├── WriteInProgress         409     write-in-progress
    ├── BodyTooLarge            413     body-too-large
    ├── UnsupportedMedia        415     unsupported-media-type
    ├── InvalidRequest          422     invalid-request
    ├── KeyReused               422     idempotency-key-reused
    ├── OrderRefused            422     order-refused
    ├── ContractRefused         422     contract-refused
    ├── UpgradeRequired         426     upgrade-required
    ├── RateLimited             429     rate-limited
    ├── InternalError           500     internal-error
    ├── Unavailable             503     unavailable
    └── RelayUnavailable        503     relay_unavailable

A type is `urn:trellis:problem:` and its name, for programs; the detail is one sentence for people. What a
caller sent is not repeated: it may be a secret.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, ClassVar

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from starlette.exceptions import HTTPException

from api.logs import request_id
from settlement.chain.errors import ChainError

MEDIA_TYPE = "application/problem+json"
TYPE_PREFIX = "urn:trellis:problem:"


class ApiError(Exception):
    """An answer that is a problem; raise one of its children."""

    status: ClassVar[int] = 500
    slug: ClassVar[str] = ""
    title: ClassVar[str] = ""

    def __init__(self, detail: str, *, headers: Mapping[str, str] | None = None, **members: Any) -> None:
        """`members` are the problem's extension members."""
        super().__init__(detail)
        self.detail, self.headers, self.members = detail, dict(headers or {}), members


class MalformedRequest(ApiError):
    """The bytes are no request of HTTP or JSON."""

    status, slug, title = 400, "malformed-request", "The request cannot be read"


class Unauthenticated(ApiError):
    """No access token, or one that is not valid."""

    status, slug, title = 401, "unauthenticated", "Log in first"

    def __init__(self, detail: str, *, invalid: bool = False) -> None:
        """`invalid`: a token was sent and refused (RFC 6750, section 3.1)."""
        challenge = 'Bearer error="invalid_token"' if invalid else "Bearer"
        super().__init__(detail, headers={"WWW-Authenticate": challenge})


class LoginRefused(ApiError):
    """A login message, its signature or a refresh token is not accepted."""

    status, slug, title = 401, "login-refused", "The login is refused"

    def __init__(self, detail: str) -> None:
        super().__init__(detail, headers={"WWW-Authenticate": "Bearer"})


class Forbidden(ApiError):
    """The caller's roles do not allow it."""

    status, slug, title = 403, "forbidden", "The role does not allow this"


class NotFound(ApiError):
    """There is no such thing, or it is another's: the two look alike."""

    status, slug, title = 404, "not-found", "There is no such resource"


class MethodNotAllowed(ApiError):
    """The resource does not know the method."""

    status, slug, title = 405, "method-not-allowed", "The resource does not take this method"


class BodyTooSlow(ApiError):
    """The body does not arrive."""

    status, slug, title = 408, "body-too-slow", "The body does not arrive"


class WriteInProgress(ApiError):
    """A write with the same Idempotency-Key is being carried out."""

    status, slug, title = 409, "write-in-progress", "The same write is being carried out"


class BodyTooLarge(ApiError):
    """The body has too many bytes."""

    status, slug, title = 413, "body-too-large", "The body is too large"


class UnsupportedMedia(ApiError):
    """The body is of a type that the resource does not read."""

    status, slug, title = 415, "unsupported-media-type", "The resource does not read this media type"


class InvalidRequest(ApiError):
    """A parameter or field has a value that it may not have; `errors` says which."""

    status, slug, title = 422, "invalid-request", "A field is not valid"


class KeyReused(ApiError):
    """An Idempotency-Key that was used for another request."""

    status, slug, title = 422, "idempotency-key-reused", "The key was used for another request"


class OrderRefused(ApiError):
    """An order or a cancel that no book may hold; `errors` names the field and the fix."""

    status, slug, title = 422, "order-refused", "The order is not taken"


class ContractRefused(ApiError):
    """The Exchange would refuse it, with one of its errors (docs/errors.md)."""

    status, slug, title = 422, "contract-refused", "The contract would refuse this"

    def __init__(self, error: str, arguments: Sequence[Any]) -> None:
        detail = f"the Exchange answers {error}: docs/errors.md says what to do"
        super().__init__(detail, error=error, arguments=list(arguments))


class UpgradeRequired(ApiError):
    """The resource speaks another protocol."""

    status, slug, title = 426, "upgrade-required", "The resource speaks WebSocket"

    def __init__(self, detail: str) -> None:
        super().__init__(detail, headers={"Upgrade": "websocket", "Connection": "Upgrade"})


class RateLimited(ApiError):
    """Too many requests."""

    status, slug, title = 429, "rate-limited", "Too many requests"

    def __init__(self, seconds: int) -> None:
        super().__init__(f"wait {seconds} s, then try again", headers={"Retry-After": str(seconds)})


class InternalError(ApiError):
    """A bug; its traceback is in the log under the request id."""

    status, slug, title = 500, "internal-error", "The service made a mistake"


class Unavailable(ApiError):
    """Something behind the API does not answer."""

    status, slug, title = 503, "unavailable", "A part of the service does not answer"

    def __init__(self, detail: str) -> None:
        super().__init__(detail, headers={"Retry-After": "1"})


class RelayUnavailable(ApiError):
    """This service has no key to send with."""

    status, slug, title = 503, "relay_unavailable", "Nothing is sent for others here"


class FieldProblem(BaseModel):
    """One field that is not valid."""

    pointer: str = Field(
        description="JSON pointer into the body, or `query/name`, `path/name`, `header/name`."
    )
    detail: str


class Problem(BaseModel):
    """Problem details of RFC 9457."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "type": "urn:trellis:problem:not-found",
                "title": "There is no such resource",
                "status": 404,
                "detail": "no route has this path",
                "request_id": "8f1c2d3e4b5a69788796a5b4c3d2e1f0",
            }
        }
    )

    type: str = Field(description="What kind of problem: one of the names of docs/api.md.")
    title: str
    status: int
    detail: str
    request_id: str = Field(description="Name of the request in the service's log.")
    errors: list[FieldProblem] | None = Field(None, description="Which fields are not valid.")
    error: str | None = Field(None, description="Of `contract-refused`: the Exchange's error.")
    arguments: list[Any] | None = Field(None, description="Of that error; integers as decimal strings.")


def every_error() -> list[type[ApiError]]:
    """The tree's leaves, in its order."""
    return list(ApiError.__subclasses__())


def documented(*errors: type[ApiError]) -> dict[int | str, dict[str, Any]]:
    """OpenAPI's `responses` of some errors."""
    by_status: dict[int | str, list[str]] = {}
    for one in errors:
        by_status.setdefault(one.status, []).append(one.title)
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {
        status: {"description": "; ".join(titles), "content": content} for status, titles in by_status.items()
    }


def problem_response(error: ApiError) -> JSONResponse:
    """The answer of an error."""
    body = {
        "type": TYPE_PREFIX + error.slug,
        "title": error.title,
        "status": error.status,
        "detail": error.detail,
        "request_id": request_id.get(),
        **error.members,
    }
    return JSONResponse(body, error.status, error.headers, MEDIA_TYPE)


def install(app: FastAPI) -> None:
    """Lets the app answer with problems only."""

    def answer(_: Request, error: Exception) -> JSONResponse:
        return problem_response(as_problem(error))

    known = (ApiError, HTTPException, RequestValidationError, ChainError)
    for kind in (*known, OperationalError, InterfaceError, PoolTimeout):
        app.add_exception_handler(kind, answer)


def as_problem(error: Exception) -> ApiError:
    """The problem that an exception is told as; whatever is not meant for callers stays inside."""
    match error:
        case ApiError():
            return error
        case RequestValidationError():
            return _validation(error.errors())
        case HTTPException():
            return _http(error)
        case ChainError():
            return Unavailable("the chain could not be read: try again")
        case OperationalError() | InterfaceError() | PoolTimeout():
            return Unavailable("the database does not answer: try again")
        case _:
            return InternalError("the operator finds the reason in the log under this request id")


_BY_STATUS: Mapping[int, tuple[type[ApiError], str]] = {
    400: (MalformedRequest, "the body cannot be read"),
    404: (NotFound, "no route has this path"),
    405: (MethodNotAllowed, "use one of the methods of the header Allow"),
    413: (BodyTooLarge, "send less at once"),
    415: (UnsupportedMedia, "send application/json"),
}


def _http(error: HTTPException) -> ApiError:
    """Of the framework's own refusals."""
    kind, detail = _BY_STATUS.get(error.status_code, (MalformedRequest, HTTPStatus(error.status_code).phrase))
    return kind(detail, headers=error.headers)


def _validation(errors: Sequence[Any]) -> ApiError:
    if any(one["type"] == "json_invalid" for one in errors):
        return MalformedRequest("the body is no JSON")
    fields = [{"pointer": _pointer(one["loc"]), "detail": str(one["msg"])} for one in errors[:20]]
    named = ", ".join(one["pointer"] for one in fields[:3])
    return InvalidRequest(f"not valid: {named}", errors=fields)


TAGS = frozenset({"Schedule", "FlexibleSchedule"})
"""Which of several shapes was tried: in a location as pydantic says it, and not in the body."""


def _pointer(location: Sequence[Any]) -> str:
    """`/schedules/0/zone` in the body (RFC 6901), `query/limit` outside."""
    where, *path = (str(part) for part in location if part not in TAGS)
    steps = [part.replace("~", "~0").replace("/", "~1") for part in path]
    return "/" + "/".join(steps) if where == "body" else "/".join([where, *steps])
