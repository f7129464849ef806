"""Sessions, clearing results with their proof, products, runs: what everyone in the market may see."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import Response
from sqlalchemy import select

from api.db.market_models import Book, GridVersion, Run, Session
from api.deps import CallerDep, CursorsDep, PageDep, QueriesDep
from api.errors import InvalidRequest, NotFound, documented
from api.etag import cacheable
from api.readmodel.query import Clockwork
from api.schemas.sessions import (
    KINDS,
    AtPrice,
    ClearingAnswer,
    Premium,
    ProductAnswer,
    RunAnswer,
    RunPage,
    SessionAnswer,
    SessionPage,
    ZoneClearing,
)
from settlement.chain.rpc import to_bytes
from settlement.reference import marginal, potential, product_id, quality
from settlement.reference.errors import MalformedProduct

router = APIRouter(prefix="/v1", tags=["market"])

Epoch = Annotated[int, Path(ge=1, lt=1 << 24, description="The session's number.")]
Day = Annotated[int, Path(ge=0, lt=1 << 32, description="First window of a delivery day.")]
HAS_IT: dict[int | str, dict[str, Any]] = {304: {"description": "The caller has it"}}


@router.get("/sessions", summary="Sessions", response_model=SessionPage, responses=HAS_IT)
async def sessions(
    request: Request,
    caller: CallerDep,
    queries: QueriesDep,
    cursors: CursorsDep,
    page: PageDep,
    day: Annotated[int | None, Query(ge=0, lt=1 << 32, description="Only of a delivery day.")] = None,
) -> Response:
    """All sessions by their number, with gates, deadlines and stage."""
    query, scope = select(Session), f"sessions {day}"
    if day is not None:
        query = query.where(Session.day == day)
    rows = await queries.page(query, (Session.epoch,), cursors.read(scope, page.cursor), page.limit)
    clock = await queries.clockwork()
    items, cursor = cursors.page(scope, rows, page.limit, lambda row: (row.epoch,))
    answers = [session_answer(row, clock) for row in items if clock is not None]
    return cacheable(request, SessionPage(items=answers, next_cursor=cursor))


@router.get(
    "/sessions/{epoch}",
    summary="A session",
    response_model=SessionAnswer,
    responses=HAS_IT | documented(NotFound),
)
async def session(epoch: Epoch, request: Request, caller: CallerDep, queries: QueriesDep) -> Response:
    """Its terms, and how far it is."""
    row, clock = await _session(queries, epoch)
    return cacheable(request, session_answer(row, clock))


async def _session(queries: QueriesDep, epoch: int) -> tuple[Session, Clockwork]:
    row, clock = await queries.one(Session, epoch), await queries.clockwork()
    if row is None or clock is None:
        raise NotFound(f"session {epoch} was not opened yet")
    return row, clock


def session_answer(row: Session, clock: Clockwork) -> SessionAnswer:
    """A session as of the clock."""
    params, length = row.params, clock.window_length
    shown = {name: params[name] for name in SessionAnswer.model_fields if name in params}
    return SessionAnswer.model_validate(
        shown
        | {
            "epoch": row.epoch,
            "id": row.id,
            "kind": KINDS[row.kind],
            "stage": clock.stage(row),
            "deadline": clock.deadline(row),
            "window_length_s": length,
            "starts_at": params["first_window"] * length,
            "zones": row.zones,
            "committed_zones": row.committed_zones,
            "committed_orders": row.committed_orders,
            "proved_at": row.proved_at,
            "order_bond_nano": params["bond_nano"],
            "rent_nano": row.rent_nano,
            "bond_nano": row.bond_nano,
            "block_number": row.block_number,
            "tx_hash": row.tx_hash,
        }
    )


# Clearing -----------------------------------------------------------------------------------------------


@router.get(
    "/sessions/{epoch}/clearing",
    summary="A clearing with its proof",
    response_model=ClearingAnswer,
    responses=HAS_IT | documented(NotFound),
)
async def clearing(
    epoch: Epoch,
    request: Request,
    caller: CallerDep,
    queries: QueriesDep,
    cursors: CursorsDep,
    page: PageDep,
) -> Response:
    """Prices, what was posted to prove them, and the commitments to the books, zone by zone."""
    row, clock = await _session(queries, epoch)
    grid = await queries.one(GridVersion, row.params["grid_version"])
    assert grid is not None, "a session names a grid that was set before"
    codes, scope = grid.terms["qualities"], f"clearing {epoch}"
    query = select(Book).where(Book.epoch == epoch)
    books = await queries.page(query, (Book.zone,), cursors.read(scope, page.cursor), page.limit)
    items, cursor = cursors.page(scope, books, page.limit, lambda book: (book.zone,))
    answer = ClearingAnswer(
        items=[_zone(row, book, codes) for book in items],
        next_cursor=cursor,
        epoch=epoch,
        stage=clock.stage(row),
        premiums=_premiums(row, codes),
    )
    return cacheable(request, answer)


def _zone(session: Session, book: Book, codes: list[int]) -> ZoneClearing:
    first, windows = session.params["first_window"], session.params["windows"]
    at_price = []
    for index, word in enumerate(book.marginals or ()):
        dense, window = divmod(index, windows)
        entry = marginal.unpack(_word(word))
        if any(entry.at_price):
            at_price.append(_at_price(entry, codes[dense], first + window))
    return ZoneClearing.model_validate(
        {
            "zone": book.zone,
            "orders": book.count,
            "root": book.root,
            "cleared_orders": book.cleared,
            "closed": book.joined is not None,
            "energy": [_entry(word, first + at) for at, word in enumerate(book.energy or ())],
            "at_price": at_price,
            "block_number": book.block_number,
            "tx_hash": book.tx_hash,
        }
    )


def _at_price(entry: marginal.Marginal, code: int, window: int) -> AtPrice:
    (bid, offered), (bid_filled, offered_filled) = entry.at_price, entry.filled
    fills = {"bid_filled_wh": bid_filled, "offered_filled_wh": offered_filled}
    return AtPrice(quality=code, window=window, bid_wh=bid, offered_wh=offered, **fills)


def _word(text: str) -> int:
    return int.from_bytes(to_bytes(text), "big")


def _entry(word: str, window: int, sign: int = 1) -> dict[str, int]:
    found = potential.unpack(_word(word))
    ranks = {"rank_lowest": found.rank_lo, "rank_highest": found.rank_hi}
    bounds = {"lowest": found.lo, "highest": found.hi, "price_micro_per_kwh": sign * found.mid}
    return {"window": window, **bounds, **ranks}


def _premiums(session: Session, codes: list[int]) -> list[Premium]:
    first, windows = session.params["first_window"], session.params["windows"]
    found = []
    for index, word in enumerate(session.qualities or ()):
        dense, window = divmod(index, windows)
        found.append(Premium(quality=codes[dense + 1], **_entry(word, first + window, -1)))
    return found


# Products, runs -----------------------------------------------------------------------------------------


@router.get("/products/{product}", summary="A product", responses=documented(NotFound))
async def product(
    product: Annotated[str, Path(pattern=r"^(?:0|[1-9][0-9]{0,33})$", description="The token's id.")],
    caller: CallerDep,
    queries: QueriesDep,
) -> ProductAnswer:
    """What an id of a claim, an obligation or a certificate says, and which session trades it."""
    try:
        found = product_id.decode(int(product))
    except MalformedProduct as cause:
        raise InvalidRequest(
            "no product has this id",
            errors=[{"pointer": "path/product", "detail": "not the id of a product"}],
        ) from cause
    kind = 0 if found.kind == product_id.CERTIFICATE else found.kind
    query = select(Session).where(Session.kind == kind, Session.round == found.round)
    query = query.where(Session.day <= found.window_index).order_by(Session.day.desc()).limit(1)
    async with queries.sessions() as db:
        traded = await db.scalar(query)
    starts = found.window_index * found.window_length
    return ProductAnswer(
        id=int(product),
        kind=KINDS[found.kind],
        side="obligation" if found.side else "claim",
        quality=found.quality,
        firm=bool(quality.firm(found.quality)),
        most_g_per_kwh=quality.CAPS_G_PER_KWH[quality.band(found.quality)],
        zone=found.zone,
        round=found.round,
        window=found.window_index,
        starts_at=starts,
        ends_at=starts + found.window_length,
        epoch=traded.epoch if traded is not None and _covers(traded, found.window_index) else None,
    )


def _covers(session: Session, window: int) -> bool:
    first = session.params["first_window"]
    return bool(first <= window < first + session.params["windows"])


@router.get("/days/{day}/runs", summary="A day's settlement runs", response_model=RunPage, responses=HAS_IT)
async def runs(
    day: Day, request: Request, caller: CallerDep, queries: QueriesDep, cursors: CursorsDep, page: PageDep
) -> Response:
    """First and later runs of each zone, summed over accounts."""
    query, scope, order = select(Run).where(Run.day == day), f"runs {day}", (Run.zone, Run.run)
    rows = await queries.page(query, order, cursors.read(scope, page.cursor), page.limit)
    items, cursor = cursors.page(scope, rows, page.limit, lambda row: (row.zone, row.run))
    answers = [RunAnswer.model_validate(row, from_attributes=True) for row in items]
    return cacheable(request, RunPage(items=answers, next_cursor=cursor))
