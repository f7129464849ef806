"""Writes that may be sent twice: `Idempotency-Key` names one, and its answer is kept.

    the key is new                      the write is carried out, its answer kept
    the same request, answered          the kept answer again, with `Idempotency-Replayed: true`
    the same request, under way         409, with Retry-After
    another request                     422

What fails by no fault of the caller (5xx) frees the key. A process that dies leaves the key taken for
`STALE_S`; then the same request is carried out again, so a write must itself find what it did before.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Awaitable, Callable

from fastapi import Request
from fastapi.responses import Response

from api.db.stores import Answer, Earlier, IdempotencyStore
from api.errors import ApiError, InvalidRequest, KeyReused, WriteInProgress, problem_response

STALE_S = 60
HEADER = "Idempotency-Key"
_KEY = re.compile(r"[\x21-\x7e]{1,255}")


async def fingerprint(request: Request) -> str:
    """SHA-256 of all that makes a request the same one."""
    parts = [request.method, request.url.path, request.url.query]
    framed = b"".join(len(part.encode()).to_bytes(4, "big") + part.encode() for part in parts)
    return hashlib.sha256(framed + await request.body()).hexdigest()


def key_of(request: Request) -> str | None:
    """The caller's key, if any. InvalidRequest if it is no key."""
    key = request.headers.get(HEADER)
    if key is not None and not _KEY.fullmatch(key):
        problem = {"pointer": f"header/{HEADER}", "detail": "1 to 255 visible ASCII characters"}
        raise InvalidRequest(f"{HEADER} is not valid", errors=[problem])
    return key


class Once:
    """Carries one request's write out, at most once for its key."""

    def __init__(
        self,
        store: IdempotencyStore,
        account: str,
        key: str | None,
        fingerprint: str,
        ttl_s: int,
        now: Callable[[], float],
    ) -> None:
        """`account` is whose key it is. Without a key the write is carried out each time."""
        self._store, self._account, self._key, self._fingerprint = store, account, key, fingerprint
        self._ttl_s, self._now, self._claim = ttl_s, now, secrets.token_hex(16)

    async def __call__(self, write: Callable[[], Awaitable[Response]]) -> Response:
        """The answer of the write, or the one it gave before."""
        if self._key is None:
            return await write()
        now = int(self._now())
        taken = (self._account, self._key, self._fingerprint, self._claim)
        earlier = await self._store.claim(*taken, now, now - self._ttl_s, now - STALE_S)
        if earlier is not None:
            return self._again(earlier)
        return await self._first(write, self._key)

    async def _first(self, write: Callable[[], Awaitable[Response]], key: str) -> Response:
        try:
            response = await write()
        except ApiError as error:
            if error.status >= 500 or error.status in (409, 429):
                await self._store.give_up(self._account, key, self._claim)
                raise
            response = problem_response(error)
        except Exception:
            await self._store.give_up(self._account, key, self._claim)
            raise
        kept = Answer(response.status_code, response.headers.get("Content-Type", ""), bytes(response.body))
        await self._store.finish(self._account, key, self._claim, kept)
        return response

    def _again(self, earlier: Earlier) -> Response:
        if earlier.answer is None and earlier.fingerprint in ("", self._fingerprint):
            raise WriteInProgress("wait for its answer, then ask again", headers={"Retry-After": "1"})
        if earlier.answer is None or earlier.fingerprint != self._fingerprint:
            raise KeyReused(f"choose a new {HEADER} for a new request")
        answer = earlier.answer
        headers = {"Idempotency-Replayed": "true", "Content-Type": answer.media_type}
        return Response(answer.body, answer.status, headers)
