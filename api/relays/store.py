"""Relays in the database. A row is committed before its transaction leaves, so that whatever dies in between,
the same bytes are sent again and never others in their place.
"""

from __future__ import annotations

from itertools import count
from typing import Any

from sqlalchemy import CursorResult, insert, select, update
from sqlalchemy.exc import IntegrityError

from api.db.engine import Sessions
from api.db.relay_models import Relay

PENDING, MINED, FAILED = "pending", "mined", "failed"


class RelayStore:
    """Transactions of the relay key."""

    def __init__(self, sessions: Sessions) -> None:
        self.sessions = sessions

    async def add(self, **fields: Any) -> bool:
        """Keeps a new one, or one with the same bytes that failed; False if claim or nonce are another's."""
        fresh = {"state": PENDING, "error": None, "arguments": None, **fields}
        again = update(Relay).where(Relay.tx_hash == fields["tx_hash"], Relay.state == FAILED)
        for statement in (insert(Relay).values(**fresh), again.values(**fresh)):
            try:
                async with self.sessions.begin() as session:
                    result = await session.execute(statement)
            except IntegrityError:
                continue
            assert isinstance(result, CursorResult)
            return result.rowcount == 1
        return False

    async def of_claim(self, claim: str) -> Relay | None:
        async with self.sessions() as session:
            found: Relay | None = await session.scalar(select(Relay).where(Relay.claim == claim))
            return found

    async def of_hash(self, tx_hash: str) -> Relay | None:
        async with self.sessions() as session:
            return await session.get(Relay, tx_hash)

    async def pending(self, limit: int = 500) -> list[Relay]:
        """In the order in which they can be mined."""
        query = select(Relay).where(Relay.state == PENDING).order_by(Relay.sender, Relay.sender_nonce)
        async with self.sessions() as session:
            return list(await session.scalars(query.limit(limit)))

    async def next_nonce(self, sender: str, first: int) -> int:
        """The first from `first` on that none of a sender's pending ones has: also one that was given up,
        since those behind it wait for it.
        """
        mine = (Relay.sender == sender, Relay.state == PENDING, Relay.sender_nonce >= first)
        async with self.sessions() as session:
            taken = set(await session.scalars(select(Relay.sender_nonce).where(*mine)))
        return next(nonce for nonce in count(first) if nonce not in taken)

    async def finish(self, tx_hash: str, state: str, **fields: Any) -> None:
        """What became of a pending one; said once."""
        mine = (Relay.tx_hash == tx_hash, Relay.state == PENDING)
        async with self.sessions.begin() as session:
            await session.execute(update(Relay).where(*mine).values(state=state, **fields))
