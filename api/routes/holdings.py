"""What is one account's: orders, positions, readings, results, bills, certificates, cash."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, Any, Literal

from anyio import to_thread
from fastapi import APIRouter, Query, Request
from fastapi.responses import Response
from pydantic import BaseModel
from sqlalchemy import Select, select

from api import sheets
from api.bills.facts import gather
from api.bills.page import render
from api.db.market_models import CashMovement, Certificate, Order, Position, Reading, Session, Settlement
from api.db.market_models import Day as DeliveryDay
from api.deps import CallerDep, CursorsDep, PageDep, PageQuery, QueriesDep
from api.errors import NotFound, documented
from api.etag import cacheable, preferred
from api.pages import Cursors, Key, Page
from api.readmodel.query import Clockwork, Columns, Queries
from api.routes.sessions import HAS_IT, Day
from api.schemas.common import Account, to_hex
from api.schemas.holdings import (
    FLAGS,
    REASONS,
    BillAnswer,
    CashAnswer,
    CashPage,
    CertificateAnswer,
    CertificatePage,
    OrderAnswer,
    OrderPage,
    PositionAnswer,
    PositionPage,
    ReadingAnswer,
    ReadingPage,
    ResultAnswer,
    ResultPage,
)
from api.schemas.sessions import KINDS
from settlement.reference import product_id

router = APIRouter(prefix="/v1/accounts/{account}", tags=["accounts"])

PDF = "application/pdf"
BILL_TYPES = {"json": "application/json", "csv": "text/csv", "pdf": PDF}
"""By format; the first is what whoever has no wish gets."""

OfSession = Annotated[int | None, Query(ge=1, lt=1 << 24, description="Only of a session.")]
OfDay = Annotated[int | None, Query(ge=0, lt=1 << 32, description="Only of a delivery day.")]


async def _page(
    queries: Queries,
    cursors: Cursors,
    asked: PageQuery,
    scope: str,
    query: Select[Any],
    order: Columns,
    answer: Callable[[Any], BaseModel],
    kind: type[Page[Any]],
) -> BaseModel:
    """A page of what a query finds, in an order whose columns together are unique."""

    def key(row: Any) -> Key:
        return tuple(getattr(row, column.key) for column in order)

    rows = await queries.page(query, order, cursors.read(scope, asked.cursor), asked.limit)
    items, cursor = cursors.page(scope, rows, asked.limit, key)
    return kind(items=[answer(row) for row in items], next_cursor=cursor)


# Orders and positions -----------------------------------------------------------------------------------


@router.get("/orders", summary="Orders on chain", response_model=OrderPage, responses=HAS_IT)
async def orders(
    account: Account,
    request: Request,
    caller: CallerDep,
    queries: QueriesDep,
    cursors: CursorsDep,
    page: PageDep,
    epoch: OfSession = None,
) -> Response:
    """Orders that were submitted on chain or cleared, with their fills."""
    query = select(Order).where(Order.trader == to_hex(account))
    if epoch is not None:
        query = query.where(Order.epoch == epoch)
    scope, order = f"orders {account.hex()} {epoch}", (Order.epoch, Order.hash)
    return cacheable(
        request, await _page(queries, cursors, page, scope, query, order, order_answer, OrderPage)
    )


def order_answer(row: Order) -> OrderAnswer:
    """An order as the chain has it; a flexible one has one limit."""
    terms = row.terms or {}
    limits = terms.get("limit_micro_per_kwh")
    told = {name: terms.get(name) for name in OrderAnswer.model_fields if name in terms}
    told |= {
        "side": None if not terms else ("buy", "sell")[terms["side"]],
        "kind": None if not terms else KINDS[terms["kind"]],
        "windows": len(terms["quantity_wh"]) if "quantity_wh" in terms else terms.get("windows"),
        "limit_micro_per_kwh": [limits] if isinstance(limits, int) else limits,
    }
    for name in ("replaces", "beneficiary"):
        told[name] = told.get(name) if int(told.get(name) or "0x0", 16) else None
    names = ("hash", "epoch", "zone", "trader", "submitted", "outcome", "filled_wh", "net_nano", "record")
    own = {name: getattr(row, name) for name in (*names, "block_number", "tx_hash")}
    reason = None if not row.reason else REASONS[row.reason - 1]
    empty = dict.fromkeys(OrderAnswer.model_fields)
    return OrderAnswer.model_validate({**empty, **told, **own, "reason": reason})


@router.get("/positions", summary="Positions", response_model=PositionPage, responses=HAS_IT)
async def positions(
    account: Account,
    request: Request,
    caller: CallerDep,
    queries: QueriesDep,
    cursors: CursorsDep,
    page: PageDep,
    epoch: OfSession = None,
) -> Response:
    """What the account was allotted, by product and window; tokens while they are held."""
    query = select(Position).where(Position.account == to_hex(account))
    if epoch is not None:
        query = query.where(Position.epoch == epoch)
    states = _States(await queries.clockwork())
    await states.load(queries)
    scope = f"positions {account.hex()} {epoch}"
    found = await _page(queries, cursors, page, scope, query, (Position.slot,), states.answer, PositionPage)
    return cacheable(request, found)


class _States:
    """What positions of each session are now."""

    def __init__(self, clock: Clockwork | None) -> None:
        self.clock = clock
        self.sessions: dict[int, Session] = {}
        self.settled: set[int] = set()

    async def load(self, queries: Queries) -> None:
        async with queries.sessions() as db:
            self.sessions = {one.epoch: one for one in await db.scalars(select(Session))}
            self.settled = set(await db.scalars(select(DeliveryDay.day).where(DeliveryDay.settled)))

    def answer(self, row: Position) -> PositionAnswer:
        assert self.clock is not None, "positions come with a deployment"
        length, session = self.clock.window_length, self.sessions[row.epoch]
        stage = self.clock.stage(session)
        proved = "settled" if session.day in self.settled and session.kind == 0 else "held"
        windows = [
            {
                "product": _product(row, session, row.first_window + at, length),
                "window": row.first_window + at,
                "starts_at": (row.first_window + at) * length,
                "wh": wh,
            }
            for at, wh in enumerate(row.wh)
            if wh
        ]
        names = ("epoch", "zone", "quality", "block_number", "tx_hash")
        state = {"proved": proved, "void": "void"}.get(stage, "pending")
        side = ("claim", "obligation")[row.side]
        own = {name: getattr(row, name) for name in names}
        return PositionAnswer.model_validate({**own, "side": side, "state": state, "windows": windows})


def _product(row: Position, session: Session, window: int, length: int) -> int:
    kind, round_ = session.kind, session.round
    found = product_id.ProductId(window, length, row.zone, row.quality, kind, round_, row.side)
    return product_id.encode(found)


# Readings and results -----------------------------------------------------------------------------------


@router.get("/readings", summary="Meter readings", response_model=ReadingPage, responses=HAS_IT)
async def readings(
    account: Account,
    request: Request,
    caller: CallerDep,
    queries: QueriesDep,
    cursors: CursorsDep,
    page: PageDep,
    day: OfDay = None,
) -> Response:
    """Metered days as each run had them: actual, estimated or default by window."""
    query = select(Reading).where(Reading.account == to_hex(account))
    if day is not None:
        query = query.where(Reading.day == day)

    def answer(row: Reading) -> ReadingAnswer:
        names = ("zone", "day", "run", "wh", "block_number", "tx_hash")
        own = {name: getattr(row, name) for name in names}
        return ReadingAnswer.model_validate({**own, "flags": [FLAGS[flag] for flag in row.flags]})

    scope, order = f"readings {account.hex()} {day}", (Reading.day, Reading.run, Reading.zone)
    return cacheable(request, await _page(queries, cursors, page, scope, query, order, answer, ReadingPage))


def _result(row: Settlement) -> ResultAnswer:
    return ResultAnswer.model_validate(row, from_attributes=True)


async def _results(
    account: bytes, name: str, extra: Any, queries: Queries, cursors: Cursors, page: PageQuery
) -> BaseModel:
    query = select(Settlement).where(Settlement.account == to_hex(account), *extra)
    order = (Settlement.day, Settlement.run, Settlement.zone)
    scope = f"{name} {account.hex()}"
    return await _page(queries, cursors, page, scope, query, order, _result, ResultPage)


@router.get("/settlements", summary="Results of runs", response_model=ResultPage, responses=HAS_IT)
async def settlements(
    account: Account,
    request: Request,
    caller: CallerDep,
    queries: QueriesDep,
    cursors: CursorsDep,
    page: PageDep,
    day: OfDay = None,
) -> Response:
    """What each run made of the account's days."""
    extra = () if day is None else (Settlement.day == day,)
    found = await _results(account, f"settlements {day}", extra, queries, cursors, page)
    return cacheable(request, found)


@router.get("/certificates", summary="Certificates", response_model=ResultPage, responses=HAS_IT)
async def certificates(
    account: Account,
    request: Request,
    caller: CallerDep,
    queries: QueriesDep,
    cursors: CursorsDep,
    page: PageDep,
) -> Response:
    """Days in which claims of the account became certificates."""
    extra = (Settlement.certified_wh > 0,)
    return cacheable(request, await _results(account, "certificates", extra, queries, cursors, page))


@router.get(
    "/certificates/products",
    summary="Certificates by product",
    response_model=CertificatePage,
    responses=HAS_IT,
)
async def certificates_by_product(
    account: Account,
    request: Request,
    caller: CallerDep,
    queries: QueriesDep,
    cursors: CursorsDep,
    page: PageDep,
    day: OfDay = None,
) -> Response:
    """Zone, window and quality of each certificate, as the chain's balances have them."""
    query = select(Certificate).where(Certificate.account == to_hex(account))
    if day is not None:
        query = query.where(Certificate.day == day)
    clock = await queries.clockwork()

    def answer(row: Certificate) -> CertificateAnswer:
        assert clock is not None, "certificates come with a deployment"
        names = ("zone", "day", "window", "quality", "round", "minted_wh", "wh", "block_number", "tx_hash")
        own = {name: getattr(row, name) for name in names}
        starts = row.window * clock.window_length
        return CertificateAnswer.model_validate({**own, "product": int(row.product, 16), "starts_at": starts})

    scope, order = f"certificates by product {account.hex()} {day}", (Certificate.product,)
    found = await _page(queries, cursors, page, scope, query, order, answer, CertificatePage)
    return cacheable(request, found)


# Cash ---------------------------------------------------------------------------------------------------


def _movement(row: CashMovement) -> CashAnswer:
    return CashAnswer.model_validate(row, from_attributes=True)


@router.get("/cash", summary="Movements of cash", response_model=CashPage, responses=HAS_IT)
async def cash(
    account: Account,
    request: Request,
    caller: CallerDep,
    queries: QueriesDep,
    cursors: CursorsDep,
    page: PageDep,
) -> Response:
    """Every change of the account's cash with the transaction that made it."""
    query = select(CashMovement).where(CashMovement.account == to_hex(account))
    order = (CashMovement.block_number, CashMovement.log_index, CashMovement.kind)
    scope = f"cash {account.hex()}"
    return cacheable(request, await _page(queries, cursors, page, scope, query, order, _movement, CashPage))


@router.get(
    "/bills/{day}",
    summary="A day's bill",
    response_model=BillAnswer,
    responses=HAS_IT | documented(NotFound) | {200: {"content": {"text/csv": {}, PDF: {}}}},
)
async def bill(
    account: Account,
    day: Day,
    request: Request,
    caller: CallerDep,
    queries: QueriesDep,
    format: Annotated[
        Literal["json", "csv", "pdf"] | None, Query(description="How it is written; none: as `Accept` asks.")
    ] = None,
) -> Response:
    """All that a delivery day moved of the account's cash: trades, imbalances, corrections, reserves. As PDF
    a page to read, with the same sum.
    """
    found, clock = await queries.one(DeliveryDay, day), await queries.clockwork()
    if found is None or clock is None:
        raise NotFound("no such delivery day was opened")
    rows = await queries.bill(to_hex(account), day)
    media = BILL_TYPES[format] if format else preferred(request, list(BILL_TYPES.values()))
    if media == PDF:
        facts = await gather(queries, to_hex(account), found, clock, rows)
        return cacheable(request, await to_thread.run_sync(render, facts), PDF, vary="Accept")
    if media == BILL_TYPES["csv"]:
        return cacheable(request, _csv(rows), "text/csv; charset=utf-8", vary="Accept")
    answer = BillAnswer(
        account=account,
        day=day,
        starts_at=day * clock.window_length,
        total_nano=sum(row.amount_nano for row in rows),
        settled=found.settled,
        certified=found.certified,
        lines=[_movement(row) for row in rows],
    )
    return cacheable(request, answer, vary="Accept")


def _csv(rows: Sequence[CashMovement]) -> bytes:
    names = ("kind", "amount_nano", "epoch", "zone", "day", "run", "subject", "block_number", "tx_hash")
    return sheets.lines([names, *([getattr(row, name) for name in names] for row in rows)])
