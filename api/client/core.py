"""What every request of a client goes through, from the outside in. No I/O in here: see `wire.py`.

    fetch       ETag: what is kept is asked for again only if it changed; a refusal becomes an exception
    authorise   access token; once more with a new one if it is refused (401)
    persist     sent again while that helps (`retries.py`)

A login is made when the first request needs one. Its access token is exchanged shortly before it ends; one
exchange at a time, because a refresh token that comes twice ends the login. If an exchange fails in a way
that leaves open whether it happened, the wallet logs in again.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from typing import TypeVar

from pydantic import BaseModel

from api.client.cache import Cache
from api.client.errors import LoginRefused, NoAnswer, Unauthenticated, problem_of
from api.client.login import Tokens, check_challenge
from api.client.read import read
from api.client.retries import Retries, retry_after
from api.client.service import Service, Wallet
from api.client.terms import Terms
from api.client.wire import Alone, Dial, Effect, Emit, Flow, More, Open, Reply, Request, Send, Sleep, Stream
from api.schemas.auth import ChallengeAnswer, ChallengeRequest, LoginRequest, RefreshRequest, TokenAnswer
from settlement.errors import InputError

JSON = {"Content-Type": "application/json", "Accept": "application/json"}
MOST_NONCES = 100_000

A = TypeVar("A", bound=BaseModel)


@dataclass
class Core:
    """One client's state."""

    service: Service
    wallet: Wallet | None = None
    """None: only what needs no login."""
    retries: Retries = field(default_factory=Retries)
    cache: Cache = field(default_factory=Cache)
    now: Callable[[], float] = time.time
    """Unix seconds: whether a challenge is of now."""
    passing: Callable[[], float] = time.monotonic
    """Seconds that only go forward: how long a token lives."""
    tokens: Tokens | None = field(default=None, repr=False)
    terms: dict[int, Terms] = field(default_factory=dict)
    """Of sessions, checked."""
    used_nonces: set[str] = field(default_factory=set)
    """Of login messages that were signed."""

    @property
    def signer(self) -> Wallet:
        """The wallet. InputError without one."""
        if self.wallet is None:
            raise InputError("this needs a login: give the client a wallet")
        return self.wallet

    # Requests -------------------------------------------------------------------------------------------

    def fetch(self, request: Request) -> Flow[Reply]:
        """The answer. A `Problem` if the service refuses, NoAnswer or BadAnswer if there is none."""
        kept = self.cache.find(request)
        if kept is not None:
            request = request.with_header("If-None-Match", kept.headers["etag"])
        reply = yield from self._authorise(request, Send)
        if reply.status == 304 and kept is not None:
            return kept
        self._require(request, reply)
        self.cache.keep(request, reply)
        return reply

    def download(self, request: Request) -> Stream[bytes]:
        """The body, as it comes. What broke off half-way is not begun again: NoAnswer."""
        reply = yield from self._authorise(request, Open)
        self._require(request, reply)
        piece: bytes | None
        while (piece := (yield More())) is not None:
            yield Emit(piece)

    def opened(self, request: Request) -> Flow[Reply]:
        """The head of an answer whose body is asked for with `More`."""
        reply = yield from self._authorise(request, Open)
        self._require(request, reply)
        return reply

    def dialled(self, request: Request) -> Flow[None]:
        """Opens a WebSocket; whoever opens it says in its messages who it is."""
        self._require(request, (yield from self._persist(request, Dial)))

    def _require(self, request: Request, reply: Reply) -> None:
        if reply.status in request.expected or reply.status < 400:
            return
        wait = retry_after(reply.headers, self.now())
        raise problem_of(reply.content, request.what, reply.status, wait)

    def _authorise(self, request: Request, how: Callable[[Request], Effect]) -> Flow[Reply]:
        if request.public:
            return (yield from self._persist(request, how))
        token = yield from self.token(refused=None)
        reply = yield from self._persist(_bearing(request, token), how)
        if reply.status == 401:
            token = yield from self.token(refused=token)
            reply = yield from self._persist(_bearing(request, token), how)
        return reply

    def _persist(self, request: Request, how: Callable[[Request], Effect]) -> Flow[Reply]:
        for attempt in count(1):
            wait: float | None
            try:
                reply: Reply = yield how(request)
            except NoAnswer as error:
                wait = self.retries.after_silence(request, attempt, error.sent)
                if wait is None:
                    raise
            else:
                wait = self.retries.after(request, attempt, reply, self.now())
                if wait is None:
                    return reply
            yield Sleep(wait)
        raise AssertionError("retries come to an end")

    # Login ----------------------------------------------------------------------------------------------

    def log_in(self) -> Flow[None]:
        """Logs in, whatever was before."""
        self.tokens = None
        yield Alone(self._renew(None))

    def forget(self) -> None:
        """Drops the login and what was read with it."""
        self.tokens = None
        self.cache.clear()

    def token(self, refused: str | None) -> Flow[str]:
        """An access token, another than the refused one."""
        if not self._holds(refused):
            yield Alone(self._renew(refused))
        assert self.tokens is not None
        return self.tokens.access

    def _holds(self, refused: str | None) -> bool:
        held = self.tokens
        return held is not None and held.access != refused and self.passing() < held.until

    def _renew(self, refused: str | None) -> Flow[None]:
        if self._holds(refused):  # another flow has just done it
            return
        held, self.tokens = self.tokens, None
        if held is not None:
            try:
                self.tokens = yield from self._exchange(held.refresh)
            except (LoginRefused, Unauthenticated, NoAnswer):
                pass  # it is over, or nobody knows whether the token was used
            else:
                return
        self.tokens = yield from self._sign_in()

    def _exchange(self, refresh: str) -> Flow[Tokens]:
        body = RefreshRequest(refresh_token=refresh)
        answer = yield from self._auth("refresh", body, TokenAnswer, repeatable=False)
        return Tokens.of(answer, self.passing())

    def _sign_in(self) -> Flow[Tokens]:
        wallet, request_id = self.signer, secrets.token_urlsafe(12)
        asked = ChallengeRequest(account=wallet.address, request_id=request_id)
        offered = yield from self._auth("challenge", asked, ChallengeAnswer, repeatable=True)
        digest = check_challenge(
            offered, self.service, wallet.address, request_id, self.used_nonces, self.now()
        )
        if len(self.used_nonces) >= MOST_NONCES:
            self.used_nonces.clear()  # long expired: a challenge is of now
        self.used_nonces.add(offered.nonce)
        signed = LoginRequest(message=offered.message, signature=wallet.sign_digest(digest))
        answer = yield from self._auth("login", signed, TokenAnswer, repeatable=False)
        self.cache.clear()
        return Tokens.of(answer, self.passing())

    def _auth(self, name: str, body: BaseModel, kind: type[A], *, repeatable: bool) -> Flow[A]:
        content = body.model_dump_json(exclude_none=True).encode()
        path = f"/v1/auth/{name}"
        request = Request("POST", path, (), JSON, content, public=True, repeatable=repeatable)
        return read(kind, (yield from self.fetch(request)), request.what)


def _bearing(request: Request, token: str) -> Request:
    return request.with_header("Authorization", f"Bearer {token}")
