"""Depth of zones as it was some seconds ago: kept, so that asking often costs nothing and tells nothing."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from api.intake.depth import CellDepth, depth
from api.intake.markets import Markets
from api.intake.store import IntakeStore
from settlement.chain import packed
from settlement.chain.books import Session

AS_OF_S = 10
"""Depth is taken anew so seldom: single orders are harder to tell from the difference of two answers."""
MOST_KEPT = 200


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A zone's depth at a moment."""

    taken_at: float
    whole: bool
    """Whether it is the book as it was cleared."""
    cells: list[CellDepth]


class Snapshots:
    """The latest depth of each zone."""

    def __init__(self, markets: Markets, store: IntakeStore) -> None:
        self._markets, self._store = markets, store
        self._kept: dict[tuple[bytes, int], Snapshot] = {}

    async def of(self, session: Session, zone: int, now: float) -> Snapshot:
        """The depth of a zone, some seconds old at most. `now` is Unix seconds."""
        key = session.id, zone
        kept = self._kept.get(key)
        if kept is not None and 0 <= now - kept.taken_at < AS_OF_S:
            return kept
        records, whole = await self._markets.on_chain(session, zone)
        if not whole:
            records = list(dict.fromkeys([*await self._store.in_zone(session, zone), *records]))
        cells = await asyncio.to_thread(_cells, session, zone, records)
        if len(self._kept) >= MOST_KEPT:
            self._kept.clear()
        self._kept[key] = Snapshot(now, whole, cells)
        return self._kept[key]


def _cells(session: Session, zone: int, records: list[bytes]) -> list[CellDepth]:
    terms = session.id, session.params.kind, zone
    found = {}
    for record in records:  # one that was also submitted is there twice, under other flags
        signed, _ = packed.decode(record, 0, *terms)
        found[signed.signature] = signed.schedule
    return depth(found.values())
