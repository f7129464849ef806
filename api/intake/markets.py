"""Sessions that orders may be for, as the read model knows them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from sqlalchemy import ColumnElement, select

from api.db.engine import Sessions
from api.db.market_models import Book, GridVersion, Order
from api.db.market_models import Session as SessionRow
from settlement.chain import packed
from settlement.chain.books import Session
from settlement.chain.rpc import to_bytes, to_hex
from settlement.reference.orders import SignedOrder
from settlement.reference.session import Grid, SessionParams

MOST_KEPT = 1_000


class Markets:
    """Sessions by their id. What an id stands for never changes, so what was found is kept."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions
        self._kept: dict[bytes, Session] = {}

    async def by_id(self, session_id: bytes) -> Session | None:
        """The session of an id; None if none was opened yet, as far as the read model goes."""
        kept = self._kept.get(session_id)
        return await self._find(SessionRow.id == to_hex(session_id)) if kept is None else kept

    async def by_epoch(self, epoch: int) -> Session | None:
        """The session of a number: after a reorganisation it may be another."""
        return await self._find(SessionRow.epoch == epoch)

    async def _find(self, which: ColumnElement[bool]) -> Session | None:
        query = select(SessionRow.epoch, SessionRow.params).where(which)
        async with self._sessions() as db:
            row = (await db.execute(query.order_by(SessionRow.epoch.desc()).limit(1))).one_or_none()
            grid = None if row is None else await db.get(GridVersion, row.params["grid_version"])
        if row is None or grid is None:
            return None
        found = Session(row.epoch, _params(row.params), _grid(grid.terms))
        if len(self._kept) >= MOST_KEPT:
            self._kept.clear()
        self._kept[found.id] = found
        return found

    async def submitted(self, session: Session) -> list[SignedOrder]:
        """Orders that were submitted on chain, as far as the read model goes."""
        query = select(Order.record, Order.zone).where(
            Order.epoch == session.epoch, Order.submitted.is_(True), Order.record.is_not(None)
        )
        async with self._sessions() as db:
            rows = (await db.execute(query)).all()
        terms = session.id, session.params.kind
        return [packed.decode(to_bytes(record), 0, *terms, zone)[0] for record, zone in rows]

    async def on_chain(self, session: Session, zone: int) -> tuple[list[bytes], bool]:
        """Records of a zone's orders that the chain has seen, and whether these are all of its book."""
        of_zone = (Order.epoch == session.epoch, Order.zone == zone, Order.record.is_not(None))
        async with self._sessions() as db:
            book = await db.get(Book, (session.epoch, zone))
            records = [to_bytes(one) for one in await db.scalars(select(Order.record).where(*of_zone)) if one]
        return records, book is not None and book.cleared == book.count


def _params(raw: Mapping[str, Any]) -> SessionParams:
    values = {one.name: raw[one.name] for one in fields(SessionParams)}
    return SessionParams(**{**values, "receipt_signer": to_bytes(values["receipt_signer"])})


def _grid(raw: Mapping[str, Any]) -> Grid:
    return Grid(**{one.name: tuple(raw[one.name]) for one in fields(Grid)})
