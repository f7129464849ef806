"""What endpoints ask for, as `Annotated` aliases; and the one place where a caller is let in.

`admit` runs before every route. It reads the route's rule from the matrix of `api/roles.py`, and refuses, in
this order: a caller who needs a token and has none (401), one who asks too often (429), one whose roles do
not fit (403), and one who asks for another's account without the right to (404: as if it did not exist).

All of them are coroutines, though few wait: the framework runs plain functions in a thread each.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated

from fastapi import Depends, Query, Request
from sqlalchemy.ext.asyncio import AsyncEngine

from api.auth.login import Gate
from api.auth.tokens import Access, Tokens
from api.chain import ChainReader
from api.db.engine import Sessions
from api.db.stores import IdempotencyStore
from api.errors import Forbidden, NotFound, RateLimited, Unauthenticated, Unavailable
from api.evidence.bundles import Bundles
from api.idempotency import Once, fingerprint, key_of
from api.identity.store import Identities
from api.intake.desk import Desk
from api.intake.markets import Markets
from api.intake.snapshots import Snapshots
from api.intake.store import IntakeStore
from api.limits import Buckets
from api.metrics import Metrics
from api.middleware import ACCOUNT
from api.pages import DEFAULT_LIMIT, MOST, Cursors
from api.readmodel.query import Queries
from api.relays.relayer import Relayer
from api.roles import MATRIX, Role, Roles, Rule, Standing
from api.schemas.common import to_hex
from api.settings import Settings


@dataclass(frozen=True)
class Services:
    """Everything that one app holds."""

    settings: Settings
    engine: AsyncEngine
    sessions: Sessions
    chain: ChainReader
    roles: Roles
    tokens: Tokens
    gate: Gate
    idempotency: IdempotencyStore
    bundles: Bundles
    identities: Identities | None
    """None where no key file is set."""
    cursors: Cursors
    metrics: Metrics
    reads: Buckets
    writes: Buckets
    logins: Buckets
    orders: Buckets
    """Orders and cancels by who brings them."""
    markets: Markets
    depths: Snapshots
    intake_store: IntakeStore
    intake: Desk | None
    """None where no key signs receipts."""
    relays: Buckets
    """Transactions sent for a wallet."""
    relayer: Relayer
    now: Callable[[], float]
    """Unix seconds."""
    open_sockets: Counter[bytes] = field(default_factory=Counter)
    """WebSockets by account."""

    def charge_orders(self, account: bytes, count: int) -> None:
        """Counts what a wallet brings. RateLimited, and nothing is counted, if it is too much."""
        try:
            self.orders.take(to_hex(account), count)
        except RateLimited:
            self.metrics.limited.labels("orders").inc()
            raise


@dataclass(frozen=True, slots=True)
class Caller:
    """Who was let in."""

    standing: Standing
    login_id: str
    rule: Rule
    """Of the route."""

    @property
    def account(self) -> bytes:
        return self.standing.account

    @property
    def roles(self) -> frozenset[Role]:
        return self.standing.roles

    @property
    def sees_all(self) -> bool:
        """Whether the route shows it more than its own."""
        return self.standing.may_foreign(self.rule)

    def may_see(self, account: bytes) -> bool:
        """Whether the route shows it an account's things; if not, the answer is as if there were none."""
        return self.sees_all or (account == self.account and self.standing.may_own(self.rule))


async def services(request: Request) -> Services:
    found = request.app.state.services
    assert isinstance(found, Services)
    return found


ServicesDep = Annotated[Services, Depends(services)]


async def _settings(parts: ServicesDep) -> Settings:
    return parts.settings


async def _sessions(parts: ServicesDep) -> Sessions:
    return parts.sessions


async def _chain(parts: ServicesDep) -> ChainReader:
    return parts.chain


async def _cursors(parts: ServicesDep) -> Cursors:
    return parts.cursors


async def _store(parts: ServicesDep) -> IntakeStore:
    return parts.intake_store


async def _intake(parts: ServicesDep) -> Desk:
    if parts.intake is None:
        raise Unavailable("this process takes no orders: it has no TRELLIS_RECEIPT_KEY_FILE")
    return parts.intake


async def _queries(sessions: Annotated[Sessions, Depends(_sessions)]) -> Queries:
    return Queries(sessions)


SettingsDep = Annotated[Settings, Depends(_settings)]
Db = Annotated[Sessions, Depends(_sessions)]
ChainDep = Annotated[ChainReader, Depends(_chain)]
CursorsDep = Annotated[Cursors, Depends(_cursors)]
StoreDep = Annotated[IntakeStore, Depends(_store)]
IntakeDep = Annotated[Desk, Depends(_intake)]
QueriesDep = Annotated[Queries, Depends(_queries)]


# Admission ----------------------------------------------------------------------------------------------


async def admit(request: Request, parts: ServicesDep) -> Caller | None:
    """The caller; None on a public route, whoever asks. Raises as the module says."""
    path = getattr(request.scope.get("route"), "path", "")
    rule = MATRIX.get((request.method, path))
    if rule is None:
        raise Forbidden("nobody may use this route: it has no rule")
    if rule.public:
        address = request.client.host if request.client else "unknown"
        take(parts, "logins" if path.startswith("/v1/auth/") else "reads", f"address {address}")
        return None
    access = parts.tokens.check(bearer(request))
    request.scope[ACCOUNT] = to_hex(access.account)
    take(parts, "reads" if request.method == "GET" else "writes", to_hex(access.account))
    return await _with_role(request, parts, access, rule)


def bearer(request: Request) -> str:
    """The access token of the Authorization header, the only place where one is looked for."""
    sent = request.headers.getlist("Authorization")
    if not sent:
        raise Unauthenticated("send an access token: Authorization: Bearer ...")
    scheme, _, token = sent[0].partition(" ")
    if len(sent) > 1 or scheme.lower() != "bearer" or not token.strip():
        raise Unauthenticated("send one header Authorization: Bearer ...", invalid=True)
    return token.strip()


async def with_role(parts: Services, access: Access, rule: Rule) -> Caller:
    """The caller of a token, if its roles fit. Forbidden if not, ChainError if nobody can tell."""
    if not rule.by_role:
        return Caller(Standing(access.account, frozenset(), None, 0), access.login_id, rule)
    caller = Caller(await parts.roles.of(access.account), access.login_id, rule)
    standing = caller.standing
    if not (standing.may_own(rule) or standing.may_foreign(rule)):
        needed = ", ".join(sorted(role for role in rule.own | rule.foreign if role is not None))
        raise Forbidden(f"this is for: {needed}; roles come from the chain, ask the community's registrar")
    return caller


async def _with_role(request: Request, parts: Services, access: Access, rule: Rule) -> Caller:
    caller = await with_role(parts, access, rule)
    standing = caller.standing
    asked = request.path_params.get("account")
    if asked is not None and not standing.may_foreign(rule) and asked.lower() != to_hex(caller.account):
        raise NotFound("there is no such account")
    return caller


def take(parts: Services, name: str, caller: str) -> None:
    """Takes a token of a caller's bucket, `reads` and the like. RateLimited if there is none."""
    buckets: dict[str, Buckets] = {"reads": parts.reads, "writes": parts.writes, "logins": parts.logins}
    buckets["relays"] = parts.relays
    try:
        buckets[name].take(caller)
    except RateLimited:
        parts.metrics.limited.labels(name).inc()
        raise


async def _caller(admitted: Annotated[Caller | None, Depends(admit)]) -> Caller:
    if admitted is None:
        raise Unauthenticated("the route is public: it has no caller")
    return admitted


CallerDep = Annotated[Caller, Depends(_caller)]


# Writes and pages ---------------------------------------------------------------------------------------


async def _once(request: Request, parts: ServicesDep, caller: CallerDep) -> Once:
    key, ttl_s = key_of(request), parts.settings.idempotency_ttl_s
    mark = await fingerprint(request) if key else ""
    return Once(parts.idempotency, to_hex(caller.account), key, mark, ttl_s, parts.now)


OnceDep = Annotated[Once, Depends(_once)]
"""Carries a write out at most once for its Idempotency-Key: `return await once(write)`."""

Limit = Annotated[int, Query(ge=1, le=MOST, description="Rows of a page.")]
Cursor = Annotated[
    str | None, Query(max_length=1000, description="`next_cursor` of the page before; none: the first page.")
]


@dataclass(frozen=True, slots=True)
class PageQuery:
    """Which page is asked for."""

    limit: int
    cursor: str | None


async def _page(limit: Limit = DEFAULT_LIMIT, cursor: Cursor = None) -> PageQuery:
    return PageQuery(limit, cursor)


PageDep = Annotated[PageQuery, Depends(_page)]
