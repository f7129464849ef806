"""The ledger in sums that hide every account."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from api.aggregates import Row, Told, may_tell, tell
from api.db.market_models import (
    Book,
    Certificate,
    Day,
    Fact,
    GridVersion,
    Order,
    Position,
    Session,
    Settlement,
)
from api.deps import CallerDep, CursorsDep, PageDep, QueriesDep, ServicesDep
from api.errors import NotFound, documented
from api.etag import cacheable
from api.readmodel.project.context import BALANCING_PARTY
from api.routes.sessions import HAS_IT
from api.schemas.aggregates import AggregateCell, AggregatePage, PriceRange, RunAggregate, ZoneAggregate
from settlement.chain.rpc import to_bytes
from settlement.reference import potential

router = APIRouter(prefix="/v1/ledger", tags=["ledger"])

MOST_ZONES = 20
"""Of a page: each is summed when it is asked for."""
BOUGHT, SOLD, WELFARE, CERTIFICATES = "bought_wh", "sold_wh", "welfare_nano", "certificates_wh"


@router.get(
    "/aggregates",
    summary="Sums of a day",
    response_model=AggregatePage,
    responses=HAS_IT | documented(NotFound),
)
async def aggregates(
    request: Request,
    caller: CallerDep,
    parts: ServicesDep,
    queries: QueriesDep,
    cursors: CursorsDep,
    page: PageDep,
    day: Annotated[int, Query(ge=0, lt=1 << 32, description="A certified delivery day.")],
) -> Response:
    """Volumes, welfare, certificates and imbalances zone by zone, as finely as no account can be told from
    them (docs/evidence.md).
    """
    row = await queries.one(Day, day)
    if row is None or not row.certified:
        raise NotFound("no such delivery day was certified")
    scope, limit = f"aggregates {day}", min(page.limit, MOST_ZONES)
    after = cursors.read(scope, page.cursor)
    first = 0 if after is None else int(after[0]) + 1
    async with queries.sessions() as db:
        grid = await db.get_one(GridVersion, row.grid_version)
        zones = range(first, len(grid.terms["parents"]))[: limit + 1]
        kept, cursor = cursors.page(scope, list(zones), limit, lambda zone: (zone,))
        found = [await _zone(db, row, grid.terms["qualities"], zone, parts.settings) for zone in kept]
    return cacheable(request, AggregatePage(items=found, next_cursor=cursor))


async def _zone(
    db: AsyncSession, day: Day, qualities: Sequence[int], zone: int, settings: Any
) -> ZoneAggregate:
    group = settings.aggregate_group
    opened = await db.scalars(select(Session).where(Session.epoch.in_(day.sessions)))
    sessions = [one for one in opened if one.proved_at is not None]
    told = tell(await _rows(db, day, zone, sessions), group)
    return ZoneAggregate(
        zone=zone,
        day=day.day,
        level=None if told is None else told.level,
        group=group,
        cells=[] if told is None else list(_cells(told)),
        runs=await _runs(db, day.day, zone, group),
        prices=await _prices(db, day, qualities, zone, sessions),
    )


def _cells(told: Told) -> Iterator[AggregateCell]:
    for (window, quality), sums in told.cells.items():
        measures = {name: sums.get(name) for name in (BOUGHT, SOLD, WELFARE, CERTIFICATES)}
        yield AggregateCell.model_validate({"window": window, "quality": quality, **measures})


# What accounts did --------------------------------------------------------------------------------------


async def _rows(db: AsyncSession, day: Day, zone: int, sessions: Sequence[Session]) -> list[Row]:
    epochs = [one.epoch for one in sessions]
    positions = await db.scalars(select(Position).where(Position.epoch.in_(epochs), Position.zone == zone))
    orders = await db.scalars(select(Order).where(Order.epoch.in_(epochs), Order.zone == zone))
    certificates = await db.scalars(
        select(Certificate).where(Certificate.day == day.day, Certificate.zone == zone)
    )
    rows = [row for one in positions for row in _volumes(one)]
    rows += [row for one in orders for row in _welfare(one)]
    rows += [Row(o.account, o.window, o.quality, CERTIFICATES, o.minted_wh) for o in certificates]
    return rows


def _volumes(position: Position) -> Iterator[Row]:
    measure = SOLD if position.side else BOUGHT
    for at, wh in enumerate(position.wh):
        if wh:
            yield Row(position.account, position.first_window + at, position.quality, measure, wh)


def _welfare(order: Order) -> Iterator[Row]:
    """What an order's fills are worth by its limits: paid at most, or asked at least."""
    terms = order.terms
    if terms is None or order.filled_wh is None:
        return
    limits, sign = terms["limit_micro_per_kwh"], -1 if terms["side"] else 1
    for at, wh in enumerate(order.filled_wh):
        limit = limits if isinstance(limits, int) else limits[at]
        if wh:
            worth = sign * wh * limit
            yield Row(order.trader, terms["first_window"] + at, terms.get("quality", 0), WELFARE, worth)


async def _runs(db: AsyncSession, day: int, zone: int, group: int) -> list[RunAggregate]:
    """Without the balancing party, which takes the other side of all: with it every sum is zero."""
    party = await db.scalar(select(Fact.value).where(Fact.name == BALANCING_PARTY)) or ""
    place = (Settlement.day == day, Settlement.zone == zone, Settlement.account != party)
    rows = await db.scalars(select(Settlement).where(*place))
    by_run: dict[int, list[Settlement]] = defaultdict(list)
    for one in rows:
        by_run[one.run].append(one)
    found = []
    for run, each in sorted(by_run.items()):
        wh = [one.imbalance_wh + one.delivered_wh for one in each]
        cash = [one.cash_nano + one.delivered_nano for one in each]
        if may_tell(wh, group) and may_tell(cash, group):
            found.append(RunAggregate(run=run, imbalance_wh=sum(wh), cash_nano=sum(cash)))
    return found


async def _prices(
    db: AsyncSession, day: Day, qualities: Sequence[int], zone: int, sessions: Sequence[Session]
) -> list[PriceRange]:
    found: dict[tuple[int, int], list[int]] = defaultdict(list)
    for session in sessions:
        book = await db.get(Book, (session.epoch, zone))
        if book is None or book.energy is None or session.qualities is None:
            continue
        first, windows = session.params["first_window"], session.params["windows"]
        for at in range(windows):
            for dense, code in enumerate(qualities):
                word = None if dense == 0 else session.qualities[(dense - 1) * windows + at]
                premium = 0 if word is None else -_mid(word)
                found[(first + at, code)].append(_mid(book.energy[at]) + premium)
    return [
        PriceRange.model_validate(
            {
                "window": window,
                "quality": code,
                "lowest_micro_per_kwh": min(prices),
                "highest_micro_per_kwh": max(prices),
            }
        )
        for (window, code), prices in sorted(found.items())
    ]


def _mid(word: str) -> int:
    return potential.unpack(int.from_bytes(to_bytes(word), "big")).mid
