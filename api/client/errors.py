"""What a client raises, under the tree of `settlement.errors`.

ClientError
├── NoAnswer               nothing came back, after all retries: it may have been carried out
├── BadAnswer              an answer that is none of this API
├── SocketClosed           the service ended a WebSocket, and coming back would not mend it
├── NotTrusted             what the service said does not hold: nothing was signed or believed
│   ├── BadChallenge       a login message that asks for something else than this login
│   ├── BadTypedData       data to sign that are not what was asked for
│   ├── BadTerms           terms of a session that are not those of its id
│   ├── UnbelievedReceipt  a receipt that the operator would not have to pay for
│   └── BadProof           a proof of membership that does not lead to its root
└── Problem                an answer that is a problem (RFC 9457): one child for each of `api/errors.py`
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from pydantic import ValidationError

from api import errors as served
from api.errors import TYPE_PREFIX, FieldProblem
from settlement.errors import TrellisError


class ClientError(TrellisError):
    """Something between a client and its service."""


class NoAnswer(ClientError):
    """Nothing came back."""

    def __init__(self, reason: str, *, sent: bool) -> None:
        """`sent`: the request may have reached the service."""
        super().__init__(f"the service does not answer: {reason}")
        self.sent = sent


class BadAnswer(ClientError):
    """An answer that no version of this API gives here."""

    def __init__(self, what: str, reason: str) -> None:
        super().__init__(f"{what} was answered with {reason}: is it the API's address?")


class SocketClosed(ClientError):
    """A WebSocket that the service ended for good."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(f"the service closed the socket with {code}: {reason or 'no reason given'}")
        self.code, self.reason = code, reason
        """A code of docs/api.md, and its words."""


class NotTrusted(ClientError):
    """What the service said does not hold."""

    exit_code = 1


class BadChallenge(NotTrusted):
    """A login message that was not signed."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"the login message was not signed: {reason}")


class BadTypedData(NotTrusted):
    """Typed data that were not signed."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"what the service wants to be signed is not what was asked for: {reason}")


class BadTerms(NotTrusted):
    """A session's terms that are not those of its id."""

    def __init__(self, epoch: int) -> None:
        super().__init__(f"the terms told of session {epoch} are not those that its id is the hash of")


class UnbelievedReceipt(NotTrusted):
    """A receipt that is worth nothing."""


class BadProof(NotTrusted):
    """A proof that does not hold."""

    def __init__(self, order: bytes) -> None:
        super().__init__(f"the proof of 0x{order.hex()} does not lead to the root it names")


# Problems -----------------------------------------------------------------------------------------------


class Problem(ClientError):
    """The service refused: its own words, by its own name."""

    slug: ClassVar[str] = ""

    def __init__(self, told: served.Problem, members: Mapping[str, Any], retry_after_s: float | None) -> None:
        super().__init__(f"{told.title}: {told.detail} (request {told.request_id})")
        self.status, self.title, self.detail = told.status, told.title, told.detail
        self.type, self.request_id = told.type, told.request_id
        self.errors: Sequence[FieldProblem] = tuple(told.errors or ())
        """Fields that are not valid."""
        self.members = dict(members)
        """All members of the problem, with those of its extension."""
        self.retry_after_s = retry_after_s


class MalformedRequest(Problem):
    """The bytes are no request."""

    slug = "malformed-request"


class Unauthenticated(Problem):
    """No login, or one that is over."""

    slug = "unauthenticated"


class LoginRefused(Problem):
    """The login message, its signature or the refresh token does not count."""

    slug = "login-refused"


class Forbidden(Problem):
    """The caller's roles do not allow it."""

    slug = "forbidden"


class NotFound(Problem):
    """There is no such thing, or it is another's."""

    slug = "not-found"


class MethodNotAllowed(Problem):
    """The resource does not know the method."""

    slug = "method-not-allowed"


class BodyTooSlow(Problem):
    """A body that did not arrive in time."""

    slug = "body-too-slow"


class WriteInProgress(Problem):
    """The same write is still being carried out."""

    slug = "write-in-progress"


class BodyTooLarge(Problem):
    """Too many bytes at once."""

    slug = "body-too-large"


class UnsupportedMedia(Problem):
    """A body of another type than the resource reads."""

    slug = "unsupported-media-type"


class InvalidRequest(Problem):
    """A field has a value that it may not have: `errors` says which."""

    slug = "invalid-request"


class OrderRefused(Problem):
    """No book may hold the order or cancel: `errors` names the field and the fix."""

    slug = "order-refused"


class KeyReused(Problem):
    """The Idempotency-Key was used for another request."""

    slug = "idempotency-key-reused"


class ContractRefused(Problem):
    """The Exchange would refuse the message: `members` has its `error` and `arguments`."""

    slug = "contract-refused"


class UpgradeRequired(Problem):
    """The resource speaks WebSocket only."""

    slug = "upgrade-required"


class RateLimited(Problem):
    """Too many requests, for longer than retries wait."""

    slug = "rate-limited"


class InternalError(Problem):
    """A mistake of the service."""

    slug = "internal-error"


class Unavailable(Problem):
    """Something behind the service does not answer."""

    slug = "unavailable"


class RelayUnavailable(Problem):
    """The service sends nothing for others."""

    slug = "relay_unavailable"


BY_TYPE: Mapping[str, type[Problem]] = {TYPE_PREFIX + one.slug: one for one in Problem.__subclasses__()}


def problem_of(content: bytes, what: str, status: int, retry_after_s: float | None) -> ClientError:
    """The error of an answer that refuses; a type that this version does not know is a plain `Problem`."""
    try:
        told = served.Problem.model_validate_json(content)
    except ValidationError:
        return BadAnswer(what, f"status {status} and no problem details")
    members = _members(content)
    return BY_TYPE.get(told.type, Problem)(told, members, retry_after_s)


def _members(content: bytes) -> Mapping[str, Any]:
    found = json.loads(content)
    assert isinstance(found, dict), "read as a problem before"
    return found
