"""What routes read of the read model: rows in the order of a key, from behind a key on."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Select, or_, select, tuple_
from sqlalchemy.orm import InstrumentedAttribute

from api.db.chain_models import Block, Event, IndexedDeployment
from api.db.engine import Sessions
from api.db.market_models import CashMovement, Pause, Session
from api.pages import Key
from api.readmodel.stages import Interval, Stage, deadline_of, stage_of

Columns = Sequence[InstrumentedAttribute[Any]]


@dataclass(frozen=True, slots=True)
class Clockwork:
    """What a session's stage depends on besides its row."""

    now: int
    window_length: int
    max_pause: int
    pauses: tuple[Interval, ...]

    def stage(self, row: Session) -> Stage:
        return stage_of(vars(row), self.pauses, self.max_pause, self.now)

    def deadline(self, row: Session) -> int:
        return deadline_of(vars(row), self.pauses, self.max_pause, self.now)


@dataclass(frozen=True)
class Queries:
    """Reads of one database."""

    sessions: Sessions

    async def page(self, query: Select[Any], order: Columns, after: Key | None, limit: int) -> list[Any]:
        """Rows behind a key, ascending; one more than the limit if there are more."""
        if after is not None:
            query = query.where(tuple_(*order) > tuple_(*after))
        async with self.sessions() as session:
            return list(await session.scalars(query.order_by(*order).limit(limit + 1)))

    async def one(self, model: Any, *key: Any) -> Any | None:
        """The row of a key."""
        async with self.sessions() as session:
            return await session.get(model, key if len(key) > 1 else key[0])

    async def clockwork(self) -> Clockwork | None:
        """As of now; None before anything was indexed. Time is the later of ours and the last block's: on a
        chain that is ahead of us its own counts.
        """
        async with self.sessions() as session:
            found = await session.get(IndexedDeployment, 1)
            if found is None:
                return None
            last = await session.scalar(select(Block.time).order_by(Block.number.desc()).limit(1))
            pauses = tuple(Interval(one.began, one.ended) for one in await session.scalars(select(Pause)))
        return Clockwork(max(int(time.time()), last or 0), found.window_length, found.max_pause, pauses)

    async def indexed_block(self) -> int | None:
        """Up to which block the read model goes."""
        async with self.sessions() as session:
            return await session.scalar(select(Block.number).order_by(Block.number.desc()).limit(1))

    async def unproved(self, through: int, most: int = 50) -> list[Session]:
        """The last sessions up to an epoch that are not proved, void ones among them."""
        query = select(Session).where(Session.epoch <= through, Session.proved_at.is_(None))
        async with self.sessions() as session:
            return list(await session.scalars(query.order_by(Session.epoch.desc()).limit(most)))

    async def bill(self, account: str, day: int) -> list[CashMovement]:
        """All that a delivery day moved of an account's cash and that counts, in the chain's order."""
        proved = select(Session.epoch).where(Session.day == day, Session.proved_at.is_not(None))
        of_day = or_(CashMovement.day == day, CashMovement.epoch.in_(proved))
        query = select(CashMovement).where(CashMovement.account == account, of_day)
        order = (CashMovement.block_number, CashMovement.log_index, CashMovement.kind)
        async with self.sessions() as session:
            return list(await session.scalars(query.order_by(*order)))


def ledger(filters: Mapping[str, Any]) -> Select[Any]:
    """Events by what they are, whom they are about, and where they stand."""
    query = select(Event)
    for name in ("name", "account", "epoch", "zone", "day"):
        if filters.get(name) is not None:
            query = query.where(getattr(Event, name) == filters[name])
    if filters.get("from_block") is not None:
        query = query.where(Event.block_number >= filters["from_block"])
    if filters.get("to_block") is not None:
        query = query.where(Event.block_number <= filters["to_block"])
    return query
