"""Session keys: what an account lets its agents sign."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import Response
from sqlalchemy import select

from api.db.market_models import SessionKey
from api.deps import CallerDep, CursorsDep, PageDep, QueriesDep
from api.etag import cacheable
from api.routes.sessions import HAS_IT
from api.schemas.common import Account, to_hex
from api.schemas.keys import SessionKeyAnswer, SessionKeyPage
from api.schemas.sessions import KINDS

router = APIRouter(prefix="/v1/accounts/{account}", tags=["accounts"])

YEAR_10000 = 253_402_300_800
"""Unix seconds: RFC 3339 says no later time."""


@router.get("/keys", summary="Session keys", response_model=SessionKeyPage, responses=HAS_IT)
async def keys(
    account: Account,
    request: Request,
    caller: CallerDep,
    queries: QueriesDep,
    cursors: CursorsDep,
    page: PageDep,
) -> Response:
    """All that the account ever granted, those that have ended among them."""
    query = select(SessionKey).where(SessionKey.account == to_hex(account))
    scope = f"keys {account.hex()}"
    rows = await queries.page(query, (SessionKey.key,), cursors.read(scope, page.cursor), page.limit)
    items, cursor = cursors.page(scope, rows, page.limit, lambda row: (row.key,))
    answers = [key_answer(row) for row in items]
    return cacheable(request, SessionKeyPage(items=answers, next_cursor=cursor))


def key_answer(row: SessionKey) -> SessionKeyAnswer:
    """A key as the chain has it."""
    own = ("key", "zone", "max_wh_per_window", "max_spend_nano_per_day", "granted_at", "revoked_at")
    told = {name: getattr(row, name) for name in (*own, "block_number", "tx_hash")}
    kinds = [name for kind, name in enumerate(KINDS) if row.kinds >> kind & 1]
    expires = row.expiry if row.expiry < YEAR_10000 else None
    return SessionKeyAnswer.model_validate({**told, "kinds": kinds, "expires_at": expires})
