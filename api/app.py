"""The application: settings in, ASGI out.

A request passes, from the outside in:

    RequestContext     request id, log line, metrics; a bug becomes a problem
    ResponseHeaders    security headers, no-store unless said otherwise
    CORS               only if origins are set
    BodyLimit          413
    admit              (a dependency of every route) token, rate limit, role, whose account
    the route

Middleware is added in the reverse order: the last one added is the outermost.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from fastapi import Depends, FastAPI
from starlette.middleware.cors import CORSMiddleware
from starlette.routing import Route, WebSocketRoute

from api import errors, logs, openapi
from api.auth.login import Gate
from api.auth.tokens import Tokens, load_key
from api.chain import ChainReader
from api.db.engine import open_engine, sessions_of
from api.db.migrate import upgrade
from api.db.stores import IdempotencyStore, LoginStore, NonceStore
from api.deps import Services, admit
from api.evidence.bundles import Bundles
from api.identity import seal
from api.identity.store import Identities
from api.intake.desk import Desk
from api.intake.markets import Markets
from api.intake.snapshots import Snapshots
from api.intake.store import IntakeStore
from api.limits import Buckets, Limit
from api.metrics import Metrics
from api.middleware import BodyLimit, RequestContext, ResponseHeaders, allowed_headers
from api.pages import Cursors
from api.relays.relayer import Relayer
from api.relays.store import RelayStore
from api.roles import MATRIX, Roles
from api.routes import (
    accounts,
    aggregates,
    auth,
    cash,
    depth,
    evidence,
    holdings,
    identities,
    keys,
    ledger,
    ops,
    orders,
    proofs,
    relays,
    sessions,
    stream,
)
from api.settings import Settings
from settlement.chain.keystore import open_signer
from settlement.chain.sign import Signer
from settlement.errors import InputError

ROUTERS = (
    *(ops.router, auth.router, accounts.router, holdings.router, keys.router, cash.router, relays.router),
    *(orders.router, depth.router, evidence.router, identities.router, aggregates.router),
    *(sessions.router, proofs.router, ledger.router, stream.router),
)


def create_app(settings: Settings, now: Callable[[], float] = time.time) -> FastAPI:
    """The API of one deployment. `now` gives Unix seconds, for tests."""
    parts = _services(settings, now)
    app = FastAPI(
        title=openapi.TITLE,
        version=openapi.VERSION,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,  # a redirect would be built of the Host header, which a caller chooses
        lifespan=_lifespan(parts),
        dependencies=[Depends(admit)],
    )
    app.state.services = parts
    for router in ROUTERS:
        app.include_router(router)
    app.openapi = lambda: openapi.document(app)  # type: ignore[method-assign]
    errors.install(app)
    _add_middleware(app, parts)
    _require_rules(app)
    return app


def _services(settings: Settings, now: Callable[[], float]) -> Services:
    engine = open_engine(settings.database_url)
    database, metrics = sessions_of(engine), Metrics()
    chain = ChainReader(settings.rpc, _address(settings.exchange), settings.chain_timeout_s)
    key = load_key(settings.token_key_file)
    raw = key.private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption())
    seals = seal.load(settings.identity_key_file)
    lives = (settings.access_ttl_s, settings.refresh_ttl_s)
    tokens = Tokens(key, LoginStore(database), settings.siwe_uri, *lives, now)

    store, markets, desk = IntakeStore(database), Markets(database), None
    if settings.receipt_key_file is not None:
        signer = open_signer(settings.receipt_key_file, option="TRELLIS_RECEIPT_KEY_FILE")
        desk = Desk(store, markets, chain, signer, now, settings.intake_lease_s)

    def buckets(per_s: float, burst: int) -> Buckets:
        return Buckets(Limit(per_s, burst), time.monotonic)

    return Services(
        settings=settings,
        engine=engine,
        sessions=database,
        chain=chain,
        roles=Roles(chain, settings.roles_cache_s, time.monotonic),
        tokens=tokens,
        gate=Gate(settings, chain, NonceStore(database), tokens, metrics, now),
        idempotency=IdempotencyStore(database),
        bundles=Bundles(database, chain),
        identities=None if seals is None else Identities(database, seals),
        cursors=Cursors(hashlib.sha256(b"trellis cursors" + raw).digest()),
        metrics=metrics,
        reads=buckets(settings.reads_per_s, settings.reads_burst),
        writes=buckets(settings.writes_per_s, settings.writes_burst),
        logins=buckets(settings.logins_per_s, settings.logins_burst),
        orders=buckets(settings.orders_per_s, settings.orders_burst),
        markets=markets,
        depths=Snapshots(markets, store),
        intake_store=store,
        intake=desk,
        relays=buckets(settings.relays_per_s, settings.relays_burst),
        relayer=Relayer(chain, RelayStore(database), _relay_key(settings), now),
        now=now,
    )


def _relay_key(settings: Settings) -> Signer | None:
    found = settings.relay_key_file
    return None if found is None else open_signer(found, option="TRELLIS_RELAY_KEY_FILE")


def _address(text: str) -> bytes:
    try:
        found = bytes.fromhex(text.removeprefix("0x"))
    except ValueError:
        found = b""
    if len(found) != 20:
        raise InputError(f"TRELLIS_EXCHANGE is {text}: give the Exchange's address, 0x and 40 hex digits")
    return found


def _lifespan(parts: Services) -> Any:
    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        logs.configure(parts.settings.log_level)
        await upgrade(parts.engine)
        await parts.tokens.remember_ended()
        following = asyncio.create_task(parts.relayer.follow())
        if parts.intake is not None:
            parts.intake.start()
        yield
        if parts.intake is not None:
            await parts.intake.stop()
        following.cancel()
        await asyncio.wait({following})
        await parts.chain.close()
        await parts.engine.dispose()

    return lifespan


def _add_middleware(app: FastAPI, parts: Services) -> None:
    app.add_middleware(BodyLimit, most=parts.settings.max_body_bytes, seconds=parts.settings.body_timeout_s)
    if parts.settings.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=parts.settings.cors_origins,
            allow_methods=["GET", "POST", "PUT", "DELETE"],
            allow_headers=list(allowed_headers()),
            expose_headers=["ETag", "Retry-After", "X-Request-ID", "Idempotency-Replayed"],
        )
    app.add_middleware(ResponseHeaders)
    app.add_middleware(RequestContext, metrics=parts.metrics)


def served(app: FastAPI) -> set[tuple[str, str]]:
    """Method and path of every route; a WebSocket begins as a GET."""
    routes = [*app.routes, *(route for router in ROUTERS for route in router.routes)]
    plain = [route for route in routes if isinstance(route, Route)]
    sockets = {("GET", route.path) for route in routes if isinstance(route, WebSocketRoute)}
    return sockets | {
        (method, route.path) for route in plain for method in route.methods or () if method != "HEAD"
    }


def _require_rules(app: FastAPI) -> None:
    """A route without a rule is a mistake that must not wait for its first request."""
    if missing := served(app) - set(MATRIX):
        raise InputError(f"no rule in api/roles.py for {sorted(missing)}")
